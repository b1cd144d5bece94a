# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of a job: one line of JSON."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, UTC
from typing import Any

from kinema4d_ros.errors import JobError
from kinema4d_ros.jobs.job import JobFailure, JobResult
from kinema4d_ros.jobs.lineage import text_hash
from kinema4d_ros.serialization import from_plain, PlainError, to_plain

FORMAT = 1
"""Version of the form; a reader refuses any other."""


@dataclass(frozen=True)
class JobRecord:
    """
    What is kept of a job.

    :param answer: in plain form (`to_plain`); None where there is a failure.
    :param failure: why there is no answer: the job is in quarantine.
    :param tries, seconds, cpu_seconds, memory: as in `JobResult`.
    :param written: UTC, ISO 8601.
    """

    key: str
    lineage: Mapping[str, str] = field(default_factory=dict)
    answer: Any = None
    failure: JobFailure | None = None
    tries: int = 1
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: float = 0.0
    written: str = ''

    @classmethod
    def of(cls, result: JobResult) -> JobRecord:
        """
        Return the record of what came of a job.

        :raises PlainError: the answer has no plain form.
        """
        return cls(result.job.key, dict(result.job.lineage), to_plain(result.answer),
                   result.failure, result.tries, result.seconds, result.cpu_seconds,
                   result.memory, datetime.now(UTC).isoformat(timespec='seconds'))

    @property
    def is_quarantined(self) -> bool:
        """Whether there is no answer."""
        return self.failure is not None

    def answer_as(self, kind: Any) -> Any:
        """
        Return the answer as what the work returned, such as a dataclass.

        :raises PlainError: it is something else.
        """
        return from_plain(kind, self.answer, self.key)

    def to_json(self) -> str:
        """Return the record as one line; numbers come back exactly, NaN is written as such."""
        return json.dumps({'format': FORMAT, **to_plain(self)})

    @classmethod
    def from_json(cls, text: str, where: str = 'record') -> JobRecord:
        """
        Read a record back.

        :raises JobError: it is none, or one of another version.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise JobError(f'{where} is not JSON: {error}') from error
        if not isinstance(values, dict) or values.pop('format', None) != FORMAT:
            raise JobError(f'{where} is no record of a job of format {FORMAT}; it was written by '
                           'another version, or is something else')
        answer = values.pop('answer', None)      # anything, which has no type to be held against
        try:
            return cls(**{**vars(from_plain(cls, {**values, 'answer': None}, where)),
                          'answer': answer})
        except PlainError as error:
            raise JobError(str(error)) from error


def lineage_hash(lineage: Mapping[str, str]) -> str:
    """Return a short text that two lineages share when they are equal."""
    return text_hash(json.dumps(dict(lineage), sort_keys=True))
