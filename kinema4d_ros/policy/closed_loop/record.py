# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of one run of a policy in a world: one line of JSON."""
from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.types import TaskOutcome
from kinema4d_ros.serialization import from_plain, PlainError, to_plain

FORMAT = 1
"""Version of the form; a reader refuses any other."""

_NUMBERS = ('probability', 'min_clearance', 'gap_at_closing')     # of an outcome, null for NaN


class RunEnd(enum.StrEnum):
    """Why a run ended."""

    SOLVED = 'solved'        # the task was solved
    FINISHED = 'finished'    # the policy said that it is done
    HORIZON = 'horizon'      # time was up
    UNSURE = 'unsure'        # what the policy was shown could not be believed any longer
    REFUSED = 'refused'      # a chunk could not be executed, or nothing be predicted of it
    ERROR = 'error'          # the policy or the world could not be reached or broke: no result


@dataclass(frozen=True)
class RolloutRecord:
    """
    One run: who, where, what came of it, and what it took.

    Runs are told apart by `key`. A run with an `error` has no result and is run again when its
    plan is resumed.

    :param policy: name by which policies are compared; several starts share it.
    :param task: name of the task, such as `libero_object/0`; several starts share it.
    :param start: name of the initial state within all tasks, such as that of an episode; runs of
        several policies from one start are matched pairs.
    :param world: `predicted:kinematic`, `libero`, ...
    :param world_version: of the world: what made it, its weights, and its settings.
    :param duration: [s] that the robot moved.
    :param unseen: by view, the largest share of pixels that nobody ever saw, of those pictures
        that the policy looked at.
    :param drift: [s] largest time since a real picture, of all that the policy was shown.
    """

    policy: str
    task: str
    start: str
    seed: int
    world: str
    outcome: TaskOutcome
    ended: RunEnd
    world_version: str = ''
    policy_address: str = ''
    instruction: str = ''
    chunks: int = 0               # that the policy was asked for
    actions: int = 0              # that were executed
    duration: float = 0.0
    unseen: Mapping[str, float] = field(default_factory=dict)
    drift: float = 0.0
    wall_seconds: float = 0.0     # of the whole run, with what follows
    policy_seconds: float = 0.0   # of these, waiting for the policy
    world_seconds: float = 0.0    # of these, for the world, its pictures and the outcome
    begun: str = ''               # UTC, ISO 8601
    episode: str = ''             # file of the run, beside the records; '' for none
    video: str = ''               # likewise
    error: str = ''               # why there is no result; '' for a run that has one

    @property
    def key(self) -> tuple[str, str, str, int]:
        """World, policy, start and seed: there is one run of these."""
        return self.world, self.policy, self.start, self.seed

    @property
    def success(self) -> bool | None:
        """Whether the task was solved; None where nobody knows."""
        return self.outcome.success

    def to_json(self) -> str:
        """Return the record as one line of JSON; NaN is null, and infinite distances are "inf"."""
        values = to_plain(self)
        for name in _NUMBERS:
            number = values['outcome'][name]
            if math.isnan(number):
                values['outcome'][name] = None
            elif math.isinf(number):
                values['outcome'][name] = str(number)
        return json.dumps({'format': FORMAT, **values}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = 'record') -> RolloutRecord:
        """
        Read a record back.

        :raises PolicyError: when it is no record, or one of another version.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise PolicyError(f'{where} is not JSON: {error}') from error
        if not isinstance(values, dict) or values.pop('format', None) != FORMAT:
            raise PolicyError(f'{where} is no record of a run of format {FORMAT}; it was written '
                              'by another version, or is something else')
        outcome: Any = values.get('outcome')
        if isinstance(outcome, dict):
            values['outcome'] = outcome | {
                name: float('nan' if outcome[name] is None else outcome[name])
                for name in _NUMBERS if outcome.get(name, 0.0) in (None, 'inf', '-inf')}
        try:
            return from_plain(cls, values, where)
        except PlainError as error:
            raise PolicyError(str(error)) from error

    def with_error(self, error: str) -> RolloutRecord:
        """Return the record of a run that gave no result, for a reason."""
        return dataclasses.replace(self, ended=RunEnd.ERROR, error=error,
                                   outcome=TaskOutcome(None, reason=error))
