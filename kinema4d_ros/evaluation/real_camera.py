# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Verdicts on recorded motions when camera, calibration and joint states are as in a real cell.

Each episode is judged as it is, and once more with a ball in the way of the hand, which makes a
dangerous motion of every one. What a real cell does to the observation is then laid over.
"""
from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.degraded_camera import (CLEAN, degrade, Degradation,
                                                     REALISTIC, with_ball)
from kinema4d_ros.evaluation.labels import was_dangerous
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.precheck import PrecheckSettings, Tier1Settings
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Finding, FindingCode, Observation, Severity, Status

BALL = 0.03              # [m] radius of what is put in the way
_FAR = 0.10              # [m] its middle is at least this far from where the robot stands
_SEEN = 60               # pixels of it must be seen, or there is no dangerous motion
_MOST = 0.005            # [m] and [rad] of a joint's way: less does not move


@dataclass(frozen=True)
class Condition:
    """One way in which a cell is worse than a simulator."""

    name: str
    how: Degradation = CLEAN
    shift_sigma: float | None = None     # [m] as tier1.calibration_sigma; None for the default
    turn_sigma: float | None = None      # [rad] as tier1.calibration_turn_sigma
    lag: float = 0.0                     # [s] that joint states are behind, at the highest speed

    def settings(self) -> PrecheckSettings:
        """Return the settings that such a cell has."""
        tier1 = Tier1Settings()
        if self.shift_sigma is not None:
            tier1 = dataclasses.replace(tier1, calibration_sigma=self.shift_sigma)
        if self.turn_sigma is not None:
            tier1 = dataclasses.replace(tier1, calibration_turn_sigma=self.turn_sigma)
        return PrecheckSettings(tier1=tier1)


def _calibrated(millimetres: float, degrees: float) -> Condition:
    """Return realistic depth and a calibration that is wrong by this, and known to be so good."""
    shift, turn = millimetres / 1000, math.radians(degrees)
    return Condition(f'realistic depth, extrinsics off by {millimetres:g} mm and {degrees:g} deg',
                     dataclasses.replace(REALISTIC, shift=shift, turn=turn), shift, turn)


CONDITIONS = (
    Condition('as recorded'),
    Condition('noise 1 mm + 1.5 mm/m^2', Degradation(noise=0.001, noise_square=0.0015)),
    Condition('20 % holes at edges and on the dark', Degradation(holes=0.2)),
    Condition('20 % holes, the darkest surfaces wholly', Degradation(holes=0.2, dark_loss=3.0)),
    Condition('flying pixels, 30 % of the edges', Degradation(flying=0.3)),
    Condition('quantisation 2 mm at 1 m', Degradation(quantum=0.002)),
    Condition('registered, every second row and column', Degradation(sparse=2)),
    Condition('realistic depth', REALISTIC),
    _calibrated(2, 0.2), _calibrated(5, 0.5), _calibrated(10, 1.0),
    Condition('realistic depth, 5 mm and 0.5 deg, sigmas by default',
              dataclasses.replace(REALISTIC, shift=0.005, turn=math.radians(0.5))),
    Condition('realistic depth, 50 mm and 5 deg, sigmas by default',
              dataclasses.replace(REALISTIC, shift=0.05, turn=math.radians(5.0))),
    Condition('realistic depth, joint states 50 ms late', REALISTIC, lag=0.05),
    Condition('realistic depth, joint states 100 ms late', REALISTIC, lag=0.1))
#: the condition that has a goal, and what it is
GOAL = CONDITIONS[9].name
LEAST_PASSED = 0.7


@dataclass(frozen=True)
class CameraRow:
    """One verdict under one condition."""

    name: str
    condition: str
    dangerous: bool
    status: Status
    reason: str              # of the first finding against it, '' for PASS

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.status is Status.PASS


class RealCamera:
    """Judges episodes under each condition."""

    def __init__(self, conditions: Sequence[Condition] = CONDITIONS) -> None:
        """Make one judge for all conditions with the same settings."""
        self._judges: list[tuple[Condition, EpisodePrechecker]] = []
        made: list[tuple[PrecheckSettings, EpisodePrechecker]] = []
        for condition in conditions:
            settings = condition.settings()
            judge = next((judge for had, judge in made if had == settings), None)
            if judge is None:
                judge = EpisodePrechecker(settings)
                made.append((settings, judge))
            self._judges.append((condition, judge))

    def __call__(self, path: str | Path) -> list[CameraRow]:
        """
        Judge one episode under all conditions, as it is and with a ball in the way.

        :raises EpisodeError: when the file cannot be read.
        """
        episode = Episode.open(path)
        motions = [('', was_dangerous(episode), episode.observation())]
        blocked = self._blocked(episode)
        if blocked is not None:
            motions.append((' with a ball in the way', True, blocked))
        rows = []
        for number, (condition, judge) in enumerate(self._judges):
            simulator = judge.simulator(episode)
            for name, dangerous, observation in motions:
                seed = zlib.crc32(f'{Path(path).stem}{name}'.encode()) + number
                joints = dict(observation.joint_positions)
                how = dataclasses.replace(condition.how,
                                          joint_errors=_late(episode, condition.lag))
                simulator.forget()
                verdict = simulator.precheck(degrade(observation, how, seed), episode.trajectory,
                                             live_joints=joints)
                against = [f for f in verdict.findings if f.severity > Severity.INFO]
                rows.append(CameraRow(Path(path).stem + name, condition.name, dangerous,
                                      verdict.status, _reason(against, verdict.status)))
        return rows

    def _blocked(self, episode: Episode) -> Observation | None:
        """Return the observation with a ball in the hand's way; None where none could be seen."""
        simulator = self._judges[0][1].simulator(episode)
        observation = episode.observation()
        return with_ball_in_the_way(episode, simulator, observation)


def with_ball_in_the_way(episode: Episode, simulator: ShadowSimulator,
                         observation: Observation) -> Observation | None:
    """
    Return the observation with a ball where the palm will be, in all views.

    None where the first camera cannot see one.
    """
    if simulator.gripper is None or observation.primary.depth is None:
        return None
    checker = simulator.checker()
    motion = checker.rollout_of(observation, episode.trajectory)
    index = [motion.link_names.index(name) for name in checker.fields.link_names]
    palm = motion.T_base_link[:, motion.link_names.index(simulator.gripper.palm_link), :3, 3]
    far = checker.fields.depth_of(palm, motion.T_base_link[0, index]) > _FAR - BALL
    far &= np.linalg.norm(palm - palm[0], axis=1) > _FAR
    for frame in np.flatnonzero(far):
        blocked, pixels = with_ball(observation, palm[frame], BALL)
        if pixels >= _SEEN:
            return blocked
    return None


def _late(episode: Episode, lag: float) -> dict[str, float]:
    """Return by how much each joint is reported wrong that is `lag` late at its highest speed."""
    trajectory = episode.trajectory
    if not lag or len(trajectory.times) < 2:
        return {}
    speeds = np.diff(trajectory.positions, axis=0) / np.diff(trajectory.times)[:, None]
    fastest = speeds[np.abs(speeds).max(axis=1).argmax()]
    return {name: float(-speed * lag) for name, speed in zip(trajectory.joint_names, fastest)
            if abs(speed) > _MOST}


def _reason(against: Sequence[Finding], status: Status) -> str:
    if status is Status.PASS:
        return ''
    worst = sorted(against, key=lambda finding: -finding.severity)
    return worst[0].code.name if worst else FindingCode.NOT_CHECKED.name


def camera_figures(rows: Iterable[CameraRow]) -> dict[str, dict[str, Rate]]:
    """
    Return by condition how many clean and dangerous motions have each verdict.

    `newly passed` are dangerous ones that pass here and did not as recorded: what the camera, and
    not the recording, does.
    """
    found: dict[str, dict[str, Rate]] = {}
    rows = list(rows)
    missed = {row.name for row in rows
              if row.condition == CONDITIONS[0].name and row.dangerous and row.passed}
    by_condition: dict[str, list[CameraRow]] = {}
    for row in rows:
        by_condition.setdefault(row.condition, []).append(row)
    for condition, of in by_condition.items():
        found[condition] = {}
        for word, dangerous in (('clean', False), ('dangerous', True)):
            some = [row for row in of if row.dangerous is dangerous]
            for status in Status:
                found[condition][f'{word} {status.name}'] = Rate(
                    sum(row.status is status for row in some), len(some))
        found[condition]['newly passed'] = Rate(
            sum(row.passed and row.name not in missed for row in some), len(some))
    return found


def missed_camera_goals(figures: dict[str, dict[str, Rate]]) -> list[str]:
    """Return which goals of the real camera are missed."""
    missed = []
    if GOAL in figures:
        passed = figures[GOAL]['clean PASS']
        if not passed.value >= LEAST_PASSED:
            missed.append(f'{GOAL}: clean motions that pass {passed}, goal {LEAST_PASSED}')
        if figures[GOAL]['dangerous PASS'].hits:
            missed.append(f'{GOAL}: dangerous motions that pass '
                          f'{figures[GOAL]["dangerous PASS"]}, of which '
                          f'{figures[GOAL]["newly passed"].hits} do not as recorded; goal 0')
    return missed


def camera_markdown(figures: dict[str, dict[str, Rate]]) -> str:
    """Return the table as a section."""
    lines = ['## A real camera', '',
             'Each motion is judged as recorded, and with a ball of 6 cm where the hand goes, '
             'which makes it a dangerous one. Calibration sigmas are set to the error that is '
             'made, unless the row says otherwise. Intervals are 95 % Wilson.', '',
             '| condition | clean: PASS | UNSURE | FAIL | dangerous: PASS | UNSURE | FAIL '
             '| PASS, but not as recorded |', '|---|---|---|---|---|---|---|---|']
    for condition, of in figures.items():
        cells = [str(of['clean PASS']), str(of['clean UNSURE'].hits), str(of['clean FAIL'].hits),
                 str(of['dangerous PASS']), str(of['dangerous UNSURE'].hits),
                 str(of['dangerous FAIL'].hits), str(of['newly passed'].hits)]
        lines.append(f'| {condition} | {" | ".join(cells)} |')
    return '\n'.join([*lines, ''])
