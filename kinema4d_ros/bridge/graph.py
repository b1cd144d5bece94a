# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the ROS graph says of publishers and servers: whose they are, and who is not heard."""
from __future__ import annotations

import math
import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.topic_endpoint_info import TopicEndpointInfo

_UNKNOWN = '_NODE_NAME_UNKNOWN_'    # of rmw
_ACQUAINTED = 0.2      # [s] after a server was seen, both sides know all of each other, most often
_GREET_AGAIN = 0.2     # [s] without an answer, after which it is asked once more
_UNANSWERED = 3.0      # [s] after which a server counts that answers nothing


def type_name(kind: type) -> str:
    """Return the name of a message class, as ``sensor_msgs/msg/Image``."""
    return f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def owner(endpoint: TopicEndpointInfo) -> str:
    """
    Return the full name of the node that an endpoint belongs to.

    An endpoint may be known a moment before its node is, and one without ROS never has any.
    """
    if endpoint.node_name == _UNKNOWN:
        return 'a node that is not known'
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'


def publishers(node: Node, topic: str) -> str:
    """
    Return who publishes on a topic, for a message to people.

    :param topic: as the node names it, before remapping.
    """
    name = node.resolve_topic_name(topic)
    try:
        names = sorted(map(owner, node.get_publishers_info_by_topic(name)))
    except Exception as error:      # no publisher may end this node
        return f'{name}, whose publishers cannot be listed: {type(error).__name__}: {error}'
    return f'{name}, published by {" and ".join(names) or "nobody any more"}'


def why_incompatible(publisher: TopicEndpointInfo, kind: type, asked: QoSProfile) -> str | None:
    """
    Return why a subscriber never hears a publisher, None where it does, as far as the graph shows.

    :param kind: message class of the subscriber.
    :param asked: QoS that the subscriber asks for.
    """
    if publisher.topic_type != type_name(kind):
        return f'it publishes {publisher.topic_type}, not {type_name(kind)}; remap one of the two'
    reason = why_qos_incompatible(publisher.qos_profile, asked)
    return reason and f'its QoS does not fit ({reason}); have it offer what is asked for'


def why_qos_incompatible(offered: QoSProfile, asked: QoSProfile) -> str | None:
    """Return which policies keep a publisher and a subscriber apart, None where none does."""
    compatible, reason = qos_check_compatible(offered, asked)
    if compatible != QoSCompatibility.ERROR:
        return None
    return str(reason).replace('ERROR: ', '').strip(' ;')


def why_silent(node: Node, topic: str) -> str | None:
    """
    Return why a node can hear nothing on a topic, None where it can or nobody publishes.

    :param topic: as the node named it when it subscribed.
    """
    found = [_unheard(node, subscription) for subscription in tuple(node.subscriptions)
             if subscription.topic == topic]
    if any(hears for _, hears in found):
        return None
    return '; '.join(sorted({text for reasons, _ in found for text in reasons})) or None


class IncompatiblePublishers:
    """Logs the publishers that a node never hears, each once."""

    def __init__(self, node: Node) -> None:
        """Prepare to look at the subscriptions that `node` has at each `look`."""
        self._node = node
        self._looks: dict[str, int] = {}      # warning -> looks in a row that saw its reason

    def look(self) -> None:
        """Log what the look before saw too: at first a publisher's node may be unknown yet."""
        seen = {f'{self._node.resolve_topic_name(subscription.topic)}: {text}'
                for subscription in tuple(self._node.subscriptions)
                for text in _unheard(self._node, subscription)[0]}
        self._looks = {text: self._looks.get(text, 0) + 1 for text in sorted(seen)}
        for text, looks in self._looks.items():
            if looks == 2:
                self._node.get_logger().warning(text)


def _unheard(node: Node, subscription: Subscription) -> tuple[list[str], bool]:
    """Return which publishers are not heard and why, and whether any is heard or none exists."""
    topic = node.resolve_topic_name(subscription.topic)
    try:
        reasons = [(owner(publisher), why_incompatible(publisher, subscription.msg_type,
                                                       subscription.qos_profile))
                   for publisher in node.get_publishers_info_by_topic(topic)]
    except Exception as error:      # no publisher may end this node
        return [f'its publishers cannot be listed: {type(error).__name__}: {error}'], False
    return (sorted({f'a publisher of {who} is not heard: {why}' for who, why in reasons if why}),
            not all(why for _, why in reasons))


class KnownServer:
    """
    Whether a server would hear a request, and its answer be heard, as far as can be known.

    The graph shows a server somewhat before the messages of both find their way: what is sent at
    that moment is lost without a word. On a busy machine that moment takes a second. So it is
    asked something of no consequence, again and again, until it answers; one that never answers
    such a thing counts after a while.
    """

    def __init__(self, is_ready: Callable[[], bool], greet: Callable[[], Future]) -> None:
        """
        Follow what `is_ready` of a client says.

        :param greet: sends a request without any effect, and returns the future of its answer.
        """
        self._is_ready, self._greet = is_ready, greet
        self._forget()

    def _forget(self) -> None:
        self._since: float | None = None        # steady time [s]
        self._greetings: list[Future] = []
        self._greeted_at = -math.inf           # steady time [s]
        self._is_known = False

    def look(self) -> bool:
        """Return whether it can be asked; to be called again and again, by one thread."""
        if not self._is_ready():
            self._forget()
            return False
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if self._is_known:
            return True
        answered = any(future.done() for future in self._greetings)     # an early one, where slow
        if not answered and now - self._greeted_at > _GREET_AGAIN:
            self._greetings.append(self._greet())
            self._greeted_at = now
        if now - self._since >= (_ACQUAINTED if answered else _UNANSWERED):
            self._is_known, self._greetings = True, []
        return self._is_known

    @property
    def is_known(self) -> bool:
        """Whether it could be asked at the last look, and is still there; for any thread."""
        return self._is_known and self._is_ready()
