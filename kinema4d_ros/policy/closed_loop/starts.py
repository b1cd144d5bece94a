# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where runs start: an episode's first observation, its task and its goal."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck.goal_rules import Region
from kinema4d_ros.precheck.goals import Goal, load_rubric, rubrics

_BESIDE = 0.01      # [m] beside an object's box in which it is taken to begin


def goal_of(episode: Episode, rubric: str = '') -> Goal | None:
    """
    Return the goal of an episode, with where the object that is meant begins; None without one.

    The task names its object in words, which no geometry understands, so where the rubric does not
    say it, the place is that of the recorded initial state. Nothing after it is looked at, and it
    serves the rubric only, not the prediction.

    :param rubric: in place of the episode's own, a YAML file or the name of one in config/rubrics.
    :raises ConfigurationError: the rubric is none.
    """
    if rubric:
        if not Path(rubric).is_file() and rubric not in rubrics():
            raise ConfigurationError(f'unknown goal rubric {rubric!r}; name a YAML file, or one of '
                                     f'{", ".join(sorted(rubrics()))}')
        goal = Goal.load(rubric) if Path(rubric).is_file() else load_rubric(rubric)
    elif episode.metadata.goal:
        goal = Goal.of(episode.metadata.goal, f'the goal of {episode.path}')
    else:
        goal = None
    if goal is None or goal.starts_in is not None:
        return goal
    box = _where(episode, episode.metadata.carried_object)
    return goal if box is None else dataclasses.replace(goal, starts_in=box)


def _where(episode: Episode, name: str | None) -> Region | None:
    """Return the box in which an object begins; None where nobody recorded that."""
    box = None if name is None else episode.metadata.objects.get(name)
    if name is None or box is None or name not in episode.truth.object_poses:
        return None
    times, poses = episode.truth.object_poses[name]
    first = poses[max(int(np.searchsorted(times, 0.0, 'right')) - 1, 0)]
    corners = np.stack(np.meshgrid(*zip(box.low, box.high), indexing='ij'), -1).reshape(-1, 3)
    placed = corners @ first[:3, :3].T + first[:3, 3]
    low, high = placed.min(0) - _BESIDE, placed.max(0) + _BESIDE
    low[2] += _BESIDE      # not into what it stands on
    return Region(tuple(low.tolist()), tuple(high.tolist()))


def task_of(episode: Episode) -> str:
    """Return the name of an episode's task, which its starts share."""
    metadata = episode.metadata
    if metadata.suite and metadata.task >= 0:
        return f'{metadata.suite}/{metadata.task}'
    return metadata.task_text or episode.path.stem
