# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The joints of the robot, from whoever publishes them: each joint by itself is known or not."""
from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import publishers
from kinema4d_ros.bridge.joint_sources import JointSources, Reading
from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.quick_messages import JointStateReader
from kinema4d_ros.bridge.rclpy_compat import sequence_number
from kinema4d_ros.bridge.stamped_buffer import Entry, StampedBuffer
from kinema4d_ros.bridge.start_state import start_state
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.input_problem import (ahead, CLOCK_NS, FRESH, InputProblem, NS,
                                                         offset_text, refuse_no_time,
                                                         why_silent_for, why_stale)
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, StartState

TOPIC = 'joint_states'
_FIXED = 'fixed_joints.'
_SPREAD_NS = NS // 2      # arm and gripper may publish their states so far apart
_NOTE_PERIOD = 1.0        # [s] between two notes of a clock that is off


def fixed_joints(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the joints that parameters hold still, by name [rad or m]."""
    return {name.removeprefix(_FIXED): value for name, value in values.items()
            if name.startswith(_FIXED)}


class JointInput:
    """
    Subscribes to joint_states, and says where the joints of a robot are, or why that is unknown.

    A joint is known by its own publisher: another one that is silent, sends NaN, or has a wrong
    clock puts no other joint in doubt.
    """

    def __init__(self, node: Node, values: Mapping[str, Any],
                 note_problem: Callable[[str, str], None], missing: Callable[[], InputProblem]):
        """
        Subscribe.

        :param values: snapshot of the parameters.
        :param note_problem: called with the topic and what is wrong with a message.
        :param missing: returns why nothing at all has been received.
        """
        self._node, self._note_problem, self._missing = node, note_problem, missing
        self._warns_of_clocks = values['max_input_age'] > 0.0
        self.buffer = StampedBuffer()     # counts and rates, for the diagnostics
        self._sources = JointSources(values['joint_agreement'])
        self._noted_at = 0.0
        self._last = -math.inf, ''        # when a message came last, and what it says
        self._reader = JointStateReader()
        self.subscription = node.create_subscription(
            JointState, TOPIC, self._take, qos.JOINT_STATES, callback_group=NotForExecutor(),
            raw=True)
        self._thread = SubscriptionThread(self.subscription)

    def close(self) -> None:
        """Take no more; the subscription may be destroyed after it."""
        self._thread.close()

    def catch_up(self) -> None:
        """Take all messages that wait, in the calling thread."""
        self._thread.catch_up()

    def clear(self) -> None:
        """Forget what was received: the clock jumped back."""
        self.buffer.clear()
        self._sources.clear()

    def _take(self, raw: bytes, info: object) -> None:
        arrival, now_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        try:
            stamp, states = self._reader.states(raw)
        except Kinema4DError as error:
            self.buffer.refuse()
            self._last = arrival, str(error)
            self._note_problem(TOPIC, str(error))
            return
        self._last = arrival, f'they name {_several(states.positions) or "no joint"}'
        self.buffer.put(round(arrival * NS), None, arrival)
        if not states.positions and not states.unusable:     # a driver of velocities alone
            if not self._sources.names():
                self._note_problem(TOPIC, 'a message without positions, which says nothing of '
                                   'where joints are')
            return
        self._sources.put(states, stamp, arrival, now_ns, sequence_number(info))
        off = stamp - now_ns
        if self._warns_of_clocks and abs(off) > CLOCK_NS \
                and arrival - self._noted_at > _NOTE_PERIOD:
            self._noted_at = arrival
            self._note_problem(TOPIC, f'{_several(states.positions)}: {offset_text(off, stamp)}; '
                               f'{publishers(self._node, TOPIC)}')

    # ------------------------------------------------------------------ where the joints are

    def start_state(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> StartState:
        """Return the newest state of the joints, with velocities; raises as `newest`."""
        states = self.newest(robot, now_ns, values)
        stamps = [reading.stamp_ns for name in states.positions
                  for reading in self._sources.readings(name)[:1]]
        return start_state(states, self._sources, max(stamps, default=now_ns))

    def newest(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> JointStates:
        """
        Return the newest states of the robot's joints, each with a position.

        :param values: snapshot of the parameters.
        :raises InputProblem: of a joint there is none, it is stale, two sources contradict, or
            there is no time.
        """
        refuse_no_time(now_ns)
        fixed, wanted = self._fixed_and_wanted(robot, values)
        now, limit, chosen = time.monotonic(), values['max_input_age'], {}
        doubted: dict[str, Reading] = {}
        for name in wanted:
            readings = self._sources.readings(name)
            # a stamp of the future is as old as the time since it came
            fit = [reading for reading in readings if why_stale(
                '', reading.stamp_ns, now_ns, limit) is None and not 0 < limit < max(
                    reading.offset_ns / NS, now - reading.arrival)]
            if fit:
                chosen[name] = max(fit, key=lambda reading: reading.stamp_ns)
            elif readings:
                doubted[name] = readings[0]
        if chosen:
            middle = statistics.median_low(reading.stamp_ns for reading in chosen.values())
            doubted |= {name: reading for name, reading in chosen.items()
                        if abs(reading.stamp_ns - middle) > _SPREAD_NS}
        known = fixed | {name: reading.position for name, reading in chosen.items()
                         if name not in doubted}
        self._refuse_lacking(wanted, {*chosen, *doubted}, known)
        if doubted:
            raise self._doubt(doubted, now_ns, limit, known)
        return _in_order(robot, JointStates(
            known, dict.fromkeys(fixed, 0.0) | {
                name: reading.velocity for name, reading in chosen.items()
                if reading.velocity is not None}))

    def at(self, robot: Robot, image: Entry, within_ns: int, values: Mapping[str, Any], *,
           is_prompt: bool = True) -> JointStates:
        """
        Return the states of the robot's joints when an image was made.

        :param values: snapshot of the parameters.
        :param is_prompt: it is sent within a second; what maps take longer says nothing of clocks.
        :raises InputProblem: of a joint there is none near the image, or two sources contradict.
        """
        fixed, wanted = self._fixed_and_wanted(robot, values)
        now = time.monotonic()
        stamp = image.stamp_ns
        found = self._sources.at(wanted, stamp, within_ns, robot.continuous)
        heard = {name: readings[0] for name in wanted if (
            readings := self._sources.readings(name))}
        self._refuse_lacking(wanted, {*heard, *found.positions}, found.positions)
        for name, reading in heard.items():
            offset = reading.offset_ns
            apart = abs(offset - image.offset_ns)
            if is_prompt and now - reading.arrival < FRESH and apart > CLOCK_NS:
                raise InputProblem(FindingCode.CONTRADICTION, (
                    f'the clocks of joints and image do not agree: of {name}, '
                    f'{offset_text(offset, reading.stamp_ns)}, and the stamp of the image is '
                    f'{ahead(image.offset_ns)} it; synchronise them; '
                    f'{publishers(self._node, TOPIC)}'))
        away = {name: reading for name, reading in heard.items() if name not in found.positions}
        if away:
            farthest = max(abs(stamp - reading.stamp_ns) for reading in away.values())
            raise InputProblem(FindingCode.STALE_INPUT, (
                f'no joint_states of {_several(away)} within {within_ns / NS:.2f} s of the '
                f'image: the newest is {farthest / NS:.2f} s away'))
        return _in_order(robot, JointStates(
            fixed | found.positions, dict.fromkeys(fixed, 0.0) | found.velocities))

    def _fixed_and_wanted(self, robot: Robot, values: Mapping[str, Any]
                          ) -> tuple[dict[str, float], list[str]]:
        """Return the robot's joints that parameters hold still, and those to be heard of."""
        fixed = {name: value for name, value in fixed_joints(values).items()
                 if name in robot.joint_names}
        wanted = [name for name in robot.joint_names if name not in fixed]
        if wanted and not self._sources.names():
            raise self._missing()
        now = time.monotonic()
        for name in robot.joint_names:
            found = self._sources.disagreement(
                name, now, wraps=name in robot.continuous)
            if found is not None:
                one, other = found.positions
                raise InputProblem(FindingCode.CONTRADICTION, (
                    f'two publishers of joint_states contradict each other: {name} is said to be '
                    f'at {one:.4f} and at {other:.4f} at one time; '
                    f'{publishers(self._node, TOPIC)}; stop one of them, or remap it to a topic '
                    'of its own'))
        for name, position in fixed.items():
            for reading in self._sources.readings(name):
                if now - reading.arrival < FRESH \
                        and abs(reading.position - position) > values['joint_agreement']:
                    raise InputProblem(FindingCode.CONTRADICTION, (
                        f'parameter fixed_joints.{name} says {position:.4f}, and joint_states '
                        f'say {reading.position:.4f}; {publishers(self._node, TOPIC)}; remove the '
                        'parameter, since the joint is published'))
        return fixed, wanted

    def _refuse_lacking(self, wanted: Sequence[str], heard: Iterable[str],
                        known: Mapping[str, float]) -> None:
        lacking = [name for name in wanted if name not in set(heard)]
        if not lacking:
            return
        reasons = {name: self._sources.why_unusable(name) for name in lacking}
        raise InputProblem(FindingCode.MISSING_INPUT, (
            'joint_states lack ' + ', '.join(
                f'{name} ({reason})' if reason else name for name, reason in reasons.items())
            + f'; they have: {", ".join(self._sources.names())}; {publishers(self._node, TOPIC)}; '
            f'where nobody measures it, set fixed_joints.{lacking[0]} to its position'), known)

    def _doubt(self, doubted: Mapping[str, Reading], now_ns: int, limit: float,
               known: Mapping[str, float]) -> InputProblem:
        """Return what is wrong with joints whose stamps are far from the others', or from now."""
        name, reading = max(doubted.items(), key=lambda item: abs(now_ns - item[1].stamp_ns))
        text = why_stale(f'joint_states of {_several(doubted)}', reading.stamp_ns, now_ns, limit) \
            or why_silent_for(f'joint_states of {_several(doubted)}', reading.arrival,
                              time.monotonic(), limit) \
            or (f'the newest joint_states of {_several(doubted)} is more than {_SPREAD_NS / NS} s '
                'away from that of the other joints')
        code, now = FindingCode.STALE_INPUT, time.monotonic()
        offset = reading.offset_ns
        last_at, said = self._last
        if now - last_at < FRESH <= now - reading.arrival and not known:
            text += f'; messages come, but {said}'
        elif now - reading.arrival >= FRESH:
            text += f'; where nobody publishes it any more, set fixed_joints.{name} to its ' \
                    'position, and where its driver does so that rarely, raise max_input_age'
        elif reading.stamp_ns and abs(offset) > CLOCK_NS:
            text += f'; they are sent, but {offset_text(offset, reading.stamp_ns)}'
            if known:
                code = FindingCode.CONTRADICTION
                text += ', unlike those of the other joints; synchronise the clocks'
        return InputProblem(code, f'{text}; {publishers(self._node, TOPIC)}', known)


def _in_order(robot: Robot, states: JointStates) -> JointStates:
    return states.of(robot.joint_names)


def _several(names: Iterable[str]) -> str:
    return ', '.join(sorted(names))
