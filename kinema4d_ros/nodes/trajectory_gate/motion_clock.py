# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clock by which the robot moves."""
from __future__ import annotations

import time

from rclpy.node import Node


class MotionClock:
    """
    Steady time; simulated time, which may run slower or faster, where the robot is simulated.

    It never steps back, whatever is done to the clock of ROS.
    """

    def __init__(self, node: Node) -> None:
        """Read the clock of `node`."""
        self._node = node
        self._last_ns, self._simulated = self._ros_ns(), 0.0
        self._was_simulated, self._offset = False, 0.0

    def now(self) -> float:
        """Return the time [s]; only differences mean anything."""
        is_simulated = self._node.get_clock().ros_time_is_active
        last_ns, self._last_ns = self._last_ns, self._ros_ns()
        if is_simulated:
            self._simulated += max(self._last_ns - last_ns, 0) * 1e-9
        value = self._simulated if is_simulated else time.monotonic()
        if is_simulated != self._was_simulated:      # the parameter was set while it runs
            self._offset += (time.monotonic() if is_simulated else self._simulated) - value
            self._was_simulated = is_simulated
        return value + self._offset

    def _ros_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
