# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the gate tells people what it does: log, ~/decision and /diagnostics."""
from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from kinema4d_ros.bridge import qos
from kinema4d_ros.nodes.trajectory_gate.ticket import Ticket

_STATUS = ('PASS', 'FAIL', 'UNSURE')


class Report:
    """One sentence for each decision, the reason first."""

    def __init__(self, node):
        """Create the publishers."""
        self._node = node
        self._decision = node.create_publisher(DiagnosticStatus, '~/decision', qos.DECISIONS)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._last = ''
        self._doors: list[str] = []

    def decision(self, what: str, sentence: str, ticket: Ticket, *, warn: bool = False,
                 error: bool = False) -> None:
        """
        Log and publish a decision about a trajectory.

        :param what: one word for programs: forward, hold, refuse, ask, override, cancel, stop,
            doubt, monitor, unwatched or done.
        """
        logger = self._node.get_logger()
        level = DiagnosticStatus.ERROR if error else \
            DiagnosticStatus.WARN if warn else DiagnosticStatus.OK
        # A call each: rclpy insists that a place in the code always logs at one level.
        if error:
            logger.error(sentence)
        elif warn:
            logger.warning(sentence)
        else:
            logger.info(sentence)
        self._last = sentence
        verdict = ticket.answer.verdict
        values = {'decision': what, 'trajectory': ticket.number, 'source': ticket.source,
                  'trajectory_hash': ticket.request.trajectory_hash,
                  'goal_id': '' if ticket.uuid is None else bytes(ticket.uuid.uuid).hex(),
                  'mode': ticket.values['mode'],
                  'verdict': '' if verdict is None else _STATUS[verdict.status],
                  'rollout_id': ticket.answer.rollout_id}
        self._decision.publish(DiagnosticStatus(
            level=level, name=self._name, message=sentence, values=_values(values)))

    def failure(self, text: str) -> None:
        """Log what nobody foresaw."""
        self._node.get_logger().error(text)

    def side_doors(self, doors: list[str], how_to_close: str) -> None:
        """Warn of others that can command the controller, when they change."""
        if doors != self._doors:
            self._doors = doors
            if doors:
                self._node.get_logger().warning(
                    f'the controller can be commanded past the gate: {", ".join(doors)}. '
                    + how_to_close)
            else:
                self._node.get_logger().info('the controller cannot be commanded past the gate '
                                             'any more')

    def diagnostics(self, problems: list[str], warnings: list[str],
                    values: dict[str, object]) -> None:
        """Publish how the gate does; an empty warning is none."""
        level, message = DiagnosticStatus.OK, 'ready'
        doors = f'side door: {", ".join(self._doors)}' if self._doors else ''
        if warnings := [warning for warning in (doors, *warnings) if warning]:
            level, message = DiagnosticStatus.WARN, '; '.join(warnings)
        if problems:
            level, message = DiagnosticStatus.ERROR, '; '.join(problems)
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=level, name=f'{self._name}: gate', message=message,
            values=_values({**values, 'last decision': self._last or 'none yet'}))])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    @property
    def _name(self) -> str:
        return self._node.get_fully_qualified_name().lstrip('/')


def _values(values: dict[str, object]) -> list[KeyValue]:
    return [KeyValue(key=str(key), value=str(value)) for key, value in values.items()]
