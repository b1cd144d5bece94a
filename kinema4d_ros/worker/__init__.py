# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The process that owns the world model, and what keeps it alive; without ROS."""
