# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a camera is: from the motion of the robot alone, or from boards and tags; no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.calibration.arm_frames import ArmFrames, ArmModel
    from kinema4d_ros.calibration.board_fit import BoardFit, calibrate_by_board
    from kinema4d_ros.calibration.boards import Board
    from kinema4d_ros.calibration.drift import Drift, DriftHistory, DriftSample
    from kinema4d_ros.calibration.extrinsics_file import Extrinsics
    from kinema4d_ros.calibration.hand_eye import HandEye, solve_hand_eye
    from kinema4d_ros.calibration.overlaid import overlay
    from kinema4d_ros.calibration.result import CameraFit
    from kinema4d_ros.calibration.robot_fit import calibrate_by_robot, RobotFitSettings
    from kinema4d_ros.calibration.sources import read_source, CalibrationSource

__all__ = [
    'ArmFrames',
    'ArmModel',
    'Board',
    'BoardFit',
    'CalibrationSource',
    'CameraFit',
    'Drift',
    'DriftHistory',
    'DriftSample',
    'Extrinsics',
    'HandEye',
    'RobotFitSettings',
    'calibrate_by_board',
    'calibrate_by_robot',
    'overlay',
    'read_source',
    'solve_hand_eye',
]
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
