# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node set_point_gate: relays single set points that lie within a licence."""
