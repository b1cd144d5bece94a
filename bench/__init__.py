# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measured ratios: each file here compares our way with the usual way, side by side in one run."""
