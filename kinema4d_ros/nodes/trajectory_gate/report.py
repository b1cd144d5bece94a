# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the gate reports what it does: log, ~/decision and /diagnostics."""
from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from kinema4d_ros.bridge import qos
from kinema4d_ros.gate import Mode
from kinema4d_ros.gate.commands import LogLevel, ReportDecision
from kinema4d_ros.msg import Decision

_MODES = {Mode.MONITOR: Decision.MODE_MONITOR, Mode.ADVISE: Decision.MODE_ADVISE,
          Mode.ENFORCE: Decision.MODE_ENFORCE}
_SOURCES = {'action': Decision.ACTION, 'topic': Decision.TOPIC}


class GateReporter:
    """Reports decisions, one sentence each with the reason first, and how the gate does."""

    def __init__(self, node: Node):
        """Create the publishers of ~/decision and /diagnostics."""
        self._node = node
        self._decision = node.create_publisher(Decision, '~/decision', qos.DECISIONS)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._last = ''
        self._bypass: list[str] = []

    def decision(self, command: ReportDecision) -> None:
        """Log and publish a decision about a trajectory."""
        logger = self._node.get_logger()
        # A call each: rclpy insists that a place in the code always logs at one level.
        match command.level:
            case LogLevel.ERROR:
                logger.error(command.sentence)
            case LogLevel.WARNING:
                logger.warning(command.sentence)
            case _:
                logger.info(command.sentence)
        self._last = command.sentence
        self._decision.publish(decision_message(command, self._node.get_clock().now().to_msg()))

    def other_commanders(self, names: list[str], what_to_do: str) -> None:
        """Warn of others that can command the controller, when they change."""
        if names != self._bypass:
            self._bypass = names
            if names:
                self._node.get_logger().warning(
                    f'the controller can be commanded past the gate: {", ".join(names)}. '
                    + what_to_do)
            else:
                self._node.get_logger().info('the controller cannot be commanded past the gate '
                                             'any more')

    def diagnostics(self, problems: list[str], warnings: list[str],
                    values: dict[str, object]) -> None:
        """Publish how the gate does."""
        level, message = DiagnosticStatus.OK, 'ready'
        if self._bypass:
            warnings = [f'commanded past the gate by: {", ".join(self._bypass)}', *warnings]
        if warnings:
            level, message = DiagnosticStatus.WARN, '; '.join(warnings)
        if problems:
            level, message = DiagnosticStatus.ERROR, '; '.join(problems)
        values = {**values, 'last decision': self._last or 'none yet'}
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=level, message=message,
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: gate',
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def decision_message(command: ReportDecision, stamp: Time) -> Decision:
    """Return the message of a decision."""
    request = command.request
    message = Decision(
        kind=int(command.kind), sentence=command.sentence, trajectory=request.number,
        trajectory_hash=request.trajectory_hash, source=_SOURCES[request.source],
        mode=_MODES[command.mode], rollout_id=command.rollout_id,
        verdict=Decision.NO_VERDICT if command.status is None else int(command.status),
        code=Decision.NO_CODE if command.code is None else int(command.code))
    message.header.stamp = stamp
    if request.goal_id:
        message.goal_id = list(request.goal_id)
    return message
