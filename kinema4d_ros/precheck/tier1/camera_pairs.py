# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Cameras against each other: whether they see the scene that stands still at the same place.

Each camera has been compared with the robot before, where it sees it, and laid onto it. What two
cameras then measure of one surface must be in one place. Where it is not, the camera that the robot
did not vouch for is wrong, or the one that contradicts two others. Where neither can be told, what
one of the two alone knows is not known.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera.scene_agreement import scene_agreement, SceneAgreement
from kinema4d_ros.precheck.settings import CameraCheck, Tier1Settings
from kinema4d_ros.precheck.tier1.camera_pose import depth_noise
from kinema4d_ros.types import CameraView, Finding, FindingCode, plain_point, Severity

_SYSTEMATIC = 0.003      # [m] of two depth cameras, which no number of points averages out
_LEAST_SHARE = 0.8       # of the compared points must agree
_WELL_KNOWN = 0.015      # [m] in its worst direction, for one camera to vouch for another
_THREE = math.sqrt(2.0)  # as unlikely in space as `confidence` is along a line, about


@dataclass(frozen=True, eq=False)
class PairMember:
    """One of the cameras that are compared."""

    view: CameraView              # from where it is believed to be
    depth: np.ndarray             # (H, W) float32 [m] without the robot, NaN unknown
    sigma: float                  # [m] of the scene's place, as far as the robot or calibration say
    turn_sigma: float             # [rad] likewise
    robot_base: np.ndarray | None    # (3,) [m] middle of the robot that vouches for it; None: none

    def sigma_at(self, place: np.ndarray) -> float:
        """Return how well it places what is there [m]."""
        about = self.view.T_base_camera[:3, 3] if self.robot_base is None else self.robot_base
        return math.hypot(self.sigma, self.turn_sigma * float(np.linalg.norm(place - about)))


@dataclass(frozen=True, eq=False)
class CameraPair:
    """Two cameras, what was found, and what that means."""

    one: str
    other: str
    found: SceneAgreement
    limit: float              # [m] that the calibrations explain

    @property
    def agrees(self) -> bool | None:
        """Whether they see the scene at one place; None where they were not compared."""
        if self.found.why_not_compared() is not None:
            return None
        return self.found.offset <= self.limit and self.found.share >= _LEAST_SHARE

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        found = self.found
        if (why := found.why_not_compared()) is not None:
            return f'{self.one!r} and {self.other!r} could not be compared: {why}'
        x, y, z = (1000 * value for value in found.shift)
        return (f'{self.other!r} sees the scene {1000 * found.offset:.0f} mm '
                f'(+-{1000 * found.sigma:.0f}) from where {self.one!r} sees it '
                f'(x {x:+.0f}, y {y:+.0f}, z {z:+.0f} mm in the base frame; '
                f'{100 * found.share:.0f} % of {found.points} points agree when moved by that), '
                f'their calibrations explain {1000 * self.limit:.0f} mm')


def compare_cameras(members: Sequence[PairMember],
                    settings: Tier1Settings) -> tuple[CameraPair, ...]:
    """Return what each two cameras say of each other, of those that measure depth."""
    if settings.camera_check is CameraCheck.OFF:
        return ()
    pairs = []
    for one, other in itertools.combinations(members, 2):
        turn = math.hypot(one.turn_sigma, other.turn_sigma)
        found = scene_agreement(
            one.view, one.depth, other.view, other.depth,
            calibration=(math.hypot(one.sigma, other.sigma), turn), noise=depth_noise(settings))
        explained = math.hypot(one.sigma_at(found.middle_base), other.sigma_at(found.middle_base),
                               found.sigma if math.isfinite(found.sigma) else 0.0, _SYSTEMATIC)
        pairs.append(CameraPair(one.view.name, other.view.name, found,
                                settings.confidence * _THREE * explained))
    return tuple(pairs)


@dataclass(frozen=True, eq=False)
class PairJudgement:
    """What the comparisons mean for the cameras."""

    findings: tuple[Finding, ...] = ()
    left_out: Mapping[str, str] | None = None    # by name, why: contradicted
    vouched: Mapping[str, str] | None = None     # not compared with the robot, by whom it is
    disputed: Mapping[str, float] | None = None  # by name, [m] apart; nobody knows which is wrong


def judge_pairs(pairs: Sequence[CameraPair], by_robot: Mapping[str, bool],
                believed: Mapping[str, bool] | None = None) -> PairJudgement:
    """
    Judge which camera is wrong where two contradict each other.

    :param by_robot: by name of the camera, whether the robot vouches for it.
    :param believed: likewise, whether it is believed by itself, by an earlier agreement say; None
        for those that the robot vouches for. Only these, and those that the robot's vouch for, are
        heard about others.
    """
    voters = {name for name, is_so in (believed or by_robot).items() if is_so or by_robot[name]}
    voters |= set(_vouched(pairs, by_robot))
    apart = [pair for pair in pairs if pair.agrees is False]
    left_out: dict[str, str] = {}
    disputed: dict[str, float] = {}
    findings = []
    for pair in apart:
        wrong = _wrong(pair, pairs, by_robot, voters)
        if wrong is not None:
            left_out.setdefault(wrong, f'it contradicts other cameras: {pair.sentence}')
            continue
        for name in (pair.one, pair.other):
            disputed[name] = max(pair.found.offset, disputed.get(name, 0.0))
        findings.append(Finding(
            FindingCode.CAMERA_POSE, Severity.INFO,
            f'{pair.sentence}; which of the two is wrong cannot be told, so what only one of them '
            'sees is not known: calibrate both again', link=pair.one, other=pair.other,
            point_base=plain_point(pair.found.middle_base), value=pair.found.offset,
            limit=pair.limit, sigma=pair.found.sigma, unit='m'))
    disputed = {name: by for name, by in disputed.items() if name not in left_out}
    # One that is left out, or may be the wrong one of two, vouches for nobody.
    sound = {name: is_so and name not in left_out and name not in disputed
             for name, is_so in by_robot.items()}
    vouched = {name: by for name, by in _vouched(pairs, sound).items()
               if not by_robot[name] and name not in left_out}
    return PairJudgement(tuple(findings), left_out, vouched, disputed)


def _vouched(pairs: Sequence[CameraPair], sound: Mapping[str, bool]) -> dict[str, str]:
    """Return which cameras agree closely enough with a sound one to be believed, and with which."""
    vouched: dict[str, str] = {}
    for pair in pairs:
        for name, by in ((pair.one, pair.other), (pair.other, pair.one)):
            if pair.agrees and not sound[name] and sound[by] and pair.found.loosest <= _WELL_KNOWN:
                vouched.setdefault(name, by)
    return vouched


def _wrong(pair: CameraPair, pairs: Sequence[CameraPair], by_robot: Mapping[str, bool],
           voters: Collection[str]) -> str | None:
    """Return which of two cameras that contradict each other is wrong; None if nobody knows."""
    for trusted in ({name for name, is_so in by_robot.items() if is_so}, voters):
        if (pair.one in trusted) != (pair.other in trusted):
            return pair.other if pair.one in trusted else pair.one
    votes = {name: _supporters(name, pairs, voters) for name in (pair.one, pair.other)}
    if votes[pair.one] == votes[pair.other]:
        return None
    return min(votes, key=lambda name: votes[name])


def _supporters(name: str, pairs: Sequence[CameraPair], voters: Collection[str]) -> int:
    """Return how many more of the voters agree with a camera than contradict it."""
    of = [pair.agrees for pair in pairs if name in (pair.one, pair.other)
          and (pair.other if name == pair.one else pair.one) in voters]
    return sum(1 for agrees in of if agrees) - sum(1 for agrees in of if agrees is False)
