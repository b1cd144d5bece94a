# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node trajectory_gate: forwards to the controller what shadow_sim lets pass, and only that.

It is no certified safety function. What it forwards it does not change.
"""
from __future__ import annotations

import functools
import threading
import traceback
from collections import deque
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from kinema4d_ros.bridge.graph import IncompatiblePublishers, why_silent
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.gate.rules import Mode
from kinema4d_ros.nodes.trajectory_gate.controller import Controller
from kinema4d_ros.nodes.trajectory_gate.core import Gate
from kinema4d_ros.nodes.trajectory_gate.goal_server import Front
from kinema4d_ros.nodes.trajectory_gate.live_state import GateState
from kinema4d_ros.nodes.trajectory_gate.parameters import TABLE
from kinema4d_ros.nodes.trajectory_gate.report import Report
from kinema4d_ros.nodes.trajectory_gate.shadow_sim_client import Verdicts

_TICK = 0.05         # [s] between looks at deadlines
_IDLE_LOOKS = 5    # at the end, 10 ms apart
_LAST_WORDS = 2.0    # [s] at the end, for the controller to stop and clients to hear why


class TrajectoryGate(NodeBase, Node):
    """
    Wires the parts of the gate.

    Everything that decides runs in one callback group, one callback at a time; the front's action
    server and the joints hand it their events by `_post`.
    """

    def __init__(self, on_failure: Callable[[], None]):
        """
        Open the gate.

        :param on_failure: called when the node must end.
        :raises ConfigurationError: a parameter is missing or bad.
        """
        super().__init__('trajectory_gate')
        self._on_failure = on_failure
        self.failures: list[Exception] = []
        TABLE.declare(self)
        values = TABLE.snapshot(self)
        self._group = MutuallyExclusiveCallbackGroup()
        self._events: deque[Callable[[], None]] = deque()
        self._joints_waiting = False
        self._wake = self.create_guard_condition(self._work, callback_group=self._group)
        self._report, self._incompatible = Report(self), IncompatiblePublishers(self)
        self._front_action = self._resolve('~/follow_joint_trajectory')
        self._state = GateState(self, self._front_action, self._on_joints,
                                self._relayed)
        self._verdicts = Verdicts(self, self._resolve(values['shadow_sim']), self._group,
                                  self._guarded, self._posted)
        self._gate = Gate(lambda: TABLE.snapshot(self), self._verdicts, self._state, self._report)
        self._controller = Controller(
            self, self._resolve(values['controller']), self._group, self._gate.execution,
            self._posted, by_topic=values['topic_route'] == 'topic')
        if self._controller.action == self._front_action:
            raise ConfigurationError(
                f"parameter 'controller' is {values['controller']!r}, which is this gate itself; "
                'name the controller behind it')
        self._gate.execution.controller = self._controller
        self._state.controller, self._state.verdicts = self._controller, self._verdicts
        self._verdicts.on_answer, self._verdicts.on_verdict = \
            self._gate.answered, self._gate.evidence
        self._front = Front(self, self._gate, self._group, self._post, self._guarded,
                            self._relayed, topic=values['topic_route'] != 'closed')
        self._every(_TICK, self._on_tick)
        self._every(1.0 / values['diagnostics_rate'], self._look_around)
        self._say_what_it_does(values)
        self._state.start()

    def _every(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have it called, also while simulated time stands still."""
        self.create_timer(seconds, self._guarded(callback), callback_group=self._group,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _resolve(self, name: str) -> str:
        return self.resolve_topic_name(name)

    def _say_what_it_does(self, values) -> None:
        logger = self.get_logger()
        logger.info(f'mode {values["mode"]}: {self._front_action} -> {self._controller.action}')
        if values['mode'] != Mode.ENFORCE:
            logger.warning(f'in mode {values["mode"]} a trajectory that did not pass can reach '
                           'the controller')
        if values['max_scene_age'] == 0.0:
            logger.warning('max_scene_age is 0.0: verdicts may rest on scenes of any age')
        if values['topic_route'] == 'topic':
            logger.warning('topic_route is topic: what came by topic cannot be stopped once it is '
                           'forwarded')

    # ------------------------------------------------------------------ events

    def _post(self, method: Callable, *arguments) -> None:
        """Have a method of the gate called in its callback group; from any thread."""
        self._events.append(functools.partial(method, *arguments))
        self._wake.trigger()

    def _posted(self, callback: Callable) -> Callable:
        """Return a callback that has `callback` called in the gate's callback group."""
        return functools.partial(self._post, callback)

    def _work(self) -> None:
        for _ in range(len(self._events)):      # what comes of these waits its turn
            self._guarded(self._events.popleft())()
        if self._events:
            self._wake.trigger()

    def _guarded(self, callback: Callable) -> Callable:
        """Return a callback that, should it raise, cancels downstream and ends the node."""
        def guarded(*arguments):
            try:
                return callback(*arguments)
            except Exception as error:
                self._fail(error)
        return guarded

    def _relayed(self, callback: Callable) -> Callable:
        """Return a callback of another group: should it raise, the gate fails in its own."""
        def relayed(*arguments):
            try:
                return callback(*arguments)
            except Exception as error:
                self._post(self._fail, error)
        return relayed

    def _fail(self, error: Exception) -> None:
        text = ''.join(traceback.format_exception(error))
        self.failures.append(error)
        try:
            self._gate.close(f'the gate failed ({type(error).__name__}: {error})')
        finally:
            self.get_logger().fatal(f'the gate failed and ends:\n{text}')
            self._on_failure()

    def _on_joints(self) -> None:
        if not self._joints_waiting:      # one look covers all that came meanwhile
            self._joints_waiting = True
            self._post(self._watch)

    def _watch(self) -> None:
        self._joints_waiting = False
        self._gate.joints_changed()

    def _on_tick(self) -> None:
        self._work()
        self._gate.tick()

    def _look_around(self) -> None:
        self._incompatible.look()
        self._report.side_doors(
            self._controller.side_doors(),
            f'Have them use {self._front_action} or {self._resolve("~/joint_trajectory")} '
            'instead (by a remap), or end them; with SROS 2, allow only the gate to publish '
            f'{self._controller.topic} and to call {self._controller.action}')
        problems = [problem for problem in (
            self._state.gate_problem(), self._state.controller_problem(),
            self._verdicts.problem(), self._robot_problem(),
            why_silent(self, 'joint_states')) if problem]
        self._report.diagnostics(problems, [self._verdicts.why_silent()], {
            'mode': self.get_parameter('mode').value, 'controller': self._controller.action,
            'executing': self._gate.execution.executing,
            'joint_states stamp [ns]': self._state.newest_stamp_ns, **self._gate.counts})

    def _robot_problem(self) -> str:
        if self._state.robot is not None:
            return ''
        reason = why_silent(self, 'robot_description')
        return 'no robot description' + (f': {reason}' if reason else '')

    # ------------------------------------------------------------------ the end

    def quit(self) -> None:
        """Cancel downstream first, then let clients hear why."""
        over, idle_looks = threading.Event(), iter(range(_IDLE_LOOKS))

        def look() -> None:
            idle = self._gate.is_idle and self._front.is_idle
            if idle and next(idle_looks, None) is None:     # rclpy sends results a little later
                over.set()

        def end() -> None:
            self._gate.close('the gate is shutting down')
            self._every(0.01, look)

        self._post(end)
        if not over.wait(_LAST_WORDS):
            self._gate.close('the gate is shutting down')   # callbacks are stuck, or no more

    def close(self) -> None:
        """Listen no more."""
        self._state.close()


def make_node(on_failure: Callable[[], None]) -> TrajectoryGate:
    """Return the node."""
    return TrajectoryGate(on_failure)
