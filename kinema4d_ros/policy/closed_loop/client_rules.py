# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the client on the robot does to a chunk before the robot gets it: part of the policy."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.errors import ConfigurationError, TrajectoryError


@dataclass(frozen=True)
class Threshold:
    """A column that the client makes one of two numbers, as it does of a gripper's."""

    at: float        # numbers above this become `above`
    below: float
    above: float


@dataclass(frozen=True)
class ClientRules:
    """
    How a chunk is executed.

    Columns are numbers of those of the policy's action, negative ones from the end.

    :param executed: actions of a chunk that are executed before the next one is asked for, the
        open-loop horizon; 0 for all.
    :param clipped: column -> (least, most) that it is clipped to.
    :param thresholds: column -> what it becomes; after clipping.
    """

    executed: int = 0
    clipped: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    thresholds: Mapping[int, Threshold] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.executed < 0:
            raise ConfigurationError(f'executed must be 0 (all of a chunk) or more, got '
                                     f'{self.executed}')
        for column, (least, most) in self.clipped.items():
            if not least < most:
                raise ConfigurationError(f'column {column} cannot be clipped to {least} to {most}')

    def apply(self, chunk: np.ndarray) -> np.ndarray:
        """
        Return what of a chunk is executed, (k, columns) float64.

        :raises TrajectoryError: the chunk is no table, or lacks a column that a rule names.
        """
        chunk = np.array(chunk, np.float64)
        if chunk.ndim != 2:
            raise TrajectoryError(f'a chunk must have shape (actions, columns), got {chunk.shape}')
        if self.executed:
            chunk = chunk[:self.executed]
        wide = chunk.shape[1]
        for column in (*self.clipped, *self.thresholds):
            if not -wide <= column < wide:
                raise TrajectoryError(f'the chunk has {wide} columns, and the rules of the client '
                                      f'name column {column}')
        for column, (least, most) in self.clipped.items():
            chunk[:, column] = np.clip(chunk[:, column], least, most)
        for column, rule in self.thresholds.items():
            # not-a-number stays, for whoever refuses it
            known = np.isfinite(chunk[:, column])
            chunk[known, column] = np.where(chunk[known, column] > rule.at, rule.above, rule.below)
        return chunk
