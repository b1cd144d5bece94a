# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node trajectory_gate: forwards to the controller what shadow_sim lets pass, and only that.

It is no certified safety function. What it forwards it does not change.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from kinema4d_ros.bridge.graph import IncompatiblePublishers, why_silent
from kinema4d_ros.bridge.group_thread import GroupThread
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.robot_state import RobotState
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.gate import GateMachine, GateSettings, GraphState, Mode, World
from kinema4d_ros.gate.commands import (AbandonQuestion, AskShadowSim, CancelAtController, Command,
                                        EndGoal, Forward, PingController, ReportDecision,
                                        TellGates)
from kinema4d_ros.gate.events import Event, JointsChanged, Tick
from kinema4d_ros.nodes.trajectory_gate.controller import ControllerClient
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher, Ports
from kinema4d_ros.nodes.trajectory_gate.goal_server import GoalServer
from kinema4d_ros.nodes.trajectory_gate.live_state import LiveState, MotionClock
from kinema4d_ros.nodes.trajectory_gate.other_gates import OtherGates
from kinema4d_ros.nodes.trajectory_gate.parameters import gate_settings, TABLE
from kinema4d_ros.nodes.trajectory_gate.report import GateReporter
from kinema4d_ros.nodes.trajectory_gate.shadow_sim_client import ShadowSimClient

_TICK = 0.05           # [s] between looks at deadlines
_IDLE_LOOK = 0.01      # [s] at the end
_IDLE_LOOKS = 5        # in a row: who had a goal refused just now has yet to ask for its result
_SHUTDOWN_TIMEOUT = 2.0        # [s] at the end, for the controller to stop and clients to hear why


class TrajectoryGate(NodeBase, Node):
    """
    Has the machine of the gate handle what rclpy calls back, and calls rclpy for its commands.

    Everything that decides runs in one callback group, one callback at a time, in a thread that
    does nothing else. What only looks or tells is left to the executor.
    """

    def __init__(self, on_failure: Callable[[], None]):
        """
        Declare the parameters and connect clients, controller and shadow_sim.

        :param on_failure: called when the node must end.
        :raises ConfigurationError: a parameter is missing or bad.
        """
        super().__init__('trajectory_gate')
        self._on_failure = on_failure
        self.failures: list[Exception] = []
        TABLE.declare(self)
        values = TABLE.snapshot(self)
        self._settings: GateSettings = gate_settings(values)
        self._graph, self._machine = GraphState(), GateMachine()
        self._thread = GroupThread(self, after_each=lambda: self._dispatcher.work(),
                                   on_failure=lambda error: self._dispatcher.fail(error))
        group = self._thread.group
        self._dispatcher = Dispatcher(self._machine, Ports(
            self._world, self._carry_out, self._cancel_all, self._failed, self._thread.wake))
        self._report, self._incompatible = GateReporter(self), IncompatiblePublishers(self)
        self._goals = GoalServer(self, group, self._dispatcher,
                                 topic=values['topic_route'] != 'closed')
        self._controller = ControllerClient(
            self, self.resolve_topic_name(values['controller']), group, self._dispatcher,
            self._goals.publish_feedback, by_topic=values['topic_route'] == 'topic')
        if self._controller.action == self._goals.action:
            raise ConfigurationError(
                f"parameter 'controller' is {values['controller']!r}, which is this gate itself; "
                'name the controller behind it')
        self._shadow_sim = ShadowSimClient(self, self.resolve_topic_name(values['shadow_sim']),
                                           group, self._dispatcher)
        self.add_post_set_parameters_callback(self._dispatcher.relayed(self._on_parameters))
        self._thread.every(_TICK, self._dispatcher.guarded(self._on_tick))
        self.create_timer(1.0 / values['diagnostics_rate'],
                          self._dispatcher.relayed(self._look_around),
                          callback_group=MutuallyExclusiveCallbackGroup(),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._log_how_it_is_set_up(values)
        self._motion_clock = MotionClock(self)
        self._live = LiveState(self, lambda: self._dispatcher.post(JointsChanged()),
                               self._dispatcher.relayed, values['speed_scaling'],
                               lambda: not self._machine.is_idle)
        self._state = RobotState(
            self, values['robot_state_topics'], group=group,
            relayed=self._dispatcher.relayed, on_change=lambda: self._dispatcher.post(Tick()))
        self._others = OtherGates(self, values['motions'], group, self._dispatcher,
                                  lambda: self._live.robot)
        self._thread.start()

    def _log_how_it_is_set_up(self, values: Mapping[str, Any]) -> None:
        logger = self.get_logger()
        logger.info(f'mode {values["mode"]}: {self._goals.action} -> {self._controller.action}')
        if values['mode'] != Mode.ENFORCE:
            logger.warning(f'in mode {values["mode"]} a trajectory that did not pass can reach '
                           'the controller')
        if values['max_scene_age'] == 0.0:
            logger.warning('max_scene_age is 0.0: verdicts may rest on scenes of any age')
        if values['topic_route'] == 'topic':
            logger.warning('topic_route is topic: what came by topic cannot be stopped once it is '
                           'forwarded')

    # ------------------------------------------------------------------ for the machine

    def _world(self, event: Event) -> World:
        """Return the world as it is now, the graph as it was lately where that will do."""
        if self._machine.needs_new_graph(event, self._motion_clock.now()):
            self._graph = self._graph_now()
        joints = self._live.snapshot()
        robot, clock, now = self._live.robot, self._motion_clock.now(), time.monotonic()
        others = self._others.motions.snapshot(
            robot, {name: reading.position for name, reading in joints.items()}, now, clock)
        return World(self.get_clock().now().nanoseconds, robot, joints, self._graph,
                     self._settings, clock, self._live.speed_scaling,
                     self._state.why_not_ready(), self._others.name, others,
                     self.get_clock().ros_time_is_active)

    def _graph_now(self) -> GraphState:
        why_no_controller = self._controller.why_unavailable()
        return GraphState(
            self._goals.why_doubled(), why_no_controller,
            why_no_controller is not None and self._controller.is_gone,
            self._shadow_sim.why_missing(), self._shadow_sim.is_known, self._shadow_sim.is_settled)

    def _carry_out(self, command: Command) -> None:
        match command:
            case AskShadowSim():
                self._shadow_sim.ask(command)
            case AbandonQuestion(number):
                self._shadow_sim.abandon(number)
            case Forward(request):
                self._controller.forward(request)
                self._goals.executing(request.number)
            case CancelAtController(number):
                self._controller.cancel(number)
            case EndGoal():
                self._goals.end(command)
            case ReportDecision():
                self._report.decision(command)
            case PingController(number):
                self._controller.ping(number)
            case TellGates():
                self._others.tell(command)

    def _cancel_all(self) -> None:
        if self._settings.may_stop:     # mode monitor cancels nothing by itself
            self._controller.cancel_all()

    def _failed(self, error: Exception, text: str) -> None:
        self.failures.append(error)
        self.get_logger().fatal(f'the gate failed and ends:\n{text}')
        self._on_failure()

    # ------------------------------------------------------------------ callbacks

    def _on_parameters(self, _: Any) -> None:
        self._settings = gate_settings(TABLE.snapshot(self))

    def _on_tick(self) -> None:
        self._controller.look()
        self._shadow_sim.look()
        self._dispatcher.handle(Tick())

    def _look_around(self) -> None:
        self._incompatible.look()
        self._report.other_commanders(
            self._controller.other_commanders(),
            f'Have them use {self._goals.action} or {self.resolve_topic_name("~/joint_trajectory")}'
            ' instead (by a remap), or end them; with SROS 2, allow only the gate to publish '
            f'{self._controller.topic} and to call {self._controller.action}')
        graph, silent = self._graph_now(), self._shadow_sim.why_silent()
        problems = [problem for problem in (
            graph.gate_problem, graph.controller_problem, graph.shadow_sim_problem,
            self._state.why_not_ready(), self._why_no_robot(),
            why_silent(self, 'joint_states')) if problem]
        self._report.diagnostics(problems, [silent] if silent else [], {
            'mode': self._settings.mode, 'controller': self._controller.action,
            'executing': self._machine.executing,
            'joint_states stamp [ns]': self._live.newest_stamp_ns, **self._machine.counts})

    def _why_no_robot(self) -> str | None:
        if self._live.robot is not None:
            return None
        silent = why_silent(self, 'robot_description')
        return 'no robot description' + (f': {silent}' if silent else '')

    # ------------------------------------------------------------------ the end

    def quit(self) -> None:
        """Cancel downstream first, then let clients hear why."""
        over, idle = threading.Event(), 0

        def look() -> None:
            nonlocal idle
            idle = idle + 1 if self._machine.is_idle and self._goals.is_idle else 0
            if idle >= _IDLE_LOOKS:
                over.set()

        def end() -> None:
            self._close()
            self._thread.every(_IDLE_LOOK, look)

        self._dispatcher.in_group(end)()
        if not over.wait(_SHUTDOWN_TIMEOUT):
            self._close()       # callbacks are stuck, or there are none any more

    def _close(self) -> None:
        failed = self._dispatcher.close('the gate is shutting down')
        if failed:
            self.get_logger().error(failed)

    def close(self) -> None:
        """Take no more messages."""
        self._thread.close()
        self._live.close()
        self._state.close()


def make_node(on_failure: Callable[[], None]) -> TrajectoryGate:
    """Return the node."""
    return TrajectoryGate(on_failure)
