# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks as a policy answered them, with the state of the robot then and afterwards."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import PolicyError


@dataclass(frozen=True, eq=False)
class ChunkRecord:
    """
    A chunk, and where the robot was.

    :param actions: (N, columns) in the policy's own numbers.
    :param state: (J,) [rad or m] at prediction time, in the order of `robot.joint_names`.
    :param after: (M, J) likewise, one action period after the other, while it was executed; None
        where nobody recorded it. Without it units of changes, order and frame often stay unknown.
    """

    actions: np.ndarray
    state: np.ndarray
    after: np.ndarray | None = None

    def __post_init__(self) -> None:
        """
        Check shapes and numbers.

        :raises PolicyError: naming what is wrong.
        """
        for key in ('actions', 'state', 'after'):
            value = getattr(self, key)
            if value is None:
                continue
            try:
                value = np.asarray(value, np.float64)
            except (TypeError, ValueError) as error:
                raise PolicyError(f'{key} of a chunk must be numbers: {error}') from error
            wanted = 1 if key == 'state' else 2
            if value.ndim != wanted or not value.size or not np.isfinite(value).all():
                raise PolicyError(f'{key} of a chunk must be {wanted}-dimensional, finite and not '
                                  f'empty, got shape {value.shape}')
            object.__setattr__(self, key, value)
        if self.after is not None and self.after.shape[1] != len(self.state):
            raise PolicyError(f'the state has {len(self.state)} joints, and the states afterwards '
                              f'{self.after.shape[1]}')


def records_of(actions: np.ndarray, states: np.ndarray, *, length: int = 10, every: int = 0
               ) -> tuple[ChunkRecord, ...]:
    """
    Cut a recording, with an action and a state per row, into chunks with what came after.

    Not for actions that are relative to the state of their chunk's begin, which a recording of
    rows no longer shows; take the chunks as the policy answered them.

    :param actions: (N, columns).
    :param states: (N, J) in the order of `robot.joint_names`.
    :param length: actions of a chunk.
    :param every: rows from one chunk to the next; 0: as `length`.
    """
    if len(actions) != len(states):
        raise PolicyError(f'{len(actions)} actions and {len(states)} states do not belong together')
    return tuple(ChunkRecord(actions[at:at + length], states[at], states[at + 1:at + 1 + length])
                 for at in range(0, len(actions) - length, every or length))


def common_length(records: Sequence[ChunkRecord]) -> tuple[int, int]:
    """
    Return how many actions all records have, and how many states afterwards (0: not all do).

    :raises PolicyError: there are none, or their columns differ.
    """
    if not records:
        raise PolicyError('no chunk was given')
    if len({(record.actions.shape[1], len(record.state)) for record in records}) > 1:
        raise PolicyError('the chunks have different numbers of columns or joints')
    after = min(0 if record.after is None else len(record.after) for record in records)
    return min(len(record.actions) for record in records), after
