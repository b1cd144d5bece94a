# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks of absolute joint targets in answers of a GetActionChunk service, of whichever type."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage
from trajectory_msgs.msg import JointTrajectoryPoint

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.policy.chunk_guard import ChunkMotion
from kinema4d_ros.types import JointTrajectory

_MOST_ROWS = 2000


def period_of(answer: Any, otherwise: float) -> float:
    """Return the time of a row of an answer's chunk [s]; 0 where nobody says it."""
    told = float(getattr(answer, 'native_control_period', 0.0))
    return told if told > 0 else otherwise


def chunk_of(answer: Any, period: float) -> ChunkMotion:
    """
    Return the motion of an answer's chunk, its times from the observation on; or why it is none.

    Of positions only: velocities and accelerations would bend the way between them, which nobody
    judged, so that `positions_only` is what may be passed on.

    :param period: [s] of a row, where the answer says neither that nor when each row is.
    """
    if not 0 < len(answer.chunk.points) <= _MOST_ROWS:
        return f'the chunk has {len(answer.chunk.points)} points, valid: 1 to {_MOST_ROWS}'
    try:
        chunk = trajectory_from_message(answer.chunk)
    except TrajectoryError as error:
        return str(error)
    if not np.isfinite(chunk.positions).all():
        return 'the chunk holds a position that is not finite'
    times = chunk.times
    if not times.any():
        step = period_of(answer, period)
        if not (np.isfinite(step) and step > 0):
            return ('the chunk does not say when its rows are: fill in native_control_period or '
                    "time_from_start, or set parameter 'period'")
        times = step * np.arange(1, len(times) + 1)
    elif not (np.diff(times) > 0).all() or times[0] < 0:
        return 'time_from_start of the chunk does not increase from row to row'
    return JointTrajectory(chunk.joint_names, times, chunk.positions)


def positions_only(chunk: TrajectoryMessage) -> TrajectoryMessage:
    """Return a chunk without all that is not judged of its points."""
    return TrajectoryMessage(header=chunk.header, joint_names=chunk.joint_names, points=[
        JointTrajectoryPoint(positions=row.positions, time_from_start=row.time_from_start)
        for row in chunk.points])


def held_chunk(like: TrajectoryMessage, positions: Mapping[str, float],
               names: Sequence[str]) -> TrajectoryMessage:
    """
    Return a chunk of the same rows and times that holds still.

    :param names: of its joints; none for all of `positions`.
    """
    held = [name for name in names if name in positions] or list(positions)
    rows = like.points or [JointTrajectoryPoint()]
    return TrajectoryMessage(header=like.header, joint_names=held, points=[
        JointTrajectoryPoint(positions=[float(positions[name]) for name in held],
                             time_from_start=row.time_from_start) for row in rows])
