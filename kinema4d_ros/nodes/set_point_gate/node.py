# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node set_point_gate: relays set points to a controller while they lie within a licence.

It is no certified safety function. What it relays it does not change.
"""
from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import IncompatiblePublishers, why_silent
from kinema4d_ros.bridge.motion import time_message
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.robot_state import RobotState
from kinema4d_ros.bridge.subscription_thread import NotForExecutor
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.gate import JointReading
from kinema4d_ros.gate.set_points import (posture_of, SetPointRuling, SetPointKind, SetPointMachine,
                                          SetPointSettings, SetPointSituation)
from kinema4d_ros.msg import Decision
from kinema4d_ros.nodes.set_point_gate.controller import ControllerWatch
from kinema4d_ros.nodes.set_point_gate.joint_feed import JointFeed
from kinema4d_ros.nodes.set_point_gate.licences import LicenceFeed
from kinema4d_ros.nodes.set_point_gate.parameters import (fixed_joints, set_point_settings,
                                                              TABLE)
from kinema4d_ros.nodes.set_point_gate.relay import RelayThread
from kinema4d_ros.nodes.set_point_gate.report import SetPointReporter
from kinema4d_ros.nodes.set_point_gate.set_point import SetPoint, Wire
from kinema4d_ros.nodes.set_point_gate.wire import topics_of, wire_of
from kinema4d_ros.robot import link_boxes, load_meshes, PostureBound, Robot, SelfCollision

_LOOK = 0.2     # [s] between looks at the controller and the graph
_BLIND = 1.0    # [s] without such a look, after which nothing is relayed


class SetPointGate(NodeBase, Node):
    """
    Relays in a thread of its own; all else, which may take its time, is in the executor.

    The machine and the joints belong to the thread of the relay.
    """

    def __init__(self, on_failure: Callable[[], None]):
        """
        Declare the parameters, connect, and begin to relay.

        :param on_failure: called when the node must end.
        :raises ConfigurationError: a parameter is missing or bad.
        """
        super().__init__('set_point_gate')
        self._on_failure = on_failure
        self.failures: list[Exception] = []
        TABLE.declare(self)
        values = self._values = TABLE.snapshot(self)
        self._settings: SetPointSettings = set_point_settings(values)
        self._fixed = fixed_joints(values)
        kind = self._kind = SetPointKind(values['kind'])
        if kind in (SetPointKind.POSE, SetPointKind.TWIST) and not values['tip_link']:
            raise ConfigurationError(f"parameter 'tip_link' is empty; kind {kind} needs the link "
                                     'that set points are of')
        message, come, go = topics_of(kind)
        controller = self.resolve_topic_name(values['controller'])
        source = self.resolve_topic_name(values['input'] or come)
        target = self.resolve_topic_name(values['output'] or f'{controller}/{go}')
        if source == target:
            raise ConfigurationError(f'set points would come and go by the same topic, {source}')
        self._source, self._target = source, target
        self._is_monitor = values['mode'] == 'monitor'
        self._report = SetPointReporter(
            self, Decision.MODE_MONITOR if self._is_monitor else Decision.MODE_ENFORCE)
        self._group = MutuallyExclusiveCallbackGroup()
        self._joints, self._machine = JointFeed(self), SetPointMachine(kind)
        self._robot: Robot | None = None          # in the executor
        self._wire: Wire | None = None            # in the relay's thread
        self._problem: str | None = 'the gate has just been started'
        self._is_ending = False
        self._looked_at = time.monotonic()
        self._publisher = self.create_publisher(message, target, qos.TRAJECTORY)
        manager = values['controller_manager']
        self._controller = ControllerWatch(
            self, controller, self.resolve_topic_name(manager) if manager else '',
            tuple(values['joints']), target, self._group,
            asks_joints=kind not in (SetPointKind.POSE, SetPointKind.TWIST))
        self._relay = RelayThread(
            self.create_subscription(message, source, lambda _: None, qos.SET_POINTS, raw=True,
                                     callback_group=NotForExecutor()),
            self._on_set_point, self._on_tick, self._failed, priority=values['priority'])
        self._licences = LicenceFeed(
            self, self.resolve_topic_name(values['shadow_sim']), values['trajectories'],
            self._machine, self._relay.call, self._group)
        self._state = RobotState(self, values['robot_state_topics'], group=self._group)
        self._incompatible = IncompatiblePublishers(self)
        self._text, self._robot_problem = '', 'no robot description'
        self._parts: tuple[PostureBound, SelfCollision | None] | None = None
        self._used: tuple[tuple[str, ...], Robot | None] = (), None
        self.create_subscription(String, 'robot_description', self._on_robot,
                                 qos.ROBOT_DESCRIPTION,
                                 callback_group=MutuallyExclusiveCallbackGroup())
        self.add_post_set_parameters_callback(self._on_parameters)
        for period, callback in ((_LOOK, self._look),
                                 (1.0 / values['diagnostics_rate'], self._on_diagnostics)):
            self.create_timer(period, callback, callback_group=self._group,
                              clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._log_how_it_is_set_up()
        self._relay.start()

    def _log_how_it_is_set_up(self) -> None:
        logger, settings = self.get_logger(), self._settings
        logger.info(f'{self._kind}: {self._source} -> {self._target}')
        if self._is_monitor:
            logger.warning('in mode monitor every set point reaches the controller')
        if 1 not in settings.required_tiers:
            logger.warning('required_tiers is without 1: set points pass whatever is in the way')

    # ------------------------------------------------------------------ the relay's thread

    def _on_set_point(self, raw: bytes) -> None:
        situation = self._situation()
        asked = self._read(raw, situation)
        ruling = self._machine.take(asked.values, situation, self._settings, lasts=asked.lasts,
                                    beyond=asked.beyond)
        if ruling.relays or self._is_monitor:
            self._publisher.publish(raw)
        if ruling.relays and self._wire is not None:
            self._wire.relayed()
        self._after(ruling, situation)

    def _read(self, raw: bytes, situation: SetPointSituation) -> SetPoint:
        if self._wire is None:
            return SetPoint('the robot and its controller are not known yet')
        try:
            return self._wire.read(raw, self._live(situation), situation.now_ns)
        except Exception as error:      # whatever bytes come, the relay must go on
            return SetPoint(f'it cannot be read: {type(error).__name__}: {error}')

    def _on_tick(self) -> None:
        situation = self._situation()
        ruling = self._machine.tick(situation, self._settings)
        if ruling is not None:
            self._after(ruling, situation)

    def _after(self, ruling: SetPointRuling, situation: SetPointSituation) -> None:
        """Say and do what comes of a ruling, once what is relayed has gone."""
        if ruling.own is not None and self._wire is not None and not self._is_monitor:
            own = self._wire.write(ruling.own, ruling.share, self._live(situation))
            if self._kind in (SetPointKind.POSE, SetPointKind.TWIST):   # else it is taken for stale
                own.header.stamp = time_message(situation.now_ns)
            self._publisher.publish(own)
        if ruling.reason is None:
            self._report.relays()
        else:
            self._report.held(ruling.reason)

    def _live(self, situation: SetPointSituation) -> Any:
        rules = self._machine.rules
        if rules is None or self._kind in (SetPointKind.POSITION, SetPointKind.VELOCITY):
            return None     # these do not need it
        posture = posture_of(rules.robot, situation.readings, situation.now,
                             self._settings.max_joint_age)
        return None if isinstance(posture, str) else posture.positions

    def _situation(self) -> SetPointSituation:
        readings, now = self._joints.take(), time.monotonic()
        if self._fixed:
            readings = {name: JointReading(place, 0, now, velocity=0.0)
                        for name, place in self._fixed.items()} | dict(readings)
        return SetPointSituation(now, self.get_clock().now().nanoseconds, readings,
                                 self._why_held(now))

    def _why_held(self, now: float) -> str | None:
        """Return what stands in the way of all set points; what was seen last does not undo it."""
        if self._is_ending:
            return 'the gate is shutting down'
        return self._problem or _why_blind(now - self._looked_at)

    def _use(self, robot: Robot | None, joints: tuple[str, ...], bound: PostureBound | None,
             self_collision: SelfCollision | None, wire: Wire | None) -> None:
        self._machine.set_robot(robot, joints, bound, self_collision)
        self._wire = wire

    def _failed(self, error: Exception) -> None:
        self.failures.append(error)
        try:
            rules, wire = self._machine.rules, self._wire
            if self._kind.is_velocity and self._machine.is_moving and rules is not None \
                    and wire is not None:
                self._publisher.publish(wire.write(np.zeros(len(rules.joints)), 0.0, None))
            self.get_logger().fatal('the gate failed and ends:\n'
                                    + ''.join(traceback.format_exception(error)))
        except Exception as another:      # whatever fails now, the node must end
            self.failures.append(another)
        finally:
            self._on_failure()

    # ------------------------------------------------------------------ the executor

    def _on_robot(self, message: String) -> None:
        """Take a robot, and load its meshes; the same text again changes nothing."""
        if message.data == self._text:
            return
        self._text, self._robot = message.data, None
        self._problem = self._robot_problem = 'the robot description is being read'
        try:
            robot = Robot.from_urdf(message.data, package_paths=self._values['package_paths'])
            meshes = load_meshes(robot)
            checker = SelfCollision(robot, meshes)
            if checker.unreadable:
                raise ConfigurationError('the shapes of these links cannot be read: '
                                         + ', '.join(checker.unreadable))
            self._parts = PostureBound(robot, link_boxes(meshes)), checker
            self._licences.set_robot(robot)
            self._robot, self._robot_problem = robot, ''
        except Exception as error:   # foreseen or not: the one before is not what is there
            self._robot_problem = f'the robot description is refused: {error}'
            self.get_logger().error(self._robot_problem)

    def _look(self) -> None:
        """Look at controller and graph, and tell the relay what stands in the way."""
        self._controller.look()
        robot, joints = self._robot, self._controller.joints
        if robot is not None and not joints and self._values['tip_link'] in robot.links:
            joints = tuple(joint.name for joint in robot.path(self._values['tip_link'])
                           if joint.name in robot.joint_names)
        problem = self._robot_problem or self._why_not(joints)
        if (joints, robot) != self._used:
            problem = self._take_controller(robot, joints) or problem \
                or 'the robot has just been told'      # to the relay, which takes it soon
        if problem is None and robot is not None:
            problem = self._licences.why_doubled() or self._state.why_not_ready()
        self._problem, self._looked_at = problem, time.monotonic()

    def _why_not(self, joints: tuple[str, ...]) -> str | None:
        publishers = self.count_publishers(self._source)
        if publishers > 1:
            return f'{publishers} nodes publish {self._source}: set points of one source only ' \
                   'make a motion'
        why = self._controller.why_not()
        return None if why is not None and joints and 'has not told its joints' in why else why

    def _take_controller(self, robot: Robot | None, joints: tuple[str, ...]) -> str | None:
        """Have the relay use a robot and the joints of its controller; return why it cannot."""
        if robot is None or not joints or self._parts is None:
            self._used = joints, robot
            self._relay.call(lambda: self._use(None, (), None, None, None))
            return None
        unknown = [name for name in joints if name not in robot.joint_names]
        if unknown:
            return f'the controller moves {unknown[0]}, which the robot description does not ' \
                   f'have; it has {", ".join(robot.joint_names)}'
        try:
            wire = wire_of(self._kind, robot, joints, self._values['tip_link'])
        except Exception as error:
            return str(error)
        bound, self_collision = self._parts
        self._used = joints, robot
        self._relay.call(lambda: self._use(robot, joints, bound, self_collision, wire))
        return None

    def _on_parameters(self, _: Any) -> None:
        values = TABLE.snapshot(self)
        self._settings, self._fixed = set_point_settings(values), fixed_joints(values)

    def _on_diagnostics(self) -> None:
        self._incompatible.look()
        machine, scene = self._machine, self._machine.scene
        problems = [text for text in (self._problem, self._joints.problem,
                                      why_silent(self, 'robot_description')
                                      if self._robot is None else None) if text]
        warnings = [f'held: {machine.reason}'] if machine.is_held else []
        if scene is None and 1 in self._settings.required_tiers:
            warnings.append('shadow_sim has not told the free space around the robot')
        elif scene is not None and scene.problem:
            warnings.append(f'the free space around the robot is not known: {scene.problem}')
        self._report.diagnostics(problems, warnings, {
            'kind': self._kind, 'input': self._source, 'output': self._target,
            'joints': ', '.join(self._controller.joints),
            'real-time': self._relay.is_real_time, 'relayed': machine.relayed,
            'held back': machine.held_back, 'trajectories that passed': len(machine.paths)})

    # ------------------------------------------------------------------ the end

    def quit(self) -> None:
        """Bring what moves by velocities to a stand, and relay nothing more."""
        self._is_ending = True
        until = time.monotonic() + 2.0
        while self._kind.is_velocity and self._machine.is_moving and time.monotonic() < until:
            time.sleep(0.01)
        if not self._relay.close():
            self.get_logger().error('the thread of the relay does not end')

    def close(self) -> None:
        """Take no more messages."""
        self._state.close()


def _why_blind(age: float) -> str | None:
    return None if age <= _BLIND else f'the gate has not looked at its controller for {age:.1f} s'


def make_node(on_failure: Callable[[], None]) -> SetPointGate:
    """Return the node."""
    return SetPointGate(on_failure)
