# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What does jobs: in this process, in others, or on a cluster; all are used in one way."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from kinema4d_ros.jobs.job import PoolJob, JobResult
from kinema4d_ros.jobs.local_pool import InlinePool, LocalPool
from kinema4d_ros.jobs.settings import PoolSettings


class JobPool(Protocol):
    """Does jobs, wherever it does them."""

    def ask(self, question: Callable[..., Any], *arguments: Any,
            timeout: float | None = None) -> Any:
        """Return ``question(work, *arguments)``, asked where jobs are done."""

    def results(self, jobs: Iterable[PoolJob]) -> Iterator[JobResult]:
        """Yield what came of each job when it is over."""


def open_pool(work: Callable[[Any], Any],
              settings: PoolSettings) -> AbstractContextManager[JobPool]:
    """
    Return what does jobs, a context manager.

    :param work: what is called with the item of each job: a function of a module, or an object that
        can be pickled. One that is a context manager is entered by each process before its first
        job and left at its end, so it can hold what jobs share, such as a model.
    :raises ConfigurationError: Ray is wanted and not installed, or the work cannot be sent.
    :raises JobError: the cluster cannot be reached.
    """
    if settings.ray:
        from kinema4d_ros.jobs.ray_pool import RayPool

        return RayPool(work, settings)
    return LocalPool(work, settings) if settings.workers else InlinePool(work)
