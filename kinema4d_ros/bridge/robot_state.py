# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a robot's driver says of its state: whether it would move at all.

Known are the messages of ur_robot_driver, franka_ros2, xarm_ros2 and ROS-Industrial's drivers,
where their packages are installed, and a plain Bool, of std_msgs or example_interfaces.
"""
from __future__ import annotations

import importlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.errors import ConfigurationError

_BOOL = 'std_msgs/msg/Bool'
_BOOLS = _BOOL, 'example_interfaces/msg/Bool'
_PERIOD = 0.2       # [s] between two looks at who publishes
_SILENCE = 1.0      # [s] after which a state that is published all the time is unknown

#: where the drivers of known robots tell their state; each may be absent
ROBOT_STATE_TOPICS = (
    'io_and_status_controller/robot_mode ur_dashboard_msgs/msg/RobotMode',
    'io_and_status_controller/safety_mode ur_dashboard_msgs/msg/SafetyMode',
    f'io_and_status_controller/robot_program_running {_BOOL}',
    'franka_robot_state_broadcaster/robot_state franka_msgs/msg/FrankaRobotState',
    'robot_status industrial_msgs/msg/RobotStatus')


@dataclass(frozen=True)
class _Kind:
    """How a kind of message is read."""

    why: Callable[[Any], str | None]     # why the robot would not move
    is_periodic: bool = False            # published all the time, possibly at 1 kHz


def _mode(field: str, names: Mapping[int, str], ready: Sequence[int]) -> Callable[[Any],
                                                                                 str | None]:
    def why(message: Any) -> str | None:
        value = int(getattr(message, field))
        return None if value in ready else f'{field} is {names.get(value, value)}'
    return why


def _industrial(message: Any) -> str | None:
    """Return why not by industrial_msgs/RobotStatus: 1 on, 0 off, -1 not known."""
    for field, bad, words in (('e_stopped', 1, 'the emergency stop is pressed'),
                              ('in_error', 1, f'it is in error {message.error_code}'),
                              ('motion_possible', 0, 'motion is not possible')):
        if getattr(message, field).val == bad:
            return words
    return None


def _xarm(message: Any) -> str | None:
    """Return why not by xarm_msgs/RobotMsg: errors first, then its state."""
    if message.err:
        return f'it is in error {message.err}'
    return _mode('state', _XARM, (1, 2))(message)


_UR_ROBOT = {-1: 'NO_CONTROLLER', 0: 'DISCONNECTED', 1: 'CONFIRM_SAFETY', 2: 'BOOTING',
             3: 'POWER_OFF', 4: 'POWER_ON', 5: 'IDLE', 6: 'BACKDRIVE', 7: 'RUNNING',
             8: 'UPDATING_FIRMWARE'}
_UR_SAFETY = {1: 'NORMAL', 2: 'REDUCED', 3: 'PROTECTIVE_STOP', 4: 'RECOVERY',
              5: 'SAFEGUARD_STOP', 6: 'SYSTEM_EMERGENCY_STOP', 7: 'ROBOT_EMERGENCY_STOP',
              8: 'VIOLATION', 9: 'FAULT', 10: 'VALIDATE_JOINT_ID', 11: 'UNDEFINED_SAFETY_MODE',
              12: 'AUTOMATIC_MODE_SAFEGUARD_STOP', 13: 'SYSTEM_THREE_POSITION_ENABLING_STOP'}
_FRANKA = {0: 'OTHER', 1: 'IDLE', 2: 'MOVE', 3: 'GUIDING', 4: 'REFLEX', 5: 'USER_STOPPED',
           6: 'AUTOMATIC_ERROR_RECOVERY'}
_XARM = {1: 'RUNNING', 2: 'SLEEPING', 3: 'PAUSED', 4: 'STOPPED', 5: 'CONFIG_CHANGED'}
#: message type -> how it is read; the numbers are those of the messages' constants and comments
_KINDS = {
    **dict.fromkeys(_BOOLS, _Kind(lambda message: None if message.data else 'it is false')),
    'ur_dashboard_msgs/msg/RobotMode': _Kind(_mode('mode', _UR_ROBOT, (7,))),
    'ur_dashboard_msgs/msg/SafetyMode': _Kind(_mode('mode', _UR_SAFETY, (1, 2))),
    'franka_msgs/msg/FrankaRobotState': _Kind(_mode('robot_mode', _FRANKA, (1, 2)), True),
    'industrial_msgs/msg/RobotStatus': _Kind(_industrial, True),
    'xarm_msgs/msg/RobotMsg': _Kind(_xarm, True)}


def why_not_ready(type_name: str, message: Any) -> str | None:
    """
    Return why a robot that tells this of itself would not move; None where it would.

    :param type_name: as ``std_msgs/msg/Bool``, true where it would.
    :raises ConfigurationError: messages of this type are not known.
    """
    return _kind(type_name).why(message)


def _kind(type_name: str) -> _Kind:
    kind = _KINDS.get(type_name)
    if kind is None:
        raise ConfigurationError(f'robot states of type {type_name!r} are not known, valid: '
                                 f'{", ".join(_KINDS)}')
    return kind


@dataclass(eq=False)
class _Source:
    """A topic on which a state is told."""

    topic: str              # resolved
    type_name: str
    is_inverted: bool       # a Bool that is true where the robot would not move
    is_optional: bool       # need not be there
    message_class: type | None
    reason: str | None = None       # why not ready, as it was told last
    heard: float = -math.inf        # steady time [s]


class RobotState:
    """
    The states that the drivers of a robot tell, and whether one of them says that it stands.

    Callbacks and `why_not_ready` may be called from any threads.
    """

    def __init__(self, node: Node, topics: Sequence[str], *,
                 group: CallbackGroup | None = None,
                 relayed: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda call: call,
                 on_change: Callable[[], None] = lambda: None) -> None:
        """
        Listen to them.

        :param topics: each ``TOPIC TYPE``; ``TOPIC`` alone is a Bool that is true where the robot
            would move, ``!TOPIC`` one that is true where it would not. Those of
            `ROBOT_STATE_TOPICS` may be absent, any other must be heard.
        :param group: callback group of the subscriptions.
        :param relayed: wraps each callback.
        :param on_change: called in a callback when `why_not_ready` may have changed.
        :raises ConfigurationError: an entry cannot be read.
        """
        self._node, self._on_change, self._lock = node, on_change, threading.Lock()
        self._sources = [_source(node, entry) for entry in topics if entry.strip()]
        self._looked = -math.inf
        self._absent: dict[str, str] = {}       # topic -> why nothing is heard of it
        self._threads: list[SubscriptionThread] = []
        for source in self._sources:
            if source.message_class is None:
                continue
            def take(message: Any, source: _Source = source) -> None:
                self._take(source, message)
            if _kind(source.type_name).is_periodic:
                self._threads.append(SubscriptionThread(node.create_subscription(
                    source.message_class, source.topic, relayed(take), _qos(latched=False),
                    callback_group=NotForExecutor())))
                continue
            # A latched state must be heard however late we come; a subscription that asks for
            # latched ones does not hear others.
            for latched in (False, True):
                node.create_subscription(source.message_class, source.topic, relayed(take),
                                         _qos(latched=latched), callback_group=group)

    def close(self) -> None:
        """Take no more messages; the subscriptions may be destroyed after it."""
        for thread in self._threads:
            thread.close()

    def why_not_ready(self) -> str | None:
        """
        Return why the robot would not move, or why that is not known; None where it would.

        What no driver tells counts as ready.
        """
        self._look()
        now = time.monotonic()
        for source in self._sources:
            reason = self._absent.get(source.topic) or source.reason
            if reason is None and _kind(source.type_name).is_periodic \
                    and _SILENCE < now - source.heard < math.inf:
                reason = f'it has been silent for {now - source.heard:.1f} s'
            if reason is not None:
                return f'the robot is not ready: {source.topic}: {reason}'
        return None

    def _take(self, source: _Source, message: Any) -> None:
        reason = why_not_ready(source.type_name, message)
        if source.is_inverted:
            reason = 'it is true' if reason is None else None
        source.heard = time.monotonic()
        if reason != source.reason:
            source.reason = reason
            self._on_change()
        elif source.topic in self._absent:      # heard for the first time, or again
            self._looked = -math.inf

    def _look(self) -> None:
        """See which states are not told that should be; now and then."""
        with self._lock:
            if time.monotonic() < self._looked + _PERIOD:
                return
            self._looked = time.monotonic()
            self._absent = {source.topic: reason for source in self._sources
                            if (reason := self._why_unknown(source)) is not None}

    def _why_unknown(self, source: _Source) -> str | None:
        is_heard = source.heard > -math.inf
        if not self._node.count_publishers(source.topic):
            if is_heard:
                return 'nobody publishes it any more, so that its state is not known'
            return None if source.is_optional else 'nobody publishes it'
        if source.message_class is None:
            package = source.type_name.partition('/')[0]
            return f'it is published, and {package} is not installed here; install it, or leave ' \
                   'the topic out of robot_state_topics'
        if is_heard:
            return None
        return why_silent(self._node, source.topic) or 'it is published, and not heard yet'


def _qos(*, latched: bool) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1,
        reliability=ReliabilityPolicy.RELIABLE if latched else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def _source(node: Node, entry: str) -> _Source:
    """Return what an entry of `robot_state_topics` names."""
    topic, *rest = entry.split()
    is_inverted = topic.startswith('!')
    type_name = rest[0] if rest else _BOOL
    if len(rest) > 1 or topic in ('', '!') or (is_inverted and type_name not in _BOOLS):
        raise ConfigurationError(
            f'robot_state_topics has {entry!r}, it must be TOPIC, !TOPIC or TOPIC TYPE, as '
            f'{ROBOT_STATE_TOPICS[0]!r}')
    _kind(type_name)
    package, _, name = type_name.partition('/msg/')
    try:
        found = Bool if type_name == _BOOL else getattr(
            importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        found = None
    return _Source(node.resolve_topic_name(topic.removeprefix('!')), type_name, is_inverted,
                   entry in ROBOT_STATE_TOPICS, found)
