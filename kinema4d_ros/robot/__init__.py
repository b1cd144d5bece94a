# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot: its URDF, kinematics by KDL, meshes, and where a trajectory takes it; no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand
from kinema4d_ros.robot.trajectory_hash import trajectory_hash  # has the name of its module

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.robot.chain import robot_chain
    from kinema4d_ros.robot.description import (Box, Capsule, Cylinder, Joint, JointType, Link,
                                                MeshFile, Mimic, Shape, Sphere, UnreadShape)
    from kinema4d_ros.robot.distance_field import DistanceFields
    from kinema4d_ros.robot.gripper import find_gripper, finger_joints, hand_links_of
    from kinema4d_ros.robot.ik import InverseKinematics
    from kinema4d_ros.robot.kinematics import ForwardKinematics
    from kinema4d_ros.robot.limits_file import JointLimitsFile
    from kinema4d_ros.robot.meshes import LinkMeshes, load_meshes, mesh_files
    from kinema4d_ros.robot.point_cubes import PointCubes
    from kinema4d_ros.robot.posture_bound import link_boxes, LinkBox, PostureBound
    from kinema4d_ros.robot.receipt import from_receipt
    from kinema4d_ros.robot.robot import Robot
    from kinema4d_ros.robot.self_collision import LinkContact, SelfCollision
    from kinema4d_ros.robot.shapes import ball_around, box_corners, LinkMesh
    from kinema4d_ros.robot.tool import swept_path, tool_path
    from kinema4d_ros.robot.trail_memory import TrailMemory
    from kinema4d_ros.robot.trajectory import (frame_times, is_blended_by_velocity,
                                               sample_trajectory, SampledMotion)
    from kinema4d_ros.robot.urdf_limits import LIMIT_FIELDS, tightest

__all__ = [
    'LIMIT_FIELDS', 'Box', 'Capsule', 'Cylinder', 'DistanceFields', 'ForwardKinematics',
    'InverseKinematics', 'Joint', 'JointLimitsFile', 'JointType', 'Link', 'LinkBox',
    'LinkContact', 'LinkMesh', 'LinkMeshes', 'MeshFile', 'Mimic', 'PointCubes', 'PostureBound',
    'Robot', 'SampledMotion', 'SelfCollision', 'Shape', 'Sphere', 'TrailMemory', 'UnreadShape',
    'ball_around', 'box_corners', 'find_gripper', 'finger_joints', 'frame_times', 'from_receipt',
    'hand_links_of', 'is_blended_by_velocity', 'link_boxes', 'load_meshes', 'mesh_files',
    'robot_chain', 'sample_trajectory', 'swept_path', 'tightest', 'tool_path', 'trajectory_hash',
]
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
