# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Many things that are to be done, each by itself, on this machine or a cluster.

``run_jobs`` is all that most callers need::

    jobs = [Job(path.stem, str(path), lineage_of(settings, [path])) for path in paths]
    for record in run_jobs(jobs, one_episode, 'out', settings=PoolSettings(workers=2)):
        print(record.key, record.failure or record.answer)
"""
from kinema4d_ros.jobs.job import FailureKind, JobFailure, JobResult, PoolJob as Job
from kinema4d_ros.jobs.line_file import LineFile
from kinema4d_ros.jobs.lineage import lineage_of
from kinema4d_ros.jobs.pool import JobPool, open_pool
from kinema4d_ros.jobs.progress import JobProgress, shown_progress
from kinema4d_ros.jobs.record import JobRecord
from kinema4d_ros.jobs.run import ended_by_sigterm, read_jobs, run_jobs, run_jobs_in
from kinema4d_ros.jobs.settings import PoolSettings

__all__ = ['FailureKind', 'Job', 'JobFailure', 'JobPool', 'JobProgress', 'JobRecord', 'JobResult',
           'LineFile', 'PoolSettings', 'ended_by_sigterm', 'lineage_of', 'open_pool', 'read_jobs',
           'run_jobs', 'run_jobs_in', 'shown_progress']
