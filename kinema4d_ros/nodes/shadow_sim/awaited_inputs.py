# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a request needs to know of the world: taken at once, or waited for."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rclpy.node import Node

from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.candidate import code_of
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation, Inputs
from kinema4d_ros.nodes.shadow_sim.late_start import wait_for_workers
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder
from kinema4d_ros.nodes.shadow_sim.plan import Plan
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.precheck.start_state import controller_start
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, StartState
from kinema4d_ros.worker.supervisor import Supervisor

_POLL = 0.02      # [s] between looks for an input that is waited for

Taken = TypeVar('Taken')


class AwaitedInputs:
    """
    The robot, its joints and what its cameras see, for requests.

    Robot and inputs come and go in other threads, so each step takes them as they are then.
    """

    def __init__(self, node: Node, live: LiveInputsHolder, checks: Supervisor,
                 predictions: Supervisor):
        """
        Take inputs from `live`.

        :param node: whose clock is used.
        :param checks: the worker of the checks; may be that of the predictions.
        """
        self._node, self._live = node, live
        self._checks, self._predictions = checks, predictions

    def now_ns(self) -> int:
        """Return ROS time."""
        return self._node.get_clock().now().nanoseconds

    def at_once(self, request: PrecheckRequest,
                plan: Plan) -> tuple[Robot, StartState, FramedObservation] | None:
        """Return all that a check needs, and wait for nothing; None where something lacks."""
        live, values = self._live.current, plan.settings.values
        finder, inputs = live.source.finder, live.inputs
        if finder is None or inputs is None or not all(
                worker.is_idle and worker.is_warm for worker in self._needed(plan)):
            return None
        try:
            observed = inputs.observe(
                finder, self.now_ns(), values,
                patience=request.started + values['input_wait'] - time.monotonic())
            # after the look, in which the robot may have moved
            joints = inputs.start_state(finder.robot, self.now_ns(), values)
        except Kinema4DError:
            return None      # it is waited for, and told if it does not come
        return finder.robot, controller_start(
            joints, plan.settings.precheck.tier0.start_velocity), observed

    def start(self, request: PrecheckRequest, plan: Plan) -> tuple[Robot, StartState]:
        """Return the robot, and the live joints that a motion starts from; raises as `_await`."""
        robot, joints = self._await(request, plan, lambda finder, inputs: (
            finder.robot, inputs.start_state(finder.robot, self.now_ns(), plan.settings.values)))
        return robot, controller_start(joints, plan.settings.precheck.tier0.start_velocity)

    def observe(self, request: PrecheckRequest, plan: Plan) -> FramedObservation | InputProblem:
        """
        Look at the world, once the workers are free, so that the look is not old when it is used.

        A problem is returned, since it is the same for every candidate.
        """
        wait_for_workers(request, self._needed(plan),
                         lambda: self._live.current.source.robot is not None)
        try:
            until = request.started + plan.settings.values['input_wait']
            return self._await(request, plan, lambda finder, inputs: inputs.observe(
                finder, self.now_ns(), plan.settings.values,
                patience=until - time.monotonic()))
        except InputProblem as problem:
            return problem

    def _needed(self, plan: Plan) -> list[Supervisor]:
        """Return the workers that the answer waits for."""
        return [self._checks] + [self._predictions] * plan.predicts_first

    def _await(self, request: PrecheckRequest, plan: Plan,
               take: Callable[[CameraFinder, Inputs], Taken]) -> Taken:
        """
        Return what `take` gets from the inputs, waiting a little for what is missing or stale.

        A node that is asked in its first second has often not heard everything yet.

        :raises InputProblem: an input is missing, stale or unusable.
        """
        give_up_at = request.started + plan.settings.values['input_wait']
        while True:
            live = self._live.current
            source, inputs = live.source, live.inputs
            try:
                if source.finder is None or inputs is None:
                    raise InputProblem(FindingCode.MISSING_INPUT, source.refusal or (
                        'no robot description has been received: '
                        + (why_silent(self._node, 'robot_description')
                           or 'is robot_state_publisher running in this namespace?')))
                return take(source.finder, inputs)
            except InputProblem as problem:
                if time.monotonic() > give_up_at:
                    raise
                if problem.code is FindingCode.MISSING_INPUT:     # it was never heard
                    request.not_ready = str(problem)
            if request.stopped.wait(_POLL):
                raise InputProblem(code_of(request.outcome), request.reason)
