# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a pick-and-place, and of its ways to fail."""
from __future__ import annotations
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.libero.aim import AimErrors
from kinema4d_ros.episodes.libero.frames import about_z
from kinema4d_ros.episodes.libero.goal import TaskGoal
from kinema4d_ros.episodes.libero.grasps import choose_grasp, Grasp
from kinema4d_ros.episodes.libero.places import choose_spot, drop_height
from kinema4d_ros.episodes.libero.plan import ArmScene, CLOSED, Kind, OPEN, Step

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene

_FINGERS = np.array([0.015, 0.065])     # [m] half of the open fingers along and across
_MISS, _CLEAR = 0.055, 0.005            # [m] least miss, least gap to what is missed
_BESIDE = 0.14                          # [m] that a missed place is away


def place_steps(scene: LiberoScene, goal: TaskGoal, kind: Kind,
                errors: AimErrors, high: bool = True) -> tuple[list[Step], np.ndarray]:
    """
    Return the steps that put a thing where a goal wants it, and T_base_thing (4, 4) afterwards.

    :param high: whether to go well above what is on the way, where that can be reached.
    :raises EpisodeError: when it cannot be grasped or put there from above.
    """
    T_base_thing = scene.object_pose(goal.thing)
    item, low = T_base_thing[:3, 3], scene.bounds(goal.thing)[0]
    chosen = choose_grasp(scene, goal.thing)
    spot = choose_spot(scene, goal, chosen)
    hanging = chosen.point[2] - low[2]
    R = about_z(spot.turn)
    drop = np.r_[spot.origin, 0.0] + R @ (chosen.point - item)
    drop[2] = drop_height(spot, hanging)
    end = np.eye(4)
    end[:3, :3] = R @ T_base_thing[:3, :3]
    end[:3, 3] = np.r_[spot.origin, item[2] - low[2] + spot.support]
    grasp = chosen.point
    if kind is Kind.MISSED_GRASP:
        grasp = grasp + miss(scene, goal.thing, chosen)
    if kind is Kind.MISSED_PLACE:
        drop = drop + [0, _BESIDE if item[1] > spot.origin[1] else -_BESIDE, 0]
    grasp, drop = grasp + errors.grasp, drop + errors.place
    turn, turned = about_z(chosen.yaw), about_z(chosen.yaw + spot.turn)
    up = np.array([0, 0, 0.15])
    lifted = max(grasp[2] + 0.15, drop[2] + 0.05) if high else max(grasp[2], drop[2]) + 0.02
    over = np.r_[drop[:2], lifted]
    steps = [Step(grasp + up, OPEN, turn=turn), Step(grasp, OPEN), Step(None, CLOSED),
             Step(np.r_[grasp[:2], lifted], CLOSED)]
    holding = CLOSED
    if kind is Kind.SLIP:
        half = 0.5 * (np.r_[grasp[:2], lifted] + over)
        steps += [Step(half, CLOSED), Step(None, OPEN)]
        holding = OPEN
    return [*steps, Step(over, holding, turn=turned), Step(drop, holding), Step(None, OPEN),
            Step(drop + [0, 0, 0.12 if high else 0.04], OPEN)], end


def miss(scene: LiberoScene, thing: str, grasp: Grasp) -> np.ndarray:
    """
    Return how far beside a grasp the fingers close on nothing of a thing, (3,) [m].

    It is along the one of the hand's two axes on which they come out beyond the thing's end
    soonest, and on the side where no other thing stands, if there is one.
    """
    R = about_z(grasp.yaw)
    surface = (scene.surface(thing) - grasp.point) @ R
    others = [scene.surface(name) for name in scene.objects if name != thing]
    around = (np.concatenate([np.empty((0, 3)), *others]) - grasp.point) @ R
    around = around[around[:, 2] > -0.01]
    found = []
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            length = max(_MISS, (sign * surface[:, axis]).max() + _FINGERS[axis] + _CLEAR)
            aside = np.zeros(3)
            aside[axis] = sign * length
            blocked = (np.abs(around - aside)[:, :2] < _FINGERS + _CLEAR).all(axis=1).any()
            found.append((bool(blocked), length, R @ aside))
    return min(found, key=lambda each: each[:2])[2]


def into_table_steps(scene: ArmScene) -> list[Step]:
    """Return the steps of a hand that goes down into a free spot of the table."""
    spot, table = _free_spot(scene), _support_height(scene)
    return [Step(np.r_[spot, table + 0.12], OPEN), Step(np.r_[spot, table - 0.03], OPEN),
            Step(np.r_[spot, table + 0.12], OPEN)]


def _support_height(scene: ArmScene) -> float:
    """Return the height [m] of the table or floor below the objects, base frame."""
    return float(np.median([scene.bounds(name)[0][2] for name in scene.objects]))


def _free_spot(scene: ArmScene) -> np.ndarray:
    """Return the reachable place (2,) [m] on the table that is farthest from any object."""
    boxes = np.array([scene.bounds(name) for name in scene.objects])[:, :, :2]
    grid = np.stack(np.meshgrid(np.arange(0.42, 0.70, 0.02), np.arange(-0.30, 0.31, 0.02)),
                    -1).reshape(-1, 1, 2)
    outside = np.maximum(np.maximum(boxes[:, 0] - grid, grid - boxes[:, 1]), 0.0)
    return grid[np.linalg.norm(outside, axis=-1).min(axis=1).argmax(), 0]
