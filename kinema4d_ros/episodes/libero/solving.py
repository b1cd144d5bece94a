# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A task's goals, one after the other, as one motion made beforehand."""
from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.libero.aim import AimErrors
from kinema4d_ros.episodes.libero.articulation import Manner, MANNERS, move_steps
from kinema4d_ros.episodes.libero.goal import TaskGoal
from kinema4d_ros.episodes.libero.placing import into_table_steps, place_steps
from kinema4d_ros.episodes.libero.plan import follow, Kind, Step, UnreachableError
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.types import JointTrajectory

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene

FALLEN = -0.3       # [m] what lies lower, base frame, has fallen off the table


@dataclass(frozen=True)
class Solution:
    """What is to be done for a task, and with what errors."""

    goals: tuple[TaskGoal, ...]        # in the order in which they are gone about
    failing: int                       # the one of them that the kind of failure is about
    errors: AimErrors


def solution(goals: tuple[TaskGoal, ...], kind: Kind, name: str) -> Solution:
    """
    Order the goals of a task, and draw which of them fails and how.

    :param name: of the recording, which the draw depends on.
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    errors = AimErrors.draw(random) if kind is Kind.INACCURATE else AimErrors.none()
    return Solution(ordered(goals), int(random.integers(len(goals))), errors)


def ordered(goals: tuple[TaskGoal, ...]) -> tuple[TaskGoal, ...]:
    """
    Return goals in an order in which they can be met.

    What is closed with something in it is closed last, what else is opened, closed or turned comes
    first, and what something goes on is in its own place before.
    """
    filled = {goal.joint for goal in goals if goal.is_placing and goal.joint}
    placed = {goal.thing for goal in goals if goal.is_placing}

    def rank(goal: TaskGoal) -> tuple[int, int]:
        if not goal.is_placing:
            return (2 if goal.relation == 'close' and (
                goal.joint in filled or goal.thing in {each.target for each in goals
                                                       if each.relation == 'in'}) else 0), 0
        return 1, int(goal.target in placed)

    return tuple(sorted(goals, key=rank))


def plan(scene: LiberoScene, kind: Kind, todo: Solution) -> JointTrajectory:
    """
    Plan the motion that meets the goals, or fails to, from the scene as it is.

    Each goal but the first is planned for the scene as it will be when those before it are met.

    :raises EpisodeError: with the goal that cannot be met, and why.
    """
    if kind is Kind.INTO_TABLE:
        return follow(scene, into_table_steps(scene))
    fallen = [name for name in scene.movable if scene.bounds(name)[1][2] < FALLEN]
    if fallen:
        raise EpisodeError(f'{", ".join(fallen)} have fallen off the table in this initial state; '
                           'choose another')
    best, least, trouble = None, np.inf, None
    for manner in MANNERS:
        try:
            trajectory = follow(scene, _steps(scene, kind, todo, manner))
        except UnreachableError as error:
            trouble = trouble or error
            continue
        found = hits(scene, trajectory, todo.goals)
        if found < least:
            best, least = trajectory, found
        if not found:
            break
    if best is None:
        raise trouble or EpisodeError('there is no way to hold the hand')
    return best


def hits(scene: LiberoScene, trajectory: JointTrajectory, goals: tuple[TaskGoal, ...]) -> int:
    """
    Return at how many of the looked at points arm or hand would be in what stands still.

    What a goal is about is not looked at.
    """
    meant = {goal.thing for goal in goals} | {goal.target for goal in goals if goal.joint}
    others = {int(body) for name in scene.objects if name not in meant
              for body in scene.object_bodies(name)} | scene.table_bodies()
    with scene.imagined():
        found = 0
        for positions in trajectory.positions[::3, :7]:
            scene.put_arm(positions)
            found += scene.touching(scene.strict_bodies(), others)
    return found


def _steps(scene: LiberoScene, kind: Kind, todo: Solution, manner: Manner) -> list[Step]:
    """Return the steps for all goals."""
    steps: list[Step] = []
    with scene.imagined():
        for number, goal in enumerate(todo.goals):
            fails = number == todo.failing
            mine = kind if fails else Kind.SUCCESS
            errors = todo.errors if fails else AimErrors.none()
            if goal.is_placing:
                steps += _placed(scene, goal, mine, errors, manner)
            else:
                share = 1.0
                if mine is Kind.INACCURATE:      # pulled too short, as placed beside
                    share -= 8.0 * float(np.linalg.norm(errors.place))
                more, position = move_steps(scene, goal, mine, errors, manner, max(share, 0.2))
                assert goal.joint is not None
                scene.set_joint(goal.joint, position)
                steps += more
    return steps


def _placed(scene: LiberoScene, goal: TaskGoal, kind: Kind, errors: AimErrors,
            manner: Manner) -> list[Step]:
    """Return the steps of putting a thing somewhere, where need be after opening the drawer."""
    steps: list[Step] = []
    try:
        found, end = place_steps(scene, goal, kind, errors, manner.high)
    except EpisodeError:
        if goal.joint is None or scene.joint_unit(goal.joint) != 'm':
            raise
        opening = replace(goal, relation='open', thing=goal.target, place='')
        steps, position = move_steps(scene, opening, Kind.SUCCESS, AimErrors.none(), manner)
        scene.set_joint(goal.joint, position)
        found, end = place_steps(scene, goal, kind, errors, manner.high)
    scene.put(goal.thing, end)
    return [*steps, *found]
