# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges chunks as what the robot will do from now on, and chooses among several of them."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.policy.chunk_settings import ChunkMode, ChunkSettings, ChunkExecution, Resample
from kinema4d_ros.policy.splice import splice, UnderWay
from kinema4d_ros.precheck.ranking import rank
from kinema4d_ros.precheck.verdict import decide, not_checked
from kinema4d_ros.robot import finger_joints
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity, Verdict


_SAG = 0.05     # [rad or m] a joint that is nearer to its command is held by it
_NOISE = 0.02   # [rad or m] a point at time 0 that is nearer to its joint is where that is


class PathPrecheck(Protocol):
    """What judges paths that begin now: a ShadowSimulator, the node shadow_sim, or a test."""

    def __call__(self, paths: Sequence[JointTrajectory],
                 joints: Mapping[str, float]) -> Sequence[Verdict]:
        """
        Return a verdict on each path.

        :param paths: candidates, all from `joints`; their first points are after time 0.
        :raises Kinema4DError: they cannot be judged; they are then UNSURE for that reason.
        """


#: a chunk as a motion from its first action's period on, or why it is none
ChunkMotion = JointTrajectory | str


@dataclass(frozen=True)
class _Moment:
    """When chunks are judged, and from when what passes is executed."""

    now: float                      # [s] steady time from which the paths are counted
    joints: Mapping[str, float]     # where they are then
    leaves: float | None = None     # by when an overlapping chunk must have left; None: no matter
    switch: float | None = None     # from when the client executes it; None: from when it has it


@dataclass(frozen=True)
class Choice:
    """
    What is to be done.

    :param index: of the chunk that may be executed; None: the robot is to hold still.
    :param verdict: on that chunk, or on the best of those that did not pass.
    :param path: what the verdict is on; None where there was none to judge.
    :param samples: how many chunks were judged.
    :param best: index of the chunk that the verdict is on.
    """

    index: int | None
    verdict: Verdict
    path: JointTrajectory | None
    samples: int
    best: int

    @property
    def passed(self) -> bool:
        """Whether the verdict is PASS."""
        return self.verdict.passed


class ChunkGuard:
    """
    Knows what the client of one robot executes; one thread at a time.

    It keeps one path, however long it runs.
    """

    def __init__(self, robot: Robot, judge: PathPrecheck, settings: ChunkSettings | None = None, *,
                 live: Callable[[], Mapping[str, float]] | None = None,
                 clock: Callable[[], float] = time.monotonic,
                 wait: Callable[[float], None] = time.sleep) -> None:
        """
        PathPrecheck by `judge` what a client of `robot` is to execute.

        :param live: returns where the joints are now [rad or m]; None where the robot stands still
            until it has an answer, so that they are where they were when it was asked.
        :param clock: steady time [s].
        :param wait: returns after so many seconds of it.
        """
        self.robot, self._judge, self._live, self.clock = robot, judge, live, clock
        self._wait = wait
        self.settings = ChunkSettings() if settings is None else settings
        self._fingers = finger_joints(robot)
        self.under_way: UnderWay | None = None
        self.counts = dict.fromkeys(('chunks', 'passed', 'held', 'samples'), 0)

    def forget(self) -> None:
        """Forget what the client executes: another task begins, from rest."""
        self.under_way = None

    def choose(self, first: ChunkMotion, joints: Mapping[str, float], *, asked: float,
               sample: Callable[[], ChunkMotion | None] = lambda: None,
               told: Mapping[str, float] | None = None,
               handover: float | None = None) -> Choice:
        """
        PathPrecheck a chunk, and others where one is asked for, and remember what is then executed.

        What an overlapping chunk does depends on when the client has it, so it returns when that
        was planned for and not earlier; what would be later is UNSURE.

        :param joints: where the robot was then [rad or m], by name.
        :param asked: steady time of the observation [s].
        :param sample: asks for another chunk of the same observation; None where there is none.
        :param told: where the client told the policy that the joints are.
        :param handover: steady time from which an overlapping chunk is executed, where the client
            says so; None for the settings.
        """
        settings, began = self.settings, self.clock()
        self.counts['chunks'] += 1
        moment = self._moment(joints, handover)
        verdicts: list[Verdict] = []
        paths: list[JointTrajectory | None] = []
        if (problem := self._why_not_there(told or {}, joints)) is not None:
            chosen = Choice(None, _unsure(problem), None, 1, 0)
        else:
            always = settings.resample is Resample.ALWAYS
            if not always:
                self._judge_all([first], joints, moment, asked, verdicts, paths)
            if always or not verdicts[0].passed:
                # All that may pass are judged at once, and so for the same moment.
                more: list[ChunkMotion] = [first] if always else []
                count = 1
                while count < settings.samples and self.clock() - began < settings.sampling_time:
                    if (another := sample()) is None:
                        break
                    more.append(another)
                    count += 1
                if more:
                    moment = self._moment(joints, handover)
                    self._judge_all(more, joints, moment, asked, verdicts, paths)
            best = rank(verdicts, [path.duration if path is not None else 0.0
                                   for path in paths])[0]
            if verdicts[best].passed and (late := self._why_late(moment)) is not None:
                verdicts[best] = _unsure(late)
            passed = verdicts[best].passed
            if not passed and settings.mode is ChunkMode.MONITOR:
                best = 0
            chosen = Choice(best if passed else None, verdicts[best], paths[best], len(verdicts),
                            best)
        self.counts['samples'] += chosen.samples
        if settings.mode is ChunkMode.MONITOR and chosen.index is None:
            chosen = replace(chosen, index=0)
        if chosen.passed and moment.leaves is not None and handover is None:
            self._wait(max(moment.leaves - self.clock(), 0.0))
        self._remember(chosen, moment)
        return chosen

    def hold_positions(self, joints: Mapping[str, float]) -> dict[str, float]:
        """
        Return where all joints are to stay [rad or m].

        Where they were commanded to be, so that an arm that hangs a little below its command does
        not sink further with each chunk that is held, and fingers go on pressing; where they are,
        for joints that are elsewhere.
        """
        positions = {name: float(joints[name]) for name in self.robot.joint_names if name in joints}
        if self.under_way is None:
            return positions
        names = self.under_way.trajectory.joint_names
        for name, value in zip(names, self.under_way.at(np.array([self.clock()]))[0].tolist()):
            near = abs(value - positions.get(name, value)) <= _SAG
            if near or name in self._fingers:
                positions[name] = value
        return positions

    def _moment(self, joints: Mapping[str, float], handover: float | None) -> _Moment:
        """Return the moment that is judged for, which is now."""
        here, now = joints if self._live is None else self._live(), self.clock()
        if handover is not None:
            return _Moment(now, here, handover, handover)
        if self.settings.execution is not ChunkExecution.OVERLAPPING:
            return _Moment(now, here)
        leaves = now + self.settings.verdict_time
        return _Moment(now, here, leaves, leaves + self.settings.latency)

    def _why_late(self, moment: _Moment) -> str | None:
        """Return why an overlapping chunk would be executed later than was judged."""
        if moment.leaves is None or (now := self.clock()) <= moment.leaves:
            return None
        return (f'the verdict took {now - moment.now:.3g} s, and the client was to have it after '
                f'{moment.leaves - moment.now:.3g} s, so what it would execute is not what was '
                'judged: raise verdict_time, or frozen_prefix_steps of the request')

    def _remember(self, chosen: Choice, moment: _Moment) -> None:
        now, joints = self.clock(), moment.joints
        if chosen.index is not None:
            self.counts['passed'] += chosen.passed
            if chosen.path is not None:
                start = [joints.get(name, at) for name, at in
                         zip(chosen.path.joint_names, chosen.path.positions[0])]
                self.under_way = UnderWay(JointTrajectory(
                    chosen.path.joint_names, np.append(0.0, chosen.path.times),
                    np.vstack([start, chosen.path.positions])),
                    now if moment.switch is None else moment.now)
            return
        self.counts['held'] += 1
        held = self.hold_positions(joints)
        self.under_way = UnderWay(JointTrajectory(
            tuple(held), np.zeros(1), np.array([list(held.values())])), now)

    def _judge_all(self, chunks: Sequence[ChunkMotion], joints: Mapping[str, float],
                   moment: _Moment, asked: float, verdicts: list[Verdict],
                   paths: list[JointTrajectory | None]) -> None:
        """Add a verdict and a path for each chunk, asking the judge once."""
        found: list[Verdict | None] = []
        wanted: list[JointTrajectory] = []
        for chunk in chunks:
            path, verdict = self._path(chunk, joints, asked, moment)
            if path is not None and verdict is None:
                wanted.append(path)
            paths.append(path)
            found.append(verdict)
        given: list[Verdict] = []
        if wanted:
            try:
                given = list(self._judge(wanted, moment.joints))
            except Kinema4DError as error:
                given = [_unsure(str(error))] * len(wanted)
            if len(given) != len(wanted):
                given = [_unsure(f'{len(given)} verdicts came on {len(wanted)} paths')] \
                    * len(wanted)
        answers = iter(given)
        verdicts += [next(answers) if verdict is None else verdict for verdict in found]

    def _path(self, chunk: ChunkMotion, joints: Mapping[str, float], asked: float,
              moment: _Moment) -> tuple[JointTrajectory | None, Verdict | None]:
        """Return what a chunk makes the robot do from now on, and what is known of it already."""
        if isinstance(chunk, str):
            return None, _unsure(chunk)
        if (far := self._far(chunk, joints)) is not None:
            return chunk, decide({0: [far]}, required=(0,))
        now = moment.now
        try:
            if moment.switch is not None:
                return splice(self.under_way, UnderWay(chunk, asked), now=now,
                              handover=moment.switch, blend=self.settings.blend), None
            if (jump := self._jump(chunk, joints)) is not None:
                return chunk, decide({0: [jump]}, required=(0,))
            return splice(None, UnderWay(chunk, now), now=now, handover=now), None
        except Kinema4DError as error:
            return None, _unsure(str(error))

    def _jump(self, chunk: JointTrajectory, joints: Mapping[str, float]) -> Finding | None:
        """Return what speaks against a point at time 0, which is sent on and is on no path."""
        if chunk.times[0] > 0.0:
            return None
        for name, value in zip(chunk.joint_names, chunk.positions[0].tolist()):
            away = abs(value - joints.get(name, value))
            if name not in self._fingers and not away <= _NOISE:
                return Finding(
                    FindingCode.START_STATE, Severity.FAIL,
                    f'the chunk has {name} at once, at time 0, {away:.3g} away from where it is, '
                    f'more than {_NOISE:g}: give the time at which it is to be there', link=name,
                    time=0.0, value=away, limit=_NOISE, unit='rad or m')
        return None

    def _far(self, chunk: JointTrajectory, joints: Mapping[str, float]) -> Finding | None:
        """Return what speaks against a first action that is far from where the robot is."""
        tolerance = self.settings.first_action_tolerance
        row = int(np.searchsorted(chunk.times, 0.0, side='right'))
        if row >= len(chunk.times):
            return None
        distances = {name: abs(value - joints[name]) for name, value in
                     zip(chunk.joint_names, chunk.positions[row].tolist())
                     if name in joints and name not in self._fingers}
        name = max(distances, key=lambda one: distances[one], default='')
        if not name or distances[name] <= tolerance:
            return None
        return Finding(
            FindingCode.START_STATE, Severity.FAIL,
            f'the first action puts {name} {distances[name]:.3g} away from where it is, more than '
            f'{tolerance:g}: are actions absolute or relative, degrees or radians, and in this '
            'order?', link=name, time=0.0, value=distances[name], limit=tolerance,
            unit='rad or m')

    def _why_not_there(self, told: Mapping[str, float], joints: Mapping[str, float]) -> str | None:
        """Return why the policy was told of another robot than the one that is there."""
        for name, value in told.items():
            if name in self._fingers or name not in joints:
                continue
            away = abs(value - joints[name])
            if not away <= self.settings.state_tolerance:
                return (f'the client tells the policy that {name} is at {value:.4g}, and it is at '
                        f'{joints[name]:.4g}: more than state_tolerance '
                        f'{self.settings.state_tolerance:g} apart; correct the keys, units or '
                        'order of joints, or send newer states')
        return None


def _unsure(reason: str) -> Verdict:
    return decide({0: [not_checked(reason)]}, required=(0,))
