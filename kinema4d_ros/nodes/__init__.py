# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS nodes: callbacks become calls of the other packages, and results become messages."""
