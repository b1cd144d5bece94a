# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joint states of several publishers on one topic: a time line for each, and where they differ."""
from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.sources import RECENT, Source, Sources
from kinema4d_ros.bridge.stamped_buffer import Entry, StampedBuffer

_NS = 1_000_000_000
_DEPTH = 1500            # messages kept of each source: 1 s, or an old image has none, at 1 kHz
_LAG = 0.15              # [s] two honest publishers of a moving joint may lag each other by this
_SELDOM_SPEED = 1.0      # [rad/s or m/s] a joint may move so fast between two that come seldom
_ANSWER = 0.6            # [s] claim and counterclaim of two that differ are so near in time
_JUMPS = 3               # sharp ones within RECENT, of a joint that two publishers tug at


class Reading(NamedTuple):
    """The newest that one source tells of one joint."""

    position: float             # [rad or m]
    velocity: float | None      # [rad/s or m/s]
    stamp_ns: int
    arrival: float              # on the steady clock [s]
    offset_ns: int              # stamp less ROS time on arrival


class Disagreement(NamedTuple):
    """Two positions that one joint is said to have at one time."""

    positions: tuple[float, float]     # [rad or m]
    arrival: float                     # of the later one, on the steady clock [s]

    @property
    def difference(self) -> float:
        """How far apart they are [rad or m]."""
        return abs(self.positions[0] - self.positions[1])


_NEVER = Disagreement((0.0, 0.0), -math.inf)


@dataclass(eq=False)
class _Held:
    """What is kept of one source."""

    buffer: StampedBuffer = field(default_factory=lambda: StampedBuffer(_DEPTH))
    newest: dict[str, Reading] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    #: joint -> last sharp jump: from, to [rad or m], arrival, how many there were in a row
    jumps: dict[str, tuple[float, float, float, int]] = field(default_factory=dict)


class JointSources:
    """
    What has been received of joint_states, by publisher; safe to use from any thread.

    A publisher without stamps, or with another clock, so puts its own joints in doubt and no
    others.
    """

    def __init__(self, tolerance: float) -> None:
        """
        Begin with nothing.

        :param tolerance: positions that differ by more contradict each other [rad or m].
        """
        self._tolerance = tolerance
        self._lock = threading.Lock()
        self._sources: Sources[_Held] = Sources(_Held)
        #: (joint, who spoke, who differs) -> what was said
        self._claims: dict[tuple[str, int, int], Disagreement] = {}

    def put(self, states: JointStates, stamp_ns: int, arrival: float,
            now_ns: int, sequence: int | None = None) -> None:
        """
        Take in one message.

        :param arrival: on the steady clock [s].
        :param now_ns: ROS time of the arrival.
        :param sequence: the number that its publisher gave it, None where that is not known.
        """
        names = frozenset(states.positions) | frozenset(states.unusable)
        with self._lock:
            source = self._sources.of(
                (names, stamp_ns == 0), sequence, arrival,
                lambda source: not self._continues(states, source.held, arrival))
            held = source.held
            held.buffer.put(stamp_ns, states, arrival)
            for other in self._sources:
                if other is not source and arrival - other.last < RECENT:
                    self._compare(states, source, other, arrival)
            held.unusable = {name: why for name, why in held.unusable.items()
                             if name not in states.positions} | states.unusable
            for name in states.unusable:
                held.newest.pop(name, None)
            for name, position in states.positions.items():
                before = held.newest.get(name)
                if before is not None:
                    self._notice_jump(held, name, before, position, arrival)
                    if 0 < before.stamp_ns - stamp_ns < _NS:
                        continue        # a little disorder
                held.newest[name] = Reading(position, states.velocities.get(name), stamp_ns,
                                            arrival, stamp_ns - now_ns)

    def readings(self, name: str) -> list[Reading]:
        """Return the newest reading of a joint of every source that has it, newest first."""
        with self._lock:
            found = [source.held.newest[name] for source in self._sources
                     if name in source.held.newest]
        return sorted(found, key=lambda reading: -reading.arrival)

    def why_unusable(self, name: str) -> str | None:
        """Return what was wrong with the position of a joint when it was last sent, if it was."""
        with self._lock:
            return next((source.held.unusable[name] for source in self._sources
                         if name in source.held.unusable), None)

    def names(self) -> list[str]:
        """Return the names of all joints that have a position."""
        with self._lock:
            return sorted({name for source in self._sources for name in source.held.newest})

    def at(self, names: Iterable[str], stamp_ns: int, within_ns: int,
           wraps: Collection[str] = ()) -> JointStates:
        """
        Return the states of joints at a stamp: between the messages around it, or of the nearest.

        A camera on the hand is where the joints were when its image was made; the nearest message
        may be of some centimetres before or after that.

        :param wraps: joints of which a whole turn is no difference, such as continuous ones.
        """
        wanted = set(names)
        positions: dict[str, float] = {}
        velocities: dict[str, float] = {}
        near = self._around(stamp_ns, within_ns)
        for index, (entry, source) in enumerate(near):
            states: JointStates = entry.value
            for name in [name for name in wanted if name in states.positions]:
                other = next((
                    later for later, its in near[index + 1:] if its == source
                    and (later.stamp_ns - stamp_ns) * (entry.stamp_ns - stamp_ns) < 0
                    and name in later.value.positions), None)
                positions[name], velocity = _between(entry, other, name, stamp_ns, name in wraps)
                if velocity is not None:
                    velocities[name] = velocity
                wanted.discard(name)
            if not wanted:
                break
        return JointStates(positions, velocities)

    def _around(self, stamp_ns: int, within_ns: int) -> list[tuple[Entry, int]]:
        """Return messages at most `within_ns` from a stamp, nearest first, and whose each is."""
        with self._lock:
            found = [(entry, number) for number, source in enumerate(self._sources)
                     for entry in source.held.buffer.by_distance(stamp_ns, within_ns)]
        return sorted(found, key=lambda item: abs(item[0].stamp_ns - stamp_ns))

    def by_distance(self, stamp_ns: int, within_ns: int) -> list[Entry]:
        """Return all messages whose stamps are at most `within_ns` away, nearest first."""
        return [entry for entry, _ in self._around(stamp_ns, within_ns)]

    def disagreement(self, name: str, arrival: float, *, wraps: bool = False
                     ) -> Disagreement | None:
        """
        Return what two publishers said of a joint lately that cannot both be true.

        :param arrival: the present time of the steady clock [s].
        :param wraps: whether a whole turn is no difference, as for a continuous joint.
        """
        with self._lock:
            claims = [claim for (joint, one, other), claim in self._claims.items()
                      if joint == name and arrival - claim.arrival < RECENT and abs(
                          claim.arrival - self._claims.get((joint, other, one), _NEVER).arrival)
                      < _ANSWER]
            jumps = [source.held.jumps[name] for source in self._sources
                     if name in source.held.jumps]
        claims += [Disagreement(jump[:2], jump[2]) for jump in jumps
                   if jump[3] >= _JUMPS and arrival - jump[2] < RECENT]
        return next((claim for claim in claims if not wraps or abs(
            math.remainder(claim.difference, math.tau)) > self._tolerance), None)

    def clear(self) -> None:
        """Forget all: the clock jumped back."""
        with self._lock:
            self._sources.clear()
            self._claims.clear()

    def _compare(self, states: JointStates, source: Source[_Held], other: Source[_Held],
                 arrival: float) -> None:
        """
        Note where a message is outside of what another source said of its joints lately.

        One that lags is outside while the joint moves, but what it says is within what the other
        said before; so it is a contradiction where both are outside of what the other says.
        """
        if arrival - other.first < 2 * _LAG:       # nothing is known of its past yet
            return
        for name in states.positions.keys() & other.held.newest.keys():
            newest = other.held.newest[name]
            silent = arrival - newest.arrival
            if silent > RECENT:
                continue
            said = [entry.value.positions[name]
                    for entry in other.held.buffer.since(arrival - _LAG)
                    if name in entry.value.positions]
            allowed = self._tolerance
            if len(said) > 1:       # it has moved on since, no faster than three times as before
                allowed += 3 * (max(said) - min(said)) / _LAG * silent
            else:                   # it speaks seldom
                allowed += max(0.0, silent - _LAG) * _SELDOM_SPEED
            said.append(newest.position)
            position = states.positions[name]
            nearest = min(max(position, min(said)), max(said))
            if abs(position - nearest) > allowed:
                self._claims[name, id(source), id(other)] = Disagreement(
                    (position, nearest), arrival)
        if len(self._claims) > 1000:       # of joints and sources that are long gone
            self._claims = {key: claim for key, claim in self._claims.items()
                            if arrival - claim.arrival < RECENT}

    def _continues(self, states: JointStates, held: _Held, arrival: float) -> bool:
        """Return whether a message says what a source has said for a while: all stands still."""
        said = held.buffer.since(arrival - _LAG)
        return len(said) > 1 and all(
            abs(position - entry.value.positions.get(name, math.inf)) < self._tolerance / 2
            for entry in said for name, position in states.positions.items())

    def _notice_jump(self, held: _Held, name: str, before: Reading, position: float,
                     arrival: float) -> None:
        """Count how often a joint of one source jumps and at once jumps back, as no joint does."""
        step = position - before.position
        if abs(step) <= 5 * self._tolerance or arrival - before.arrival > _LAG:
            return
        start, end, at, count = held.jumps.get(name, (0.0, 0.0, -math.inf, 0))
        is_back = arrival - at < RECENT / 2 and abs(position - start) < 0.2 * abs(step) \
            and abs(before.position - end) < 0.2 * abs(step)
        held.jumps[name] = before.position, position, arrival, count + 1 if is_back else 1


def _between(entry: Entry, other: Entry | None, name: str, stamp_ns: int, wraps: bool
             ) -> tuple[float, float | None]:
    """
    Return position and velocity of a joint at a stamp between two messages of one source.

    :param other: on the other side of the stamp; None where there is none.
    """
    states: JointStates = entry.value
    position, velocity = states.positions[name], states.velocities.get(name)
    if other is None:
        return position, velocity
    part = (stamp_ns - entry.stamp_ns) / (other.stamp_ns - entry.stamp_ns)
    step = other.value.positions[name] - position
    if wraps:
        step = math.remainder(step, math.tau)
    speed = other.value.velocities.get(name)
    if velocity is not None and speed is not None:
        velocity += part * (speed - velocity)
    return position + part * step, velocity
