# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measured ratios: our way and the usual way, side by side in one run.

A measurement is a module here that defines ``measure(repeats) -> list of rows``; that is all it
takes to be found by `python -m bench`. Rows are made by `bench.timing.row`. Times are reported and
compared with each other, never asserted; what tests assert is that both ways give the same.
"""
