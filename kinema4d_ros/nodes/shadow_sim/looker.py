# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a request sees of the world: it waits a little for what is missing, and says what is."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.candidate import CODES
from kinema4d_ros.nodes.shadow_sim.inputs import InputProblem, Inputs, Look
from kinema4d_ros.nodes.shadow_sim.requests import Request
from kinema4d_ros.precheck import not_checked
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Finding, FindingCode
from kinema4d_ros.worker.supervisor import Supervisor, WorkerState

_POLL = 0.02      # [s] between looks for an input that is waited for
#: states of a worker that is loading, or has not ended yet what it was asked to stop
_COMING = (WorkerState.STARTING, WorkerState.RESTARTING, WorkerState.BUSY)


class Looker:
    """
    Looks, in the thread of the RequestRunner.

    The node sets `finder`, which knows the robot, and `inputs` (None while there is none).
    """

    def __init__(self, node):
        """:param node: whose clock counts, and which hears of the robot."""
        self._node = node
        self.inputs: Inputs | None = None
        self.finder: CameraFinder | None = None
        self.refusal = ''        # why the present robot description is not used

    @property
    def robot(self) -> Robot | None:
        """The present robot."""
        finder = self.finder
        return None if finder is None else finder.robot

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def joints(self, request: Request,
               values: Mapping[str, Any]) -> tuple[Robot | None, dict, list[Finding]]:
        """Return the robot, its live joints, and what is wrong with either."""
        try:
            robot, live = self._await(request, values, lambda finder, inputs: (
                finder.robot, inputs.joint_positions(finder.robot, self._now_ns(), values)))
        except InputProblem as problem:
            return self.robot, {}, [not_checked(str(problem), problem.code)]
        return robot, live, []

    def look(self, request: Request, values: Mapping[str, Any]) -> Look | InputProblem:
        """Observe; a problem is returned, since it is the same for every candidate."""
        try:
            return self._await(request, values, lambda finder, inputs: inputs.observe(
                finder, self._now_ns(), values))
        except InputProblem as problem:
            return problem

    def await_ready(self, request: Request, *workers: Supervisor) -> None:
        """Wait for workers that will be free, so that the look is not old when it is used."""
        while any(worker.state in _COMING for worker in workers) \
                and time.monotonic() < request.deadline:
            if request.stopped.wait(_POLL):
                return

    def check_time(self, message, look: Look | InputProblem | None,
                   values: Mapping[str, Any]) -> list[Finding]:
        """Return what speaks against acting on a trajectory now: old stamp, old look."""
        found, now = [], self._now_ns()
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        late = (now - stamp) * 1e-9
        if stamp and values['max_input_age'] and abs(late) > values['max_input_age']:
            found.append(not_checked(
                f'the trajectory is stamped {abs(late):.1f} s in the '
                f'{"past, so the controller would skip its beginning" if late > 0 else "future"}; '
                'send it with stamp 0, which means now', FindingCode.STALE_INPUT))
        if isinstance(look, Look):
            age = (now - look.observation.stamp_ns) * 1e-9
            if age > values['verdict_lifetime']:
                found.append(not_checked(
                    f'the look at the world is {age:.1f} s old by now, and a verdict lives '
                    f"{values['verdict_lifetime']:.1f} s (parameter verdict_lifetime)",
                    FindingCode.STALE_INPUT))
        return found

    def _await(self, request: Request, values: Mapping[str, Any],
               take: Callable[[CameraFinder, Inputs], Any]) -> Any:
        """
        Return what `take` gets from the inputs, waiting a little for what is missing or stale.

        A node that is asked in its first second has often not heard everything yet.

        :raises InputProblem: an input is missing, stale or unusable.
        """
        patience = request.started + values['input_wait']
        while True:
            finder, inputs = self.finder, self.inputs
            try:
                if finder is None or inputs is None:
                    raise InputProblem(FindingCode.MISSING_INPUT, self.refusal or (
                        'no robot description has been received: '
                        + (why_silent(self._node, 'robot_description')
                           or 'is robot_state_publisher running in this namespace?')))
                return take(finder, inputs)
            except InputProblem:
                if time.monotonic() > patience:
                    raise
            if request.stopped.wait(_POLL):
                raise InputProblem(CODES[request.outcome], request.reason)
