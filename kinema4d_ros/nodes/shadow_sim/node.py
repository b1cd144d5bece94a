# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node shadow_sim: what would happen if this trajectory were executed? It commands nothing."""
from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import IncompatiblePublishers
from kinema4d_ros.bridge.guarded import GuardedNode, transition
from kinema4d_ros.bridge.robot_state import RobotState
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.errors import ConfigurationError, Kinema4DError
from kinema4d_ros.nodes.shadow_sim.action import PrecheckAction
from kinema4d_ros.nodes.shadow_sim.attachments import Attachments
from kinema4d_ros.nodes.shadow_sim.camera_parameters import extrinsics_of
from kinema4d_ros.nodes.shadow_sim.clearance_feed import ClearanceFeed
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.description_input import DescriptionInput
from kinema4d_ros.nodes.shadow_sim.diagnostics import diagnostics, DiagnosticsPublisher
from kinema4d_ros.nodes.shadow_sim.inputs import Inputs
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder, RobotSource
from kinema4d_ros.nodes.shadow_sim.memory_feed import MemoryFeed
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs
from kinema4d_ros.nodes.shadow_sim.pipeline import PrecheckPipeline
from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest, RequestRunner
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.readiness import readiness
from kinema4d_ros.nodes.shadow_sim.settings import (opt_outs, shadow_sim_settings,
                                                    ShadowSimSettings)
from kinema4d_ros.nodes.shadow_sim.unanswered import always_answered
from kinema4d_ros.robot import Robot
from kinema4d_ros.worker.job import JobOutcome
from kinema4d_ros.worker.process import WorkerState
from kinema4d_ros.worker.protocol import ROBOT_WARNINGS, WorkerSettings
from kinema4d_ros.worker.supervisor import Supervisor
from kinema4d_ros.world_model import registry

_NICENESS = 10          # of what predicts: robots wait for checks, people for pictures
_CHECK_GRACE = 10.0     # [s] checks take a second or so, and do not look up before they end
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class _Parts(NamedTuple):
    """What a configured node consists of; there as a whole or not at all."""

    live: LiveInputsHolder
    outputs: Outputs
    pipeline: PrecheckPipeline
    runner: RequestRunner
    action: PrecheckAction
    workers: tuple[Supervisor, ...]     # of the world model, and of the checks where apart
    memory: MemoryFeed
    feed: ClearanceFeed

    def stop(self, outcome: JobOutcome, reason: str) -> None:
        """Stop whatever is judged or waits to be."""
        self.runner.stop(outcome, reason)

    def end(self) -> None:
        """Have requests and workers end, all at once."""
        for worker in self.workers:
            worker.stop(wait=False)
        self.runner.close()

    def close(self) -> None:
        """End everything."""
        self.end()
        for worker in self.workers:
            worker.stop()
        self.action.close()
        self.pipeline.close()
        self.outputs.close()


class ShadowSim(GuardedNode, LifecycleNode):
    """
    Answers requests while it is active.

    Configured: the world model loads in its own process and robot_description is listened to.
    Active: camera, joints and trajectories are listened to as well, and requests are served.
    """

    def __init__(self, on_failure: Callable[[], None]):
        """
        Declare the parameters.

        :param on_failure: called when a node that starts by itself cannot.
        """
        super().__init__('shadow_sim')
        self._settings = TABLE.watch(self, shadow_sim_settings)
        self._active, self._on_failure, self.failures = False, on_failure, list[Exception]()
        self._parts: _Parts | None = None  # read once by each callback: others may replace it
        self._inputs: Inputs | None = None
        self._subscription_thread: SubscriptionThread | None = None
        self._attachments = Attachments()
        self._tree, self._incompatible = TransformTree(), IncompatiblePublishers(self)
        self._robot_state: RobotState | None = None
        self._made: list[Any] = []         # subscriptions and timers of the present state
        self._data = MutuallyExclusiveCallbackGroup()
        self._slow = MutuallyExclusiveCallbackGroup()     # parsing robots, remembering scenes
        self._diagnostics = DiagnosticsPublisher(self)
        self._watch_clock()

    def autostart(self) -> None:
        """Configure and activate without a lifecycle manager, unless the parameter says not to."""
        if self.get_parameter('autostart').value and (
                self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS):
            self._on_failure()

    def quit(self) -> None:
        """End what callbacks may be waiting for, so that the executor can be stopped."""
        self._active = False
        if (parts := self._parts) is not None:
            parts.end()

    def close(self) -> None:
        """End everything in whatever state the node is."""
        self._deactivate()
        self._clean_up()
        if self._robot_state is not None:
            self._robot_state.close()

    # ------------------------------------------------------------------ lifecycle

    @transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the world model's process and listen for the robot."""
        settings = self._settings.current
        values, model = settings.values, settings.values['world_model']
        if ':' not in model and model not in registry.available():
            raise ConfigurationError(
                f"parameter 'world_model' is {model!r}, valid: "
                f'{", ".join(sorted(registry.available()))}, or module:Class')
        if self._robot_state is None:      # its subscriptions stay as long as the node
            self._robot_state = RobotState(self, values['robot_state_topics'], group=self._data)
        self._parts = self._make_parts(settings)
        self._parts.live.update(why_robot_not_ready=self._robot_state.why_not_ready)
        self._description = DescriptionInput(self, self._slow, self._on_robot_description)
        # By a clock that runs where /clock does not: they say so.
        self._timer = self.create_timer(1.0 / values['diagnostics_rate'], self._on_diagnostics,
                                        callback_group=self._data,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        for warning in opt_outs(values):
            self.get_logger().warning(warning)
        return SUCCESS

    def _make_parts(self, settings: ShadowSimSettings) -> _Parts:
        """Start the workers, and all that makes verdicts with them."""
        outputs = Outputs(self, settings.values['cameras'])
        live, workers = LiveInputsHolder(), self._start_workers(settings)

        def current() -> ShadowSimSettings:
            now = self._settings.current
            return dataclasses.replace(now, precheck=self._attachments.within(now.precheck))

        pipeline = PrecheckPipeline(self, live, outputs, current, checks=workers[-1],
                                    predictions=workers[0])
        runner = RequestRunner(always_answered(pipeline, outputs, self.get_logger()))
        action = PrecheckAction(self, runner, current, lambda: self._active)
        return _Parts(live, outputs, pipeline, runner, action, workers,
                      MemoryFeed(self, live, current, self._diagnostics.drift, workers),
                      ClearanceFeed(self, live, outputs, current, workers[-1]))

    def _start_workers(self, settings: ShadowSimSettings) -> tuple[Supervisor, ...]:
        """Start the process of the world model, and that of the checks where they are apart."""
        values = settings.values

        def started(of_worker: WorkerSettings, name: str, cancel_grace: float) -> Supervisor:
            return Supervisor(
                of_worker, lambda *change: self._log_state(name, *change),
                slots=values['frame_slots'], cancel_grace=cancel_grace,
                start_timeout=values['start_timeout'])

        simulator = {'frames': values['frames']}
        grace, is_apart = values['cancel_grace'], values['separate_checks']
        predictions = started(
            WorkerSettings(values['world_model'], dict(settings.world_model), simulator,
                           settings.precheck, _NICENESS if is_apart else 0, not is_apart),
            'world model', grace)
        if not is_apart:
            return (predictions,)
        return predictions, started(
            WorkerSettings('', simulator_settings=simulator, precheck=settings.precheck),
            'checks', max(grace, _CHECK_GRACE))

    def _log_state(self, name: str, state: WorkerState, message: str) -> None:
        """Log what matters of a worker's state."""
        if state in (WorkerState.FAILED, WorkerState.RESTARTING):
            self.get_logger().error(f'{name} {state}: {message}')
        elif message.startswith(ROBOT_WARNINGS):
            self.get_logger().warning(f'{name} {state}: {message}')
        elif message:
            self.get_logger().info(f'{name} {state}: {message}')

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the world and to requests; where that fails, nothing of it stays."""
        try:
            return self._activate(state)
        except Exception:
            self._deactivate()
            raise

    def _activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._parts is None:
            raise RuntimeError('the node is not configured')
        values, live = self._settings.current.values, self._parts.live
        self._inputs = Inputs(self, values, self._tree, self._forget_scene,
                              lambda: live.current.source.robot,
                              lambda: self._forget_scene(is_elsewhere=True))
        live.update(inputs=self._inputs)
        self._made = [self.create_subscription(
            JointTrajectory, 'joint_trajectory', self._on_trajectory, qos.TRAJECTORY,
            callback_group=NotForExecutor())]
        self._made += self._attachments.subscribe(self, self._data)
        self._made += [self.create_timer(1.0 / rate, callback, callback_group=self._slow)
                       for rate, callback in (
                           (values['memory_rate'], self._parts.memory.look),
                           (values['local_clearance_rate'], self._parts.feed.look)) if rate > 0]
        result = super().on_activate(state)
        self._active = result == SUCCESS
        self._subscription_thread = SubscriptionThread(self._made[0])
        live.update(catch_up=self._subscription_thread.catch_up)
        if not self._active:
            self._deactivate()
        return result

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; a running request ends as UNSURE."""
        self._deactivate()
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the world model's process, which gives its memory back."""
        self._clean_up()
        self._on_diagnostics()      # the last word must not be that it is ready
        return SUCCESS

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End everything."""
        self.close()
        self._on_diagnostics()
        return SUCCESS

    def _deactivate(self) -> None:
        self._active = False
        if (parts := self._parts) is not None:
            parts.stop(JobOutcome.CANCELLED, 'the node was deactivated')
        if self._subscription_thread is not None:
            self._subscription_thread.close()
            self._subscription_thread = None
        for thing in self._made:
            if hasattr(thing, 'timer_period_ns'):
                self.destroy_timer(thing)
            else:
                self.destroy_subscription(thing)
        self._made = []
        inputs, self._inputs = self._inputs, None
        if parts is not None:
            parts.live.update(inputs=None)
        if inputs is not None:
            inputs.close()

    def _clean_up(self) -> None:
        if (parts := self._parts) is None:
            return
        self.destroy_timer(self._timer)
        self._description.close()
        parts.close()
        self._diagnostics.drift.clear()
        self._parts = None

    # ------------------------------------------------------------------ callbacks

    def _on_robot_description(self, text: str, doubt: str) -> None:
        """Take a robot; the same text again changes nothing. A doubt says why there is none."""
        values, parts = self._settings.current.values, self._parts
        if parts is None:      # cleaned up meanwhile
            return
        if text == (before := parts.live.current.source.text) and not doubt:
            return
        paths = values['package_paths']
        try:
            if doubt:
                raise ConfigurationError(doubt)
            robot = Robot.from_urdf(text, package_paths=paths)
            finder, refusal = CameraFinder(
                robot, extrinsics_of(values), self._tree, values['frame_prefix']), None
        except Exception as error:   # no robot description may end this node
            reason = str(error) if isinstance(error, Kinema4DError) else traceback.format_exc()
            self.get_logger().error(f'robot_description is refused: {reason}')
            # the robot of before is not what the topic describes any more
            robot, finder, refusal = None, None, f'the robot description is refused: {reason}'
        if parts is not self._parts:      # cleaned up meanwhile: the next ones read it themselves
            return
        if before:
            parts.stop(JobOutcome.CANCELLED, 'the robot description changed')
        if robot is not None:      # the workers first: they must not be asked about it before
            for worker in parts.workers:
                worker.set_robot(text, paths, robot.description_hash)
        parts.live.update(source=RobotSource(text, finder, refusal))
        if robot is None:
            return
        parts.outputs.publish_shadow_root(robot, values['shadow_prefix'])
        for warning in robot.warnings:
            self.get_logger().warning(f'robot_description: {warning}')
        self.get_logger().info(f'robot {robot.name!r}: {len(robot.link_names)} links, '
                               f'{len(robot.joint_names)} joints')

    def _on_trajectory(self, message: JointTrajectory) -> None:
        if self._active and (parts := self._parts) is not None:
            parts.runner.submit(PrecheckRequest(
                (message,), deadline=self._settings.current.values['deadline'],
                is_streamed=True))

    def _on_diagnostics(self) -> None:
        inputs, parts = self._inputs, self._parts
        if inputs is not None:
            inputs.refresh()
        self._incompatible.look()
        status = () if inputs is None else tuple(inputs.status())
        if parts is None:
            self._diagnostics.publish(diagnostics(self, '', status, (), None, {}))
            return
        robot = parts.live.current.source.robot
        self._diagnostics.publish(diagnostics(
            self, '' if robot is None else robot.name, status, parts.workers,
            parts.pipeline.last_message,
            {'requests replaced': parts.runner.replaced, 'requests waiting': parts.runner.waiting,
             **parts.pipeline.incidents.counts(), **parts.pipeline.ledger.counts()},
            readiness(parts.live.current, parts.workers, self.get_clock().now().nanoseconds,
                      self._settings.current.values)))

    # ------------------------------------------------------------------ time

    def _watch_clock(self) -> None:
        """Notice when simulated time jumps back, as a looping bag makes it do."""
        def jumped(jump: TimeJump) -> None:
            if self.get_clock().clock_type == ClockType.ROS_TIME and jump.delta < Duration():
                self._on_jump('the clock jumped back')

        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1),
                          on_clock_change=False), post_callback=self.guarded(jumped, 'the clock'))

    def _on_jump(self, reason: str) -> None:
        """Forget what belongs to the old time line; a running request ends as UNSURE."""
        self.get_logger().warning(f'{reason}: inputs and remembered scene are forgotten')
        inputs, parts = self._inputs, self._parts
        if inputs is not None:
            inputs.clear()
        if parts is not None:
            parts.stop(JobOutcome.CANCELLED, reason)
        self._forget_scene()

    def _forget_scene(self, *, is_elsewhere: bool = False) -> None:
        """Forget the scene, and, unless the base drove, where cameras saw the robot in it."""
        if not is_elsewhere:
            self._diagnostics.drift.clear()
        parts = self._parts
        for worker in () if parts is None else parts.workers:
            worker.forget()


def make_node(on_failure: Callable[[], None]) -> ShadowSim:
    """Return the node, started as its parameter `autostart` says."""
    node = ShadowSim(on_failure)
    node.autostart()
    return node
