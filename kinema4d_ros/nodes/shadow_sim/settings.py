# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim makes of its parameters, once for each change of them."""
from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.precheck.from_parameters import precheck_settings, world_model_settings
from kinema4d_ros.precheck.goals import load_rubric, rubrics
from kinema4d_ros.robot import JointLimitsFile
from kinema4d_ros.robot.tracking import TrackingModel
from kinema4d_ros.world_model.following import FollowingScores


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
            joint_limits_file=_joint_limits(values['joint_limits_file']),
            tracking=TrackingModel.load(values['tracking']) if values['tracking'] else None,
            following=FollowingScores.load(values['tier2.following_scores'])
            if values['tier2.following_scores'] else None),
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
def _joint_limits(path: str) -> JointLimitsFile | None:
    """
    Return the limits of a file as they were when they were first asked for; None for ''.

    :raises ConfigurationError: it cannot be read, or what it says is no limit.
    """
    return JointLimitsFile.load(path) if path.strip() else None


@functools.cache
def _file_text(path: str) -> str:
    """Return the text as it was when it was first asked for: the parameter is fixed at start."""
    return Path(path).read_text(encoding='utf-8')


def opt_outs(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what parameters, by their values, take away from what a PASS means."""
    if values['max_input_age'] == 0.0:
        yield 'max_input_age is 0.0: verdicts may rest on images of any age'
    if values['tier1.unseen'] == 'report':
        yield "tier1.unseen is 'report': a motion into space that no camera has seen may PASS"
    if values['tier1.camera_check'] != 'required':
        yield (f"tier1.camera_check is '{values['tier1.camera_check']}': a camera that has not "
               'seen the robot where it should be may be believed')
    if values['tier2.unprobed'] != 'unsure':
        yield (f"tier2.unprobed is '{values['tier2.unprobed']}': tier 2 may find nothing wrong by "
               'a world model of which nobody knows whether it shows the motion')
    if values['verdict_lifetime'] > 60.0:
        yield (f"verdict_lifetime is {values['verdict_lifetime']} s: a verdict may be acted on so "
               'long after the look that it rests on')
    if values['tier1.travel'] < values['tier0.travel']:
        yield (f"tier1.travel is {values['tier1.travel']} m, but links are checked against each "
               f"other every {values['tier0.travel']} m: set tier0.travel too, which has its own "
               'value since 0.2.0')
