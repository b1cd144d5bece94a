# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Ring c: the nodes, and the process that owns the world model.

`worker`, `supervisor`, `protocol` and `frame_memory` know no ROS; the rest does.
"""
