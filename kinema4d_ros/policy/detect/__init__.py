# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy's actions mean, told from chunks and states."""
from kinema4d_ros.policy.detect.detector import detect_actions
from kinema4d_ros.policy.detect.gripper import ends_of
from kinema4d_ros.policy.detect.record import ChunkRecord, records_of
from kinema4d_ros.policy.detect.result import ActionFinding, Detection, LEAST_CONFIDENCE

__all__ = ['LEAST_CONFIDENCE', 'ActionFinding', 'ChunkRecord', 'Detection', 'detect_actions',
           'ends_of', 'records_of']
