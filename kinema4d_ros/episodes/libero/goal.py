# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a LIBERO task wants moved, opened or turned, and where to, in the robot's base frame."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.libero.frames import base_aligned
from kinema4d_ros.errors import EpisodeError

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene

ABOVE = 0.15      # [m] how far above a support something may be to count as above it
#: [m] half the side of the square as large as the circle of 3 cm around the origin of an object
#: that the origin of what is on it must be in, for the simulator
_CENTRED = 0.03 * np.sqrt(np.pi) / 2
PLACING, MOVING = ('in', 'on'), ('open', 'close', 'turnon', 'turnoff')


@dataclass(frozen=True)
class TaskGoal:
    """One of the things that a task wants."""

    relation: str                    # one of PLACING, MOVING
    thing: str                       # object to move; else the fixture whose joint is to move
    place: str = ''                  # object or region that it goes in or on; the drawer
    target: str = ''                 # the object or fixture that the place belongs to, '' = table
    #: {'inside' or 'above': {'object', 'region'}}, boxes [m] for the middle of the thing; of what
    #: is to be moved {'slides_by' or 'turns_by': ..., 'starts_in': its box}
    rubric: Mapping[str, Any] = field(default_factory=dict)
    joint: str | None = None         # of a fixture, that the goal is about

    @property
    def is_placing(self) -> bool:
        """Whether an object is to be put somewhere."""
        return self.relation in PLACING

    @property
    def words(self) -> list[str]:
        """The goal as LIBERO states it."""
        if not self.is_placing:
            return [self.relation, self.place or self.thing]
        return [self.relation, self.thing, self.place]


def task_goals(scene: LiberoScene) -> tuple[TaskGoal, ...]:
    """
    Return the task's goals in the scene as it is now, in the order in which LIBERO lists them.

    :raises EpisodeError: when one of them is of a kind, or names things, that are not known.
    """
    return tuple(_goal(scene, [str(word) for word in item])
                 for item in scene.problem['goal_state'])


def _goal(scene: LiberoScene, words: list[str]) -> TaskGoal:
    relation = words[0].lower()
    if relation in MOVING and len(words) == 2:
        fixture = _owner(scene, words[1])
        if not fixture:
            raise EpisodeError(f'the goal {words} names something that is not among the objects '
                               f'{", ".join(scene.objects)}')
        joint = scene.joint_of(words[1])
        return TaskGoal(relation, fixture, '' if words[1] == fixture else words[1], fixture,
                        {} if joint is None or scene.holds(words)
                        else _moved_part(scene, relation, words[1], joint), joint)
    if relation not in PLACING or len(words) != 3:
        raise EpisodeError(f'task {scene.task} of {scene.suite} ({scene.task_text}) wants {words}; '
                           f'only {", ".join(PLACING + MOVING)} are known; choose another task')
    _, carried, place = words
    if carried not in scene.objects:
        raise EpisodeError(f'the goal {words} names things that are not among the objects '
                           f'{", ".join(scene.objects)}')
    target = _owner(scene, place)
    # The simulator looks at the origins of things, a rubric at the middle of what is moved.
    shift = 0.5 * np.add(*scene.bounds(carried)) - scene.object_pose(carried)[:3, 3]
    if place == target:
        low, high = scene.bounds(target)
        centre = scene.object_pose(target)[:2, 3]
        low, high = np.r_[centre - _CENTRED, low[2]], np.r_[centre + _CENTRED, low[2] + ABOVE]
    else:
        pose, half = scene.site(place)
        low, high = base_aligned(pose, -half, half)
        low[2] -= 0.01
    if relation == 'on':      # over it, not within the few millimetres that a region is thick
        high[2], shift[2] = low[2] + ABOVE, 0.0
    low, high = low + shift, high + shift
    region = {'name': place, 'low': low.round(4).tolist(), 'high': high.round(4).tolist()}
    joint = scene.joint_of(place) if target and place != target else None
    rule = {'object': carried, 'region': region}
    if joint is not None:      # the region of a drawer goes where the drawer goes
        rule['moves_with'] = _box(scene, joint)
    return TaskGoal(relation, carried, place, target,
                    {'inside' if relation == 'in' else 'above': rule}, joint)


def _moved_part(scene: LiberoScene, relation: str, name: str, joint: str) -> dict[str, Any]:
    """Return how far and which way a drawer, door or knob has to go, and where it is now."""
    position, end = scene.joint_position(joint), scene.joint_goal(relation, joint)
    way, axis = end - position, scene.joint_frame(joint)[1]
    along = (np.sign(way) * axis).round(4).tolist()
    if scene.joint_unit(joint) == 'm':
        rule = {'slides_by': {'object': name, 'distance': round(abs(way), 4), 'direction': along}}
    else:
        rule = {'turns_by': {'object': name, 'angle': round(abs(way), 4), 'axis': along}}
    return {**rule, 'starts_in': _box(scene, joint)}


def _box(scene: LiberoScene, joint: str) -> dict[str, list[float]]:
    """Return the box around all that a joint moves, as it is now."""
    lows, highs = zip(*scene.moving_part(joint))
    return {'low': np.min(lows, axis=0).round(4).tolist(),
            'high': np.max(highs, axis=0).round(4).tolist()}


def _owner(scene: LiberoScene, name: str) -> str:
    """Return the object or fixture that a name or one of its regions belongs to, '' for none."""
    owners = [item for item in scene.objects if name == item or name.startswith(f'{item}_')]
    return max(owners, key=len, default='')
