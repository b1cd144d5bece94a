# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Policies that see states, and the simulator, by addresses for `kinema4d rollout`.

``python:kinema4d_ros.policy.state_policies:scripted?name=aim_1cm``,
``python:kinema4d_ros.policy.state_policies:cloned?file=cloned_1500.npz``, and as a world
``python:kinema4d_ros.policy.state_policies:libero``.
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


def libero(context: RunContext) -> TaskWorld:
    """Return the simulator at the start of a run; see `LiberoWorld` for what it needs."""
    from kinema4d_ros.policy.simulated.libero_world import LiberoWorld

    meta = context.episode.metadata
    return LiberoWorld(_scene(meta.suite, meta.task), context.robot, meta.init)


@lru_cache(maxsize=1)
def _scene(suite: str, task: int) -> Any:
    """Return the scene of a task, which takes seconds to make, without what it prints."""
    from kinema4d_ros.episodes.libero.scene import LiberoScene

    with contextlib.redirect_stdout(io.StringIO()):
        return LiberoScene(suite, task)
