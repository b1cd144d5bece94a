# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thing that is to be done, what came of it, and why nothing came of it."""
from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PoolJob:
    """
    One thing that is to be done, by itself: no job needs the answer of another.

    Outside of this room it is `kinema4d_ros.jobs.Job`.

    :param key: its name among all jobs of a run, such as that of an episode; no two have one.
    :param item: what the work is called with; anything that can be pickled.
    :param lineage: what the answer depends on, see `lineage_of`. A record is used again for the
        same lineage only.
    """

    key: str
    item: Any
    lineage: Mapping[str, str] = field(default_factory=dict)


class FailureKind(enum.StrEnum):
    """Why a job has no answer."""

    REFUSED = 'refused'        # the work raised an error of this package, a sentence for people
    EXCEPTION = 'exception'    # it raised any other: nobody has thought of that
    TIMEOUT = 'timeout'        # it took too long, and its process was ended
    KILLED = 'killed'          # its process ended under it, each time that it was tried


@dataclass(frozen=True)
class JobFailure:
    """
    Why a job has no answer.

    :param why: in words; of an exception its type and message.
    :param trace: the end of its traceback; '' for none.
    """

    kind: FailureKind
    why: str
    trace: str = ''


@dataclass(frozen=True)
class JobResult:
    """
    What came of a job.

    :param answer: what the work returned; None where there is a failure.
    :param tries: how often it was begun.
    :param seconds: [s] that the last try took.
    :param cpu_seconds: [s] that its process used the processors meanwhile, all threads together.
    :param memory: [MiB] that the process held when it was over; 0 where nobody knows.
    """

    job: PoolJob
    answer: Any = None
    failure: JobFailure | None = None
    tries: int = 1
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: float = 0.0
