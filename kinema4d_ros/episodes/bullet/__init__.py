# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A cell in Bullet with boxes, cylinders and LIBERO's things: a second truth, simulated apart."""
