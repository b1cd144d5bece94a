# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What policy_proxy and action_chunk_proxy have in common."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.parameters import ParameterTable
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.chunks.live_robot import ChunkReporter, LiveRobot
from kinema4d_ros.nodes.chunks.parameters import chunk_settings
from kinema4d_ros.nodes.chunks.shadow_sim_judge import ShadowSimJudge
from kinema4d_ros.policy.chunk_guard import ChunkGuard
from kinema4d_ros.robot.robot import Robot


class ProxyNode(NodeBase, Node):
    """Robot, judge and guard of one client; chunks come one at a time."""

    def __init__(self, name: str, table: ParameterTable, what: str) -> None:
        """Declare the parameters of `table`, listen to the robot and connect to shadow_sim."""
        super().__init__(name)
        self._table, self.failures = table, list[Exception]()
        self._settings = table.watch(self, lambda values: (values, chunk_settings(values)))
        values = self.values
        self.live, self.report = LiveRobot(self), ChunkReporter(self, what)
        self.judge = ShadowSimJudge(
            self, self.resolve_topic_name(values['shadow_sim']),
            lambda: self.values['verdict_timeout'], lambda: self.values['required_tiers'])
        self._guard: ChunkGuard | None = None
        self._lock = threading.Lock()
        self.create_timer(1.0 / values['diagnostics_rate'], self._tell,
                          callback_group=MutuallyExclusiveCallbackGroup())
        if values['mode'] != 'enforce':
            self.get_logger().warning('in mode monitor a chunk that did not pass reaches the robot')

    @property
    def values(self) -> Mapping[str, Any]:
        """The parameters as they are now."""
        return self._settings.current[0]

    def guard(self, robot: Robot) -> ChunkGuard:
        """Return what checks chunks of this robot, by the settings as they are now."""
        with self._lock:
            if self._guard is None or self._guard.robot is not robot:
                self._guard = ChunkGuard(robot, self.judge, live=self.joints)
            self._guard.settings = self._settings.current[1]
            return self._guard

    def joints(self) -> dict[str, float]:
        """Return where the joints are now [rad or m]; raises ObservationError where unknown."""
        return self.live.joints(self.live.robot(), self.values['max_joint_age'])

    def why_no_joints(self) -> str | None:
        """Return why nobody knows where the robot is; None where it is known."""
        try:
            self.joints()
        except Kinema4DError as error:
            return str(error)
        return None

    def more_problems(self) -> list[str | None]:
        """Return what else keeps the proxy from working."""
        return []

    def _tell(self) -> None:
        counts = {} if self._guard is None else self._guard.counts
        self.report.diagnostics(
            [self.judge.why_missing(), self.why_no_joints(), *self.more_problems()],
            {'mode': self.values['mode'], **counts})

    def quit(self) -> None:
        """Release what waits for verdicts."""
        self.judge.close()

    def close(self) -> None:
        """Take no more messages."""
        self.live.close()
