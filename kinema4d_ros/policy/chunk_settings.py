# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How chunks of actions are checked between a policy and a robot."""
from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from kinema4d_ros.errors import ConfigurationError


class ChunkMode(enum.StrEnum):
    """What a chunk that did not pass is replaced by."""

    ENFORCE = 'enforce'     # by holding still
    MONITOR = 'monitor'     # by nothing: it is told, and goes on


class ChunkExecution(enum.StrEnum):
    """When a client executes what it was answered."""

    SEQUENTIAL = 'sequential'       # from its first action on, and asks again when it is done
    OVERLAPPING = 'overlapping'     # row i at the observation's time + (i + 1) periods


class Resample(enum.StrEnum):
    """When further chunks are asked of the policy."""

    REFUSED = 'refused'     # where the first did not pass
    ALWAYS = 'always'       # each time, for the best of all


@dataclass(frozen=True)
class ChunkSettings:
    """
    What is allowed, and how the client executes.

    :param samples: chunks of one observation at most, the first one included. A policy that keeps
        a history of requests must have 1.
    :param sampling_time: [s] from the first chunk after which no further one is asked for.
    :param verdict_time: [s] that a verdict gets when overlapping: the answer leaves after it, since
        what a chunk does depends on when the client has it; a verdict that takes longer is UNSURE.
    :param latency: [s] from our answer until the client goes over to it, when overlapping.
    :param blend: [s] in which it goes over, likewise.
    :param first_action_tolerance: [rad or m] how far the first action may be from where the joint
        is, fingers left out. Units, an order of joints or a reference that is wrong show here. A
        policy that learned from a teleoperated robot commands ahead of it: on DROID up to 0.3 rad.
    :param state_tolerance: [rad or m] how far the state that the client tells the policy may be
        from what the robot's joints are; fingers left out.
    """

    mode: ChunkMode = ChunkMode.ENFORCE
    execution: ChunkExecution = ChunkExecution.SEQUENTIAL
    samples: int = 1
    resample: Resample = Resample.REFUSED
    sampling_time: float = 5.0
    verdict_time: float = 0.3
    latency: float = 0.0
    blend: float = 0.0
    first_action_tolerance: float = 0.4
    state_tolerance: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        object.__setattr__(self, 'mode', ChunkMode(self.mode))
        object.__setattr__(self, 'execution', ChunkExecution(self.execution))
        object.__setattr__(self, 'resample', Resample(self.resample))
        if self.samples < 1:
            raise ConfigurationError(f'samples must be at least 1, got {self.samples}')
        for name in ('sampling_time', 'verdict_time', 'latency', 'blend', 'first_action_tolerance',
                     'state_tolerance'):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigurationError(f'{name} must be at least 0, got {getattr(self, name)}')
