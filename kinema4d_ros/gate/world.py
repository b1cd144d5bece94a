# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world at one moment, as the node took it before an event is handled."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from kinema4d_ros.gate.joints import JointReading
from kinema4d_ros.gate.other_motions import OtherMotion
from kinema4d_ros.gate.settings import GateSettings
from kinema4d_ros.gate.reach import reaches
from kinema4d_ros.robot import finger_joints, Robot

_NS = 1e-9
MOVES = 0.25     # [s] a joint that left its place no longer ago is moving
STANDS = 0.3     # [s] a joint that has been in its place for so long stands still
SELDOM = 2.5     # [s] between two states of a joint that no trajectory moves, at most


@dataclass(frozen=True)
class GraphState:
    """The nodes around the gate; a problem is a sentence, None when there is none."""

    gate_problem: str | None = None
    controller_problem: str | None = None
    controller_gone: bool = False       # whether no server of its action is left at all
    shadow_sim_problem: str | None = None
    shadow_sim_ready: bool = True       # whether a question would arrive
    settled: bool = True                # whether what the graph does not show is absent


@dataclass(frozen=True)
class World:
    """Everything outside that a decision may depend on."""

    now_ns: int                         # ROS time
    robot: Robot | None = None
    joints: Mapping[str, JointReading] = field(default_factory=dict)
    graph: GraphState = field(default_factory=GraphState)
    settings: GateSettings = field(default_factory=GateSettings)    # of now
    #: [s] the clock by which the robot moves and that never steps back: steady time, or simulated
    #: time without its jumps back; None for steady time
    clock: float | None = None
    speed_scaling: float | None = None  # 0 to 1, as the robot tells; None where it does not
    robot_problem: str | None = None    # why the robot would not move, as its driver tells
    gate: str = ''                      # full name of the gate's node
    others: tuple[OtherMotion, ...] = ()        # of other gates of this robot
    is_simulated: bool = False          # whether ROS time is that of a simulation, which may pause

    @property
    def fingers(self) -> frozenset[str]:
        """The joints that move nothing but fingers."""
        return frozenset() if self.robot is None else _fingers(self.robot)

    @property
    def continuous(self) -> frozenset[str]:
        """The joints of which a whole turn is no distance."""
        return frozenset() if self.robot is None else frozenset(self.robot.continuous)

    @property
    def reaches(self) -> Mapping[str, float]:
        """How far each joint moves what it carries at most [m/rad]."""
        return {} if self.robot is None else _reaches(self.robot)

    def positions(self, names: Iterable[str]) -> dict[str, float]:
        """Return the last position [rad or m] of each of these joints that has one."""
        return {name: self.joints[name].position for name in names if name in self.joints}

    def speeds(self, names: Iterable[str]) -> dict[str, float]:
        """Return how fast each of these joints is that is heard of [rad/s or m/s], NaN unknown."""
        return {name: self.joints[name].velocity for name in names if name in self.joints}

    def start_of(self, names: Iterable[str]) -> dict[str, float]:
        """Return the last position [rad or m] of these joints and of the robot's others."""
        return self.positions({*names, *(self.robot.joint_names if self.robot else ())})

    def age(self, names: Iterable[str]) -> float:
        """Return how old [s] the newest measurement is, as far as its stamp can be believed."""
        newest = max((self.joints[name].stamp_ns for name in names if name in self.joints),
                     default=self.now_ns)
        return min(max((self.now_ns - newest) * _NS, 0.0), self.settings.max_joint_age)

    def moving(self, names: Iterable[str], now: float) -> list[str]:
        """Return which of these joints move at steady time `now` [s]."""
        return [name for name in names if name in self.joints
                and now - self.joints[name].still_since < MOVES]

    def still_for(self, names: Iterable[str], now: float) -> float | None:
        """
        Return how long [s] all these joints have stood still; None where that is not known.

        It is known of joints that have been heard within `max_joint_age`.
        """
        readings = [self.joints.get(name) for name in names]
        times = [now - reading.still_since for reading in readings if reading is not None
                 and now - reading.arrival <= self.settings.max_joint_age]
        return min(times) if times and len(times) == len(readings) else None

    def how_joints_are(self, names: Iterable[str], now: float) -> str:
        """Return in words whether these joints move."""
        names = tuple(names)
        still = self.still_for(names, now)
        if still is None:
            silent = self.why_joints_silent(names, self.settings.max_joint_age, now)
            return f'whether the robot moves is unknown: {silent or "no joints are known"}'
        if still < STANDS:
            return f'{", ".join(self.moving(names, now)) or "the robot"} is still moving'
        return f'the joints stand still since {min(still, 3600.0):.1f} s'

    def why_joints_silent(self, names: Iterable[str], max_age: float, now: float) -> str | None:
        """
        Return why nothing new is heard of these joints, by the steady clock alone.

        By that of a simulation where there is one: while it pauses nothing moves.
        """
        for name in names:
            reading = self.joints.get(name)
            if reading is None:
                return f'joint_states have not told where {name} is'
            age = self._stamp_age(reading) if self.is_simulated else now - reading.arrival
            if age > max_age:
                return f'joint_states of {name} are {age:.2f} s off, limit {max_age} s'
        return None

    def _stamp_age(self, reading: JointReading) -> float:
        """Return how far a stamp is from now [s]."""
        return abs(self.now_ns - reading.stamp_ns) * _NS

    def why_joints_unknown(self, names: Iterable[str], max_age: float, now: float, *,
                           may_pause: bool = True) -> str | None:
        """
        Return why it is not known where these joints are.

        :param max_age: [s] that a measurement may be old by either clock.
        :param now: steady time [s].
        :param may_pause: whether only simulated time counts where there is such: a simulation that
            pauses, or has ended, is then no reason.
        """
        for name in names:
            reading = self.joints.get(name)
            if reading is None:
                return f'joint_states have not told where {name} is'
            age, silent = self._stamp_age(reading), now - reading.arrival
            if age <= max_age < silent and self.is_simulated and not may_pause:
                return f'joint_states of {name} have not come for {silent:.2f} s, limit ' \
                       f'{max_age} s: does /clock stand still?'
            if not self.is_simulated:
                age = max(age, silent)
            if age > max_age:
                return f'joint_states of {name} are {age:.2f} s off, limit {max_age} s'
        return None


@lru_cache(maxsize=2)
def _fingers(robot: Robot) -> frozenset[str]:
    return finger_joints(robot)


@lru_cache(maxsize=2)
def _reaches(robot: Robot) -> Mapping[str, float]:
    return reaches(robot)
