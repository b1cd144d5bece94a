# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: what their actions mean as joint trajectories; no ROS."""
from kinema4d_ros.policy.action_chunks import ActionFormat, ActionReader, Reference

__all__ = ['ActionFormat', 'ActionReader', 'Reference']
