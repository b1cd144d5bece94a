# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A table, a robot on it, and things, in Bullet; what plans a motion sees of it."""
from __future__ import annotations

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from kinema4d_ros.episodes.bullet.things import CellThing
from kinema4d_ros.episodes.libero.plan import ARM_JOINTS, FINGER_JOINTS, OPEN
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.robot import ForwardKinematics, Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory

STEP = 0.001              # [s]
HOME = (0.0, -0.16, 0.0, -2.44, 0.0, 2.22, 0.785)     # [rad] of the arm
HAND_LINK, GRIP = 'panda_hand', 0.097                 # [m] from the hand down to the grip point
AREA = np.array([[0.42, -0.25], [0.70, 0.25]])        # [m] of the table, where things stand
APART = 0.025             # [m] between things, at least
_GAIN = 100.0             # [1/s] of the arm's error
_FINGER_FORCE = 20.0      # [N]
_ROLLING = 5e-4           # [m]
_FALL = 0.002             # [m] things are put this far above the table
_DRAWS = 200
_DELTA = 1e-6             # [rad] of the Jacobian's differences


def why_missing() -> str | None:
    """Return why nothing can be simulated here, None where it can."""
    try:
        importlib.import_module('pybullet')
    except ImportError as error:
        return (f'Bullet is not installed ({error}); it is optional: '
                '`pip install --target out/bullet --no-deps -r requirements/second_engine.txt`, '
                'and set PYTHONPATH=out/bullet')
    return None


class BulletCell:
    """
    A Panda on a table with things; a context manager. Poses are in the base frame, z up [m].

    The arm's joints are motors that follow velocities within the efforts of the URDF, the fingers
    position servos of 20 N.
    """

    def __init__(self, robot: Robot, urdf: Path, things: list[CellThing],
                 random: np.random.Generator, folder: Path):
        """
        Make the cell, things drawn to places apart.

        :param urdf: of the robot, meshes in `package://kinema4d_ros` two folders above it.
        :param folder: for files that Bullet reads.
        :raises EpisodeError: Bullet is missing, or no places are found.
        """
        if why := why_missing():
            raise EpisodeError(why)
        self._bullet: Any = importlib.import_module('pybullet')
        self._client = self._bullet.connect(self._bullet.DIRECT)
        self.robot, self._fk = robot, ForwardKinematics(robot)
        self.tracking_error = 0.0      # [rad] largest so far of an arm joint
        self._things = {thing.name: thing for thing in things}
        self.pull(np.array([0.0, 0.0, -9.81]))
        self._call('setPhysicsEngineParameter', fixedTimeStep=STEP, numSolverIterations=100)
        table = self._call('createMultiBody', 0.0,
                           self._call('createCollisionShape', self._bullet.GEOM_PLANE))
        self._call('changeDynamics', table, -1, lateralFriction=1.0)
        self._folder = folder
        self._robot = self._load(urdf)
        self._bodies = {name: self._add(thing, pose) for (name, thing), pose in zip(
            self._things.items(), _places(things, random))}

    def __enter__(self) -> BulletCell:
        """Return the cell."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the simulation."""
        self._call('disconnect')

    # ------------------------------------------------------------------ what a plan is made from

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the things."""
        return tuple(self._things)

    @property
    def movable(self) -> tuple[str, ...]:
        """Nothing is fastened."""
        return self.objects

    @property
    def joint_state(self) -> tuple[np.ndarray, np.ndarray]:
        """Realised positions and velocities of arm and fingers, (9,) each."""
        states = [self._call('getJointState', self._robot, joint) for joint in self._joints]
        return np.array([state[0] for state in states]), np.array([state[1] for state in states])

    @property
    def arm_positions(self) -> np.ndarray:
        """Realised arm joint positions, (7,) [rad]."""
        return self.joint_state[0][:7]

    @property
    def arm_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest arm joint positions, (7,) each [rad]."""
        limits = [self.robot.joints[name].limit for name in ARM_JOINTS]
        return (np.array([limit.lower for limit in limits], np.float64),
                np.array([limit.upper for limit in limits], np.float64))

    def object_pose(self, name: str) -> np.ndarray:
        """Return T_base_object, (4, 4) float64."""
        place, turn = self._call('getBasePositionAndOrientation', self._bodies[name])
        T = np.eye(4)
        T[:3, :3] = Rotation.from_quat(turn).as_matrix()
        T[:3, 3] = np.array(place) - T[:3, :3] @ self._things[name].center_of_mass
        return T

    def bounds(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return lowest and highest corner (3,) [m] of a thing as it lies."""
        T = self.object_pose(name)
        points = self._things[name].vertices @ T[:3, :3].T + T[:3, 3]
        return points.min(axis=0), points.max(axis=0)

    def scratch(self) -> None:
        """Nothing is needed to compute in."""

    def grip_kinematics(self, positions: np.ndarray,
                        scratch: None) -> tuple[np.ndarray, np.ndarray]:
        """Return T_base_grip (4, 4) and its Jacobian (6, 7), linear rows first."""
        arms = np.vstack([positions, positions + _DELTA * np.eye(7)])
        columns = [self.robot.joint_names.index(name) for name in ARM_JOINTS]
        joints = np.zeros((8, len(self.robot.joint_names)))
        joints[:, columns] = arms
        T = self._fk(joints)[:, self.robot.link_names.index(HAND_LINK)].copy()
        T[:, :3, 3] += GRIP * T[:, :3, 2]
        turns = T[1:, :3, :3] @ T[0, :3, :3].T
        angular = 0.5 * np.stack([turns[:, 2, 1] - turns[:, 1, 2],
                                  turns[:, 0, 2] - turns[:, 2, 0],
                                  turns[:, 1, 0] - turns[:, 0, 1]])
        return T[0], np.r_[(T[1:, :3, 3] - T[0, :3, 3]).T, angular] / _DELTA

    # ------------------------------------------------------------------ what happens

    def pull(self, gravity: np.ndarray) -> None:
        """Set the acceleration of gravity, (3,) [m/s^2]; it is 9.81 downwards."""
        self._call('setGravity', *map(float, gravity))

    def settle(self, seconds: float = 1.5) -> None:
        """Let things come to rest while the robot stands."""
        home = np.r_[HOME, OPEN, OPEN]
        for _ in range(round(seconds / STEP)):
            self._drive(home, np.zeros(9))
        self.tracking_error = 0.0

    def follow(self, trajectory: JointTrajectory, time: float, seconds: float) -> None:
        """Follow a trajectory from a time [s] on, which may be before its start, for a while."""
        times = np.clip(time + STEP * np.arange(1, round(seconds / STEP) + 1), 0.0,
                        trajectory.duration)
        start = dict(zip(trajectory.joint_names, trajectory.positions[0]))
        sampled = sample_trajectory(trajectory, self.robot, times, start)
        order = [sampled.joint_names.index(name) for name in ARM_JOINTS + FINGER_JOINTS]
        moves = ((times > 0.0) & (times < trajectory.duration))[:, None]
        for positions, velocities in zip(sampled.positions[:, order],
                                         sampled.velocities[:, order] * moves):
            self._drive(positions, velocities)

    def _drive(self, positions: np.ndarray, velocities: np.ndarray) -> None:
        bullet = self._bullet
        error = positions[:7] - self.arm_positions
        self.tracking_error = max(self.tracking_error, float(np.abs(error).max()))
        self._call('setJointMotorControlArray', self._robot, self._joints[:7],
                   bullet.VELOCITY_CONTROL,
                   targetVelocities=(velocities[:7] + _GAIN * error).tolist(),
                   forces=self._efforts)
        self._call('setJointMotorControlArray', self._robot, self._joints[7:],
                   bullet.POSITION_CONTROL, targetPositions=positions[7:].tolist(),
                   targetVelocities=velocities[7:].tolist(), forces=[_FINGER_FORCE] * 2)
        self._call('stepSimulation')

    def _call(self, name: str, *args: Any, **more: Any) -> Any:
        return getattr(self._bullet, name)(*args, physicsClientId=self._client, **more)

    def _load(self, urdf: Path) -> int:
        """Load the robot from a copy that Bullet can read: collision shapes, and some mass."""
        text = urdf.read_text().replace('package://kinema4d_ros', str(urdf.parents[2]))
        parts = [part.partition('</visual>')[2] if index and '</visual>' in part else part
                 for index, part in enumerate(text.split('<visual>'))]
        inertia = ('<inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" '
                   'ixz="0" iyz="0"/></inertial></link>')
        copy = self._folder / 'robot.urdf'
        copy.write_text(''.join(parts).replace('"/>\n  <joint', f'">{inertia}\n  <joint')
                        .replace('</link>', inertia).replace(inertia[:-7] + inertia, inertia))
        body = int(self._call('loadURDF', str(copy), useFixedBase=True))
        names = [self._call('getJointInfo', body, joint)[1].decode()
                 for joint in range(self._call('getNumJoints', body))]
        self._joints = [names.index(name) for name in ARM_JOINTS + FINGER_JOINTS]
        self._efforts = [float(self.robot.joints[name].limit.effort or 0.0) for name in ARM_JOINTS]
        for joint, position in zip(self._joints, (*HOME, OPEN, OPEN)):
            self._call('resetJointState', body, joint, position)
        for link in range(-1, len(names)):
            self._call('changeDynamics', body, link, lateralFriction=1.0, linearDamping=0.0,
                       angularDamping=0.0)
        return body

    def _add(self, thing: CellThing, T: np.ndarray) -> int:
        """Add a thing; in Bullet's frame its centre of mass is the origin."""
        bullet, middle = self._bullet, thing.center_of_mass
        if thing.pieces:      # Bullet makes a convex piece of each group of a file
            path = self._folder / f'{thing.name}.obj'
            path.write_text(_groups([piece.corners - middle for piece in thing.pieces]))
            shape = self._call('createCollisionShape', bullet.GEOM_MESH, fileName=str(path))
        else:
            shape = self._call('createCollisionShape', bullet.GEOM_MESH,
                               vertices=(thing.hull - middle).tolist())
        body = int(self._call(
            'createMultiBody', thing.mass, shape,
            basePosition=(T[:3, :3] @ middle + T[:3, 3]).tolist(),
            baseOrientation=Rotation.from_matrix(T[:3, :3]).as_quat().tolist()))
        self._call('changeDynamics', body, -1, lateralFriction=thing.friction,
                   rollingFriction=_ROLLING, spinningFriction=_ROLLING, linearDamping=0.0,
                   angularDamping=0.0)
        return body


def _groups(pieces: list[np.ndarray]) -> str:
    """Return a Wavefront file with a group for the convex hull of each piece (N, 3) [m]."""
    lines, count = [], 1
    for number, corners in enumerate(pieces):
        lines.append(f'o piece_{number}')
        lines += [f'v {x:.6f} {y:.6f} {z:.6f}' for x, y, z in corners]
        lines += ['f ' + ' '.join(str(count + index) for index in face)
                  for face in ConvexHull(corners).simplices]
        count += len(corners)
    return '\n'.join([*lines, ''])


def _places(things: list[CellThing], random: np.random.Generator) -> list[np.ndarray]:
    """
    Draw poses on the table, upright, so that no two things are near each other.

    :raises EpisodeError: none are found.
    """
    found: list[tuple[np.ndarray, float]] = []
    poses = []
    for thing in things:
        radius = 0.5 * float(np.linalg.norm((thing.high - thing.low)[:2]))
        for _ in range(_DRAWS):
            place = random.uniform(*AREA)
            if all(np.linalg.norm(place - other) > radius + far + APART for other, far in found):
                break
        else:
            raise EpisodeError(f'no place for {thing.name} among the other things')
        found.append((place, radius))
        T = np.eye(4)
        # Mostly along the robot's axes, as a person sets a table, but never exactly.
        angle = random.integers(4) * np.pi / 2 + random.normal(0.0, 0.2)
        T[:3, :3] = Rotation.from_euler('z', angle).as_matrix()
        T[:3, 3] = np.r_[place, _FALL - thing.low[2]] - T[:3, :3] @ np.r_[thing.middle[:2], 0.0]
        poses.append(T)
    return poses
