# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot of a proxy: its description, its joints as they are now, and how the proxy does."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.errors import ObservationError
from kinema4d_ros.nodes.trajectory_gate.live_state import LiveState
from kinema4d_ros.policy.chunk_guard import Choice
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import Status


class LiveRobot:
    """What the robot tells; any thread may ask."""

    def __init__(self, node: Node) -> None:
        """Listen to robot_description and joint_states."""
        self._node = node
        self._live = LiveState(node, lambda: None, lambda callback: callback)

    def close(self) -> None:
        """Take no more messages."""
        self._live.close()

    def robot(self) -> Robot:
        """
        Return the robot.

        :raises ObservationError: nobody has told of it yet.
        """
        robot = self._live.robot
        if robot is None:
            silent = why_silent(self._node, 'robot_description')
            raise ObservationError('there is no robot description yet'
                                   + (f': {silent}' if silent else ''))
        return robot

    def joints(self, robot: Robot, max_age: float) -> dict[str, float]:
        """
        Return where all joints of the robot are now [rad or m].

        :raises ObservationError: one of them was not measured within `max_age` [s].
        """
        readings, now = self._live.snapshot(), time.monotonic()
        wanted = [name for name in robot.joint_names if name in robot.limits]
        old = [name for name in wanted
               if name not in readings or now - readings[name].arrival > max_age]
        if old:
            silent = why_silent(self._node, 'joint_states')
            raise ObservationError(f'where {", ".join(old)} is was not told for {max_age:g} s'
                                   + (f': {silent}' if silent else ''))
        return {name: readings[name].position for name in wanted}


class ChunkReporter:
    """Tells of each chunk in the log, and in /diagnostics how the proxy does."""

    def __init__(self, node: Node, what: str) -> None:
        """Report as `what` of the node."""
        self._node, self._what, self._last = node, what, ''
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def chunk(self, choice: Choice, held: bool) -> None:
        """Log what was decided; what passed only where one looks for it."""
        verdict, logger = choice.verdict, self._node.get_logger()
        samples = f' (best of {choice.samples})' if choice.samples > 1 else ''
        self._last = f'{verdict.status.name}: {verdict.summary}{samples}'
        # A call each: rclpy insists that a place in the code always logs at one level.
        if held:
            logger.warning(f'the robot holds still: {self._last}')
        elif verdict.status is not Status.PASS:
            logger.warning(f'passed on in mode monitor: {self._last}')
        else:
            logger.debug(self._last)

    def diagnostics(self, problems: Sequence[str | None], values: Mapping[str, object]) -> None:
        """Publish how the proxy does; a problem keeps it from working."""
        found = [problem for problem in problems if problem]
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=DiagnosticStatus.ERROR if found else DiagnosticStatus.OK,
            message='; '.join(found) or 'ready',
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: {self._what}',
            values=[KeyValue(key=key, value=str(value)) for key, value in
                    {**values, 'last chunk': self._last or 'none yet'}.items()])])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
