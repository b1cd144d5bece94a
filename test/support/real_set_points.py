# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bench of the gate of set points, with the real forward_command_controller in it."""
import os
import signal



from diagnostic_msgs.msg import DiagnosticArray
from graph import parameters, Process, READY
from kinema4d_ros.msg import Decision
from real_controller import RealController
from sensor_msgs.msg import JointState
from set_point_bench import ARM, Bench, Space, Stream
from std_msgs.msg import Float64MultiArray, Header, String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.robot import Robot


class RealArm:
    """The mock hardware of ros2_control, as `Arm` is asked; the fingers are another's."""

    def __init__(self, tester, real):
        self._tester, self._real, self._on = tester, real, True
        self._fingers = tester.node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        tester.node.create_timer(0.02, self._tell)

    def _tell(self):
        if self._on:
            stamp = self._tester.node.get_clock().now().to_msg()
            fingers = {name: READY[name] for name in READY if name not in ARM}
            self._fingers.publish(joint_state_message(
                fingers, Header(stamp=stamp), dict.fromkeys(fingers, 0.0)))

    def state(self):
        return READY | self._real.positions, {}

    @property
    def on(self):
        return self._on

    @on.setter
    def on(self, value):
        """Have the whole manager stand still, as where its bus hangs."""
        self._on = value
        os.kill(self._real.process.process.pid, signal.SIGCONT if value else signal.SIGSTOP)


class RealForward:
    """The controller, as `ForwardController` is asked."""

    def __init__(self, tester, real):
        self._real, heard = real, tester.listen('/forward_controller/commands', Float64MultiArray,
                                                100)
        self._heard = heard

    @property
    def commands(self):
        return [list(message.data) for message in list(self._heard)]

    @property
    def active(self):
        return self._real.state_of('forward_controller') == 'active'

    def switch(self, active):
        if self.active != active:
            on, off = ['forward_controller'], ['arm_controller'] if self._real.state_of(
                'arm_controller') == 'active' else []
            self._real.switch(*((on, off) if active else ([], on)))


class RealSetPointBench(Bench):
    """A gate of set points before ros2_control, which it asks whether the controller is active."""

    def __init__(self, nodes, tester, *, of_velocities=False, **values):
        self.graph, self.real = tester, RealController(
            tester, ARM, forward='velocity' if of_velocities else 'position')
        descriptions = tester.listen('robot_description', String, qos.ROBOT_DESCRIPTION)
        tester.wait(lambda: descriptions and set(ARM) <= set(self.real.positions), 'joints')
        self.arm, self.controller = RealArm(tester, self.real), RealForward(tester, self.real)
        self.controller.switch(True)
        self.space = Space(nodes.node, self.arm, Robot.from_urdf(descriptions[-1].data))
        self.stream = Stream(tester.node, self.arm, 'set_point_gate/commands')
        self.process = Process('set_point_gate', *parameters(**{
            'controller': '/forward_controller', 'max_joint_age': 5.0, 'max_scene_age': 5.0,
            'diagnostics_rate': 10.0, **values}))
        self.decisions = tester.listen('set_point_gate/decision', Decision, qos.DECISIONS)
        self.diagnostics = tester.listen('/diagnostics', DiagnosticArray, 10)

    def reset(self):
        """Stop sending; the arm stays where it is, since nobody but the gate may command it."""
        self.stream.values, self.space.of = None, lambda joints: 0.5
        self.space.on, self.space.problem = True, ''
        self.controller.switch(True)

    def close(self):
        self.real.close()


