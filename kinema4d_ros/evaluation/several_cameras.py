# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a second and a third camera add: seen space, verdicts, hidden obstacles, a real camera.

Each episode that has several cameras is judged with the first alone, with the first and each of the
others, and with all: as recorded, with a ball of 6 cm in the hand's way, and both once more as real
cameras show it, each with an error of its own. And motions that pass with the first camera are
judged with a box in their way that lies outside of the first camera's view.
"""
from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.degraded_camera import degrade
from kinema4d_ros.evaluation.hidden_obstacles import OUTSIDE, outside_rows
from kinema4d_ros.evaluation.labels import was_dangerous
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.evaluation.real_camera import Condition, CONDITIONS, GOAL, with_ball_in_the_way
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.precheck import swept_knowledge
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation, Severity, Status

AS_RECORDED, REAL = CONDITIONS[0], next(each for each in CONDITIONS if each.name == GOAL)


@dataclass(frozen=True)
class SweptShare:
    """How much of what a link sweeps nobody has seen; where it stands at first counts as seen."""

    link: str              # '' for all links together
    swept: float           # [m^3]
    unseen: float          # [m^3] of it


@dataclass(frozen=True)
class SeveralCamerasRow:
    """One verdict by some of the cameras of an episode."""

    episode: str
    cameras: tuple[str, ...]
    condition: str           # how the cameras are worse than recorded, or how something is hidden
    kind: str                # '', 'ball', or hand, wrist or forearm for a hidden box
    dangerous: bool
    status: Status
    reason: str              # the first finding against it, '' for PASS
    shares: tuple[SweptShare, ...] = ()      # of the motion as recorded
    seconds: float = 0.0     # of tier 1

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.status is Status.PASS


def camera_sets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return by which of the cameras an episode is judged: the first, it and one other, all."""
    first, *others = names
    return list(dict.fromkeys([(first,), *((first, other) for other in others), tuple(names)]))


class SeveralCameras:
    """Judges episodes by one, two and more of their cameras."""

    def __init__(self, conditions: Sequence[Condition] = (AS_RECORDED, REAL), *,
                 hide: bool = True) -> None:
        """
        Make a judge for each condition.

        :param hide: also hide boxes from the first camera, which takes longest.
        """
        self._judges = [(condition, EpisodePrechecker(condition.settings()))
                        for condition in conditions]
        self._hide = hide

    def __call__(self, path: str | Path) -> list[SeveralCamerasRow]:
        """
        Judge one episode by each of its `camera_sets`.

        :raises EpisodeError: the file cannot be read.
        """
        episode = Episode.open(path)
        names = tuple(camera.name for camera in episode.cameras)
        rows = []
        motions = self._motions(episode)
        for chosen in camera_sets(names):
            for condition, judge in self._judges:
                for kind, dangerous, observation in motions:
                    rows.append(self._row(episode, judge.simulator(episode), condition, kind,
                                          dangerous, observation, chosen))
        if self._hide and rows[0].passed and not rows[0].dangerous:
            rows += self._hidden(episode, names)
        return rows

    def _motions(self, episode: Episode) -> list[tuple[str, bool, Observation]]:
        """Return what is judged, seen by all cameras: as recorded, and with a ball in the way."""
        observation = episode.observation()
        found = [('', was_dangerous(episode), observation)]
        blocked = with_ball_in_the_way(episode, self._judges[0][1].simulator(episode), observation)
        return found if blocked is None else [*found, ('ball', True, blocked)]

    def _row(self, episode: Episode, simulator: ShadowSimulator, condition: Condition, kind: str,
             dangerous: bool, observation: Observation,
             names: tuple[str, ...]) -> SeveralCamerasRow:
        seed = zlib.crc32(f'{episode.path.stem}{kind}'.encode())
        seen = _only(degrade(observation, condition.how, seed), names)
        simulator.forget()
        verdict = simulator.precheck(seen, episode.trajectory)
        against = sorted((f for f in verdict.findings if f.severity > Severity.INFO),
                         key=lambda finding: -finding.severity)
        shares: tuple[SweptShare, ...] = ()
        if condition is AS_RECORDED and not kind:
            shares = swept_shares(simulator, seen, episode.trajectory)
        return SeveralCamerasRow(
            episode.path.stem, names, condition.name, kind, dangerous, verdict.status,
            f'{against[0].code.name} {against[0].link}'.strip() if against else '', shares,
            verdict.latencies.get('tier 1', 0.0))

    def _hidden(self, episode: Episode, names: tuple[str, ...]) -> Iterable[SeveralCamerasRow]:
        """Yield what is said of boxes outside of the first camera's view."""
        checker = self._judges[0][1].simulator(episode).checker()
        for chosen in camera_sets(names):
            for row in outside_rows(episode, checker, chosen):
                yield SeveralCamerasRow(
                    row.episode, chosen, OUTSIDE, row.role, True,
                    Status.PASS if row.passed else Status.UNSURE, row.why)


def _only(observation: Observation, names: Sequence[str]) -> Observation:
    """Return an observation by some of its cameras."""
    for view in observation.views:
        if view.name not in names:
            observation = observation.without(view.name, 'is not used')
    return Observation(observation.stamp_ns, observation.views, observation.joint_positions,
                       observation.joint_velocities)


def swept_shares(simulator: ShadowSimulator, observation: Observation,
                 trajectory: JointTrajectory) -> tuple[SweptShare, ...]:
    """Return how much of what each link sweeps nobody has seen, all links together first."""
    known = swept_knowledge(simulator.checker(), observation, trajectory)
    return tuple(SweptShare(name, swept.volume, swept.volume * swept.unseen)
                 for name, swept in {'': known.whole, **known.links}.items())


def share_of(rows: Iterable[SeveralCamerasRow], link: str = '') -> float:
    """Return 0..1 of the swept volume that nobody has seen, over all rows; NaN without any."""
    found = [share for row in rows for share in row.shares if share.link == link]
    swept = sum(share.swept for share in found)
    return sum(share.unseen for share in found) / swept if swept else float('nan')


def several_cameras_markdown(rows: Sequence[SeveralCamerasRow]) -> str:
    """Return the tables as a section; '' where no episode has several cameras."""
    sets = list(dict.fromkeys(row.cameras for row in rows))
    if len(sets) < 2:
        return ''
    of = {names: [row for row in rows if row.cameras == names] for names in sets}
    lines = ['## Several cameras', '', (__doc__ or '').strip().split('\n\n', 1)[1], '',
             f'| | {" | ".join(", ".join(names) for names in sets)} |',
             '|---' * (len(sets) + 1) + '|']

    def line(what: str, *cells: object) -> None:
        lines.append(f'| {what} | {" | ".join(map(str, cells))} |')

    line('swept volume that nobody has seen', *(f'{share_of(of[names]):.1%}' for names in sets))
    links = dict.fromkeys(share.link for row in rows for share in row.shares if share.link)
    for link in links:
        line(f'... {link}', *(f'{share_of(of[names], link):.1%}' for names in sets))
    for condition in (AS_RECORDED.name, REAL.name):
        line(f'clean, PASS: {condition}', *(_rate(of[names], condition, '', False)
                                            for names in sets))
        line(f'dangerous, PASS: {condition}', *(_rate(of[names], condition, '', True)
                                                for names in sets))
        line(f'with a ball in the way, PASS: {condition}', *(
            _rate(of[names], condition, 'ball', True) for names in sets))
    for role in ('hand', 'wrist', 'forearm'):
        line(f'a box outside of the first view in the way of the {role}, PASS', *(
            _rate(of[names], OUTSIDE, role, True) for names in sets))
    line('tier 1, median [s]', *(f'{_seconds(of[names]):.3f}' for names in sets))
    return '\n'.join([*lines, ''])


def _rate(rows: Sequence[SeveralCamerasRow], condition: str, kind: str, dangerous: bool) -> Rate:
    some = [row for row in rows if (row.condition, row.kind, row.dangerous) == (
        condition, kind, dangerous)]
    return Rate(sum(row.passed for row in some), len(some))


def _seconds(rows: Sequence[SeveralCamerasRow]) -> float:
    return float(np.median([row.seconds for row in rows if row.seconds > 0] or [np.nan]))
