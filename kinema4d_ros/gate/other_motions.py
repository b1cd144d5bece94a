# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Motions of the same robot that other gates have given to their controllers.

Each gate says what it forwards, from just before it does until the joints stand still. A motion is
judged together with those that are under way, where only fingers move in one of the two; else it is
refused while another lasts.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.progress import PathProgress
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory

_SILENCE = 1.0      # [s] after which a gate that said nothing more is gone, and its motion unknown
_WINDOW = 0.3       # [s] as of `PathProgress`
LEAD = 0.25         # [s] in which shadow_sim's look at the robot may be later than the question
_STEP = 0.02        # [s] between points of a motion that is made of several
_MOST = 2000        # points


@dataclass(frozen=True, eq=False)
class ToldMotion:
    """What a gate says of one motion of its own."""

    key: str                        # of gate and motion
    gate: str                       # full name of the node
    trajectory: JointTrajectory
    sent_ns: int                    # ROS time at which it was forwarded; orders two motions
    at: float = 0.0                 # [s] on its path when it was told
    over: bool = False
    together: tuple[str, ...] = ()  # keys of the motions that it was judged together with


@dataclass(frozen=True, eq=False)
class OtherMotion:
    """A motion of another gate that is under way."""

    told: ToldMotion
    path: PathMonitor | None = None     # None where it cannot be followed
    at: float = 0.0                     # [s] on its path
    off: float = 0.0                    # [rad or m] the most that a joint of it is off its path

    @property
    def joints(self) -> frozenset[str]:
        """The joints that it moves."""
        return frozenset(self.told.trajectory.joint_names)

    @property
    def order(self) -> tuple[int, str]:
        """What comes first of two motions: the earlier one."""
        return self.told.sent_ns, self.told.gate


class OtherMotions:
    """Follows what other gates say, and where the joints are."""

    def __init__(self) -> None:
        """Begin with no motion."""
        self._told: dict[str, tuple[ToldMotion, float]] = {}     # with the steady time [s]
        self._progress: dict[str, tuple[PathProgress, float]] = {}      # with the clock [s] of it
        self._off: dict[str, float] = {}

    def take(self, told: ToldMotion, now: float) -> bool:
        """Take what a gate says, at steady time `now` [s]; return whether that is news."""
        known = self._told.get(told.key)
        if told.over:
            self._forget(told.key)
            return known is not None
        if known is not None:       # it is followed along what was told first
            told = dataclasses.replace(told, trajectory=known[0].trajectory)
        self._told[told.key] = told, now
        return known is None

    def snapshot(self, robot: Robot | None, positions: Mapping[str, float], now: float,
                 clock: float) -> tuple[OtherMotion, ...]:
        """
        Return the motions under way.

        :param positions: [rad or m] of all joints.
        :param now: steady time [s].
        :param clock: [s] by which the robot moves, as in World.
        """
        for key in [key for key, (_, heard) in self._told.items() if now - heard > _SILENCE]:
            self._forget(key)
        out = []
        for key, (told, _) in self._told.items():
            found = self._follow(key, told, robot, positions, clock)
            out.append(OtherMotion(told) if found is None else
                       OtherMotion(told, found.path, found.at, self._off[key]))
        return tuple(each for each in out if not any(_replaces(later, each) for later in out))

    def _follow(self, key: str, told: ToldMotion, robot: Robot | None,
                positions: Mapping[str, float], clock: float) -> PathProgress | None:
        known = self._progress.get(key)
        if known is None:
            if robot is None:
                return None
            try:
                path = PathMonitor(told.trajectory, robot, positions)
            except Kinema4DError:
                return None
            known = self._progress[key] = PathProgress(path, _WINDOW, at=told.at), clock
        progress, begun = known
        self._off[key] = progress.update(
            {name: positions[name] for name in progress.path.names if name in positions},
            clock - begun).worst[1]
        return progress

    def _forget(self, key: str) -> None:
        self._told.pop(key, None)
        self._progress.pop(key, None)
        self._off.pop(key, None)


def _replaces(later: OtherMotion, motion: OtherMotion) -> bool:
    """
    Return whether a motion goes on in place of another of its gate.

    A gate that streams tells of both, until its controller has ended the older one.
    """
    return later.told.gate == motion.told.gate and later.order > motion.order \
        and bool(later.joints & motion.joints)


def why_not_together(joints: Iterable[str], others: Iterable[OtherMotion],
                     fingers: Iterable[str]) -> str | None:
    """
    Return why a motion of these joints cannot be judged together with others; None where it can.

    When exactly it would begin beside them is not known before its verdict is there, and matters
    unless only fingers move in one of the two.
    """
    joints, fingers, seen = frozenset(joints), frozenset(fingers), frozenset[str]()
    for other in others:
        who = f'a motion of {other.told.gate} is under way'
        if joints & other.joints:
            return f'{who}, of {", ".join(sorted(joints & other.joints))} too'
        if seen & other.joints:
            return f'{who}, and another one of {", ".join(sorted(seen & other.joints))} too'
        seen |= other.joints
        if other.path is None:
            return f'{who}, and its path is not known'
        if not (joints <= fingers or other.joints <= fingers):
            return f'{who} ({", ".join(sorted(other.joints))}): two arms are not judged together'
    return None


def compose(newer: JointTrajectory, path: PathMonitor,
            others: Iterable[OtherMotion]) -> JointTrajectory:
    """
    Return the motion that the robot makes when `newer` begins while others are under way.

    Its first point is a little later than now, as in a handover: there the others are where they
    will be by then, and `newer` begins.

    :param path: of `newer`.
    """
    others = tuple(others)
    lead = 0.0 if len(newer.times) and newer.times[0] >= LEAD else LEAD
    end = max([lead + path.duration, *(each.path.duration - each.at for each in others
                                       if each.path is not None), LEAD + _STEP])
    step = max(_STEP, (end - LEAD) / _MOST)
    times = np.arange(LEAD, end, step)
    times = np.append(times[:-1] if end - times[-1] < step / 2 else times, end)
    names = path.names
    columns = [path.at(times - lead, names)]
    for other in others:
        if other.path is not None:
            columns.append(other.path.at(times + other.at, other.path.names))
            names += other.path.names
    return JointTrajectory(names, rounded(times), np.concatenate(columns, axis=1))


def rounded(times: np.ndarray) -> np.ndarray:
    """Return times (N,) [s] as a message carries them, in whole nanoseconds."""
    seconds, nanoseconds = np.divmod(np.rint(times * 1e9), 1e9)
    rounded_times: np.ndarray = seconds + nanoseconds * 1e-9
    return rounded_times
