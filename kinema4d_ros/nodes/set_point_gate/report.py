# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the gate reports what it does with set points: log, ~/decision and /diagnostics."""
from __future__ import annotations

import re
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_msgs.msg import Header

from kinema4d_ros.bridge import qos
from kinema4d_ros.msg import Decision

_PERIOD = 1.0       # [s] between two reports of other reasons for one hold
_NUMBERS = re.compile(r'[-+]?\d+(\.\d+)?')


class SetPointReporter:
    """Reports when set points begin to be relayed or held back, not each of them."""

    def __init__(self, node: Node, mode: int) -> None:
        """Create the publishers of ~/decision and /diagnostics."""
        self._node, self._mode = node, mode
        self._decision = node.create_publisher(Decision, '~/decision', qos.DECISIONS)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._relays: bool | None = None
        self._kind, self._at, self._last = '', 0.0, 'none yet'

    def relays(self) -> None:
        """Report that set points are relayed, where they were not."""
        if self._relays is not True:
            self._relays = True
            self._say(Decision.RELAY, 'set points are relayed')

    def held(self, reason: str) -> None:
        """Report why they are held back, where it is new."""
        kind, now = _NUMBERS.sub('#', reason), time.monotonic()
        if self._relays is False and (kind == self._kind or now - self._at < _PERIOD):
            return
        self._relays, self._kind, self._at = False, kind, now
        self._say(Decision.HELD, reason)

    def _say(self, kind: int, sentence: str) -> None:
        if self._mode == Decision.MODE_MONITOR and kind == Decision.HELD:
            kind, sentence = Decision.MONITOR, f'would be held: {sentence}'
        logger = self._node.get_logger()
        if kind == Decision.RELAY:
            logger.info(sentence)
        else:
            logger.warning(sentence)
        self._last = sentence
        stamp = self._node.get_clock().now().to_msg()
        self._decision.publish(Decision(
            header=Header(stamp=stamp), kind=kind, sentence=sentence, mode=self._mode,
            source=Decision.SET_POINTS, verdict=Decision.NO_VERDICT, code=Decision.NO_CODE))

    def diagnostics(self, problems: list[str], warnings: list[str],
                    values: dict[str, object]) -> None:
        """Publish how the gate does."""
        level, message = DiagnosticStatus.OK, 'ready'
        if warnings:
            level, message = DiagnosticStatus.WARN, '; '.join(warnings)
        if problems:
            level, message = DiagnosticStatus.ERROR, '; '.join(problems)
        values = {**values, 'last decision': self._last}
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=level, message=message,
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: set points',
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
