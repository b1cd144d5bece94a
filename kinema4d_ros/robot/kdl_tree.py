# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A KDL tree of a robot; KDL's own URDF parser is not released for Python on ROS 2 Jazzy."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PyKDL

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.robot.description import Joint, JointType
from kinema4d_ros.robot.robot import Robot


def kdl_tree(robot: Robot) -> PyKDL.Tree:
    """Return the tree of all links; segments are named like the link at their tip."""
    tree = PyKDL.Tree(robot.root_link)
    parents = {joint.child: joint for joint in robot.joints.values()}
    for link in robot.link_names[1:]:
        if not tree.addSegment(kdl_segment(parents[link]), parents[link].parent):
            raise KinematicsError(f'KDL refused to attach link "{link}"')
    return tree


def kdl_segment(joint: Joint) -> PyKDL.Segment:
    """Return the segment from the parent link over `joint` to its child link."""
    frame = kdl_frame(joint.T_parent_joint)
    if joint.type is JointType.FIXED:
        # Joint.Fixed by name: the type None of KDL's C++ is no attribute in Python.
        return PyKDL.Segment(joint.child, PyKDL.Joint(joint.name, PyKDL.Joint.Fixed), frame)
    kind = (PyKDL.Joint.TransAxis if joint.type is JointType.PRISMATIC else PyKDL.Joint.RotAxis)
    axis = frame.M * PyKDL.Vector(*joint.axis)      # KDL wants it in the parent frame
    return PyKDL.Segment(joint.child, PyKDL.Joint(joint.name, frame.p, axis, kind), frame)


def kdl_chain(tree: PyKDL.Tree, base: str, tip: str) -> PyKDL.Chain:
    """
    Return the chain from `base` to `tip`.

    :raises KinematicsError: instead of the empty chain that KDL returns for an unknown link.
    """
    chain = tree.getChain(base, tip)
    if chain.getNrOfSegments() == 0:
        raise KinematicsError(f'there is no chain from link "{base}" to link "{tip}"')
    return chain


def kdl_frame(T: np.ndarray) -> PyKDL.Frame:
    """Return a (4, 4) transform as a KDL frame."""
    return PyKDL.Frame(PyKDL.Rotation(*T[:3, :3].ravel()), PyKDL.Vector(*T[:3, 3]))


def matrix_of_frame(frame: PyKDL.Frame) -> np.ndarray:
    """Return a KDL frame as a (4, 4) float64 transform."""
    out = np.eye(4)
    for row in range(3):
        for column in range(4):
            out[row, column] = frame[row, column]
    return out


def joint_array(values: Sequence[float] | np.ndarray) -> PyKDL.JntArray:
    """Return numbers as a KDL joint array."""
    out = PyKDL.JntArray(len(values))
    for i, value in enumerate(values):
        out[i] = value
    return out
