# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Scripted and cloned policies, and the simulator, by addresses for `kinema4d rollout`.

``python:kinema4d_ros.policy.state_policies:scripted?name=aim_1cm``,
``python:kinema4d_ros.policy.state_policies:cloned?file=cloned_1500.npz`` and, of those that see
pictures, ``python:kinema4d_ros.policy.state_policies:seeing?file=seeing_1600.npz``; as a world
``python:kinema4d_ros.policy.state_policies:libero``, with `?pictures=yes` for policies that see.
"""
from __future__ import annotations

import contextlib
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.cloned import ClonedPolicy
from kinema4d_ros.policy.closed_loop.makers import RunContext
from kinema4d_ros.policy.picture_policy import PicturePolicy, VIEW
from kinema4d_ros.policy.scripted import SCRIPTED, ScriptedPolicy
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import TaskWorld


def scripted(context: RunContext, name: str = 'expert') -> ScriptedPolicy:
    """
    Return a scripted policy for the start of a run.

    :raises ConfigurationError: there is none of that name.
    """
    if name not in SCRIPTED:
        raise ConfigurationError(f'unknown scripted policy {name!r}; known: {", ".join(SCRIPTED)}')
    return ScriptedPolicy(TaskStart.of(context.episode), SCRIPTED[name])


def cloned(context: RunContext, file: str) -> ClonedPolicy:
    """Return a cloned policy of a file for the start of a run."""
    return ClonedPolicy.load(Path(file), TaskStart.of(context.episode))


def seeing(context: RunContext, file: str) -> PicturePolicy:
    """Return a cloned policy of a file that sees the exterior picture."""
    return PicturePolicy.load(Path(file), context.robot)


def libero(context: RunContext, pictures: str = 'no') -> TaskWorld:
    """
    Return the simulator at the start of a run; see `LiberoWorld` for what it needs.

    :param pictures: `yes` where the policy looks through the camera of the start.
    """
    from kinema4d_ros.policy.simulated.libero_world import LiberoWorld

    if pictures not in ('yes', 'no'):
        raise ConfigurationError(f'pictures is {pictures!r}; it is yes or no')
    meta = context.episode.metadata
    views = {}
    if pictures == 'yes':
        camera = context.episode.observation().view.camera
        views = {VIEW: _renderer(meta.suite, meta.task, meta.camera, camera.height, camera.width)}
    return LiberoWorld(_scene(meta.suite, meta.task), context.robot, meta.init, views,
                       TaskStart.of(context.episode).T_base_object)


@lru_cache(maxsize=1)
def _renderer(suite: str, task: int, camera: str, height: int, width: int) -> Any:
    """Return what renders a scene, which like it is kept from run to run."""
    from kinema4d_ros.episodes.libero.render import SceneRenderer

    return SceneRenderer(_scene(suite, task), camera, height, width)


@lru_cache(maxsize=1)
def _scene(suite: str, task: int) -> Any:
    """Return the scene of a task, which takes seconds to make, without what it prints."""
    from kinema4d_ros.episodes.libero.scene import LiberoScene

    with contextlib.redirect_stdout(io.StringIO()):
        return LiberoScene(suite, task)
