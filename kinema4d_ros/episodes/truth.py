# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What really happened, where a recording knows it; to compare predictions with."""
from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kinema4d_ros.errors import EpisodeError

_DIGITS = 5      # of a distance [m] in a file


@dataclass(frozen=True, eq=False)
class TrueClearance:
    """The distance of the robot's links to everything around it, as it moved; inf far away."""

    times: np.ndarray              # (N,) float64 [s] from the start of the trajectory
    link_names: tuple[str, ...]    # L links
    to_scene: np.ndarray           # (N, L) float64 [m], 0 where it touches
    to_carried: np.ndarray         # (N, L) float64 [m], to what it was meant to carry

    def nearest(self, times: np.ndarray, links: Collection[str],
                before: float = np.inf) -> np.ndarray:
        """
        Return the distance of the nearest of some links at times (T,) [s]: (T,) [m], inf far away.

        :param before: [s] what it was meant to carry counts as an obstacle up to this time.
        """
        from scipy.interpolate import PchipInterpolator
        chosen = [number for number, name in enumerate(self.link_names) if name in links]
        found = np.full(np.shape(times), np.inf)
        for table, until in ((self.to_scene, np.inf), (self.to_carried, before)):
            for row in table[:, chosen].T:
                near = np.isfinite(row)
                if not near.any():
                    continue
                # Monotone cubics follow a braking arm to 0.1 mm between samples at 20 Hz.
                between = PchipInterpolator(self.times, np.where(near, row, row[near].max()))
                counts = (np.interp(times, self.times, near) == 1.0) & (np.asarray(times) <= until)
                found = np.minimum(found, np.where(counts, between(times), np.inf))
        return found

    def to_json(self) -> str:
        """Return the document that a file holds."""
        def table(rows: np.ndarray) -> list[list[float | None]]:
            return [[None if np.isinf(value) else round(float(value), _DIGITS) for value in row]
                    for row in rows]
        return json.dumps({'times': [round(float(time), 4) for time in self.times],
                           'links': list(self.link_names), 'to_scene': table(self.to_scene),
                           'to_carried': table(self.to_carried)}, separators=(',', ':'))

    @classmethod
    def from_json(cls, text: str) -> TrueClearance:
        """
        Read the document back.

        :raises EpisodeError: when it is no such document.
        """
        try:
            values = json.loads(text)
            times, links = np.array(values['times'], np.float64), tuple(values['links'])
            tables = [np.array(values[key], np.float64).reshape(len(times), len(links))
                      for key in ('to_scene', 'to_carried')]
        except (ValueError, TypeError, KeyError) as error:
            raise EpisodeError(f'the true clearance is not as it is written: {error}') from error
        return cls(times, links, *(np.where(np.isnan(table), np.inf, table) for table in tables))


class Frames(Protocol):
    """The frames of an episode by index."""

    @property
    def times(self) -> np.ndarray:
        """(N,) float64 [s] from the start of the trajectory."""

    def __getitem__(self, index: int) -> Any:
        """Return a frame."""


@dataclass(frozen=True, eq=False)
class EpisodeTruth:
    """The truth beside an episode; empty for a recording of a real robot."""

    carried_object: str | None
    #: object -> times (N,) [s] from the start of the trajectory, T_base_object (N, 4, 4)
    object_poses: Mapping[str, tuple[np.ndarray, np.ndarray]]
    #: index of a frame -> its robot mask (H, W) bool, for the frames that have one
    robot_masks: Mapping[int, np.ndarray]
    frames: Frames              # all frames of the episode
    clearance: TrueClearance | None = None      # None where it was not recorded

    def future(self, times: Iterable[float]) -> tuple[Any, ...]:
        """Return for each time [s] from the start of the trajectory the nearest frame."""
        there = self.frames.times
        return tuple(self.frames[int(np.abs(there - time).argmin())] for time in times)

    def object_center(self, name: str, offset: Sequence[float], times: np.ndarray) -> np.ndarray:
        """Return where a point of an object, (3,) [m] in its frame, is at times; (T, 3) base."""
        known, poses = self.object_poses[name]
        points = poses[:, :3, :3] @ np.asarray(offset, np.float64) + poses[:, :3, 3]
        return np.stack([np.interp(times, known, points[:, axis]) for axis in range(3)], -1)
