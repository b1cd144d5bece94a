# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The drift of cameras as a running shadow_sim keeps it."""
from __future__ import annotations

from collections.abc import Iterator

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.nodes.shadow_sim.drift import DRIFT


#: what to do about a camera that has drifted
CURE = 'record ordinary motion (kinema4d record) and calibrate again (kinema4d calibrate)'


class DriftReports:
    """
    What /diagnostics says of cameras that drift.

    The doctor listens for seconds only: the history is that of the node that has looked longer.
    """

    def __init__(self, node: Node) -> None:
        """Listen."""
        self._latest: dict[str, DiagnosticStatus] = {}
        node.create_subscription(DiagnosticArray, '/diagnostics', self._take, 10)

    def _take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if f': {DRIFT}' in status.name:
                self._latest[status.name] = status

    def check(self) -> Iterator[Diagnosis]:
        """Yield what was said last of each camera."""
        for name, status in sorted(self._latest.items()):
            alarm = status.level != DiagnosticStatus.OK
            yield Diagnosis(
                name.partition(': ')[2], Level.WARNING if alarm else Level.OK, status.message,
                CURE if alarm else '')
