# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers that a node's subscriptions never hear, as the graph shows them."""
from __future__ import annotations

from rclpy.subscription import Subscription

from kinema4d_ros.bridge.graph import misfit, owner


class IncompatiblePublishers:
    """Logs the publishers that a node never hears, each once."""

    def __init__(self, node):
        """:param node: whose subscriptions are looked at; not changed."""
        self._node = node
        self._looks: dict[str, int] = {}      # what is to be told -> looks that saw it

    def look(self) -> None:
        """Log what the last look saw too: at the first a publisher's node may be unknown yet."""
        seen = {f'{self._node.resolve_topic_name(subscription.topic)}: {text}'
                for subscription in tuple(self._node.subscriptions)
                for text in _misfits(self._node, subscription)[0]}
        self._looks = {text: self._looks.get(text, 0) + 1 for text in sorted(seen)}
        for text, looks in self._looks.items():
            if looks == 2:
                self._node.get_logger().warning(text)


def why_silent(node, topic: str) -> str:
    """
    Return why a node can hear nothing on a topic, or '' where it can or nobody publishes.

    :param topic: as the node named it when it subscribed.
    """
    found = [_misfits(node, subscription) for subscription in tuple(node.subscriptions)
             if subscription.topic == topic]
    if any(hears for _, hears in found):
        return ''
    return '; '.join(sorted({text for told, _ in found for text in told}))


def _misfits(node, subscription: Subscription) -> tuple[list[str], bool]:
    """Return who is not heard and why, and whether somebody is heard."""
    topic = node.resolve_topic_name(subscription.topic)
    try:
        reasons = [(owner(publisher), misfit(publisher, subscription.msg_type,
                                             subscription.qos_profile))
                   for publisher in node.get_publishers_info_by_topic(topic)]
    except Exception as error:      # whatever a stranger offers, the node lives on
        return [f'its publishers cannot be told: {type(error).__name__}: {error}'], False
    return (sorted({f'a publisher of {who} is not heard: {why}' for who, why in reasons if why}),
            not all(why for _, why in reasons))
