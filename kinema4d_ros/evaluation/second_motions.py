# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What it changes that a robot knows where it has been: first motions, and those after another one.

Each motion is judged by the first camera as the first one, and once more after another motion was
executed, whose measured joints ended 20 s before: of the same task from another start where there
is such a recording, else another motion from the same start; and after the same motion. Outside of
the view links go at most `tier1.unseen_outside` into the unknown: by default, and 5 cm. In the way
of motions that pass and did no harm a box of 12 cm is put outside of the view, where nothing of the
robot stands or has been.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.hidden_obstacles import outside_rows
from kinema4d_ros.evaluation.labels import was_dangerous
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.precheck import PrecheckSettings, Tier1Settings
from kinema4d_ros.robot import TrailMemory
from kinema4d_ros.types import JointTrail, Severity, Status

AGO = 20.0              # [s] that the motion before ended before the look
DEFAULT, NARROW = Tier1Settings().unseen_outside, 0.05      # [m] tier1.unseen_outside
FIRST, OTHER_START, OTHER_MOTION, SAME = (
    'first motion', 'after another start', 'after another motion from the same start',
    'after the same motion')
_CASES = ((FIRST, DEFAULT), (FIRST, NARROW), (OTHER_START, NARROW), (OTHER_MOTION, NARROW),
          (SAME, NARROW))


@dataclass(frozen=True)
class MotionPair:
    """A recording that is judged, and the one that was executed before; '' for none."""

    path: str
    before: str = ''

    @classmethod
    def of(cls, paths: Iterable[str]) -> dict[str, MotionPair]:
        """
        Choose for each recording what was executed before, rather what succeeded.

        :raises EpisodeError: a file cannot be read.
        """
        told = {path: Episode.open(path).metadata for path in paths}
        found = {}
        for path, mine in told.items():
            others = [(other.init == mine.init, other.kind != 'success', name)
                      for name, other in told.items()
                      if (other.suite, other.task) == (mine.suite, mine.task)
                      and (other.init, other.kind) != (mine.init, mine.kind)]
            found[path] = cls(path, min(others)[-1] if others else '')
        return found


@dataclass(frozen=True)
class SecondMotionRow:
    """One verdict on a motion, as the first one or after another."""

    episode: str
    before: str              # FIRST, or after what
    outside: float           # [m] tier1.unseen_outside
    box: str                 # hand, wrist or forearm, in whose way it stands; '' without
    dangerous: bool
    status: Status
    reason: str              # what speaks against it, '' for nothing


class SecondMotions:
    """Judges recordings as first motions and after others."""

    def __init__(self) -> None:
        """Make a judge for each limit."""
        self._judges = {outside: EpisodePrechecker(PrecheckSettings(
            tier1=Tier1Settings(unseen_outside=outside))) for outside in (DEFAULT, NARROW)}

    def __call__(self, pair: MotionPair) -> list[SecondMotionRow]:
        """
        Judge one recording in each case that there is.

        :raises EpisodeError: a file cannot be read.
        """
        episode, trails = Episode.open(pair.path), self._trails(pair)
        rows: list[SecondMotionRow] = []
        for before, outside in _CASES:
            if before in trails:
                rows.append(self._row(episode, before, outside, trails[before]))
                if rows[0].status is Status.PASS and not rows[0].dangerous:
                    rows += self._boxes(episode, before, outside, trails[before])
        return rows

    def _trails(self, pair: MotionPair) -> dict[str, JointTrail | None]:
        episode = Episode.open(pair.path)
        found = {FIRST: None, SAME: joints_before(episode, episode)}
        if pair.before:
            before = Episode.open(pair.before)
            name = OTHER_MOTION if before.metadata.init == episode.metadata.init else OTHER_START
            found[name] = joints_before(before, episode)
        return found

    def _row(self, episode: Episode, before: str, outside: float,
             trail: JointTrail | None) -> SecondMotionRow:
        simulator = self._judges[outside].simulator(episode)
        simulator.forget()
        verdict = simulator.precheck(dataclasses.replace(
            episode.observation(cameras=_first(episode)), trail=trail), episode.trajectory)
        against = [f for f in verdict.findings if f.severity > Severity.INFO]
        return SecondMotionRow(episode.path.stem, before, outside, '', was_dangerous(episode),
                               verdict.status, against[0].message if against else '')

    def _boxes(self, episode: Episode, before: str, outside: float,
               trail: JointTrail | None) -> Iterator[SecondMotionRow]:
        checker = self._judges[outside].simulator(episode).checker()
        for row in outside_rows(episode, checker, _first(episode), trail):
            yield SecondMotionRow(row.episode, before, outside, row.role, True,
                                  Status.PASS if row.passed else Status.UNSURE, row.why)


def _first(episode: Episode) -> tuple[str, ...]:
    return episode.cameras[0].name,


def joints_before(before: Episode, now: Episode) -> JointTrail | None:
    """Return where the joints were in a motion that ended `AGO` before another's look."""
    times, names, positions = before.joint_states
    end_ns = now.observation().stamp_ns - round(AGO * 1e9)
    memory = TrailMemory(names)
    for time, place in zip(times, positions):
        memory.add(end_ns + round((time - times[-1]) * 1e9), dict(zip(names, place)))
    return memory.since(0)


def second_motions_markdown(rows: Sequence[SecondMotionRow]) -> str:
    """Return the table as a section; '' without rows."""
    cases = [case for case in _CASES if any((row.before, row.outside) == case for row in rows)]
    if not cases:
        return ''
    lines = ['## Second motions', '', (__doc__ or '').strip().split('\n\n', 1)[1], '',
             f'| | {" | ".join(f"{before}, {100 * far:g} cm" for before, far in cases)} |',
             '|---' * (len(cases) + 1) + '|']
    for what, box, dangerous in (
            ('clean, PASS', '', False), ('dangerous, PASS', '', True),
            *((f'a box outside of the view in the way of the {role}, PASS', role, True)
              for role in ('hand', 'wrist', 'forearm'))):
        some = [[row.status is Status.PASS for row in rows
                 if (row.before, row.outside, row.box, row.dangerous) == (*case, box, dangerous)]
                for case in cases]
        cells = [str(Rate(sum(each), len(each))) if each else 'no room' if box else 'none'
                 for each in some]
        lines.append(f'| {what} | {" | ".join(cells)} |')
    return '\n'.join([*lines, ''])
