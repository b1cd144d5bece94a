# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers that a subscription never hears, found by looking instead of by QoS events."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rclpy._rclpy_pybind11 import InvalidHandle
from rclpy.event_handler import SubscriptionEventCallbacks

from kinema4d_ros.bridge.endpoints import misfit, owner

#: For `event_callbacks` of a subscription. With QoS events, which are rclpy's default, Fast DDS
#: wakes the executor for every message until that is taken. Where another thread is to take it,
#: the executor finds nothing to do, waits anew, is woken, and so keeps that thread from the GIL:
#: a process that hears cameras stood still for up to half a second now and then.
NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


class Misfits:
    """Publishers that the node never hears; `look` logs each of them once."""

    def __init__(self, node):
        """:param node: whose subscriptions are looked at; not changed."""
        self._node = node
        self._seen: dict[str, int] = {}      # what is to be told -> in how many looks until now

    def look(self) -> None:
        """Log those that the last look saw too; at the first their node may not be known yet."""
        seen = {f'{topic}: {publisher} is not heard: {reason}'
                for topic, misfits, _ in self._found() for publisher, reason in misfits.items()}
        self._seen = {text: self._seen.get(text, 0) + 1 for text in sorted(seen)}
        for text, looks in self._seen.items():
            if looks == 2:
                self._node.get_logger().warning(text)

    def problem(self, topic: str) -> str:
        """
        Return why nothing can come on a topic, or '' where somebody is heard or nobody is there.

        :param topic: as the node subscribed to it.
        """
        name = self._node.resolve_topic_name(topic)
        return '; '.join(f'{publisher} is not heard: {reason}'
                         for of, misfits, are_all in self._found() if of == name and are_all
                         for publisher, reason in misfits.items())

    def _found(self) -> Iterator[tuple[str, dict[str, str], bool]]:
        """Yield the topic of each subscription, publisher -> why it is not heard, if none is."""
        for subscription in tuple(self._node.subscriptions):
            with contextlib.suppress(InvalidHandle):     # destroyed meanwhile
                topic = subscription.topic_name
                publishers = self._node.get_publishers_info_by_topic(topic)
                reasons = [misfit(publisher, subscription.msg_type, subscription.qos_profile)
                           for publisher in publishers]
                yield topic, {owner(publisher): reason for publisher, reason
                              in zip(publishers, reasons) if reason}, all(reasons)
