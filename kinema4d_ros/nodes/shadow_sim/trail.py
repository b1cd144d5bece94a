# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the robot has been since the node listens, for places that no camera sees."""
from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.base_watch import BaseWatch
from kinema4d_ros.robot import Robot, TrailMemory
from kinema4d_ros.types import JointTrail

RATE = 20.0      # [Hz] that joints are looked at: 5 cm of an arm at 1 m/s, and an arm is thicker
_NS = 10 ** 9
_NEVER = -1      # [ns] before any stamp


class Trail:
    """
    Looks at the joints again and again, and remembers where they were.

    Where they are in doubt (silent, contradicted, without a time) nothing is remembered. Once the
    base has driven, all is forgotten: places are remembered in the root link.
    """

    def __init__(self, node: Node, robot: Callable[[], Robot | None],
                 joints: Callable[[Robot, int], Mapping[str, float]], base: BaseWatch,
                 on_moved: Callable[[], None] = lambda: None):
        """
        Begin without a place.

        :param robot: returns the robot of now; what was remembered of another is forgotten.
        :param joints: returns the positions of its joints at a ROS time [ns], or raises.
        :param base: tells whether the base has moved.
        :param on_moved: called when it has.
        """
        self._node, self._robot, self._joints = node, robot, joints
        self._base, self._on_moved = base, on_moved
        self._lock = threading.Lock()
        self._of: Robot | None = None
        self._memory = TrailMemory(())
        #: ROS time [ns] when the base was last found to have moved: what was seen before that, or
        #: at that time, was seen from elsewhere
        self.moved_ns = _NEVER
        self._timer = node.create_timer(1.0 / RATE, self._look,
                                        callback_group=MutuallyExclusiveCallbackGroup())

    def close(self) -> None:
        """Look no more."""
        self._node.destroy_timer(self._timer)

    def clear(self) -> None:
        """Forget all: time has jumped."""
        with self._lock:
            self._of, self.moved_ns = None, _NEVER

    def note_base(self, robot: Robot, now_ns: int) -> None:
        """Forget all if the base of a robot has moved, by what TF has said until now."""
        with self._lock:
            self._has_moved(robot, now_ns)

    def until(self, robot: Robot, stamp_ns: int, seconds: float) -> JointTrail | None:
        """
        Return where a robot has been; None for nowhere.

        :param seconds: before the stamp, and since; 0 for nowhere.
        """
        now_ns = self._node.get_clock().now().nanoseconds
        with self._lock:
            if robot is not self._of or not seconds > 0 or self._has_moved(robot, now_ns):
                return None
            found = self._memory.since(stamp_ns - round(seconds * _NS))
        if found is None:
            return None
        # What was measured since an old look is no time ahead: it has been, and was true of it.
        return dataclasses.replace(found, stamps_ns=np.minimum(found.stamps_ns, stamp_ns))

    def _look(self) -> None:
        robot, now_ns = self._robot(), self._node.get_clock().now().nanoseconds
        if robot is None:
            return
        try:
            positions = self._joints(robot, now_ns)
        except Kinema4DError:      # verdicts say it, where that matters
            return
        with self._lock:
            if self._has_moved(robot, now_ns) or robot is not self._of:
                self._of, self._memory = robot, TrailMemory(robot.joint_names)
            self._memory.add(now_ns, positions)

    def _has_moved(self, robot: Robot, now_ns: int) -> bool:
        """Forget all if the base has moved, and return whether it has."""
        if not self._base.has_moved(robot.root_link):
            return False
        self._of, self.moved_ns = None, max(self.moved_ns, now_ns)
        self._on_moved()
        return True
