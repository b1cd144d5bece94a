# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Topics that are listened to: their newest messages, who sends them, and what is wrong."""
from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import QoSProfile

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.bridge.rclpy_compat import sequence_number
from kinema4d_ros.bridge.serialized import PlainMessage, SERIALIZED, SerializedMessage
from kinema4d_ros.bridge.sources import Sources
from kinema4d_ros.bridge.stamped_buffer import Entry, StampedBuffer
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.camera_messages import Stamps
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.types import FindingCode

RECENT = 5.0                 # [s] the diagnostics show a problem after it last came up
_COUNTED = 32                # messages, more than any topic keeps of what is read when it is asked
_PERIOD = 0.02               # [s] between two looks for messages, where nobody asks for them


class InputStatus(NamedTuple):
    """How one input does, for the diagnostics."""

    topic: str
    rate: float                  # [Hz]
    age: float | None            # [s] since the last message
    received: int
    refused: int
    problem: str | None          # why the last one was refused, or none can come


class _Problem(NamedTuple):
    """What was wrong with a topic last; `until` is on the monotonic clock [s]."""

    text: str
    until: float


class _CameraTopic(NamedTuple):
    """A topic that is asked for as reliably as its publishers offer it."""

    kind: type
    asked: str                   # parameter camera_reliability
    now: Any                     # reliability of the present subscription
    on_jump: Callable[[], None]


class Received:
    """
    The subscriptions of a node, by topic, with what came on each.

    A thread beside the executor puts messages into buffers as they came; they are deserialised
    when a request looks at them, so that any number of camera frames per second costs little.
    """

    def __init__(self, node: Node) -> None:
        """Begin without a subscription."""
        self.node = node
        self._thread = SubscriptionThread(period=_PERIOD)
        self.buffers: dict[str, StampedBuffer] = {}
        self.sources: dict[str, Sources[Stamps]] = {}     # of what has a header
        self.subscriptions: dict[str, Any] = {}
        self.camera_topics: dict[str, _CameraTopic] = {}
        self._problems: dict[str, _Problem] = {}
        #: stamps and arrivals of the newest entries that were counted as refused
        self._unusable: defaultdict[str, deque[tuple[int, float]]] = defaultdict(
            lambda: deque(maxlen=_COUNTED))

    # ------------------------------------------------------------------ subscribing

    def camera(self, topic: str, kind: type, depth: int, reliability: str,
               on_jump: Callable[[], None] = lambda: None) -> StampedBuffer:
        """
        Subscribe to a topic of a camera, or of what sends as cameras do.

        :param depth: messages that are kept.
        :param reliability: one of `qos.CAMERA_RELIABILITY`.
        :param on_jump: called when the stamps jump back.
        """
        profile = self._profile(topic, reliability)
        self.camera_topics[topic] = _CameraTopic(kind, reliability, profile.reliability, on_jump)
        return self.subscribe(topic, kind, profile, depth, on_jump)

    def subscribe(self, topic: str, kind: type, profile: QoSProfile, depth: int,
                  on_jump: Callable[[], None] = lambda: None) -> StampedBuffer:
        """Subscribe to a topic whose messages have a header; parameters as for `camera`."""
        buffer = self.buffers.setdefault(topic, StampedBuffer(depth))
        sources = self.sources.setdefault(topic, Sources(Stamps))

        is_raw = kind in SERIALIZED

        def take(taken: Any, info: object) -> None:
            arrival = time.monotonic()
            try:
                message = SerializedMessage(kind, taken) if is_raw else PlainMessage(taken)
                alike = message.likeness
            except Kinema4DError as error:
                buffer.refuse()
                self.note_problem(topic, str(error))
                return
            stamp = message.stamp_ns
            sources.of(alike, sequence_number(info), arrival).held.append(stamp)
            if buffer.put(stamp, message, arrival, self.node.get_clock().now().nanoseconds):
                self.note_problem(topic, 'the stamps jumped back; what came before is forgotten')
                on_jump()

        self.listen(topic, kind, take, profile, raw=is_raw)
        return buffer

    def listen(self, topic: str, kind: type, take: Callable[..., None], profile: QoSProfile, *,
               raw: bool = False) -> None:
        """
        Have `take` called with each message of a topic, and what is known of its sending.

        :param raw: it takes the bytes of the message.
        """
        self.subscriptions[topic] = self.node.create_subscription(
            kind, topic, take, profile, callback_group=NotForExecutor(), raw=raw)
        self._thread.add(self.subscriptions[topic])

    def catch_up(self) -> None:
        """Take all messages that wait, in the calling thread; not from a callback."""
        self._thread.catch_up()

    def drop(self, topic: str) -> None:
        """Unsubscribe from a topic."""
        subscription = self.subscriptions.pop(topic)
        self._thread.discard(subscription)
        self.node.destroy_subscription(subscription)

    def _profile(self, topic: str, reliability: str) -> QoSProfile:
        return qos.camera(self.node, self.node.resolve_topic_name(topic), reliability)

    def refresh(self) -> None:
        """Subscribe anew where publishers that came since offer a better QoS."""
        for topic, (kind, asked, now, on_jump) in self.camera_topics.items():
            # it takes the name as it is, without the remappings of this node
            if not self.node.count_publishers(self.node.resolve_topic_name(topic)):
                continue
            if self._profile(topic, asked).reliability != now:
                self.drop(topic)
                self.camera(topic, kind, 0, asked, on_jump)

    def close(self) -> None:
        """Unsubscribe."""
        self._thread.close()
        for subscription in self.subscriptions.values():
            self.node.destroy_subscription(subscription)
        self.subscriptions.clear()

    # ------------------------------------------------------------------ what is wrong

    def note_problem(self, topic: str, text: str) -> None:
        """Keep a problem, and log it unless it was the last one a moment ago."""
        now, last = time.monotonic(), self._problems.get(topic)
        if last is None or last.text != text or now > last.until:
            self.node.get_logger().warning(f'{topic}: {text}')
        self._problems[topic] = _Problem(text, now + RECENT)

    def status(self) -> Iterator[InputStatus]:
        """Yield how each input does."""
        now = time.monotonic()
        for topic, buffer in self.buffers.items():
            yield InputStatus(topic, buffer.rate(), buffer.age(now), buffer.received,
                              buffer.refused, self._why_unusable(topic))

    def read(self, topic: str, entry: Entry, convert: Callable[[Any], Any]) -> Any:
        """
        Return what `convert` makes of a message that was kept.

        :raises InputProblem: it raised; the message counts as refused, once.
        """
        try:
            return convert(entry.value.message)
        except Kinema4DError as error:
            which, counted = (entry.stamp_ns, entry.arrival), self._unusable[topic]
            if which not in counted:
                counted.append(which)
                self.buffers[topic].refuse(kept=True)
            self.note_problem(topic, str(error))
            name = self.node.resolve_topic_name(topic)
            raise InputProblem.of(error, f'{name}: ') from error

    def missing(self, topic: str) -> InputProblem:
        """Return why nothing of a topic can be used."""
        name = self.node.resolve_topic_name(topic)
        text = f'nothing usable has been received on {name}, which has ' \
               f'{self.node.count_publishers(name)} publisher(s)'
        if topic in self._problems:
            text += f'; last problem: {self._problems[topic].text}'
        if reason := self._why_silent(topic):
            text += f'; {reason}'
        return InputProblem(FindingCode.MISSING_INPUT, text)

    def _why_unusable(self, topic: str) -> str | None:
        """Return what was wrong with a topic a moment ago, or why nothing can come on it."""
        problem = self._problems.get(topic)
        if problem is not None and time.monotonic() <= problem.until:
            return problem.text
        return self._why_silent(topic)

    def _why_silent(self, topic: str) -> str | None:
        """Return why nothing can come on a topic, None where something can."""
        reason = why_silent(self.node, topic)
        asked = self.camera_topics.get(topic)
        if reason and 'QoS' in reason and asked is not None and asked.asked == 'reliable':
            reason += ', or set camera_reliability to auto'
        return reason
