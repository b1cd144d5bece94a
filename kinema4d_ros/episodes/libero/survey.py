# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which tasks the script solves, and why it does not solve the others; nothing is written."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.episodes.libero.goal import task_goals
from kinema4d_ros.episodes.libero.plan import CubicInterpolation, Kind, RATE
from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.episodes.libero.solving import plan, solution
from kinema4d_ros.errors import EpisodeError

_SETTLED = 0.5      # [s] after the trajectory
_STRAYED = 0.02     # [rad] an arm that is farther off its track was in something's way


@dataclass(frozen=True)
class TrialRun:
    """What came of solving a task by the script once."""

    trouble: str | None           # why there is no motion; None where there is
    missed: tuple[str, ...] = ()  # goals that were not met
    tracking_error: float = 0.0   # [rad] largest arm joint |realised - reference|

    @property
    def is_solved(self) -> bool:
        """Whether every goal was met."""
        return self.trouble is None and not self.missed

    def __str__(self) -> str:
        """Return it in words."""
        if self.trouble is not None:
            return f'cannot be recorded: {self.trouble}'
        strayed = f'; the arm was up to {self.tracking_error:.2f} rad off its track' \
            if self.tracking_error > _STRAYED else ''
        if self.missed:
            return f'recorded, but not solved: {" and ".join(self.missed)} not met{strayed}'
        return f'solved{strayed}'


def try_task(scene: LiberoScene, init: int) -> TrialRun:
    """Solve a task from an initial state, without cameras."""
    scene.reset(init)
    scene.refresh()
    try:
        todo = solution(task_goals(scene), Kind.SUCCESS, '')
        trajectory = plan(scene, Kind.SUCCESS, todo)
    except EpisodeError as error:
        return TrialRun(str(error))
    reference, worst = CubicInterpolation(trajectory), 0.0
    for step in range(round((trajectory.duration + _SETTLED) / scene.timestep)):
        p, v, a = reference(step * scene.timestep)
        if step % round(1 / RATE / scene.timestep) == 0:
            worst = max(worst, float(np.abs(scene.arm_positions - p[:7]).max()))
        scene.drive(p[:7], v[:7], a[:7], p[7])
    scene.refresh()
    missed = tuple(' '.join(goal.words) for goal in todo.goals if not scene.holds(goal.words))
    return TrialRun(None, missed, worst)
