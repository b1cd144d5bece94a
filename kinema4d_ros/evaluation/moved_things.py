# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a world model says that things end, against where they truly ended.

A model says of a thing by how much it has moved from where it was observed. What is scored is
that motion, applied to the thing's true middle at the start: how well the model guesses the
middle of a thing that it sees from one side is no part of it.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from kinema4d_ros.episodes import Episode, EpisodeMetadata, ObjectBox
from kinema4d_ros.episodes.displacement import Displacement, Happened, MOVED, TOPPLED
from kinema4d_ros.types import PredictedFrame, PredictedThing

_AROUND = 0.02        # [m] how far outside of a thing's box its middle may be seen
_DRAG = 'drag'        # word of an episode's name in which the hand pulls a thing along
_ELSEWHERE = 1e6      # cost of a pair that does not fit
_LEAST_SIGMA = 0.001  # [m] an ensemble that agrees to less than this is not more certain than this


@dataclass(frozen=True)
class ThingScore:
    """One thing of one episode, as it truly moved and as one model said; lengths in metres."""

    episode: str
    world_model: str
    thing: str                   # '' for a motion that the model saw where no thing was
    happened: Happened           # truly
    distance: float              # of its true middle from start to end
    tilt: float                  # [deg] true
    said_distance: float         # of the middle as the model moves it, 0 for a thing that it leaves
    said_tilt: float             # [deg]
    final_error: float           # of the middle in the last frame
    path_error: float            # mean over all frames
    #: of the middle, from runs about their mean: root of the mean square; NaN without several runs
    sigma: float = float('nan')
    toppled_runs: float = float('nan')      # 0..1 of them that topple it
    mode_is_named: bool = False             # some run stays, slides or topples as truly happened
    modes_differ: bool = False              # not all runs do the same of these

    @property
    def has_moved(self) -> bool:
        """Whether it truly moved by more than 1 cm."""
        return self.distance > MOVED

    @property
    def is_said_to_move(self) -> bool:
        """Whether the model said so."""
        return self.said_distance > MOVED

    @property
    def has_toppled(self) -> bool:
        """Whether it truly toppled."""
        return self.tilt > TOPPLED

    @property
    def is_covered(self) -> bool | None:
        """Whether two sigma reach the truth, or differing runs name it; None without runs."""
        if not np.isfinite(self.sigma):
            return None
        return self.is_within_two_sigma or (self.modes_differ and self.mode_is_named)

    @property
    def is_within_two_sigma(self) -> bool:
        """Whether the middle's final error is at most two sigma."""
        return self.final_error <= 2 * max(self.sigma, _LEAST_SIGMA)


def score_things(episode: Episode, frames: Sequence[PredictedFrame], world_model: str,
                 ) -> list[ThingScore]:
    """
    Score all things whose true poses an episode holds.

    :param frames: all frames of the motion, in order, the last one at its end.
    :return: one for each true thing, and one for each motion where no true thing was.
    """
    metadata, name = episode.metadata, Path(episode.path).stem
    times = np.array([frame.time for frame in frames])
    names = [thing for thing in episode.truth.object_poses if thing in metadata.objects]
    starts = [pose_at(episode, thing, 0.0) for thing in names]
    seen = _seen_things(frames)
    at, belongs = _matched(seen, starts, [metadata.objects[thing] for thing in names])
    scores = []
    for number, thing in enumerate(names):
        centers = episode.truth.object_center(thing, metadata.objects[thing].center, times)
        displacement = true_displacement(episode, thing, float(times[-1]))
        motions = [_motion(frame, at.get(number)) for frame in frames]
        said = np.array([motion.T_base_thing[:3, :3] @ centers[0] + motion.T_base_thing[:3, 3]
                         if motion is not None else centers[0] for motion in motions])
        errors = np.linalg.norm(said - centers, axis=1)
        end = motions[-1]
        scores.append(ThingScore(
            name, world_model, thing,
            displacement.happened(in_drag=is_drag(name, metadata)), displacement.distance,
            displacement.tilt, float(np.linalg.norm(said[-1] - centers[0])),
            0.0 if end is None else tilt_of(end.T_base_thing), float(errors[-1]),
            float(errors.mean()), **_spread(end, centers[0], displacement)))
    for center in (center for index, center in enumerate(seen) if not belongs[index]):
        motion = _motion(frames[-1], center)
        assert motion is not None
        moved = motion.T_base_thing[:3, :3] @ center + motion.T_base_thing[:3, 3] - center
        far = float(np.linalg.norm(moved))
        scores.append(ThingScore(name, world_model, '', Happened.STAY, 0.0, 0.0, far,
                                 tilt_of(motion.T_base_thing), far, far))
    return scores


def is_drag(name: str, metadata: EpisodeMetadata) -> bool:
    """Whether the hand of an episode set out to pull a thing along."""
    return _DRAG in (*name.split('_'), metadata.kind)


def pose_at(episode: Episode, thing: str, time: float) -> np.ndarray:
    """Return the true T_base_thing nearest to a time [s] from the trajectory's start, (4, 4)."""
    times, poses = episode.truth.object_poses[thing]
    pose: np.ndarray = poses[int(np.abs(times - time).argmin())]
    return pose


def true_displacement(episode: Episode, thing: str, until: float) -> Displacement:
    """Return how a thing moved from the trajectory's start until a time [s] after it."""
    times, poses = episode.truth.object_poses[thing]
    within = (times >= -1e-6) & (times <= until + 1e-6)
    middle = np.array(episode.metadata.objects[thing].center)
    return Displacement.of(times[within], poses[within], middle)


def tilt_of(T: np.ndarray) -> float:
    """Return by how much a motion (4, 4) tips the upright axis [deg]."""
    return float(np.degrees(np.arccos(np.clip(T[2, 2], -1.0, 1.0))))


def _seen_things(frames: Sequence[PredictedFrame]) -> list[np.ndarray]:
    """Return where the things that ever move were observed, each once, (3,) [m]."""
    found: list[np.ndarray] = []
    for frame in frames:
        for thing in frame.things:
            if not any(np.array_equal(thing.center_base, center) for center in found):
                found.append(np.asarray(thing.center_base, np.float64))
    return found


def _motion(frame: PredictedFrame, center: np.ndarray | None) -> PredictedThing | None:
    """Return the thing of a frame that was observed at a place."""
    return None if center is None else next(
        (thing for thing in frame.things if np.array_equal(thing.center_base, center)), None)


def _matched(seen: list[np.ndarray], starts: list[np.ndarray], boxes: list[ObjectBox],
             ) -> tuple[dict[int, np.ndarray], list[bool]]:
    """
    Return true thing -> where it was seen, and of all that was seen whether it is of a true thing.

    What was seen belongs to a thing if its middle is in or near the thing's box; of several
    pieces of one thing the nearest to its middle stands for it.
    """
    if not seen or not starts:
        return {}, [False] * len(seen)
    cost = np.full((len(starts), len(seen)), _ELSEWHERE)
    for number, (start, box) in enumerate(zip(starts, boxes)):
        for index, center in enumerate(seen):
            inside = (np.linalg.inv(start) @ np.r_[center, 1.0])[:3]
            low, high = np.array(box.low) - _AROUND, np.array(box.high) + _AROUND
            if ((inside >= low) & (inside <= high)).all():
                cost[number, index] = np.linalg.norm(inside - np.array(box.center))
    pairs = [(int(number), int(index)) for number, index in zip(*linear_sum_assignment(cost))
             if cost[number, index] < _ELSEWHERE]
    return ({number: seen[index] for number, index in pairs},
            [bool((cost[:, index] < _ELSEWHERE).any()) for index in range(len(seen))])


def _spread(end: PredictedThing | None, center: np.ndarray,
            displacement: Displacement) -> dict[str, Any]:
    """Return what several runs say of a thing's end, (3,) [m] its true middle at the start."""
    if end is None or end.members is None or not len(end.members):
        return {}
    runs = end.members
    ends = runs[:, :3, :3] @ center + runs[:, :3, 3]
    toppled = np.array([tilt_of(T) > TOPPLED for T in runs])
    moved = np.linalg.norm(ends - center, axis=1) > MOVED
    modes = {_mode(bool(far), bool(over)) for far, over in zip(moved, toppled)}
    return {'sigma': float(np.sqrt(((ends - ends.mean(0)) ** 2).sum(1).mean())),
            'toppled_runs': float(toppled.mean()), 'modes_differ': len(modes) > 1,
            'mode_is_named': _mode(displacement.has_moved, displacement.has_toppled) in modes}


def _mode(has_moved: bool, has_toppled: bool) -> Happened:
    return Happened.TOPPLE if has_toppled else Happened.PUSH if has_moved else Happened.STAY
