# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Goal rubrics by name: YAML files in a folder of the user's, or in this package."""
from __future__ import annotations

from pathlib import Path

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.resources import share_dir


def rubrics(folder: str = '') -> dict[str, Path]:
    """Return name -> file of every rubric; those in `folder` come before the package's."""
    found: dict[str, Path] = {}
    for place in (share_dir() / 'config' / 'rubrics', *([Path(folder)] if folder else [])):
        found |= {path.stem: path for path in sorted(place.glob('*.yaml'))}
    return found


def load_rubric(name: str, folder: str = '') -> Goal | None:
    """
    Return the goal of that name, None for ''.

    :raises ConfigurationError: there is none of that name, or it cannot be read.
    """
    if not name:
        return None
    known = rubrics(folder)
    if name not in known:
        raise ConfigurationError(
            f'unknown goal rubric {name!r}; known: {", ".join(sorted(known)) or "none"}; the '
            'parameter rubric_dir names a folder with more, one NAME.yaml each')
    return Goal.load(known[name])
