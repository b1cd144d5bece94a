# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""robot_description, and that it describes one robot whoever publishes it."""
from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import publishers

TOPIC = 'robot_description'
_PERIOD = 1.0      # [s] in which all that is latched has come


class DescriptionInput:
    """
    Subscribes to robot_description; all of it in one callback group.

    It is latched, so each publisher is heard whenever it began. Two that describe two robots
    contradict each other until all that are there say the same, which is found by listening anew.
    """

    def __init__(self, node: Node, group: CallbackGroup, take: Callable[[str, str], None]):
        """
        Subscribe.

        :param take: called with a text, and '' or why it is not known which one holds.
        """
        self._node, self._group, self._take = node, group, take
        self._topic = node.resolve_topic_name(TOPIC)      # the graph knows of no remapping
        self._texts: list[str] = []      # that differ, of the present subscription
        self._is_contradicted = False
        self._subscribe()
        self._timer = node.create_timer(_PERIOD, self._refresh, callback_group=group,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _refresh(self) -> None:
        """Listen anew while publishers contradict each other."""
        if not self._is_contradicted:
            return
        if len(self._texts) == 1:      # of all that have been heard since
            self._is_contradicted = False
            self._take(self._texts[0], '')
            return
        self._node.destroy_subscription(self._subscription)
        self._texts = []
        self._subscribe()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> None:
        self._subscription = self._node.create_subscription(
            String, TOPIC, self._on_message, qos.ROBOT_DESCRIPTION, callback_group=self._group)

    def _on_message(self, message: String) -> None:
        if self._node.count_publishers(self._topic) < 2:      # what it says now holds
            self._texts = []
        if message.data not in self._texts:
            self._texts = [*self._texts[-1:], message.data]
        if self._is_contradicted:      # until `_refresh` has heard all of them again
            return
        if len(self._texts) == 1:
            self._take(message.data, '')
            return
        self._is_contradicted = True
        self._take('', 'two publishers of robot_description describe two robots; '
                   f'{publishers(self._node, TOPIC)}; stop one of them, or give each robot a '
                   'namespace of its own')
