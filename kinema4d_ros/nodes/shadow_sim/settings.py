# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim makes of its parameters, once for each change of them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.precheck.from_parameters import precheck_settings, world_model_settings
from kinema4d_ros.precheck.goals import load_rubric


@dataclass(frozen=True)
class ShadowSimSettings:
    """What the node needs of its parameters; a request keeps one to its end."""

    values: Mapping[str, Any]               # of the parameters, by their names
    precheck: PrecheckSettings
    goal: Goal | None                       # of the parameter goal_rubric
    world_model: Mapping[str, Any]          # the world model's own settings, by name


def shadow_sim_settings(values: Mapping[str, Any]) -> ShadowSimSettings:
    """
    Return the settings; the files that parameters name are read here, and only here.

    :raises ConfigurationError: a value cannot be understood, or a file not be read.
    """
    if '' in values['package_paths']:
        raise ConfigurationError(
            "parameter 'package_paths' holds an empty path; name folders, or leave it out")
    return ShadowSimSettings(
        values, precheck_settings(values, srdf=srdf_text(values['srdf'])),
        load_rubric(values['goal_rubric'], values['rubric_dir']), world_model_settings(values))


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
        return Path(given).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f'srdf: {given!r} is neither the text of an SRDF nor a file that can be read: '
            f'{error}') from error
