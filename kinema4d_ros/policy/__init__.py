# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: what their actions mean as joint trajectories; no ROS."""
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.action_format import (ActionFormat, GripperColumn, Reference,
                                               VelocityResponse)
from kinema4d_ros.policy.detect import ChunkRecord, detect_actions, Detection, records_of
from kinema4d_ros.policy.plausible import PlausibleStep, why_implausible
from kinema4d_ros.policy.preset import policy_presets, PolicyPreset
from kinema4d_ros.policy.types import Policy, PolicyObservation, TaskOutcome, TaskWorld
from kinema4d_ros.policy.velocity_response import fit_velocity_response, VelocityFit

__all__ = ['ActionFormat', 'ActionReader', 'ChunkRecord', 'Detection', 'GripperColumn',
           'PlausibleStep', 'Policy', 'PolicyObservation', 'PolicyPreset', 'Reference',
           'TaskOutcome', 'TaskWorld', 'VelocityFit', 'VelocityResponse', 'detect_actions',
           'fit_velocity_response', 'policy_presets', 'records_of', 'why_implausible']
