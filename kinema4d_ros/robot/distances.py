# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far distances to the robot are known; a number that takes no library to read."""

REACH = 0.06       # [m] how far outside a link distances are known
