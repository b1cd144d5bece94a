# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The vocabulary of the package: small frozen dataclasses and enums. Read this room first.

Conventions, everywhere in the package:

* SI units and REP-103 axes; angles in rad. Times are seconds from the start of a trajectory.
* ``T_a_b`` is a ``(4, 4) float64`` homogeneous transform that maps coordinates in frame b to
  frame a: ``p_a = T_a_b @ p_b``.
* ``base`` is the root link of the URDF. ``camera`` is the camera's *optical* frame
  (x right, y down, z forward; REP-103 suffix ``_optical``).
* Images are ``(H, W, C)``, pointmaps ``(T, H, W, 3) float32`` metres in the camera frame, NaN
  where nothing is known. Pixel (0, 0) is the *centre* of the upper left pixel.
* Arrays held by these classes are read-only views; copy before writing.
"""
from kinema4d_ros.types.future import (ChainJoint, ChainLink, EventKind, Gripper, PredictedFrame,
                                       PredictedThing, PredictedView, Report, RobotRollout, silent,
                                       ViewRollout, WorldEvent)
from kinema4d_ros.types.held import (AttachedObject, AttachedShape, DIMENSIONS, HeldObject,
                                     HeldSource)
from kinema4d_ros.types.joint_trail import JointTrail
from kinema4d_ros.types.local_clearance import LinkSpace, LocalClearance
from kinema4d_ros.types.motion import JointLimit, JointTrajectory, StartState
from kinema4d_ros.types.observation import Background, CameraView, Observation, PinholeCamera
from kinema4d_ros.types.sources import (PointSource, SceneSource, Solid, SolidSource,
                                        VoxelSource)
from kinema4d_ros.types.verdict import (ClearanceSample, Finding, FindingCode, plain_point,
                                        Severity, Status, Verdict)

__all__ = [
    'DIMENSIONS', 'AttachedObject', 'AttachedShape', 'Background', 'CameraView', 'ChainJoint',
    'ChainLink', 'ClearanceSample',
    'EventKind', 'Finding', 'FindingCode', 'Gripper', 'HeldObject', 'HeldSource', 'JointLimit',
    'JointTrail', 'JointTrajectory', 'LinkSpace', 'LocalClearance', 'Observation', 'PinholeCamera',
    'PointSource', 'PredictedFrame',
    'PredictedThing', 'PredictedView', 'Report', 'RobotRollout', 'SceneSource', 'Severity',
    'Solid', 'SolidSource', 'StartState', 'Status', 'Verdict', 'ViewRollout', 'VoxelSource',
    'WorldEvent', 'plain_point', 'silent',
]
