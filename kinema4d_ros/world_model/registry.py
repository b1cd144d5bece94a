# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Find a world model by its name: one of `_MODELS`, or of another installed package.

A package of anybody's registers a model by an entry point of the group `kinema4d_ros.world_models`,
``name = "module:Class"``; nothing of it is imported before it is asked for. See
`examples/02_a_world_model_of_your_own`. What such a class promises:

- It derives from `WorldModel` and has a `name`, and its `settings` with defaults and meanings.
- The constructor makes it ready to predict (weights loaded, device warmed up), never downloads
  unasked, and raises WorldModelError for what a restart would not cure.
- `predict` yields one PredictedFrame for each of `robot.times`, in order, each as soon as it is
  ready: image and points have the size of the observed image, points are metres in the frame of the
  camera at that time (`robot.T_base_camera`), NaN where unknown. Where `robot.link_id` shows the
  robot, it is the truth. Inputs are not written to.
- It calls `report` before every piece of work, at least every second or so, and lets through what
  that raises: so it is cancelled. A model that is silent for longer than the node's `cancel_grace`
  while it is cancelled loses its process, and what it had loaded.
- The same weights, settings, inputs and seed give the same frames.
- It survives: after an exception, a cancel or a generator closed half-way the next `predict` works.
- With weights it sets `fingerprint`, which names them in every verdict.
- It says with `follows_actions` whether its frames show the motion that it is asked about: True
  where it draws the robot exactly, False where it takes no actions. Left out, tier 2 forbids a PASS
  until `kinema4d probe-model` has measured it.
- `close` gives memory and devices back.

It is used by one thread of a process of its own, which runs nothing else and may be killed at any
time; so it needs no locks, and state that must last is its own care.
"""
from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.base import WorldModel

GROUP = 'kinema4d_ros.world_models'   # of the entry points

# name -> (module:class, what it does in one line). Imported when asked for, so that a model's
# heavy dependencies cost nothing to those who use another one.
_MODELS = {
    'frozen': ('kinema4d_ros.world_model.frozen:Frozen',
               'the robot moves, the world stays: the baseline'),
    'kinematic': ('kinema4d_ros.world_model.kinematic:Kinematic',
                  'what the fingers close on follows the hand, and comes to rest when released'),
    'physics': ('kinema4d_ros.world_model.physics:Physics',
                'what is touched is pushed, tips over, is dragged or falls: rigid bodies'),
    'kinema4d': ('kinema4d_ros.world_model.kinema4d.model:Kinema4D',
                 'generates the future with the Kinema4D diffusion transformer (weights, GPU)'),
    'cosmos': ('kinema4d_ros.world_model.cosmos.model:Cosmos',
               'rolls pictures out with Cosmos 3, by actions (a model directory, GPU)'),
    'tesseract': ('kinema4d_ros.world_model.tesseract.model:Tesseract',
                  'for comparison: shows an instruction, not the motion (weights, GPU)'),
    'replay': ('kinema4d_ros.world_model.replay:Replay',
               'plays back the recorded future of an episode file'),
}


def available() -> dict[str, str]:
    """Return name -> one line on what it does, of every registered world model."""
    return {name: line for name, (_, line) in _places().items()}


def our_models() -> tuple[str, ...]:
    """Return the names of the models that come with this package."""
    return tuple(_MODELS)


def model_class(name: str) -> type[WorldModel]:
    """
    Import and return the class of a world model; its `settings` say what can be set.

    :raises WorldModelError: when the name is unknown, a dependency of the model is missing, or
        what a package registered is no WorldModel.
    """
    places = _places()
    if name not in places:
        raise WorldModelError(
            f'unknown world model {name!r}; available: {", ".join(sorted(places))}')
    place = places[name][0]
    module, _, attribute = place.partition(':')
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise WorldModelError(
            f'world model {name!r} cannot be loaded here: {error}; install what it needs, or '
            f'choose another of: {", ".join(sorted(places))}') from error
    if not (isinstance(found, type) and issubclass(found, WorldModel)):
        raise WorldModelError(
            f'world model {name!r} is {place}, which is no subclass of '
            'kinema4d_ros.world_model.WorldModel')
    return found


def without_needless_device(model: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings for a model: without a device where it runs on none, as most do."""
    return {name: value for name, value in settings.items()
            if name != 'device' or name in getattr(model, 'settings', (name,))}


def load_world_model(name: str, **settings: Any) -> WorldModel:
    """
    Return a new world model.

    :param settings: by the names of the model's `settings`; the others keep their defaults.
    :raises WorldModelError: for an unknown name or setting, or a value of the wrong type.
    """
    return model_class(name)(**settings)


def _places() -> dict[str, tuple[str, str]]:
    """Return name -> (module:class, one line); a name of our own cannot be taken by others."""
    others = {entry.name: (entry.value.replace(' ', ''), f'from the package {_package(entry)}')
              for entry in metadata.entry_points(group=GROUP)}
    return others | _MODELS


def _package(entry: metadata.EntryPoint) -> str:
    return 'of an unknown name' if entry.dist is None else entry.dist.name
