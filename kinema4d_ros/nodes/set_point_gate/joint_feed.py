# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The newest joints of a robot, as cheap as they can be had."""
from __future__ import annotations

import math
import time
from collections.abc import Mapping

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.quick_messages import JointStateReader
from kinema4d_ros.bridge.rclpy_compat import take
from kinema4d_ros.bridge.subscription_thread import NotForExecutor
from kinema4d_ros.gate import JointReading, JointTracker


class JointFeed:
    """
    Takes what has come of joint_states whenever it is asked; of each publisher the newest.

    One thread asks. Stamps play no part: what comes late is old by its arrival, and a driver that
    repeats itself has measured nothing new.
    """

    def __init__(self, node: Node) -> None:
        """Subscribe."""
        self._subscription = node.create_subscription(
            JointState, 'joint_states', lambda _: None, qos.JOINT_STATES, raw=True,
            callback_group=NotForExecutor())
        self._reader, self._tracker = JointStateReader(), JointTracker()
        self.problem = ''       # of the last message that could not be read

    def take(self) -> Mapping[str, JointReading]:
        """Return where every joint is that was ever heard of, with all that has come so far."""
        newest: dict[bytes, bytes] = {}
        for _ in range(self._subscription.qos_profile.depth):
            taken = take(self._subscription)
            if taken is None:
                break
            raw = taken[0]
            newest[self._reader.key(raw) or raw] = raw
        for raw in newest.values():
            self._read(raw)
        return self._tracker.readings

    def _read(self, raw: bytes) -> None:
        try:
            found = self._reader.read(raw)
        except Exception as error:      # whatever bytes come, this must go on
            self.problem = f'joint_states cannot be read: {type(error).__name__}: {error}'
            return
        count = len(found.names)
        if len(found.positions) != count:
            self.problem = f'joint_states has {count} names and {len(found.positions)} positions'
            return
        self.problem = ''
        positions = dict(zip(found.names, found.positions.tolist()))
        if not np.isfinite(found.positions).all():
            positions = {name: value for name, value in positions.items() if math.isfinite(value)}
        velocities = dict(zip(found.names, found.velocities.tolist())) \
            if len(found.velocities) == count else {}
        # Without a stamp nobody can tell whether a driver repeats itself.
        self._tracker.take(positions, found.stamp_ns or time.time_ns(), time.monotonic(),
                           velocities)
