# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How good a recording is, in numbers, measured on some of its frames."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera.image_agreement import image_agreement
from kinema4d_ros.camera.robot_agreement import robot_agreement
from kinema4d_ros.curation.drawn_frames import SeenFrame
from kinema4d_ros.episodes import Episode, EpisodeCamera
from kinema4d_ros.types import PinholeCamera

_MOVES = 0.01        # [rad or m per s] of the fastest joint, with which a robot moves
_EXPLAINED = 1.0     # [px] the outline may lie so far off and be called in its place


@dataclass(frozen=True)
class EpisodeQuality:
    """Numbers about one camera of a recording; None where they cannot be told."""

    frames: int
    rate: float                       # [Hz] of the pictures
    largest_gap: float                # between two pictures, in usual gaps: 1 is none
    duration: float                   # [s]
    robot_share: float                # 0..1 of the picture, where it is seen
    robot_seen: float                 # 0..1 of the frames that show the robot
    picture_shift: float | None       # [px] from the drawn outline to where it fits best, median
    picture_fit: float | None         # 0..1 how well it lies on edges where it is drawn, median
    depth_agreement: float | None     # 0..1 of the robot's pixels, whose measured depth agrees
    depth_offset: float | None        # [m] from the drawn robot to the measured one, median
    depth_share: float                # 0..1 of the pixels that have a depth
    motion: float                     # [rad or m] way of the joint that goes farthest
    moving: float                     # 0..1 of the time


class QualityCounter:
    """Adds up what some frames say; keeps numbers, no pictures."""

    def __init__(self, camera: PinholeCamera, link_names: tuple[str, ...], robot_share: float):
        """
        Begin with none.

        :param robot_share: of the picture, with which a frame shows the robot.
        """
        self._camera, self._links, self._least = camera, link_names, robot_share
        self._shares: list[float] = []
        self._depths: list[float] = []
        self._shifts: list[tuple[float, float]] = []
        self._agreements: list[tuple[float, float]] = []

    def add(self, frame: SeenFrame, depth: np.ndarray | None) -> bool:
        """
        Take a frame; return whether it shows the robot.

        :param depth: that is given out, (H, W) [m]; None for none.
        """
        share = float(frame.mask.mean())
        self._shares.append(share)
        self._depths.append(0.0 if depth is None else float(np.isfinite(depth).mean()))
        if share < self._least or not share:
            return False
        seen = image_agreement(frame.picture, frame.link_id, _EXPLAINED)
        if seen.is_compared:
            self._shifts.append((seen.pixels if seen.is_elsewhere(_EXPLAINED) else 0.0, seen.here))
        if frame.depth is not None:
            laid = robot_agreement(frame.depth, frame.pointmap, frame.link_id, self._links,
                                   self._camera)
            if laid.why_not_compared() is None:
                self._agreements.append((laid.share, laid.offset))
        return True

    def quality(self, episode: Episode, camera: EpisodeCamera) -> EpisodeQuality:
        """Return the numbers."""
        times = camera.frames.times
        gaps = np.diff(times)
        usual = float(np.median(gaps)) if len(gaps) else 0.0
        shares = np.array(self._shares)
        shown = (shares >= self._least) & (shares > 0)
        motion, moving = _motion(episode, float(times[0]), float(times[-1]))
        shift, fit = _medians(self._shifts)
        agreement, offset = _medians(self._agreements)
        return EpisodeQuality(
            len(times), 1.0 / usual if usual > 0 else 0.0,
            float(gaps.max()) / usual if usual > 0 else 0.0, float(times[-1] - times[0]),
            float(shares[shown].mean()) if shown.any() else 0.0, float(shown.mean()),
            shift, fit, agreement, offset, float(np.mean(self._depths)), motion, moving)


def _medians(values: list[tuple[float, float]]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    first, second = (float(value) for value in np.median(np.array(values), axis=0))
    return first, None if math.isnan(second) else second


def _motion(episode: Episode, begin: float, end: float) -> tuple[float, float]:
    """Return the way of the joint that goes farthest, and the share of time in motion."""
    times, _, positions = episode.joint_states
    inside = (times >= begin) & (times <= end)
    times, positions = times[inside], positions[inside]
    if len(times) < 2 or times[-1] <= times[0]:
        return 0.0, 0.0
    steps, spans = np.abs(np.diff(positions, axis=0)), np.diff(times)
    moves = steps.max(axis=1) > _MOVES * spans
    return float(steps.sum(axis=0).max()), float(spans[moves].sum() / (times[-1] - times[0]))
