# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies and worlds by their addresses."""
from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.closed_loop.plan import address_parts
from kinema4d_ros.policy.closed_loop.recorded import RecordedPolicy, StillPolicy
from kinema4d_ros.policy.preset import PolicyPreset
from kinema4d_ros.policy.types import Policy, TaskWorld
from kinema4d_ros.robot import Robot

GROUP = 'kinema4d_ros.policies'     # of the entry points
#: what an address may look like, for people
ADDRESSES = """\
recorded                        plays the motion that the episode has; still: does nothing
openpi://HOST:PORT?preset=NAME  a policy server in the dialect of openpi or RoboArena; NAME is a
                                file, or one of config/policies; further options: timeout [s],
                                api_key
python:MODULE:CALLABLE?K=V      callable(context, **options) -> policy, see RunContext
NAME                            of an entry point of the group kinema4d_ros.policies, likewise"""
_OPENPI = {'preset', 'timeout', 'api_key', 'tip_link'}


@dataclass(frozen=True, eq=False)
class RunContext:
    """What is known before a run, for those who make policies and worlds."""

    robot: Robot
    episode: Episode      # that the run starts from
    seed: int = 0
    options: Mapping[str, str] = field(default_factory=dict)     # of the address

    @property
    def start(self) -> str:
        """Name of the start."""
        return self.episode.path.stem


def make_policy(address: str, context: RunContext) -> Policy:
    """
    Return the policy of an address, made for one run.

    Whoever needs long to load keeps what was loaded, as functools.cache does.

    :raises ConfigurationError: nothing is there, or what is there is no policy.
    :raises PolicyError: as whatever makes it.
    """
    place, options = address_parts(address)
    if place.startswith('openpi://'):
        return _client('ws://' + place.removeprefix('openpi://'), options, context)
    if place == 'recorded':
        return RecordedPolicy(context.episode, context.robot)
    if place == 'still':
        return StillPolicy(context.robot)
    policy = _called(place, options, context, {entry.name: entry.value for entry
                                               in metadata.entry_points(group=GROUP)})
    for name in ('act', 'reset', 'action_format'):
        if not hasattr(policy, name):
            raise ConfigurationError(f'what {address} makes is no policy: {type(policy).__name__} '
                                     f'has no {name}')
    made: Policy = policy
    return made


def make_world(address: str, context: RunContext) -> TaskWorld:
    """
    Return the world of an address ``python:MODULE:CALLABLE?K=V``, made for one run.

    :raises ConfigurationError: nothing is there, or what is there is no world.
    """
    place, options = address_parts(address)
    world = _called(place, options, context, {})
    for name in ('robot', 'reset', 'execute', 'is_solved', 'outcome'):
        if not hasattr(world, name):
            raise ConfigurationError(f'what {address} makes is no world: {type(world).__name__} '
                                     f'has no {name}')
    made: TaskWorld = world
    return made


def _called(place: str, options: Mapping[str, str], context: RunContext,
            known: Mapping[str, str]) -> Any:
    """Return what a callable makes."""
    kind, _, rest = place.partition(':')
    target = rest if kind == 'python' else known.get(place, '')
    module, _, name = target.partition(':')
    if not module or not name:
        raise ConfigurationError(f'there is nothing at {place!r}; an address is one of\n'
                                 f'{ADDRESSES}')
    try:
        found: Any = importlib.import_module(module)
        for part in name.split('.'):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f'{place} cannot be loaded: {error}') from error
    make: Callable[..., Any] = found
    given = ', '.join(['context', *(f'{key}={value!r}' for key, value in options.items())])
    takes: inspect.Signature | None = None
    try:
        takes = inspect.signature(make)
        takes.bind(context, **options)
    except (TypeError, ValueError) as error:      # no callable, one without a signature, or others
        names = '' if takes is None else f'; it takes ({", ".join(takes.parameters)})'
        raise ConfigurationError(f'{place} cannot be called with ({given}): {error}{names}') \
            from error
    return make(context, **options)


def _client(address: str, options: Mapping[str, str], context: RunContext) -> Policy:
    from kinema4d_ros.policy.wire import PolicyClient, preset_keys

    if strange := sorted(set(options) - _OPENPI):
        raise ConfigurationError(f'{address} has unknown options {", ".join(strange)}; there are '
                                 f'{", ".join(sorted(_OPENPI))}')
    if 'preset' not in options:
        raise ConfigurationError(f'{address} needs ?preset=NAME, which says what the policy is '
                                 'shown and what its actions mean')
    try:
        timeout = float(options.get('timeout', '30'))
    except ValueError as error:
        raise ConfigurationError(f'timeout of {address} is no number: {error}') from error
    preset, tip = PolicyPreset.load(options['preset']), options.get('tip_link', '')
    form = preset.action_format(context.robot)
    return PolicyClient(address, form, preset_keys(preset, context.robot, form, tip_link=tip),
                        robot=context.robot, api_key=options.get('api_key', ''), timeout=timeout)
