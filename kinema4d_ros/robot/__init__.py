# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot: its URDF, kinematics by KDL, meshes, and where a trajectory takes it (ring a)."""
from kinema4d_ros.robot.chunks import ActionFormat, ActionReader, Reference
from kinema4d_ros.robot.distance_field import DistanceFields
from kinema4d_ros.robot.gripper import find_gripper
from kinema4d_ros.robot.ik import InverseKinematics
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.meshes import LinkMeshes, load_meshes
from kinema4d_ros.robot.model import (
    Box,
    Cylinder,
    Joint,
    JointType,
    Link,
    MeshFile,
    Mimic,
    Robot,
    Shape,
    Sphere,
)
from kinema4d_ros.robot.point_cubes import PointCubes
from kinema4d_ros.robot.self_collision import LinkContact, SelfCollision
from kinema4d_ros.robot.shapes import LinkMesh
from kinema4d_ros.robot.tool import swept_path, tool_path
from kinema4d_ros.robot.trajectory import SampledMotion, frame_times, sample_trajectory

__all__ = [
    'ActionFormat', 'ActionReader', 'Box', 'Cylinder', 'DistanceFields', 'ForwardKinematics',
    'InverseKinematics', 'Joint', 'JointType', 'Link', 'LinkContact', 'LinkMesh', 'LinkMeshes',
    'MeshFile', 'Mimic', 'PointCubes', 'Reference', 'Robot', 'SampledMotion', 'SelfCollision',
    'Shape', 'Sphere', 'find_gripper', 'frame_times', 'load_meshes', 'sample_trajectory',
    'swept_path', 'tool_path',
]
