# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Scripted and cloned policies, and the simulator, by addresses for `kinema4d rollout`.

``python:kinema4d_ros.policy.state_policies:scripted?name=aim_1cm``,
``python:kinema4d_ros.policy.state_policies:cloned?file=cloned_1500.npz`` and, of those that see
pictures, ``python:kinema4d_ros.policy.state_policies:seeing?file=seeing_1600.npz``; as a world
``python:kinema4d_ros.policy.state_policies:libero``, with `?pictures=yes` for policies that see, or
``python:kinema4d_ros.policy.state_policies:predicted?world_model=kinematic``.
"""
from __future__ import annotations

import contextlib
import dataclasses
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.cloned import ClonedPolicy, read_arrays
from kinema4d_ros.policy.closed_loop.makers import RunContext
from kinema4d_ros.policy.closed_loop.starts import goal_of
from kinema4d_ros.policy.closed_loop.world import PredictedWorld
from kinema4d_ros.policy.picture_policy import PicturePolicy, VIEW
from kinema4d_ros.policy.scripted import SCRIPTED, ScriptedErrors, ScriptedPolicy
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import TaskWorld
from kinema4d_ros.precheck import DynamicsRules, PrecheckSettings
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator

_PLACE = f'python:{__name__}'
LIBERO = f'{_PLACE}:libero'
"""Address of the simulator as a world."""


def policy_address(name: str) -> str:
    """
    Return the address of a scripted policy with all its errors, or of a file NAME.npz.

    :raises ConfigurationError: it is neither.
    """
    if name.endswith('.npz'):
        kind = 'seeing' if sees_pictures(name) else 'cloned'
        return f'{_PLACE}:{kind}?file={Path(name).resolve()}'
    errors = dataclasses.asdict(_errors(name))
    return f'{_PLACE}:scripted?name={name}' + ''.join(
        f'&{key}={value}' for key, value in errors.items())


def sees_pictures(name: str) -> bool:
    """Return whether a policy is the file of one that looks at pictures; no for what is damaged."""
    if not name.endswith('.npz') or not Path(name).is_file():
        return False
    try:
        return 'instructions' in read_arrays(Path(name))
    except PolicyError:     # whoever loads it says what is wrong
        return False


def world_address(world_model: str) -> str:
    """Return the address of the world that a model predicts, for policies that see states."""
    return f'{_PLACE}:predicted?world_model={world_model}'


def scripted(context: RunContext, name: str = 'expert', **errors: str) -> ScriptedPolicy:
    """
    Return a scripted policy for the start of a run.

    :param errors: fields of `ScriptedErrors`, in place of those of that name.
    :raises ConfigurationError: there is none of that name, or no such error.
    """
    try:
        made = dataclasses.replace(_errors(name), **{
            key: float(value) for key, value in errors.items()})
    except (TypeError, ValueError) as error:
        known = ', '.join(field.name for field in dataclasses.fields(ScriptedErrors))
        raise ConfigurationError(f'a scripted policy takes {known} as numbers, got {errors}'
                                 ) from error
    return ScriptedPolicy(TaskStart.of(context.episode), made)


def _errors(name: str) -> ScriptedErrors:
    if name not in SCRIPTED:
        raise ConfigurationError(f'unknown scripted policy {name!r}; known: {", ".join(SCRIPTED)}'
                                 ', or a file NAME.npz of a cloned one')
    return SCRIPTED[name]


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


class _AskedAtTheEnd:
    """A predicted world that is judged once, as these policies say themselves when they end."""

    def __init__(self, world: TaskWorld) -> None:
        self._world, self.robot = world, world.robot
        self.reset, self.execute, self.outcome = world.reset, world.execute, world.outcome

    def is_solved(self) -> bool:
        """Return False: what is foreseen of the whole motion counts."""
        return False


def predicted(context: RunContext, world_model: str = 'kinematic') -> TaskWorld:
    """
    Return the world as a model predicts it from the start of a run, judged once at its end.

    :raises WorldModelError: there is no such model.
    """
    episode = context.episode
    return _AskedAtTheEnd(PredictedWorld(
        _simulator(episode.robot_description, world_model), episode.observation(),
        instruction=episode.metadata.task_text, goal=goal_of(episode)))


@lru_cache(maxsize=1)
def _simulator(robot_description: str, world_model: str) -> ShadowSimulator:
    """Return what runs of one robot share; tier 1 foresees by the same means as the model."""
    rules = DynamicsRules(outcome=world_model == 'physics')
    return ShadowSimulator(Robot.from_urdf(robot_description), world_model,
                           settings=PrecheckSettings(physics=rules))


@lru_cache(maxsize=1)
def _scene(suite: str, task: int) -> Any:
    """Return the scene of a task, which takes seconds to make, without what it prints."""
    from kinema4d_ros.episodes.libero.scene import LiberoScene

    with contextlib.redirect_stdout(io.StringIO()):
        return LiberoScene(suite, task)
