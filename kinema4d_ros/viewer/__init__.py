# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web page on viser: robot, scene, predicted future, verdict; knows no ROS."""
from kinema4d_ros.viewer.access import read_token
from kinema4d_ros.viewer.clearance_curve import ClearanceCurve
from kinema4d_ros.viewer.execution import ExecutionMatcher
from kinema4d_ros.viewer.future import CandidateTrajectory, Future, MotionStep
from kinema4d_ros.viewer.future_frame import FutureFrame, position_colors, thin
from kinema4d_ros.viewer.history import History
from kinema4d_ros.viewer.pictures import join_images, SnapshotBuffer
from kinema4d_ros.viewer.playback import Playback
from kinema4d_ros.viewer.robot_model import meshes_to_show
from kinema4d_ros.viewer.server import who_may_reach
from kinema4d_ros.viewer.viewer import Viewer

__all__ = ['CandidateTrajectory', 'ClearanceCurve', 'ExecutionMatcher', 'Future', 'FutureFrame',
           'History', 'MotionStep', 'Playback', 'SnapshotBuffer', 'Viewer', 'join_images',
           'meshes_to_show', 'position_colors', 'read_token', 'thin', 'who_may_reach']
