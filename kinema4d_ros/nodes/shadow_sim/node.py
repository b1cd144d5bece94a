# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node shadow_sim: what would happen if this trajectory were executed? It commands nothing."""
from __future__ import annotations

import functools
import traceback
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.incompatible_publishers import IncompatiblePublishers
from kinema4d_ros.bridge.node_base import NoQosEvents
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.errors import ConfigurationError, Kinema4DError
from kinema4d_ros.nodes.shadow_sim.action import PrecheckAction
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.diagnostics import diagnostics
from kinema4d_ros.nodes.shadow_sim.inputs import InputProblem, Inputs
from kinema4d_ros.nodes.shadow_sim.looker import Looker
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings, ShadowSimSettings
from kinema4d_ros.nodes.shadow_sim.pipeline import PrecheckPipeline, Worker
from kinema4d_ros.nodes.shadow_sim.requests import Request, RequestRunner
from kinema4d_ros.nodes.shadow_sim.rollout_publisher import RolloutPublisher
from kinema4d_ros.robot import Robot
from kinema4d_ros.worker.job import Outcome
from kinema4d_ros.worker.protocol import WorkerSettings
from kinema4d_ros.worker.supervisor import Supervisor
from kinema4d_ros.world_model import registry

_NICENESS = 10          # of what predicts: robots wait for checks, people for pictures
_CHECK_GRACE = 10.0     # [s] checks take a second or so, and do not look up before they end
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def transition(method):
    """Log what a lifecycle transition raises (rclpy swallows it) and have the transition fail."""
    @functools.wraps(method)
    def guarded(self, state):
        try:
            return method(self, state)
        except Kinema4DError as error:
            self.get_logger().error(f'{method.__name__}: {error}')
            self.failures.append(error)
        except Exception as error:
            self.get_logger().error(f'{method.__name__}:\n{traceback.format_exc()}')
            self.failures.append(error)
        return FAILURE
    return guarded


class ShadowSim(NoQosEvents, LifecycleNode):
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
        self._on_failure = on_failure
        self.failures: list[Exception] = []
        self._active = False
        self._workers: dict[Supervisor, None] = {}     # in order, the world model's first
        self._looker: Looker | None = None
        self._runner: RequestRunner | None = None
        self._outputs: Outputs | None = None
        self._judge: PrecheckPipeline | None = None
        self._action: PrecheckAction | None = None
        self._inputs: Inputs | None = None
        self._poller: SubscriptionThread | None = None
        self._robot_text = ''
        self._tree, self._misfits = TransformTree(), IncompatiblePublishers(self)
        self._made: list = []              # subscriptions and timers of the present state
        self._data = MutuallyExclusiveCallbackGroup()
        self._slow = MutuallyExclusiveCallbackGroup()     # parsing robots, remembering scenes
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._watch_clock()

    def autostart(self) -> None:
        """Configure and activate without a lifecycle manager, unless the parameter says not to."""
        if not self.get_parameter('autostart').value:
            return
        if self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            self._on_failure()

    def quit(self) -> None:
        """End what callbacks may be waiting for, so that the executor can be stopped."""
        self._active = False
        if self._runner is not None:
            self._runner.close()

    def close(self) -> None:
        """End everything in whatever state the node is."""
        self._deactivate()
        self._clean_up()

    # ------------------------------------------------------------------ lifecycle

    @transition
    def on_configure(self, state):
        """Start the world model's process and listen for the robot."""
        settings = self._settings.current
        values = settings.values
        if ':' not in values['world_model'] and values['world_model'] not in registry.available():
            raise ConfigurationError(
                f"parameter 'world_model' is {values['world_model']!r}, valid: "
                f'{", ".join(sorted(registry.available()))}, or module:Class')
        self._outputs = Outputs(self)
        self._looker = Looker(self)
        self._judge = PrecheckPipeline(self, self._outputs, self._looker,
                                       lambda: self._settings.current)
        self._start_workers(settings)
        self._runner = RequestRunner(self._judge)
        self._action = PrecheckAction(self, self._runner, self._snapshot, lambda: self._active)
        self._robot_subscription = self.create_subscription(
            String, 'robot_description', self._on_robot_description, qos.ROBOT_DESCRIPTION,
            callback_group=self._slow)
        self._timer = self.create_timer(1.0 / values['diagnostics_rate'], self._on_diagnostics,
                                        callback_group=self._data)
        self._warn_of_opt_outs(values)
        return SUCCESS

    def _start_workers(self, settings: ShadowSimSettings) -> None:
        """Start the process of the world model, and that of the checks where they are apart."""
        values = settings.values

        def started(settings: WorkerSettings, name: str, cancel_grace: float) -> Worker:
            rollouts = RolloutPublisher(self, self._outputs, name)
            return Worker(Supervisor(
                settings, rollouts, slots=values['frame_slots'], cancel_grace=cancel_grace,
                start_timeout=values['start_timeout']), rollouts)

        common = {'simulator_settings': {'frames': values['frames']}, 'rules': settings.precheck}
        grace = values['cancel_grace']
        niceness = _NICENESS if values['separate_checks'] else 0
        self._judge.predictions = self._judge.checks = started(
            WorkerSettings(values['world_model'], settings.world_model,
                           niceness=niceness, **common), 'world model', grace)
        if values['separate_checks']:
            self._judge.checks = started(WorkerSettings('', **common), 'checks',
                                         max(grace, _CHECK_GRACE))
        self._workers = {worker.supervisor: None
                         for worker in (self._judge.predictions, self._judge.checks)}

    @transition
    def on_activate(self, state):
        """Listen to the world and to requests."""
        values = self._snapshot()
        self._inputs = Inputs(self, values, self._tree, self._data, self._on_jump)
        self._looker.inputs = self._inputs
        self._made = [self.create_subscription(
            JointTrajectory, 'joint_trajectory', self._on_trajectory, qos.TRAJECTORY,
            callback_group=NotForExecutor())]
        if values['memory_rate'] > 0:
            self._made.append(self.create_timer(1.0 / values['memory_rate'], self._on_remember,
                                                callback_group=self._slow))
        result = super().on_activate(state)
        self._active = result == SUCCESS
        self._poller = SubscriptionThread(self._made[0])
        self._judge.catch_up = self._poller.catch_up
        return result

    @transition
    def on_deactivate(self, state):
        """Stop listening; a running request ends as UNSURE."""
        self._deactivate()
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state):
        """End the world model's process, which gives its memory back."""
        self._clean_up()
        return SUCCESS

    @transition
    def on_shutdown(self, state):
        """End everything."""
        self.close()
        return SUCCESS

    def _deactivate(self) -> None:
        self._active = False
        if self._runner is not None:
            self._runner.stop(Outcome.CANCELLED, 'the node was deactivated')
        if self._poller is not None:
            self._poller.close()
            self._poller = None
        for thing in self._made:
            if hasattr(thing, 'timer_period_ns'):
                self.destroy_timer(thing)
            else:
                self.destroy_subscription(thing)
        self._made = []
        if self._inputs is not None:
            self._looker.inputs = None
            self._inputs.close()
            self._inputs = None

    def _clean_up(self) -> None:
        if self._runner is None:
            return
        self.destroy_timer(self._timer)
        self.destroy_subscription(self._robot_subscription)
        self._runner.close()
        for worker in self._workers:
            worker.stop()
        self._action.close()
        self._judge.incidents.close()
        self._outputs.close()
        self._runner = self._action = self._outputs = self._judge = self._looker = None
        self._workers = {}
        self._robot_text = ''

    def _snapshot(self):
        return self._settings.current.values

    def _warn_of_opt_outs(self, values) -> None:
        if values['max_input_age'] == 0.0:
            self.get_logger().warning(
                'max_input_age is 0.0: verdicts may rest on images of any age')

    # ------------------------------------------------------------------ callbacks

    def _on_robot_description(self, message: String) -> None:
        """Take a robot; the same text again changes nothing."""
        if message.data == self._robot_text:
            return
        values = self._snapshot()
        paths = values['package_paths']
        try:
            robot = Robot.from_urdf(message.data, package_paths=paths)
            finder = CameraFinder(robot, values['extrinsics'], self._tree)
        except Exception as error:   # whatever a stranger's file does, the node lives on
            reason = str(error) if isinstance(error, Kinema4DError) else traceback.format_exc()
            self.get_logger().error(f'robot_description is refused: {reason}')
            finder = None    # the robot of before is not what the topic describes any more
        looker, runner = self._looker, self._runner
        if looker is None:    # cleaned up meanwhile
            return
        if self._robot_text:
            runner.stop(Outcome.CANCELLED, 'the robot description changed')
        self._robot_text, looker.finder = message.data, finder
        self._judge.incidents.robot_text = message.data
        if finder is None:
            looker.refusal = f'the robot description is refused: {reason}'
            return
        for worker in self._workers:
            worker.set_robot(message.data, paths, robot.description_hash)
        self._outputs.publish_shadow_root(robot, values['shadow_prefix'])
        for warning in robot.warnings:
            self.get_logger().warning(f'robot_description: {warning}')
        self.get_logger().info(f'robot {robot.name!r}: {len(robot.link_names)} links, '
                               f'{len(robot.joint_names)} joints')

    def _on_trajectory(self, message: JointTrajectory) -> None:
        if self._active:
            self._runner.submit(Request((message,), deadline=self._snapshot()['deadline'],
                                        is_streamed=True))

    def _on_remember(self) -> None:
        """Show the worker the scene while nothing else is to do."""
        finder, inputs = self._looker.finder, self._inputs
        idle = [worker for worker in self._workers if worker.is_idle]
        if finder is None or inputs is None or not idle:
            return
        try:
            look = inputs.observe(finder, self.get_clock().now().nanoseconds, self._snapshot())
        except InputProblem as problem:
            self.get_logger().debug(f'nothing to remember: {problem}')
            return
        if look.mount is None:
            for worker in idle:
                worker.remember(look.observation)

    def _on_diagnostics(self) -> None:
        inputs, judge, runner = self._inputs, self._judge, self._runner
        if inputs is not None:
            inputs.refresh()
        self._misfits.look()
        robot = None if self._looker is None else self._looker.robot
        self._diagnostics.publish(diagnostics(
            self, '' if robot is None else robot.name,
            () if inputs is None else inputs.status(), tuple(self._workers),
            None if judge is None else judge.last_message,
            {} if runner is None or judge is None else {
                'requests replaced': runner.replaced, 'requests waiting': runner.waiting,
                **judge.incidents.counts()}))

    # ------------------------------------------------------------------ time

    def _watch_clock(self) -> None:
        """Notice when simulated time jumps back, as a looping bag makes it do."""
        def jumped(jump) -> None:
            if self.get_clock().clock_type == ClockType.ROS_TIME and jump.delta < Duration():
                self._on_jump('the clock jumped back')

        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1),
                          on_clock_change=False), post_callback=jumped)

    def _on_jump(self, reason: str) -> None:
        """Forget what belongs to the old time line; a running request ends as UNSURE."""
        self.get_logger().warning(f'{reason}: inputs and remembered scene are forgotten')
        if self._inputs is not None:
            self._inputs.clear()
        if self._runner is not None:
            self._runner.stop(Outcome.CANCELLED, reason)
            for worker in self._workers:
                worker.forget()


def make_node(on_failure: Callable[[], None]) -> ShadowSim:
    """Return the node, started as its parameter `autostart` says."""
    node = ShadowSim(on_failure)
    node.autostart()
    return node
