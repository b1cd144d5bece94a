# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trajectory that came before shadow_sim was ready: where the robot is now is no fault of it."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, JointTrajectory
from kinema4d_ros.worker.process import WorkerState
from kinema4d_ros.worker.supervisor import Supervisor

_POLL = 0.02      # [s] between looks at the workers
#: states of a worker that is loading, or has not ended yet what it was asked to stop
_OCCUPIED = (WorkerState.STARTING, WorkerState.RESTARTING, WorkerState.BUSY)


def wait_for_workers(request: PrecheckRequest, workers: Sequence[Supervisor],
                     is_robot_known: Callable[[], bool]) -> None:
    """
    Wait until the workers are free, or the request is over.

    That one was still loading is noted in the request.
    """
    def is_occupied(worker: Supervisor) -> bool:
        # one that is about to load the robot is not yet at it
        return worker.state in _OCCUPIED or (
            worker.is_idle and not worker.is_warm and is_robot_known())

    while busy := [worker for worker in workers if is_occupied(worker)]:
        cold = next((worker for worker in busy if not worker.is_warm), None)
        if cold is not None:
            request.not_ready = f'a worker was {cold.state}: {cold.state_message}'
        if time.monotonic() > request.deadline or request.stopped.wait(_POLL):
            return


def refuse_moved_on(not_ready: str, begin: Mapping[str, float], now: Mapping[str, float],
                    continuous: Collection[str], tolerance: float) -> None:
    """
    Refuse to judge a trajectory from where the robot has gone since it came.

    It may be executing that trajectory by now, so a FAIL for its start, or for what is around it,
    would be one for coming late ourselves.

    :param not_ready: what was not ready when it came; '' where all was.
    :param begin: where the joints were, or were to be, when it came [rad or m].
    :param now: where they are now [rad or m].
    :param continuous: joints of which a whole turn is no distance.
    :param tolerance: [rad or m] that they may have gone.
    :raises InputProblem: one of them has gone farther.
    """
    if not not_ready:
        return
    for name, position in begin.items():
        distance = now.get(name, math.nan) - position
        if name in continuous:
            distance = math.remainder(distance, math.tau)
        if abs(distance) > tolerance:
            raise InputProblem(FindingCode.STALE_INPUT, (
                f'shadow_sim was not ready when the trajectory came ({not_ready}), and by now '
                f'{name} is {abs(distance):.3f} away from its start: send it again; the status '
                '"readiness" in /diagnostics, and ~/readiness, say when all is ready'))


def first_point(trajectory: JointTrajectory, robot: Robot) -> dict[str, float]:
    """
    Return where a trajectory demands joints to be when it is sent, by name [rad or m].

    Nothing for one that the controller blends into from wherever the robot is, or without points.
    """
    if not len(trajectory.times) or trajectory.times[0] > 0:
        return {}
    return {name: float(trajectory.positions[0, index])
            for index, name in enumerate(trajectory.joint_names) if name in robot.joint_names}
