# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a hand that comes from above takes hold of a thing, by the thing's visible surface."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.libero.frames import about_z
from kinema4d_ros.episodes.libero.plan import FINGERTIP, PALM
from kinema4d_ros.errors import EpisodeError

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene

WIDEST = 0.068          # [m] of what goes between the fingers
_BOWL_RIM = np.array([0.0, 0.048, 0.035])       # [m] of a bowl's rim from its origin
_YAWS = np.radians([0, 15, -15, 30, -30, 45, -45, 60, -60, 75, -75, 90])
_PAD_WIDTH, _PAD_HEIGHT = 0.009, 0.018          # [m] half of a finger's pad along, its height
_INNER, _OUTER, _BROAD = 0.036, 0.062, 0.013    # [m] of an open finger from the middle; half width
_PALM_HALF = np.array([0.035, 0.105])           # [m] of the palm along and across the fingers
_GRID = 0.006                                   # [m] between places that are tried
_DEPTHS = (0.012, 0.022, 0.035)                 # [m] of the fingertips below the top


@dataclass(frozen=True)
class Grasp:
    """Where the fingers close."""

    point: np.ndarray      # (3,) [m] of the grip point, base frame
    yaw: float = 0.0       # [rad] that the hand is turned about the vertical


def choose_grasp(scene: LiberoScene, name: str) -> Grasp:
    """
    Choose where to take hold of a thing as it lies.

    A bowl is taken at its rim, on a side where the hand touches nothing else if there is one, what
    is narrow at its middle. Of anything else, a mug, a book, a pan, a pot with a handle, the place
    is chosen of which the surface says that the fingers get around it, palm and fingers touch
    nothing, and the middle of the thing is not far.

    :raises EpisodeError: when there is no such place.
    """
    item, (low, high) = scene.object_pose(name)[:3, 3], scene.bounds(name)
    around = _around(scene, name)
    if 'bowl' in name:
        rims = [Grasp(item + about_z(yaw) @ (_BOWL_RIM * [1.0, side, 1.0]), yaw)
                for yaw in (0.0, np.pi / 2) for side in (1.0, -1.0)]
        return min(rims, key=lambda grasp: _hit(grasp, around) > 0)      # the first that is free
    middle = 0.5 * (low + high)
    if high[1] - low[1] <= WIDEST and abs(item[1] - middle[1]) < 0.01:
        # Neither palm nor fingertips touch anything.
        height = max(item[2] + 0.01, high[2] - PALM + 0.005, low[2] + FINGERTIP)
        centre = item[:2] if abs(item[0] - middle[0]) < 0.02 else middle[:2]
        return Grasp(np.r_[centre, height])
    found = _best(scene.surface(name), around)
    if found is None:
        raise EpisodeError(f'the fingers get around no part of {name} from above '
                           f'({np.round(high - low, 3).tolist()} m)')
    return found


def _around(scene: LiberoScene, name: str) -> np.ndarray:
    """Return the surface (N, 3) [m] of what stands within a hand's width of a thing."""
    low, high = scene.bounds(name)
    return np.concatenate([np.empty((0, 3)), *(
        scene.surface(other) for other in scene.objects if other != name
        and (np.subtract(scene.bounds(other)[0], 0.15) < high).all()
        and (np.add(scene.bounds(other)[1], 0.15) > low).all())])


def _hit(grasp: Grasp, others: np.ndarray) -> int:
    """Return how many points (N, 3) [m] of other things are where the open hand is."""
    place = (others - grasp.point) @ about_z(grasp.yaw)
    along, across, up = np.abs(place[:, 0]), np.abs(place[:, 1]), place[:, 2]
    palm = (along < _PALM_HALF[0] + 0.005) & (across < _PALM_HALF[1] + 0.005) & (up > PALM - 0.006)
    fingers = (along < _BROAD + 0.002) & (across < _OUTER) & (up > -FINGERTIP - 0.004)
    return int((palm | fingers).sum())


def _best(points: np.ndarray, others: np.ndarray) -> Grasp | None:
    """Return the best place of a surface (N, 3) [m] with other things (M, 3) [m] around."""
    low = points.min(0)
    centre = points.mean(0)
    best, least = None, np.inf
    for yaw in _YAWS:
        along = np.array([np.cos(yaw), np.sin(yaw)])       # of the pads' width
        across = np.array([-along[1], along[0]])           # the way that the fingers close
        flat = np.c_[points[:, :2] @ across, points[:, :2] @ along, points[:, 2]]
        beside = np.c_[others[:, :2] @ across, others[:, :2] @ along, others[:, 2]]
        everything = np.r_[flat, beside]
        heart = np.array([centre[:2] @ across, centre[:2] @ along])
        for v in np.arange(flat[:, 1].min(), flat[:, 1].max(), _GRID):
            strip = flat[np.abs(flat[:, 1] - v) < _PAD_WIDTH]
            if len(strip) < 8:
                continue
            wide = everything[np.abs(everything[:, 1] - v) < _BROAD]
            under_palm = everything[np.abs(everything[:, 1] - v) < _PALM_HALF[0]]
            for u in np.arange(flat[:, 0].min() - 0.01, flat[:, 0].max() + 0.01, _GRID):
                near = strip[np.abs(strip[:, 0] - u) < _INNER]
                if len(near) < 6:
                    continue
                palm = under_palm[np.abs(under_palm[:, 0] - u) < _PALM_HALF[1], 2]
                least_tip = max(low[2] + 0.004, palm.max(initial=-np.inf) - PALM - FINGERTIP
                                + 0.004)
                away = np.abs(wide[:, 0] - u)
                in_fingers = wide[(away > _INNER) & (away < _OUTER), 2].max(initial=-np.inf)
                for depth in _DEPTHS:
                    tip = max(near[:, 2].max() - depth, least_tip, in_fingers + 0.004)
                    held = near[(near[:, 2] > tip + 0.002) & (near[:, 2] < tip + _PAD_HEIGHT)]
                    if len(held) < 4:
                        continue
                    first, last = held[:, 0].min(), held[:, 0].max()
                    if last - first > WIDEST or not _is_even(held, v):
                        continue
                    shift = 0.5 * (first + last) - u
                    if abs(shift) > 0.006:
                        continue
                    cost = (np.linalg.norm(np.array([u, v]) - heart) + 0.02 * abs(yaw)
                            + 0.3 * (last - first)
                            + 2.0 * max(0.0, 0.010 - (held[:, 2].max() - tip)))
                    if cost < least:
                        place = u * across + v * along
                        best = Grasp(np.r_[place, tip + FINGERTIP], float(yaw))
                        least = cost
    return best


def _is_even(held: np.ndarray, v: float) -> bool:
    """Whether what is between the pads faces them squarely, along (N, 3) [m]."""
    left, right = held[held[:, 1] < v - 0.001], held[held[:, 1] > v + 0.001]
    if len(left) < 2 or len(right) < 2:
        return False
    ends = np.array([[part[:, 0].min(), part[:, 0].max()] for part in (left, right)])
    return bool((np.abs(ends[0] - ends[1]) < 0.006).all())
