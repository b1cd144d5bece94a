# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a thing is put down in or on another, or on a region, with a hand that comes from above."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.libero.goal import TaskGoal
from kinema4d_ros.episodes.libero.grasps import Grasp
from kinema4d_ros.episodes.libero.plan import PALM
from kinema4d_ros.episodes.libero.frames import base_aligned
from kinema4d_ros.errors import EpisodeError

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene

_CELL = 0.01                          # [m] between the places whose height is looked up
_TURNS = np.radians([0, 90, -90])     # of the thing, where that makes it fit
_LYING = 0.06                         # [m] what may stand above the ground of a region on it
_HAND = np.array([0.04, 0.11])        # [m] half of the hand along and across the fingers
_FOOT = 0.04                          # [m] of a thing above its bottom is what must fit


@dataclass(frozen=True)
class Spot:
    """Where a thing goes."""

    origin: np.ndarray     # (2,) [m] of its origin, base frame
    turn: float            # [rad] that it is turned about the vertical on the way
    support: float         # [m] highest place below it
    rim: float             # [m] highest place below the hand that puts it there


def choose_spot(scene: LiberoScene, goal: TaskGoal, grasp: Grasp) -> Spot:
    """
    Choose where to put the thing of a goal in the scene as it is.

    :raises EpisodeError: when something above covers the whole place.
    """
    item = scene.object_pose(goal.thing)[:3, 3]
    low, high = _region(scene, goal)
    surface = scene.surface(goal.thing)
    foot = surface[surface[:, 2] < surface[:, 2].min() + _FOOT][::8, :2] - item[:2]
    reach = 0.13 + np.abs(surface[:, :2] - item[:2]).max()
    begin = low[:2] - reach
    count = np.ceil((high[:2] + reach - begin) / _CELL).astype(int) + 1
    grid = begin + _CELL * np.stack(np.meshgrid(*map(np.arange, count), indexing='ij'), -1)
    heights = scene.heights(grid.reshape(-1, 2), goal.thing).reshape(count)

    def highest(places: np.ndarray) -> float:
        cells = np.clip(np.round((places - begin) / _CELL).astype(int), 0, count - 1)
        return float(heights[cells[:, 0], cells[:, 1]].max())

    middle, half = 0.5 * (low + high)[:2], 0.5 * (high - low)[:2]
    hand = np.stack(np.meshgrid(*(np.linspace(-h, h, 7) for h in _HAND)), -1).reshape(-1, 2)
    best, least = None, np.inf
    for turn in _TURNS:
        R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        yaw = grasp.yaw + turn
        if abs(yaw) > np.radians(100):
            continue
        T = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        for x in np.linspace(-0.7, 0.7, 9) * half[0]:
            for y in np.linspace(-0.7, 0.7, 9) * half[1]:
                place = middle + [x, y]
                support = highest(place + foot @ R.T)
                if support > (high[2] if goal.relation == 'in' else low[2] + _LYING):
                    continue
                rim = highest(place + R @ (grasp.point - item)[:2] + hand @ T.T)
                cost = support + 0.25 * max(0.0, rim - support - 0.05) + 0.3 * np.hypot(x, y) \
                    + 0.01 * abs(turn)
                if cost < least:
                    best, least = Spot(place, float(turn), support, rim), cost
    if best is None:
        raise EpisodeError(f'{goal.place} is covered from above, or something stands in it, so '
                           f'{goal.thing} cannot be put there; choose another task')
    return best


def _region(scene: LiberoScene, goal: TaskGoal) -> tuple[np.ndarray, np.ndarray]:
    """Return where the origin of the thing may be: corners (3,) [m], base frame."""
    if goal.place == goal.target:
        low, high = scene.bounds(goal.target)
        centre = scene.object_pose(goal.target)[:2, 3]
        return np.r_[centre - 0.01, low[2]], np.r_[centre + 0.01, high[2]]
    pose, half = scene.site(goal.place)
    return base_aligned(pose, -half, half)


def drop_height(spot: Spot, hanging: float) -> float:
    """
    Return the height of the grip point [m] to let go at.

    :param hanging: [m] of the thing below the grip point.
    """
    return max(spot.support + hanging + 0.01, spot.rim - PALM + 0.01)
