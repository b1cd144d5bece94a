# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web page on viser: robot, scene, predicted future, verdict; knows no ROS (ring a)."""
from kinema4d_ros.viewer.candidates import Candidate
from kinema4d_ros.viewer.execution import Execution
from kinema4d_ros.viewer.future import Future, FutureFrame, position_colors, Step, thin
from kinema4d_ros.viewer.history import History
from kinema4d_ros.viewer.pictures import Looks, side_by_side
from kinema4d_ros.viewer.playback import Playback
from kinema4d_ros.viewer.robot_model import meshes_to_show
from kinema4d_ros.viewer.timeline import Timeline
from kinema4d_ros.viewer.viewer import Viewer

__all__ = ['Candidate', 'Execution', 'Future', 'FutureFrame', 'History', 'Looks', 'Playback',
           'Step', 'Timeline', 'Viewer', 'meshes_to_show', 'position_colors', 'side_by_side',
           'thin']
