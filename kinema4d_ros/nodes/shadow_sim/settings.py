# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim makes of its parameters, once for each change of them."""
from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.precheck.from_parameters import precheck_settings, world_model_settings
from kinema4d_ros.precheck.goals import load_rubric, rubrics
from kinema4d_ros.robot.tracking import TrackingModel


@dataclass(frozen=True)
class ShadowSimSettings:
    """What the node needs of its parameters; a request keeps one to its end."""

    values: Mapping[str, Any]               # of the parameters, by their names
    precheck: PrecheckSettings
    goal: Goal | None                       # of the parameter goal_rubric
    rubrics: Mapping[str, Goal | str]       # every rubric by name; why it is unusable otherwise
    world_model: Mapping[str, Any]          # the world model's own settings, by name

    def goal_of(self, rubric: str) -> Goal | None:
        """
        Return the goal of a rubric by its name, that of the parameter for ''.

        :raises ConfigurationError: no rubric had that name when parameters changed last, or it
            could not be read.
        """
        if rubric in ('', self.values['goal_rubric']):
            return self.goal
        found = self.rubrics.get(rubric)
        if isinstance(found, Goal):
            return found
        raise ConfigurationError(found or (
            f'unknown goal rubric {rubric!r}; known: {", ".join(sorted(self.rubrics)) or "none"}; '
            'a new file in the folder of the parameter rubric_dir is read when a parameter is set'))


def shadow_sim_settings(values: Mapping[str, Any]) -> ShadowSimSettings:
    """
    Return the settings; the files that parameters name are read here, and only here.

    A rubric that cannot be read is an error only where the parameter goal_rubric names it.

    :raises ConfigurationError: a value cannot be understood, or a file not be read.
    """
    if '' in values['package_paths']:
        raise ConfigurationError(
            "parameter 'package_paths' holds an empty path; name folders, or leave it out")
    return ShadowSimSettings(
        values, precheck_settings(
            values, srdf=srdf_text(values['srdf']),
            tracking=TrackingModel.load(values['tracking']) if values['tracking'] else None),
        load_rubric(values['goal_rubric'], values['rubric_dir']),
        _read_rubrics(values['rubric_dir']), world_model_settings(values))


def _read_rubrics(folder: str) -> dict[str, Goal | str]:
    """Return every rubric by its name: its goal, or why it cannot be read."""
    found: dict[str, Goal | str] = {}
    for name, path in rubrics(folder).items():
        try:
            found[name] = Goal.load(path)
        except ConfigurationError as error:
            found[name] = str(error)
    return found


def srdf_text(given: str) -> str | None:
    """
    Return the text of an SRDF that is given as text or as the path of a file; None for ''.

    :raises ConfigurationError: when there is no such file.
    """
    if not given.strip():
        return None
    if given.lstrip().startswith('<'):
        return given
    try:
        return _file_text(given)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f'srdf: {given!r} is neither the text of an SRDF nor a file that can be read: '
            f'{error}') from error


@functools.cache
def _file_text(path: str) -> str:
    """Return the text as it was when it was first asked for: the parameter is fixed at start."""
    return Path(path).read_text(encoding='utf-8')
