# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of every link over a whole trajectory, by KDL."""
from __future__ import annotations

from collections.abc import Collection

import numpy as np
import PyKDL

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.robot.description import Joint, JointType
from kinema4d_ros.robot.kdl_tree import joint_array, kdl_chain, kdl_tree, matrix_of_frame
from kinema4d_ros.robot.robot import Robot


class ForwardKinematics:
    """
    Poses of all links for many configurations at once.

    The geometry is read once from the segments of the KDL tree (tip frame at zero, axis and
    origin of the joint) and applied to all T configurations in NumPy, which takes a tenth of the
    time of T x L calls of ``JntToCart``, most of it spent copying frames to arrays. So that both
    stay one and the same thing, the constructor compares the result with KDL's own solvers, one
    chain per leaf of the tree, at a configuration where every joint is bent.
    """

    def __init__(self, robot: Robot) -> None:
        """
        Make the kinematics of all links, compared once with KDL's own solver.

        :raises KinematicsError: the two differ.
        """
        self.robot = robot
        self._tree = kdl_tree(robot)
        index = {link: i for i, link in enumerate(robot.link_names)}
        parents = {joint.child: joint for joint in robot.joints.values()}
        self._steps = [_Step(self._segment(parents[link]), parents[link],
                             index[parents[link].parent], robot)
                       for link in robot.link_names[1:]]
        self._compare_with_solver()

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """
        Compute the poses of all links.

        :param positions: (T, J) float64 [rad or m] in the order of ``robot.joint_names``.
        :return: T_base_link, (T, L, 4, 4) float64 in the order of ``robot.link_names``.
        :raises KinematicsError: on a wrong shape or a number that is not finite.
        """
        positions = np.asarray(positions, np.float64)
        names = self.robot.joint_names
        if positions.ndim != 2 or positions.shape[1] != len(names):
            raise KinematicsError(f'positions must have shape (T, {len(names)}) for the joints '
                                  f'{", ".join(names)}; got {positions.shape}')
        if not np.isfinite(positions).all():
            t, j = np.argwhere(~np.isfinite(positions))[0]
            raise KinematicsError(f'position of joint "{names[j]}" at index {t} is '
                                  f'{positions[t, j]}, not a finite number')
        out = np.empty((len(positions), len(self.robot.link_names), 4, 4))
        out[:, 0] = np.eye(4)
        for i, step in enumerate(self._steps, start=1):
            np.matmul(out[:, step.parent], step.transforms(positions), out=out[:, i])
        return out

    def _segment(self, joint: Joint) -> PyKDL.Segment:
        return kdl_chain(self._tree, joint.parent, joint.child).getSegment(0)

    def _compare_with_solver(self) -> None:
        """Check one bent configuration against ``JntToCart`` for every link of every chain."""
        robot = self.robot
        positions = 0.1 + 0.37 * np.arange(len(robot.joint_names)) % 1.0
        poses = dict(zip(robot.link_names, self(positions[None])[0]))
        parents = {joint.parent for joint in robot.joints.values()}
        left = set(robot.link_names[1:])      # chains share links; once is enough for each
        for leaf in robot.link_names[1:]:
            if leaf in parents:
                continue
            for name, pose in solve_chain(robot, self._tree, leaf, positions, left).items():
                left.discard(name)
                off = np.abs(pose - poses[name]).max()
                if off > 1e-9:
                    raise KinematicsError(
                        f'pose of link "{name}" differs from KDL by {off:.3g}; this is a defect '
                        'of kinema4d_ros, please report it with the URDF')


def solve_chain(robot: Robot, tree: PyKDL.Tree, tip: str,
                positions: np.ndarray, links: Collection[str] | None = None
                ) -> dict[str, np.ndarray]:
    """
    Return the pose of each link from the root to `tip` by KDL's recursive solver.

    :param positions: (J,) float64 [rad or m] in the order of ``robot.joint_names``.
    :param links: only those of these links; None for all.
    :raises KinematicsError: when KDL returns a negative code, with it.
    """
    chain = kdl_chain(tree, robot.root_link, tip)
    joints = robot.path(tip)
    angles = [value[0] + value[1] * positions[value[2]] for value in
              (drive(robot, joint) for joint in joints if joint.type is not JointType.FIXED)]
    if chain.getNrOfJoints() != len(angles):
        raise KinematicsError(f'KDL counts {chain.getNrOfJoints()} joints up to link "{tip}", '
                              f'the description {len(angles)}')
    solver, q = PyKDL.ChainFkSolverPos_recursive(chain), joint_array(angles)
    poses = {}
    for i, joint in enumerate(joints, start=1):
        if links is not None and joint.child not in links:
            continue
        frame = PyKDL.Frame()
        code = solver.JntToCart(q, frame, i)
        if code < 0:
            raise KinematicsError(
                f'KDL cannot compute the pose of link "{joint.child}": code {code} '
                f'({solver.strError(code)})')
        poses[joint.child] = matrix_of_frame(frame)
    return poses


def drive(robot: Robot, joint: Joint) -> tuple[float, float, int]:
    """Return (offset, factor, index): ``position = offset + factor * positions[index]``."""
    offset, factor = 0.0, 1.0
    while joint.mimic is not None:
        offset += factor * joint.mimic.offset
        factor *= joint.mimic.multiplier
        joint = robot.joints[joint.mimic.joint]
    return offset, factor, robot.joint_names.index(joint.name)


class _Step:
    """One segment: ``T_parent_child(q)`` for many q from what KDL says of it."""

    def __init__(self, segment: PyKDL.Segment, joint: Joint, parent: int, robot: Robot) -> None:
        self.parent = parent
        self._zero = matrix_of_frame(segment.pose(0.0))      # (4, 4)
        self._type = joint.type
        if joint.type is JointType.FIXED:
            return
        self._offset, self._factor, self._index = drive(robot, joint)
        kdl_joint = segment.getJoint()
        axis = np.array(list(kdl_joint.JointAxis()))
        if joint.type is JointType.PRISMATIC:
            self._axis = axis
            return
        # Rodrigues about `axis` through `origin`: R = I + sin K + (1 - cos) K K, all of it
        # multiplied with the frame at zero once, so that a pose is A + sin B + (1 - cos) C.
        origin = np.array(list(kdl_joint.JointOrigin()))
        cross = np.zeros((4, 4))
        cross[:3, :3] = [[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]]
        relative = self._zero.copy()
        relative[:3, 3] -= origin
        self._sine = cross @ relative
        self._versine = cross @ self._sine

    def transforms(self, positions: np.ndarray) -> np.ndarray:
        """Return T_parent_child, (T, 4, 4), or (4, 4) for a fixed joint."""
        if self._type is JointType.FIXED:
            return self._zero
        q = self._offset + self._factor * positions[:, self._index]
        if self._type is JointType.PRISMATIC:
            out = np.repeat(self._zero[None], len(q), axis=0)
            out[:, :3, 3] += q[:, None] * self._axis
            return out
        return (self._zero + np.sin(q)[:, None, None] * self._sine
                + (2.0 * np.sin(0.5 * q) ** 2)[:, None, None] * self._versine)
