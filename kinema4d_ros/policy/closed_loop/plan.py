# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is to be run: every policy from every start, and how; it travels to workers as JSON."""
from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.closed_loop.run import RunLimits
from kinema4d_ros.serialization import to_plain


@dataclass(frozen=True)
class PlannedRun:
    """
    One run that is to be made.

    :param policy: its name in records.
    :param address: of the policy, see `make_policy`.
    :param start: path of an episode, or the name of a bundled one.
    """

    policy: str
    address: str
    start: str
    seed: int = 0


@dataclass(frozen=True)
class RolloutSettings:
    """
    How the runs of a plan are made.

    :param world: `predicted`, or as ``python:MODULE:CALLABLE?KEY=VALUE``, see `make_world`.
    :param world_model: of a predicted world.
    :param model_settings: of the world model.
    :param frames: of each window of a model that goes on from its own last picture.
    :param size: (height, width) of pictures for the policy; (0, 0) for those of the cameras.
    :param wrist: of a camera on the wrist that the starts do not have, see `wrist_view`.
    :param executed: as of `run_task`.
    :param goal: YAML file of a rubric, or the name of one in config/rubrics; '' for that of each
        start.
    :param episodes: folder for an episode file of each run; '' for none.
    :param videos: folder for a video of each run; '' for none.
    :param film_rate: [Hz] of the pictures in both.
    """

    world: str = 'predicted'
    world_model: str = 'kinematic'
    model_settings: Mapping[str, object] = field(default_factory=dict)
    frames: int = 49
    size: tuple[int, int] = (224, 224)
    wrist: str = ''
    executed: int = 0
    goal: str = ''
    limits: RunLimits = field(default_factory=RunLimits)
    episodes: str = ''
    videos: str = ''
    film_rate: float = 5.0
    package_paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.executed < 0:
            raise ConfigurationError('executed must be 0, for all actions of a chunk, or more, got '
                                     f'{self.executed}')
        if not 0 < self.film_rate < math.inf:
            raise ConfigurationError(f'film_rate must be more than 0 Hz, got {self.film_rate}')

    @property
    def world_name(self) -> str:
        """What records call the world."""
        return f'predicted:{self.world_model}' if self.world == 'predicted' else self.world

    @property
    def version(self) -> dict[str, Any]:
        """What its records depend on, in the form of JSON."""
        return {'settings': dict(self.model_settings), 'frames': self.frames,
                'executed': self.executed, 'size': list(self.size), 'wrist': self.wrist,
                'goal': self.goal, 'limits': to_plain(self.limits)}


def planned_runs(policies: Mapping[str, str], starts: Iterable[str],
                 seeds: Sequence[int] = (0,)) -> tuple[PlannedRun, ...]:
    """
    Return every policy from every start with every seed; start by start, so pairs come together.

    :param policies: name -> address.
    :raises ConfigurationError: there is nothing to run.
    """
    starts = list(dict.fromkeys(starts))
    if not policies or not starts or not seeds:
        raise ConfigurationError('a plan needs a policy, a start and a seed, one of each or more')
    return tuple(PlannedRun(name, policies[name], start, seed) for start, seed, name
                 in itertools.product(starts, seeds, policies))


def named_policies(texts: Sequence[str]) -> dict[str, str]:
    """
    Return name -> address of policies given as NAME=ADDRESS, or as ADDRESS, which is its name.

    :raises ConfigurationError: two have one name.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, address = text.partition('=')
        if not sign or not name.replace('_', '').replace('-', '').replace('.', '').isalnum():
            name, address = text, text
        if name in found:
            raise ConfigurationError(f'two policies are called {name}; name them, as in '
                                     f'a={found[name]} b={address}')
        found[name] = address
    return found


def address_parts(address: str) -> tuple[str, dict[str, Any]]:
    """Return an address without its options, and these: ``place?key=value&key=value``."""
    place, _, query = address.partition('?')
    pairs = [part.partition('=') for part in query.split('&') if part]
    for part, sign, _ in pairs:
        if not sign:
            raise ConfigurationError(f'the option {part!r} of {address} is not of the form '
                                     'KEY=VALUE')
    return place, {key: value for key, _, value in pairs}
