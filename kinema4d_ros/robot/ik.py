# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics along a path of a link, by KDL."""
from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import PyKDL

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.kdl_tree import joint_array, kdl_chain, kdl_frame, kdl_tree
from kinema4d_ros.robot.robot import Robot

POSITION_TOLERANCE = 1e-5    # [m]
ROTATION_TOLERANCE = 1e-4    # [rad]
_ITERATIONS = 300
_RESTARTS = 30               # other seeds for the first pose, which has no predecessor to follow


class InverseKinematics:
    """
    Joint positions that bring a link to given poses.

    Each pose starts from the solution of the one before, so that the joints move as little as
    the path does; only the first may be solved from elsewhere than the seed. A path through a
    singularity can still make them jump, which shows as a velocity that no limit allows.
    """

    def __init__(self, robot: Robot, tip_link: str) -> None:
        """
        Make a solver for the chain from the root link to `tip_link`.

        :raises KinematicsError: when the link is unknown, or a mimic joint is on the way.
        """
        if tip_link not in robot.links:
            raise KinematicsError(f'there is no link "{tip_link}"; the robot has '
                                  f'{", ".join(robot.link_names)}')
        joints = [joint for joint in robot.path(tip_link) if joint.type is not JointType.FIXED]
        if not joints:
            raise KinematicsError(f'link "{tip_link}" does not move; choose a link behind '
                                  'a movable joint')
        for joint in joints:
            if joint.mimic is not None:
                raise KinematicsError(
                    f'joint "{joint.name}" on the way to link "{tip_link}" is a mimic joint, '
                    'which KDL cannot solve for; choose a link before it')
        self.robot, self.tip_link = robot, tip_link
        self._columns = [robot.joint_names.index(joint.name) for joint in joints]
        self._turns = np.array([joint.type is not JointType.PRISMATIC for joint in joints])
        limits = [robot.limits.get(joint.name, joint.limit) for joint in joints]
        self._lower = np.array([-1e9 if lim.lower is None else lim.lower for lim in limits])
        self._upper = np.array([1e9 if lim.upper is None else lim.upper for lim in limits])
        self._chain = kdl_chain(kdl_tree(robot), robot.root_link, tip_link)
        self._fk = PyKDL.ChainFkSolverPos_recursive(self._chain)
        # The chain and the inner solvers are held, since KDL keeps bare references to them.
        self._velocity = PyKDL.ChainIkSolverVel_wdls(self._chain)
        self._velocity.setLambda(1e-4)
        self._within_limits = PyKDL.ChainIkSolverPos_NR_JL(
            self._chain, joint_array(self._lower), joint_array(self._upper), self._fk,
            self._velocity, _ITERATIONS, 1e-7)
        # The overload that takes weights crashes in PyKDL 1.5.1.
        self._least_squares = PyKDL.ChainIkSolverPos_LMA(self._chain, 1e-7, _ITERATIONS, 1e-12)

    def solve(self, T_base_tip: np.ndarray, seed: np.ndarray, *,
              times: np.ndarray | None = None,
              nearest: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """
        Solve a path.

        :param T_base_tip: (N, 4, 4) float64, poses of the tip link.
        :param seed: (J,) float64 [rad or m], where the robot is before the first pose. Joints
            that do not move the tip keep these values.
        :param times: (N,) [s], named in errors.
        :param nearest: how far off [m], [rad] the best that was found may be where nothing is
            within the tolerances, as for measured poses at the edge of the workspace.
        :return: (N, J) float64 [rad or m], within the position limits.
        :raises KinematicsError: naming the first pose that cannot be reached, and by how much.
        """
        poses = np.asarray(T_base_tip, np.float64)
        if poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise KinematicsError(f'T_base_tip must have shape (N, 4, 4), got {poses.shape}')
        seed = np.asarray(seed, np.float64)
        names = self.robot.joint_names
        if seed.shape != (len(names),) or not np.isfinite(seed).all():
            raise KinematicsError(f'the seed must be {len(names)} finite numbers, for '
                                  f'{", ".join(names)}; got {seed}')
        self._check_poses(poses)
        out = np.repeat(seed[None], len(poses), axis=0)
        previous = np.clip(seed[self._columns], self._lower, self._upper)
        for i, pose in enumerate(poses):
            target, best, closest = kdl_frame(pose), (math.inf, math.inf), previous
            for q in self._candidates(target, previous, first=i == 0):
                miss = self._miss(q, target)
                inside = (q >= self._lower - 1e-9).all() and (q <= self._upper + 1e-9).all()
                found = miss[0] <= POSITION_TOLERANCE and miss[1] <= ROTATION_TOLERANCE
                if inside and (found or _size(miss) < _size(best)):
                    best, closest = miss, q
                if inside and found:
                    break
            else:
                q = closest
            if best[0] > max(POSITION_TOLERANCE, nearest[0]) or \
                    best[1] > max(ROTATION_TOLERANCE, nearest[1]):
                when = '' if times is None else f' (at {float(times[i]):.3f} s)'
                raise KinematicsError(
                    f'link "{self.tip_link}" cannot reach pose {i}{when} within the joint limits: '
                    f'missed by {1e3 * best[0]:.2f} mm and {math.degrees(best[1]):.2f} deg')
            out[i, self._columns] = previous = np.clip(q, self._lower, self._upper)
        return out

    def _check_poses(self, poses: np.ndarray) -> None:
        rotations = poses[:, :3, :3]
        for i, (pose, rotation) in enumerate(zip(poses, rotations, strict=True)):
            proper = np.isfinite(pose).all() \
                and np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-6 \
                and np.linalg.det(rotation) > 0 and np.array_equal(pose[3], [0, 0, 0, 1])
            if not proper:
                raise KinematicsError(f'pose {i} is not a rigid transform:\n{pose}')

    def _candidates(self, target: PyKDL.Frame, previous: np.ndarray,
                    first: bool) -> Iterator[np.ndarray]:
        """Yield what the solvers find, best guess first."""
        seeds = [previous]
        if first:
            low, high = np.maximum(self._lower, -np.pi), np.minimum(self._upper, np.pi)
            seeds += list(np.random.default_rng(0).uniform(low, high, (_RESTARTS, len(low))))
        for seed in seeds:
            for solver in (self._within_limits, self._least_squares):
                q = PyKDL.JntArray(len(seed))
                # A negative code means 'not converged'; how far off it is, is measured by FK.
                solver.CartToJnt(joint_array(seed), target, q)
                found = np.array(list(q))
                if np.isfinite(found).all():
                    yield self._near(found, previous)

    def _near(self, q: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Take full turns off rotating joints, towards the previous position, within limits."""
        turns = np.where(self._turns, np.round((q - previous) / (2 * np.pi)), 0.0)
        near = q - 2 * np.pi * turns
        for way in (2 * np.pi, -2 * np.pi):
            outside = (near < self._lower) | (near > self._upper)
            fits = (near + way >= self._lower) & (near + way <= self._upper)
            near = np.where(outside & fits & self._turns, near + way, near)
        return near

    def _miss(self, q: np.ndarray, target: PyKDL.Frame) -> tuple[float, float]:
        """Return how far the tip is from the target: [m], [rad]."""
        frame = PyKDL.Frame()
        code = self._fk.JntToCart(joint_array(q), frame)
        if code < 0:
            raise KinematicsError(f'KDL cannot compute the pose of link "{self.tip_link}": '
                                  f'code {code} ({self._fk.strError(code)})')
        twist = PyKDL.diff(frame, target)
        return twist.vel.Norm(), twist.rot.Norm()


def _size(miss: tuple[float, float]) -> float:
    """Return how far off a pose is, in tolerances."""
    return miss[0] / POSITION_TOLERANCE + miss[1] / ROTATION_TOLERANCE
