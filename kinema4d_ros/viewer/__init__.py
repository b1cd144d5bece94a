# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Robot, scene, predicted future and verdict in 3D: a live page, or a file; knows no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.viewer.access import read_token
    from kinema4d_ros.viewer.chunks import ChunkState
    from kinema4d_ros.viewer.clearance_curve import ClearanceCurve
    from kinema4d_ros.viewer.execution import ExecutionMatcher
    from kinema4d_ros.viewer.future import CandidateTrajectory, Future, MotionStep
    from kinema4d_ros.viewer.future_frame import (FutureFrame, OtherPicture, position_colors,
                                                  thin)
    from kinema4d_ros.viewer.history import History
    from kinema4d_ros.viewer.html_file import write_html
    from kinema4d_ros.viewer.pictures import join_images, small, SnapshotBuffer
    from kinema4d_ros.viewer.playback import Playback
    from kinema4d_ros.viewer.predicted_scene import PredictedScene
    from kinema4d_ros.viewer.rerun_file import write_rrd
    from kinema4d_ros.viewer.robot_model import meshes_to_show
    from kinema4d_ros.viewer.server import who_may_reach
    from kinema4d_ros.viewer.trust import LedgerReader
    from kinema4d_ros.viewer.viewer import Viewer

__all__ = ['CandidateTrajectory', 'ChunkState', 'ClearanceCurve', 'ExecutionMatcher', 'Future',
           'FutureFrame', 'History', 'LedgerReader', 'MotionStep', 'OtherPicture', 'Playback',
           'PredictedScene', 'SnapshotBuffer', 'Viewer', 'join_images', 'meshes_to_show',
           'position_colors', 'read_token', 'small', 'thin', 'who_may_reach', 'write_html',
           'write_rrd']
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
