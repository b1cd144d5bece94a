# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim tells, as licences: the free space around the robot, and what passed."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.local_clearances import local_clearance_from_message
from kinema4d_ros.bridge.motion import stamp_ns, trajectory_from_message
from kinema4d_ros.bridge.verdicts import verdict_from_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate import ShadowSimAnswer
from kinema4d_ros.gate.reach import reaches
from kinema4d_ros.gate.set_points import PathLicence, SceneLicence, SetPointMachine
from kinema4d_ros.msg import LocalClearance, Verdict
from kinema4d_ros.robot import Robot, trajectory_hash
from kinema4d_ros.types import JointTrajectory as Trajectory

_KEPT = 32      # trajectories and verdicts that wait for each other
Kept = TypeVar('Kept')


class LicenceFeed:
    """
    Makes licences in the executor, and has the relay's thread take them.

    A trajectory and its verdict find each other by the hash of the trajectory, whichever comes
    first. A verdict that is worse than an earlier one takes the licence back.
    """

    def __init__(self, node: Node, shadow_sim: str, trajectories: str, machine: SetPointMachine,
                 call: Callable[[Callable[[], None]], None], group: CallbackGroup) -> None:
        """
        Subscribe.

        :param shadow_sim: its node's name, resolved.
        :param call: has a function called in the thread that the machine belongs to.
        """
        self._machine, self._call = machine, call
        self._robot: Robot | None = None
        self._reaches: dict[str, float] = {}
        self._scene: SceneLicence | None = None
        self._trajectories: dict[str, Trajectory] = {}
        self._answers: dict[str, ShadowSimAnswer] = {}
        self._lock = threading.Lock()
        self._node = node
        self._space = node.resolve_topic_name(f'{shadow_sim.rpartition("/")[0]}/local_clearance')
        node.create_subscription(LocalClearance, self._space, self._take_clearance,
                                 qos.LOCAL_CLEARANCE, callback_group=group)
        node.create_subscription(Verdict, f'{shadow_sim.rpartition("/")[0]}/verdict',
                                 self._take_verdict, qos.VERDICT, callback_group=group)
        node.create_subscription(JointTrajectory, trajectories, self._take_trajectory,
                                 qos.TRAJECTORY, callback_group=group)

    def set_robot(self, robot: Robot | None) -> None:
        """Take a robot; what was told before is forgotten."""
        with self._lock:
            self._robot, self._scene = robot, None
            self._reaches = {} if robot is None else reaches(robot)
            self._trajectories, self._answers = {}, {}

    def why_doubled(self) -> str | None:
        """Return why nobody knows whose free space it is."""
        count = self._node.count_publishers(self._space)
        return f'{count} nodes publish {self._space}' if count > 1 else None

    def _take_clearance(self, message: LocalClearance) -> None:
        with self._lock:
            if self._robot is None:
                return
            scene = self._scene = SceneLicence(local_clearance_from_message(message), self._robot,
                                               before=self._scene)

        def take() -> None:
            self._machine.scene = scene
        self._call(take)

    def _take_trajectory(self, message: JointTrajectory) -> None:
        try:
            trajectory = trajectory_from_message(message)
        except Kinema4DError:
            return          # shadow_sim says what is wrong with it
        self._match(trajectory_hash(trajectory), trajectory, None)

    def _take_verdict(self, message: Verdict) -> None:
        self._match(message.trajectory_hash, None, ShadowSimAnswer(
            verdict_from_message(message), stamp_ns(message.valid_until),
            rollout_id=message.rollout_id))

    def _match(self, digest: str, trajectory: Trajectory | None,
               answer: ShadowSimAnswer | None) -> None:
        with self._lock:
            if trajectory is not None:
                _keep(self._trajectories, digest, trajectory)
            if answer is not None:
                _keep(self._answers, digest, answer)
            trajectory, answer = self._trajectories.get(digest), self._answers.get(digest)
            robot, moved_by = self._robot, self._reaches
        licence = None
        verdict = None if answer is None else answer.verdict
        if answer is not None and (verdict is None or not verdict.passed):
            # Whether or not the trajectory is still kept here: the machine may follow it.
            self._call(lambda: self._machine.add_path(digest, None))
            return
        if trajectory is None or answer is None or robot is None:
            return
        if verdict is not None and verdict.passed \
                and verdict.robot_hash == robot.description_hash:
            try:
                licence = PathLicence(trajectory, answer, robot, moved_by)
            except Kinema4DError as error:
                self._node.get_logger().warning(f'a trajectory that passed is no licence: {error}')
        self._call(lambda: self._machine.add_path(digest, licence))


def _keep(kept: dict[str, Kept], digest: str, one: Kept) -> None:
    kept.pop(digest, None)
    kept[digest] = one
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
