# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""set_point_gate between a stream of set points and a controller, over DDS."""
import contextlib

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from forward_controller import ForwardController, VelocityController
from gate_bench import of
from gate_world import Arm, Nodes
from graph import made, parameters, Process, READY, URDF
from kinema4d_ros.msg import Decision, LocalClearance
from rcl_interfaces.srv import GetParameters
from std_msgs.msg import Float64MultiArray

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.local_clearances import local_clearance_message
from kinema4d_ros.robot import link_boxes, load_meshes, Robot
from kinema4d_ros.types import LinkSpace
from kinema4d_ros.types import LocalClearance as Clearance

ARM = tuple(name for name in READY if 'finger' not in name)
ROBOT = Robot.from_urdf(URDF)
BOXES = link_boxes(load_meshes(ROBOT))
PERIOD = 0.02


class Space:
    """A shadow_sim that tells the free space around the arm 20 times a second."""

    def __init__(self, node, arm, robot=ROBOT):
        self._node, self._arm, self._robot = node, arm, robot
        self.on, self.problem = True, ''
        self.of = lambda joints: 0.5            # [m] around every link, by where the joints are
        self._topic = node.create_publisher(LocalClearance, 'local_clearance', qos.LOCAL_CLEARANCE)
        node.create_timer(0.05, self._tell)

    def _tell(self):
        joints, _ = self._arm.state()
        if self.on:
            self._topic.publish(local_clearance_message(Clearance(
                self._node.get_clock().now().nanoseconds, self._robot.description_hash, joints,
                tuple(LinkSpace(box.link, box.low, box.high, self.of(joints), reason='the wall')
                      for box in BOXES), self.problem), 'base_link'))


class Stream:
    """What sends set points, 50 times a second, while `values` is not None."""

    def __init__(self, node, arm, topic, kind=Float64MultiArray):
        self._arm = arm
        self.values = None            # called; returns what is sent, None for nothing
        self.sent, self._make = [], (lambda values: Float64MultiArray(data=list(values))) \
            if kind is Float64MultiArray else (lambda message: message)
        self.topic = node.create_publisher(kind, topic, 10)
        node.create_timer(PERIOD, self._send)

    def _send(self):
        values = None if self.values is None else self.values()
        if values is not None:
            self.sent.append(values)
            self.topic.publish(self._make(values))

    def swing(self, step=0.005):
        """Turn the shoulder by so much more each time, from where the arm is."""
        place = [self._place()]

        def values():
            place[0] = place[0] + step * np.eye(len(ARM))[0]
            return place[0].tolist()
        self.values = values

    def follow(self, step=0.005):
        """Turn the shoulder by so much from where it is measured, as a policy does."""
        self.values = lambda: (self._place() + step * np.eye(len(ARM))[0]).tolist()

    def _place(self):
        joints, _ = self._arm.state()
        return np.array([joints[name] for name in ARM])


class Bench:
    """A gate of set points, and all that is around it."""

    def __init__(self, nodes, tester, *, controller='/forward_controller', of_velocities=False,
                 of_points=None, source='set_point_gate/commands', message=Float64MultiArray,
                 **values):
        self.graph, self.arm = tester, Arm(nodes.node)
        self.space = Space(nodes.node, self.arm)
        kind = VelocityController if of_velocities else ForwardController
        self.controller = of_points(nodes.node, self.arm) if of_points else kind(
            nodes.node, controller, self.arm, ARM)
        nodes.node.create_service(GetParameters, f'{controller}/get_parameters', self._joints)
        self.told = ARM
        self.stream = Stream(tester.node, self.arm, source, message)
        self.process = Process('set_point_gate', *parameters(
            **{'controller': controller, 'controller_manager': "''", 'max_joint_age': 5.0,
               'max_scene_age': 5.0, 'diagnostics_rate': 10.0, **values}))
        self.decisions = tester.listen('set_point_gate/decision', Decision, qos.DECISIONS)
        self.diagnostics = tester.listen('/diagnostics', DiagnosticArray, 10)

    def _joints(self, request, reply):
        from rcl_interfaces.msg import ParameterType, ParameterValue
        reply.values = [ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY,
                                       string_array_value=list(self.told))]
        return reply

    def pan(self):
        return self.arm.state()[0]['shoulder_pan_joint']

    def reset(self):
        """Stop sending, and be where it began."""
        self.stream.values, self.space.of = None, lambda joints: 0.5
        self.space.on, self.space.problem = True, ''
        self.controller.switch(True)
        self.arm.put(READY)

    def status(self):
        return next((status for array in reversed(self.diagnostics) for status in array.status
                     if status.name == 'set_point_gate: set points'), None)

    def ready(self):
        """Wait until it has no complaint."""
        self.graph.wait(lambda: (now := self.status()) is not None and now.level == b'\x00',
                        f'the gate, which says {self.status()}\n{self.process.output()}')
        return self

    def counts(self):
        """Return how many set points it has relayed and held back, as it tells."""
        values = of(self.status())
        return int(values['relayed']), int(values['held back'])

    def held(self, words, since=0):
        """Wait until set points are held back for a reason that has these words."""
        return self.graph.wait(
            lambda: next((d for d in self.decisions[since:] if d.kind == Decision.HELD
                          and words in d.sentence), None),
            f'held: {words!r} in {[d.sentence for d in self.decisions[since:]]}'
            f'\n{self.process.output()[-2000:]}')

    def relays(self, since=0):
        """Wait until set points are relayed."""
        return self.graph.wait(
            lambda: next((d for d in self.decisions[since:] if d.kind == Decision.RELAY), None),
            f'relays, in {[d.sentence for d in self.decisions[since:]]}')

    def close(self):
        """End what is around the gate."""

    def stop(self):
        code = self.process.stop()
        assert code == 0, self.process.output()
        assert 'Traceback' not in self.process.output(), self.process.output()


@contextlib.contextmanager
def gated(bench_class=Bench, **values):
    """Give a bench, and insist on a clean end."""
    nodes = Nodes()
    try:
        with made() as tester:
            bench = bench_class(nodes, tester, **values)
            try:
                yield bench.ready()
            finally:
                bench.stream.values = None
                try:
                    if bench.process.process.poll() is None:
                        bench.stop()
                finally:
                    bench.close()
    finally:
        nodes.close()


