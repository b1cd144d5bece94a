# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: what their actions mean as joint trajectories; no ROS."""
from kinema4d_ros.policy.action_chunks import ActionFormat, ActionReader, Reference
from kinema4d_ros.policy.types import Policy, PolicyObservation, TaskOutcome, TaskWorld

__all__ = ['ActionFormat', 'ActionReader', 'Policy', 'PolicyObservation', 'Reference',
           'TaskOutcome', 'TaskWorld']
