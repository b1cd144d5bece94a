# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Watches one motion: whether the joints are on its path, where on it, and why they are late."""
from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kinema4d_ros.gate.joints import JointReading
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.progress import PathProgress
from kinema4d_ros.gate.reach import ProtectedClearance
from kinema4d_ros.gate.rules import farthest
from kinema4d_ros.gate.settings import GateSettings
from kinema4d_ros.gate.world import World

_LATE = 1.0         # [s] from which a delay is reported
_SLOW = 0.05        # of the speed: below it the robot is paused
_REACH = 1.0        # [m/rad] of a joint of which nothing is known
_REST_NS = 200_000_000      # for a joint to be measured once another gate has ended its motion


class Trouble(enum.Enum):
    """What is wrong with a motion."""

    ASTRAY = enum.auto()        # the joints are off the path
    OTHER = enum.auto()         # a joint moves that was to stand still
    LATE = enum.auto()          # it takes longer than it may
    STALLED = enum.auto()       # something holds the joints


@dataclass(frozen=True)
class Tolerances:
    """How far the joints may be off the path that was judged."""

    settings: GateSettings
    reaches: Mapping[str, float] = field(default_factory=dict)   # [m/rad] by joint
    clearance: ProtectedClearance | None = None         # None: not measured

    def why_astray(self, off: Mapping[str, float], time: float) -> str | None:
        """
        Return why the joints are too far off the path at a time [s] on it.

        No joint may be off by more than `path_tolerance`. Where the space around the motion was
        measured, the joints together may displace no point of the robot by more than that: an
        upper bound is the sum of what each displaces. Below `tracking_tolerance`, which no robot
        does better than, the joints are never too far off.
        """
        joint = max(off, key=lambda name: off[name], default='')
        worst, limit = off.get(joint, 0.0), self.settings.path_tolerance
        if not worst <= limit:
            return f'{joint} is {worst:.3f} away from the checked trajectory, limit {limit}'
        if self.clearance is None or worst <= self.settings.tracking_tolerance:
            return None
        moved = self.displacement(off)
        space = self.clearance.at(time)
        if moved <= space:
            return None
        return f'{joint} is {worst:.3f} away from the checked trajectory, so that the robot may ' \
               f'be displaced by {1000 * moved:.0f} mm where {1000 * space:.0f} mm around it ' \
               'were free'

    def displacement(self, off: Mapping[str, float]) -> float:
        """Return how far joints that are off the path displace any point of the robot [m]."""
        return sum(value * self.reaches.get(name, _REACH) for name, value in off.items())

    @property
    def unprotected(self) -> str | None:
        """Why the watch cannot protect all of the clearance that was judged."""
        if self.clearance is None or not self.reaches:
            return None
        noise = self.settings.tracking_tolerance * max(self.reaches.values())
        least = self.clearance.least
        return None if least >= noise else (
            f'the watch cannot protect the clearance of {1000 * least:.0f} mm: one joint within '
            f'its tracking_tolerance displaces the robot by {1000 * noise:.0f} mm')


class MotionWatch:
    """Follows the joints from the moment a motion is handed to the controller."""

    def __init__(self, path: PathMonitor, tolerances: Tolerances, clock: float, *,
                 wait: float = 0.0, others: Mapping[str, float] | None = None):
        """
        Begin to watch.

        :param clock: [s] now, as in World.
        :param wait: [s] until the trajectory begins, by its header.stamp.
        :param others: [rad or m] joints that it does not name and that are to stand still.
        """
        settings = tolerances.settings
        self.progress = PathProgress(path, settings.path_window, wait=wait)
        self._tolerances, self._settings, self._others = tolerances, settings, dict(others or {})
        self._began = self._ticked = clock
        self._seen: Mapping[str, JointReading] = {}
        self._told: set[str] = set()            # the others that another gate moves
        self._left: dict[str, int] = {}         # ROS time [ns] at which it had ended that
        self._explained = 0.0           # [s] of delay that the robot explains
        self._stalled = 0.0             # [s] at full speed in which they might have come further
        self._moved_at = 0.0            # `progress.moved_at` of the last tick
        self._arrived = math.inf        # clock [s] at which the end was reached
        self._reference: dict[str, float] = {}      # where the controller has the joints
        self._is_late = False
        self.names = (*path.names, *self._others)

    @property
    def path(self) -> PathMonitor:
        """The path that is watched."""
        return self.progress.path

    @property
    def others(self) -> tuple[str, ...]:
        """The joints that are to stand still."""
        return tuple(self._others)

    def elapsed(self, clock: float) -> float:
        """Return how long ago it was handed to the controller [s]."""
        return clock - self._began

    def arrived_for(self, clock: float) -> float | None:
        """Return how long the joints have been at the end of the path [s]; None before."""
        return clock - self._arrived if self._arrived < math.inf else None

    def take_reference(self, positions: Mapping[str, float]) -> None:
        """Take where the controller wants the joints now, [rad or m]."""
        self._reference = {name: value for name, value in positions.items()
                           if name in self.path.names and math.isfinite(value)}

    def look(self, world: World, clock: float) -> tuple[Trouble, str] | None:
        """Take new readings of the joints; return what is wrong with where they are."""
        seen = {name: world.joints[name] for name in self.names if name in world.joints}
        if seen == self._seen:
            return None     # nothing new was measured
        self._seen = seen
        live, was_there = world.positions(self.names), self.progress.has_arrived
        found = self.progress.update(
            {name: live[name] for name in self.path.names if name in live},
            self.elapsed(clock), world.age(self.path.names),
            1.0 if world.speed_scaling is None else world.speed_scaling)
        if self.progress.has_arrived and not was_there:
            self._arrived = clock
        elif not self.progress.has_arrived:
            self._arrived = math.inf
        reason = self._tolerances.why_astray(found.off, found.time)
        if reason is not None:
            return Trouble.ASTRAY, reason
        told = {name for other in world.others for name in other.joints
                if self._may_move_beside(other.joints, world.fingers)}
        # Where another gate's motion leaves a joint, it is to stand from then on. Word of its end
        # may be quicker than the joints.
        left = self._left_by(told, world)
        self._others.update((name, live[name])
                            for name in (told | left) & set(self._others) & set(live))
        still = {name: farthest((name,), {name: place}, live, world.continuous)[1]
                 for name, place in self._others.items() if name not in told and name in live}
        reason = self._tolerances.why_astray(still, found.time)
        if reason is not None:
            return Trouble.OTHER, f'a joint moves that the verdict had stand still: {reason}'
        return None

    def _left_by(self, told: set[str], world: World) -> set[str]:
        """Return the joints whose motions have ended, and that were not measured since then."""
        left = self._left | dict.fromkeys(self._told - told, world.now_ns)
        self._told = told
        self._left = {name: end for name, end in left.items() if name not in told
                      and name in world.joints and world.joints[name].stamp_ns < end
                      and 0 <= world.now_ns - end < _REST_NS}       # the clock may jump back
        return set(left)

    def _may_move_beside(self, joints: frozenset[str], fingers: frozenset[str]) -> bool:
        """Return whether another gate may have judged a motion of these joints with this one."""
        return joints <= fingers or set(self.path.names) <= fingers

    def tick(self, world: World, clock: float) -> tuple[Trouble, str] | None:
        """Return what is wrong with when the joints are where they are."""
        step, self._ticked = max(clock - self._ticked, 0.0), clock
        scaling = world.speed_scaling
        if world.robot_problem:
            self._explained += step
        elif scaling is not None:
            self._explained += step * (1.0 - scaling)
        self._count_stall(step, world)
        limit, delay = self._settings.max_delay, self.delay(clock)
        if limit and delay > limit:
            return Trouble.LATE, f'the motion is {delay:.1f} s late, limit {limit} s; ' \
                + self._where()
        stalled, most = self.stalled_for(clock), self._settings.max_stall
        if not most or self._stalled < most or world.robot_problem:
            return None
        if scaling is not None and scaling > _SLOW:
            return Trouble.STALLED, f'the joints have stood still for {stalled:.1f} s though ' \
                f'speed_scaling is {scaling:.2f}: does something hold them? ' + self._where()
        live = world.positions(self._reference)
        ahead = {name: abs(live[name] - self._reference[name]) for name in live}
        joint = max(ahead, key=lambda name: ahead[name], default='')
        if scaling is None and ahead.get(joint, 0.0) > self._settings.path_tolerance:
            return Trouble.STALLED, f'the joints have stood still for {stalled:.1f} s, and the ' \
                f'controller wants {joint} {ahead[joint]:.3f} further: does something hold them? ' \
                + self._where()
        return None

    def _count_stall(self, step: float, world: World) -> None:
        """Count for how long the joints have stood still though nothing says that they may."""
        scaling, moved_at = world.speed_scaling, self.progress.moved_at
        if moved_at != self._moved_at or self.progress.has_arrived:
            self._stalled, self._moved_at = 0.0, moved_at
        elif not world.robot_problem and (scaling is None or scaling > _SLOW):
            self._stalled += step * (1.0 if scaling is None else scaling)

    def delay(self, clock: float) -> float:
        """Return by how much the motion is late [s], beyond what the robot explains."""
        if self.progress.has_arrived:
            return 0.0
        return max(0.0, self.progress.late_at(self.elapsed(clock)) - self._explained)

    def stalled_for(self, clock: float) -> float:
        """Return for how long the joints have stood still on their way [s]."""
        return 0.0 if self.progress.has_arrived else self.elapsed(clock) - self.progress.moved_at

    def why_late(self, world: World, clock: float) -> str | None:
        """Return, once for each time that it becomes late, that it is and why."""
        late = 0.0 if self.progress.has_arrived else self.progress.late_at(self.elapsed(clock))
        if late < _LATE / 2:
            self._is_late = False
        if self._is_late or late < _LATE:
            return None
        self._is_late = True
        why = ', nobody says why'
        if world.robot_problem:
            why = f': {world.robot_problem}'
        elif world.speed_scaling is not None:
            why = f', speed_scaling is {world.speed_scaling:.2f}'
        return f'the motion is {late:.1f} s late{why}; {self._where()}'

    def _where(self) -> str:
        return f'it has come to {self.progress.at:.2f} s of {self.path.duration:.2f} s'
