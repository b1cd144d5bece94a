# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Motions that push, topple, drag, drop or carry one thing of a scene, drawn at random.

What is handled, from which side, how high, how far and how fast is drawn from the name of the
recording, so the same name gives the same motion. A draw in which the hand would come down on
something else, or sweep something else along with its palm, is drawn again.
"""
from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.episodes.libero.plan import (ArmScene, CLOSED, FINGERTIP, follow, Kind, OPEN,
                                              PALM, Step)
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import JointTrajectory

MULTIPLE = 4        # points of a trajectory: it ends on a whole multiple of 0.2 s, as images do
_DRAWS = 60
_RAISED = 0.15      # [m] how far above a place the hand comes from
_REACH = np.array([[0.38, -0.34], [0.76, 0.34]])     # [m] of the grip point, base frame
_HAND = np.array([0.035, 0.105])    # [m] half extents of the hand along x and y
_FINGERS = {CLOSED: np.array([0.015, 0.03]), OPEN: np.array([0.015, 0.065])}   # [m] likewise
_WIDEST = 0.068     # [m] of what goes between the fingers
_BOWL_GRIP = np.array([0.0, 0.048, 0.035])     # [m] of a bowl's rim from its origin
_TALL = 1.1         # times its width is a thing's height that may topple

Boxes = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Handling:
    """One thing and what the hand does to it."""

    thing: str
    trajectory: JointTrajectory


def draw_handling(scene: ArmScene, kind: Kind, name: str) -> Handling:
    """
    Draw a motion of a kind for the scene as it is now.

    :param name: of the recording, which the draw depends on.
    :raises EpisodeError: nothing in the scene can be handled so.
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    draw = {Kind.PUSH: _push, Kind.TOPPLE: _topple}.get(kind)
    boxes = {item: scene.bounds(item) for item in scene.objects}
    for _ in range(_DRAWS):
        thing = str(random.choice(scene.movable))
        steps = draw(boxes, thing, random) if draw else _grasped(scene, boxes, kind, thing, random)
        if steps is None or not _is_free(steps, boxes, thing):
            continue
        try:
            return Handling(thing, follow(scene, steps, MULTIPLE))
        except EpisodeError:
            continue
    raise EpisodeError(f'{name}: none of {_DRAWS} draws can be reached with nothing in the way; '
                       'try another initial state')


def _push(boxes: Boxes, thing: str, random: np.random.Generator) -> list[Step] | None:
    """Return the steps of a push whose contact is low, None where nothing of it can be pushed."""
    return _pushed(boxes[thing], _direction(random), random.uniform(0.15, 0.55), random)


def _topple(boxes: Boxes, thing: str, random: np.random.Generator) -> list[Step] | None:
    """Return the steps of a push at the upper part, None for a thing that is not tall."""
    low, high = boxes[thing]
    if high[2] - low[2] < _TALL * min((high - low)[:2]):
        return None
    return _pushed(boxes[thing], _direction(random), random.uniform(0.6, 0.9), random)


def _direction(random: np.random.Generator) -> np.ndarray:
    """Return one of the four directions along and across the hand, (2,)."""
    return np.array([(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)])[random.integers(4)]


def _pushed(box: tuple[np.ndarray, np.ndarray], way: np.ndarray, height: float,
            random: np.random.Generator) -> list[Step] | None:
    low, high = box
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    if half[:2].max() > 0.15:
        return None
    clear = np.abs(way) @ half[:2] + np.abs(way) @ [0.045, 0.03]
    z = low[2] + max(height * (high[2] - low[2]), FINGERTIP + 0.004)
    if way[1]:      # the hand is wide that way: its palm passes over the thing
        z = max(z, high[2] - PALM + 0.006)
    across = np.array([-way[1], way[0]])
    aside = across * random.uniform(-0.25, 0.25) * (np.abs(across) @ half[:2])
    begin = np.r_[middle[:2] - way * (clear + 0.02) + aside, z]
    end = begin + np.r_[way * (0.03 + random.uniform(0.05, 0.12)), 0.0]
    up = np.array([0.0, 0.0, max(_RAISED, high[2] + 0.1 - z)])
    return [Step(None, CLOSED), Step(begin + up, CLOSED), Step(begin, CLOSED),
            Step(end, CLOSED, random.uniform(0.08, 0.45)), Step(end + up, CLOSED)]


def _grasped(scene: ArmScene, boxes: Boxes, kind: Kind, thing: str,
             random: np.random.Generator) -> list[Step] | None:
    """Return the steps of a drag, drop or carry, None for a thing that cannot be grasped."""
    low, high = boxes[thing]
    if 'bowl' in thing:
        grip = scene.object_pose(thing)[:3, 3] + _BOWL_GRIP
    elif high[1] - low[1] > _WIDEST:
        return None
    else:      # at its middle, but neither palm nor fingertips touch anything
        origin = scene.object_pose(thing)[:3, 3]
        grip = np.r_[origin[:2], max(origin[2] + 0.01, high[2] - PALM + 0.005,
                                     low[2] + FINGERTIP)]
    angle = random.uniform(-np.pi, np.pi)
    aside = np.r_[np.cos(angle), np.sin(angle), 0.0]
    up = np.array([0.0, 0.0, _RAISED])
    begin = [Step(grip + up, OPEN), Step(grip, OPEN), Step(None, CLOSED)]
    if kind is Kind.DRAG:
        end = grip + random.uniform(0.05, 0.12) * aside
        return [*begin, Step(end, CLOSED, random.uniform(0.1, 0.35)), Step(None, OPEN),
                Step(end + up, OPEN)]
    aside = random.uniform(0.08, 0.18) * aside
    others = [box for name, box in boxes.items() if name != thing]
    if any((low[:2] + aside[:2] - 0.02 < far[:2]).all()
           and (near[:2] < high[:2] + aside[:2] + 0.02).all() for near, far in others):
        return None        # it would come down on something else
    lift = np.array([0.0, 0.0, random.uniform(0.06, 0.2) if kind is Kind.DROP else 0.2])
    lifted, over = grip + lift, grip + lift + aside
    begin += [Step(lifted, CLOSED), Step(over, CLOSED)]
    if kind is Kind.DROP:
        return [*begin, Step(None, OPEN), Step(over + 0.5 * up, OPEN)]
    return [*begin, Step(over - lift + [0.0, 0.0, 0.005], CLOSED), Step(None, OPEN),
            Step(over, OPEN)]


def _is_free(steps: list[Step], boxes: Boxes, thing: str) -> bool:
    """Whether hand and fingers keep clear of everything but the thing, and stay in reach."""
    others = [box for name, box in boxes.items() if name != thing]
    held = OPEN
    points: list[np.ndarray] = []

    def is_free(point: np.ndarray, opening: float) -> bool:
        return not any(
            _overlap(point, _HAND, point[2] + PALM - 0.004, box)
            or _overlap(point, _FINGERS[opening], point[2] - FINGERTIP - 0.004, box)
            for box in others if box[1][2] > box[0][2] + 0.01)

    for step in steps:
        if step.goal_base is None:
            held = step.opening
            continue
        goal = step.goal_base
        if (goal[:2] < _REACH[0]).any() or (goal[:2] > _REACH[1]).any():
            return False
        way = np.linspace(points[-1], goal, 8) if points else goal[None]
        if not all(is_free(point, held) for point in way):
            return False
        points.append(goal)
    return True


def _overlap(point: np.ndarray, half: np.ndarray, bottom: float,
             box: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether a box around a point, open upwards, overlaps another box, from above."""
    low, high = box
    return bool(high[2] > bottom and (np.abs(point[:2] - 0.5 * (low + high)[:2])
                                      < half + 0.5 * (high - low)[:2]).all())
