# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find a world model by its name; a new one is one file and one line in `_MODELS`."""
from __future__ import annotations

import importlib
from typing import Any

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.base import WorldModel

# name -> (module:class, what it does in one line). Imported when asked for, so that a model's
# heavy dependencies cost nothing to those who use another one.
_MODELS = {
    'frozen': ('kinema4d_ros.world_model.frozen:Frozen',
               'the robot moves, the world stays: the baseline'),
    'kinematic': ('kinema4d_ros.world_model.kinematic:Kinematic',
                  'what the fingers close on follows the hand, and comes to rest when released'),
    'kinema4d': ('kinema4d_ros.world_model.kinema4d.model:Kinema4D',
                 'generates the future with the Kinema4D diffusion transformer (weights, GPU)'),
    'replay': ('kinema4d_ros.world_model.replay:Replay',
               'plays back the recorded future of an episode file'),
}


def available() -> dict[str, str]:
    """Return name -> one line on what it does, of every registered world model."""
    return {name: line for name, (_, line) in _MODELS.items()}


def model_class(name: str) -> type[WorldModel]:
    """
    Import and return the class of a world model; its `settings` say what it can be told.

    :raises WorldModelError: when the name is unknown, or a dependency of the model is missing.
    """
    if name not in _MODELS:
        raise WorldModelError(
            f'unknown world model {name!r}; available: {", ".join(sorted(_MODELS))}')
    module, _, attribute = _MODELS[name][0].partition(':')
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise WorldModelError(
            f'world model {name!r} cannot be loaded here: {error}; install what it needs, or '
            f'choose another of: {", ".join(sorted(_MODELS))}') from error


def create(name: str, **settings: Any) -> WorldModel:
    """
    Return a new world model.

    :param settings: by the names of the model's `settings`; the others keep their defaults.
    :raises WorldModelError: for an unknown name or setting, or a value of the wrong type.
    """
    return model_class(name)(**settings)
