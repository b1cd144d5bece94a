# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of every link over a whole trajectory, by KDL."""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

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
        joints = [parents[link] for link in robot.link_names[1:]]
        self._parents = [index[joint.parent] for joint in joints]
        segments = [self._segment(joint) for joint in joints]
        self._zero = np.array([matrix_of_frame(each.pose(0.0)) for each in segments]).reshape(
            -1, 4, 4)
        self._turning = _Joints(robot, joints, lambda type: type not in (
            JointType.FIXED, JointType.PRISMATIC))
        self._sliding = _Joints(robot, joints, lambda type: type is JointType.PRISMATIC)
        self._axes = np.array([list(segments[of].getJoint().JointAxis())
                               for of in self._sliding.steps]).reshape(-1, 3)
        # Rodrigues about an axis through an origin: R = I + sin K + (1 - cos) K K, all of it
        # multiplied with the frame at zero once, so that a pose is A + sin B + (1 - cos) C.
        turns = [_turn_of(segments[of].getJoint(), self._zero[of]) for of in self._turning.steps]
        self._sine = np.array([sine for sine, _ in turns]).reshape(-1, 4, 4)
        self._versine = np.array([versine for _, versine in turns]).reshape(-1, 4, 4)
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
        T_parent_child = np.repeat(self._zero[None], len(positions), axis=0)
        if len(turning := self._turning.steps):
            q = self._turning.of(positions)[..., None, None]
            T_parent_child[:, turning] = (self._zero[turning] + np.sin(q) * self._sine
                                          + 2.0 * np.sin(0.5 * q) ** 2 * self._versine)
        if len(sliding := self._sliding.steps):
            places = T_parent_child[..., :3, 3]
            places[:, sliding] += self._sliding.of(positions)[..., None] * self._axes
        for i, parent in enumerate(self._parents):
            np.matmul(out[:, parent], T_parent_child[:, i], out=out[:, i + 1])
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


class _Joints:
    """Joints of some types: which steps of the kinematics they are, and what drives them."""

    def __init__(self, robot: Robot, joints: Sequence[Joint],
                 is_one: Callable[[JointType], bool]) -> None:
        self.steps = [step for step, joint in enumerate(joints) if is_one(joint.type)]
        driven = [drive(robot, joints[step]) for step in self.steps]
        self._offset = np.array([offset for offset, _, _ in driven])
        self._factor = np.array([factor for _, factor, _ in driven])
        self._index = [index for _, _, index in driven]

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Return the positions of these (T, N) by those of the robot's joints (T, J)."""
        driven: np.ndarray = self._offset + self._factor * positions[:, self._index]
        return driven


def _turn_of(joint: PyKDL.Joint, zero: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what sine and 1 - cosine of a joint's angle are multiplied with, each (4, 4)."""
    axis, origin = np.array(list(joint.JointAxis())), np.array(list(joint.JointOrigin()))
    cross = np.zeros((4, 4))
    cross[:3, :3] = [[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]]
    relative = zero.copy()
    relative[:3, 3] -= origin
    sine = cross @ relative
    return sine, cross @ sine
