# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What training is told, and the schedule that follows from it."""
from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import TrainingError

LEVELS = 1000        # noise levels of the flow, of the base model's scheduler


class Recipe(enum.StrEnum):
    """
    Which schedule and betas; the official script asks for one and gets another.

    INTENDED is what the script says: linear warm-up over 100 steps, then constant, betas 0.9 and
    0.95. EFFECTIVE is what its DeepSpeed config makes of it: logarithmic warm-up over 100 steps
    times the number of processes, then a straight line to 0 at the last step, betas 0.9 and 0.999.
    The released weights come from the latter, which a short run never leaves the warm-up of.
    """

    INTENDED = 'intended'
    EFFECTIVE = 'effective'


@dataclass(frozen=True)
class TrainingSettings:
    """Numbers as the official training has them, where nothing else is said."""

    steps: int = 2000                 # optimiser steps
    batch: int = 1                    # clips per process and forward pass
    accumulation: int = 1             # forward passes per optimiser step
    learning_rate: float = 2e-5
    weight_decay: float = 1e-4
    recipe: Recipe = Recipe.INTENDED
    warm_up: int = 100                # steps; times the number of processes if EFFECTIVE
    clip_norm: float = 1.0            # of the gradient
    rank: int = 64                    # of a new LoRA; of one that is loaded, the file decides
    soft_share: float = 0.1           # of the mask's cells that are set to one half
    timestep_shift: float = 1.0       # of the noise levels: 1 uniform, as trained; inference has 3
    sample_condition: bool = True     # a sample of the VAE for the first frame, not its mean
    gradient_checkpointing: bool = True
    mixed_precision: str = 'bf16'     # no or bf16
    seed: int = 42
    save_every: int = 400             # steps
    keep: int = 2                     # checkpoints; the official README advises to keep several
    validate_every: int = 400         # steps; 0 never
    validation_steps: int = 10        # of sampling; 0 measures losses only
    validation_clips: int = 4         # of the held-out clips

    def check(self) -> None:
        """Raise TrainingError for a number out of range."""
        for name, low in (('steps', 1), ('batch', 1), ('accumulation', 1), ('rank', 1),
                          ('warm_up', 1), ('save_every', 1), ('keep', 1), ('validate_every', 0),
                          ('validation_steps', 0), ('validation_clips', 0)):
            if getattr(self, name) < low:
                raise TrainingError(f'{name} must be {low} or more, got {getattr(self, name)}')
        for name in ('learning_rate', 'clip_norm', 'timestep_shift'):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f'{name} must be positive, got {getattr(self, name):g}')
        for name, high in (('soft_share', 1.0), ('weight_decay', math.inf)):
            if not 0 <= getattr(self, name) <= high:
                raise TrainingError(f'{name} must be 0 to {high:g}, got {getattr(self, name):g}')
        if self.mixed_precision not in ('no', 'bf16'):
            raise TrainingError(f'mixed_precision {self.mixed_precision!r} does not exist; choose '
                                'one of: no, bf16')

    @property
    def betas(self) -> tuple[float, float]:
        """Of AdamW."""
        return (0.9, 0.95) if self.recipe is Recipe.INTENDED else (0.9, 0.999)

    def rate(self, step: int, processes: int) -> float:
        """Return the learning rate of a step, which begin at 0."""
        if self.recipe is Recipe.INTENDED:
            return self.learning_rate * min(1.0, (step + 1) / self.warm_up)
        warm = max(2, self.warm_up * processes)
        if step < warm:
            return self.learning_rate * math.log(step + 1) / math.log(warm)
        return self.learning_rate * max(0.0, (self.steps - step) / max(1, self.steps - warm))

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on as if it had not stopped."""
        free = {'save_every', 'keep', 'validate_every', 'validation_steps', 'validation_clips'}
        if self.recipe is Recipe.INTENDED:
            free.add('steps')
        return {key: str(value) if isinstance(value, enum.Enum) else value
                for key, value in dataclasses.asdict(self).items() if key not in free}


@dataclass(frozen=True)
class TrainingPaths:
    """What training reads and writes."""

    base: Path                 # base model in diffusers layout
    weights: Path              # folder of LoRA and added weights to start from
    clips: Path                # root in the Robo4D layout
    out: Path                  # checkpoints, log
    conditions: Path | None = None     # encoded first frames, shared by runs; None: below `out`
