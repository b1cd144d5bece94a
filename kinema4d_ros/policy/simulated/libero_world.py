# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A LIBERO task as a world in which a policy acts; needs the simulator (requirements/sim.txt)."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.episodes.libero.goal import task_goals, TaskGoal
from kinema4d_ros.episodes.libero.plan import (ARM_JOINTS, CubicInterpolation, FINGER_JOINTS,
                                              OPEN, RATE)
from kinema4d_ros.episodes.libero.render import SceneRenderer
from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.errors import EpisodeError, PolicyError
from kinema4d_ros.policy.simulated.finger_gap import FingerGap
from kinema4d_ros.policy.simulated.start_file import write_start
from kinema4d_ros.policy.types import LIFTED, PolicyObservation, TaskOutcome
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import JointTrajectory

JOINTS = ARM_JOINTS + FINGER_JOINTS
_CLOSES = 0.002         # [m] that a finger's command falls by, to be closing
_LAST_CLOSED = 0.3      # [s] after the command has ended that the fingers still close
_MOVED = 1e-3           # [m] from which on an object stands elsewhere
_STANDS = 0.01          # [m] within which an object has stayed where it was
_SETTLE = 1.0           # [s] that the world is given before it is judged


class LiberoWorld:
    """
    A task of the LIBERO simulator: success is its own judgement, after everything has settled.

    The arm follows what it is told by computed torque, the fingers by the gripper's own servos;
    the command of the fingers goes on from what it was, not from where what they hold stops them.
    """

    def __init__(self, scene: LiberoScene, robot: Robot, init: int,
                 views: Mapping[str, SceneRenderer] = MappingProxyType({}),
                 T_base_object: np.ndarray | None = None):
        """
        Make a world of a task's scene in one of its initial states.

        :param robot: the Panda by its description, which reads the policy's actions.
        :param views: name -> what renders it, for policies that see pictures.
        :param T_base_object: (4, 4) where the object that is to be moved stands, in place of where
            the initial state has it; None for there.
        """
        self.robot, self._scene, self._init, self._views = robot, scene, init, views
        self._put = T_base_object
        self.reset()

    @property
    def name(self) -> str:
        """Name of the start."""
        return f'{self._scene.suite}_{self._scene.task}_{self._init}'

    def reset(self) -> PolicyObservation:
        """
        Put the task into its initial state.

        :raises EpisodeError: it is no task of one object that goes in or on another.
        """
        scene = self._scene
        scene.reset(self._init)
        scene.refresh()
        self.goal = _only_goal(scene)
        if self._put is not None and np.abs(
                scene.object_pose(self.goal.thing) - self._put).max() > _MOVED:
            put_object(scene, self.goal.thing, self._put)
        self._gap_now = FingerGap(scene, self.goal.thing)
        self._watch = _GraspWatch(scene, self.goal.thing)
        self._time, self._sample = 0.0, 0
        self._command = np.r_[scene.arm_positions, OPEN, OPEN]
        self._velocity = np.zeros(len(JOINTS))
        self.tracking_error = 0.0      # [rad] largest of an arm joint so far
        #: joint positions (9,) at each sample, those that were measured and those commanded
        self.track: list[tuple[np.ndarray, np.ndarray]] = []
        return self._observation()

    def put_aside(self, offset: np.ndarray) -> bool:
        """
        Move the goal's object by (2,) [m] along x and y, before anything is executed.

        :return: whether it stands there, upright, and nothing else has moved.
        """
        scene, thing = self._scene, self.goal.thing
        before = {name: scene.object_pose(name) for name in scene.objects}
        wanted = before[thing].copy()
        wanted[:2, 3] += offset
        put_object(scene, thing, wanted)
        before[thing] = wanted
        return all(np.abs(scene.object_pose(name) - pose).max() < _STANDS
                   for name, pose in before.items())

    def write_start(self, path: Path, robot_description: str, **camera: Any) -> None:
        """Write what the predicted world begins from, as an episode; see `write_start`."""
        write_start(self._scene, self.goal, self._init, path, robot_description, **camera)

    def execute(self, trajectory: JointTrajectory) -> PolicyObservation:
        """
        Drive the joints along a motion that begins where they are.

        :raises PolicyError: it moves joints that the robot has not.
        """
        reference = CubicInterpolation(self._continued(trajectory))
        scene, per_sample = self._scene, round(1 / RATE / self._scene.timestep)
        steps = round(trajectory.duration / scene.timestep)
        for step in range(steps):
            if self._sample % per_sample == 0:
                self._look()
            p, v, a = reference((step + 1) * scene.timestep)
            scene.drive(p[:7], v[:7], a[:7], p[7])
            self._command = p
            self._sample += 1
            self.tracking_error = max(self.tracking_error,
                                      float(np.abs(scene.arm_positions - p[:7]).max()))
        _, self._velocity, _ = reference(trajectory.duration - 1e-6)
        self._time += trajectory.duration
        return self._observation()

    def is_solved(self) -> bool:
        """Return whether the simulator says so and the hand has let go."""
        return self._scene.success() and not self._watch.is_touched

    def outcome(self) -> TaskOutcome:
        """Return what has come of it, once everything has come to rest; the task ends here."""
        scene = self._scene
        scene.hold(self._command[:7], float(self._command[7]), _SETTLE)
        scene.refresh()
        self._watch.look()
        success = scene.success()
        return TaskOutcome(success, float(success), 'as the simulator judges it',
                           gap_at_closing=self._watch.gap, grasped=self._watch.grasped)

    def _continued(self, trajectory: JointTrajectory) -> JointTrajectory:
        """Return all joints' motion in our order, with velocities, from the command before."""
        unknown = sorted(set(trajectory.joint_names) - set(JOINTS))
        if unknown:
            raise PolicyError(f'the simulated robot has no joint {", ".join(unknown)}; it has '
                              f'{", ".join(JOINTS)}')
        times, given = trajectory.times, list(trajectory.joint_names)
        rows = np.tile(self._command, (len(times), 1))
        rows[:, [JOINTS.index(name) for name in given]] = trajectory.positions
        if times[0] > 0:
            times, rows = np.r_[0.0, times], np.r_[self._command[None], rows]
        rows[0] = self._command
        if trajectory.velocities is None:
            velocities = np.gradient(rows, times, axis=0)
        else:
            velocities = np.zeros_like(rows)
            velocities[-len(trajectory.times):, [JOINTS.index(name) for name in given]] = \
                trajectory.velocities
        velocities[0] = self._velocity
        return JointTrajectory(JOINTS, times, rows, velocities)

    def _look(self) -> None:
        """Note what there is to see at a sample."""
        scene, number = self._scene, len(self.track)
        scene.refresh()
        time = number / RATE
        self.track.append((scene.joint_state[0], self._command.copy()))
        self._watch.look()
        if self._watch.closes(time, float(self._command[7])):
            self._watch.near(self._gap_now())

    def _observation(self) -> PolicyObservation:
        self._scene.refresh()
        joints = dict(zip(JOINTS, map(float, self._scene.joint_state[0])))
        return PolicyObservation(
            self._scene.task_text, {name: view(mask=False).image
                                    for name, view in self._views.items()}, joints, self._time)


def put_object(scene: LiberoScene, name: str, T_base_object: np.ndarray) -> None:
    """Put an object somewhere, (4, 4) base frame, and wait until it stands."""
    model, data = scene.model, scene.data
    joint = int(model.body_jntadr[scene.object_bodies(name)[0]])
    at, speed = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
    T = scene.T_world_base @ T_base_object
    x, y, z, w = Rotation.from_matrix(T[:3, :3]).as_quat()
    data.qpos[at:at + 7] = [*T[:3, 3], w, x, y, z]
    data.qvel[speed:speed + 6] = 0.0
    scene.hold(scene.arm_positions, OPEN, 0.5 * _SETTLE)
    scene.refresh()


def _only_goal(scene: LiberoScene) -> TaskGoal:
    goals = task_goals(scene)
    if len(goals) != 1 or not goals[0].is_placing or not goals[0].target:
        raise EpisodeError(f'task {scene.task} of {scene.suite} ({scene.task_text}) is not one '
                           f'object in or on another, its goals are '
                           f'{[goal.words for goal in goals]}; choose another task')
    return goals[0]


class _GraspWatch:
    """Notes when the fingers close, how near the object is then, and whether it is lifted."""

    def __init__(self, scene: LiberoScene, carried: str):
        self._scene, self._carried = scene, carried
        self._bodies = set(scene.object_bodies(carried))
        self._fingers = scene.finger_bodies()
        self._low = float(scene.object_pose(carried)[2, 3])
        self._widest, self._lowest, self._until = OPEN, OPEN, -1.0
        self.grasped = False
        self.gap = float('inf')      # [m] least distance while the fingers closed; never, infinite

    def look(self) -> None:
        """See whether the object is held above where it stood."""
        if not self.grasped and self._scene.object_pose(self._carried)[2, 3] > self._low + LIFTED:
            self.grasped = self.is_touched

    @property
    def is_touched(self) -> bool:
        """Whether a finger is in contact with the object now."""
        return self._scene.touching(self._fingers, self._bodies)

    def closes(self, time: float, command: float) -> bool:
        """Return whether the fingers are closing, by their command [m]."""
        if command < self._lowest and command < self._widest - _CLOSES:
            self._until, self._lowest = time + _LAST_CLOSED, command
        elif command > self._lowest + _CLOSES:      # they open again
            self._lowest = self._widest = command
        return time <= self._until

    def near(self, distance: float) -> None:
        """Note how near the fingers are to the object [m], at this sample."""
        self.gap = min(self.gap, distance)
