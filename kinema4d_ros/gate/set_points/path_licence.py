# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A licence for set points along a trajectory that passed."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.progress import PathProgress
from kinema4d_ros.gate.reach import ProtectedClearance
from kinema4d_ros.gate.request import ShadowSimAnswer
from kinema4d_ros.gate.set_points.settings import SetPointSettings
from kinema4d_ros.gate.settings import GateSettings
from kinema4d_ros.gate.watch import Tolerances
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory, LinkSpace, LocalClearance, Status

_NS = 1e-9
_BEHIND = 1.0      # [s] on the path by which the robot may lag behind its set points
_CHORD = 0.03      # [rad or m] of the joint that goes farthest between postures that are checked
_MOST = 32         # of them on the way to one posture
_SEEN = 0.1        # [m] of free space that a look is sure to tell of, where there is more
_NOISE = 0.01      # [m] less than was judged that may be measured where nothing has changed,
_SHARE = 0.25      # and no larger share of what was judged than this


class PathLicence:
    """
    Holds for set points in a tube around the path that a PASS is about.

    The tube is as wide as that of the trajectory gate: no joint may be off by more than
    `path_tolerance`, and all together may displace no point by more than the clearance that was
    judged. It is followed from its beginning, which must come while the verdict is valid, to its
    end, with some time to spare; set points may be later than the trajectory, and not earlier.

    What is looked at meanwhile counts: a look that shows a link nearer to the scene than the
    verdict had any link there ends it until a look does not. Without looks it holds no longer than
    the verdict does.
    """

    def __init__(self, trajectory: JointTrajectory, answer: ShadowSimAnswer, robot: Robot,
                 reaches: Mapping[str, float]) -> None:
        """
        Make the licence of a trajectory with its verdict.

        :param reaches: see `gate.reach.reaches`.
        :raises Kinema4DError: the trajectory cannot be sampled.
        """
        verdict = answer.verdict
        assert verdict is not None
        self.verdict, self._valid_until_ns, self._robot = verdict, answer.valid_until_ns, robot
        self._start = verdict.start.positions
        self._path = PathMonitor(trajectory, robot, self._start)
        self._reaches, self._clearance = reaches, ProtectedClearance.of(verdict)
        self._progress: PathProgress | None = None
        self._began = 0.0
        self._looked: tuple[LocalClearance, float] | None = None    # [m] that links must have there

    @property
    def has_begun(self) -> bool:
        """Whether a set point was licensed by it."""
        return self._progress is not None

    def why_over(self, now: float, now_ns: int, settings: SetPointSettings, *,
                 looks: bool = True) -> str | None:
        """
        Return why it holds no more: it did not begin in time, or has come to its end.

        :param looks: whether the free space around the robot is known by a look that is new.
        """
        if self.verdict.status is not Status.PASS:
            return f'its verdict is {self.verdict.status.name}'
        missing = set(settings.required_tiers) - set(self.verdict.tiers_passed)
        if missing:
            return f'tier {min(missing)} has not passed'
        if self._progress is not None:
            over = now - self._began - self._path.duration - settings.path_grace
            if over > 0:
                return f'it was to be over {over:.1f} s ago'
            if looks:
                return None
        late = (now_ns - self._valid_until_ns) * _NS
        return None if late <= 0 else f'its verdict ended {late:.1f} s ago' + (
            '' if self._progress is None else ', and nobody looks whether it still holds')

    def why_not(self, reference: np.ndarray, ends: Sequence[np.ndarray], columns: np.ndarray,
                here: np.ndarray, now: float, now_ns: int, settings: SetPointSettings, *,
                ahead: float = _BEHIND, look: LocalClearance | None = None,
                blocked: Sequence[LinkSpace] = (), aside: np.ndarray | None = None
                ) -> str | None:
        """
        Return why postures are not in the tube.

        :param reference: (J,) [rad or m], which tells how far along the path it is.
        :param ends: each (J,) [rad or m], to which the robot may go straight from where it is.
        :param columns: (n,) joints that set points move.
        :param here: (J,) [rad or m] where the robot is.
        :param now: steady time [s].
        :param ahead: [s] on the path by which the ends may be ahead of the reference.
        :param look: the free space as it was measured lately; None where it is not known.
        :param blocked: links that must not touch, and that the look gives too little space.
        :param aside: (J,) [rad or m] by which it may leave the straight way to an end.
        """
        over = self.why_over(now, now_ns, settings, looks=look is not None)
        if over is not None:
            return over
        names = self._robot.joint_names
        foreign = [names[c] for c in columns if names[c] not in self._path.names]
        if foreign:
            return f'it does not move {foreign[0]}'
        for name, place in zip(names, here):
            if name not in self._path.names:
                off = abs(place - self._start.get(name, np.nan))
                if not off <= settings.start_tolerance:
                    return f'{name} is {off:.3f} away from where it was to stand'
        progress = self._progress or PathProgress(self._path, settings.path_window)
        tolerances = Tolerances(GateSettings(
            path_tolerance=settings.path_tolerance,
            tracking_tolerance=settings.tracking_tolerance), self._reaches, self._clearance)
        elapsed = 0.0 if self._progress is None else now - self._began
        found = progress.update(dict(zip(names, reference)), elapsed)
        reason = tolerances.why_astray(found.off, found.time)
        if reason is not None:
            return reason
        at = progress.at
        if look is not None and blocked:
            least = self._least(look, at, tolerances)
            nearer = [each for each in blocked if not each.space >= least]
            if nearer:
                return f"'{nearer[0].link}' has {1000 * max(nearer[0].space, 0.0):.0f} mm of " \
                       f'space where {1000 * least:.0f} mm were judged to be left'
        low, high = max(at - _BEHIND, 0.0), at + max(ahead, _BEHIND)
        for posture in _way(here, ends):
            near = self._path.best(dict(zip(names, posture)), low, high, high, at)
            reach = near.off if aside is None else {
                name: value + aside[names.index(name)] for name, value in near.off.items()}
            reason = tolerances.why_astray(reach, near.time)
            if reason is not None:
                return reason
        if self._progress is None:
            self._progress, self._began = progress, now
        return None

    def _least(self, look: LocalClearance, at: float, tolerances: Tolerances) -> float:
        """
        Return how much space every link must have had in a look, if nothing has come nearer [m].

        It is what the verdict had for the nearest link where the robot was, less what joints off
        the path may have taken of it.

        :param at: [s] on the path, where the robot is by now.
        """
        if self._looked is None or self._looked[0] is not look:
            later = at + _BEHIND
            place = self._path.best(look.joint_positions, max(at - _BEHIND, 0.0), later, later, at)
            judged = _SEEN if self._clearance is None else min(
                self._clearance.at(place.time), _SEEN)
            self._looked = look, judged - min(_NOISE, _SHARE * judged) \
                - tolerances.displacement(place.off)
        return self._looked[1]


def _way(here: np.ndarray, ends: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return postures on the straight ways from `here` to the ends, both included."""
    found = [here]
    for end in ends:
        count = math.ceil(min(float(np.abs(end - here).max(initial=0.0)) / _CHORD, _MOST))
        found += [here + number / count * (end - here) for number in range(1, count + 1)]
    return found
