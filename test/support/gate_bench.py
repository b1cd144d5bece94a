# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A gate in front of the world of `gate_world`, for the tests that send it goals."""
import contextlib
import struct

import gate_world
from control_msgs.action import FollowJointTrajectory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from gate_world import ABORTED, Arm, Controller, Nodes, RESULT, ShadowSim, SUCCEEDED
from graph import Asker, LIMIT, made, parameters, Process, READY, swing
from kinema4d_ros.msg import Decision, Finding
from kinema4d_ros.srv import Decide
from rclpy.action import ActionClient
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.gate.commands import DecisionKind
from kinema4d_ros.robot import trajectory_hash


def exact(message) -> bytes:
    """
    Return every field of a message, bit by bit.

    What serialize_message returns will not do: the bytes that align fields are whatever was in
    memory, and differ from call to call.
    """
    if hasattr(message, 'get_fields_and_field_types'):
        return b''.join(exact(getattr(message, name))
                        for name in message.get_fields_and_field_types())
    if isinstance(message, str):
        return exact(message.encode())
    if isinstance(message, bytes):
        return struct.pack('<Q', len(message)) + message
    if isinstance(message, float):
        return struct.pack('<d', message)
    if isinstance(message, int):
        return struct.pack('<q', message)
    return struct.pack('<Q', len(message)) + b''.join(exact(item) for item in message)


class Gate(Asker):
    """A running gate and its clients."""

    def __init__(self, graph, controller, name='trajectory_gate', *arguments, broken='', **values):
        self.controller, self.name = controller, name
        self.process = Process(
            'trajectory_gate', *parameters(controller=controller, diagnostics_rate=10.0, **values),
            '-r', f'__node:={name}', *arguments,
            program=(gate_world.__file__, 'gate', broken) if broken else ())
        self.decisions = graph.listen(f'{name}/decision', Decision, qos.DECISIONS)
        self.diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        super().__init__(graph, ActionClient(graph.node, FollowJointTrajectory,
                                             f'{name}/follow_joint_trajectory'))
        self.topic = graph.node.create_publisher(JointTrajectory, f'{name}/joint_trajectory',
                                                 qos.TRAJECTORY)

    def ready(self, but='ready'):
        """Wait until it knows everybody, or has no complaint but the one that begins so."""
        self.graph.greet(self.client)

        def fine():
            level, message = self.status() or (None, '')
            return level is not None and (level != DiagnosticStatus.ERROR or (
                message.startswith(but) and '; ' not in message))

        self.wait(fine)
        return self

    def wait(self, condition):
        """Wait for something that its diagnostics tell."""
        try:
            return self.graph.wait(condition, 'the gate')
        except AssertionError as error:
            raise AssertionError(f'{error}, which says {self.status()}:\n'
                                 + self.process.output()) from None

    def status(self, mode=''):
        """Return level and message of its newest diagnostics, or of those of a gate in `mode`."""
        newest = self._newest(mode)
        return None if newest is None else (newest.level, newest.message)

    def _newest(self, mode=''):
        return next((status for array in reversed(self.diagnostics) for status in array.status
                     if status.name == f'{self.name}: gate' and mode in of(status)['mode']), None)

    def hears(self, condition):
        """Wait until `condition` holds for the stamp [ns] of the newest joints it has heard."""
        def told():
            newest = self._newest()
            return newest is not None and condition(int(of(newest)['joint_states stamp [ns]']))

        self.wait(told)

    def executes(self, number):
        """Wait until it knows that the controller has taken the trajectory of this number."""
        self.wait(lambda: (newest := self._newest()) is not None
                  and of(newest)['executing'].startswith(f'trajectory {number} '))

    def hears_the_controller(self):
        """Wait until the controller has given a sign of life about the motion when asked."""
        self.wait(lambda: (newest := self._newest()) is not None
                  and of(newest)['executing'].endswith('the controller answers'))

    def send(self, goal):
        """Send a goal; return its handle."""
        if isinstance(goal, JointTrajectory):
            goal = FollowJointTrajectory.Goal(trajectory=goal)
        return super().send(goal)

    def run(self, goal):
        """Send a goal and return status and result."""
        return self.outcome(self.send(goal))

    def decided(self, what, since=0):
        """Wait for a decision of a kind and return it."""
        return self.graph.wait(
            lambda: next((d for d in self.decisions[since:] if kind_of(d) == what), None),
            f'decision {what} in {[d.sentence for d in self.decisions[since:]]}')

    def call(self, service, trajectory):
        """Call one of the operator's services for a message or hash; return success and message."""
        digest = trajectory if isinstance(trajectory, str) else trajectory_hash(
            trajectory_from_message(trajectory))
        client = self.graph.node.create_client(Decide, f'{self.name}/{service}')
        assert client.wait_for_service(LIMIT)
        self.graph.answer(client.call_async, Decide.Request())      # of nothing, until it is heard
        reply = self.graph.result(client.call_async(Decide.Request(trajectory_hash=digest)))
        self.graph.node.destroy_client(client)
        return reply.success, reply.message

    def set(self, **values):
        """Set parameters."""
        assert self.graph.set_parameter(self.name, **values) == ''

    def stop(self):
        """End it, and insist on a clean end."""
        code = self.process.stop()
        assert code == 0, self.process.output()
        assert 'Traceback' not in self.process.output(), self.process.output()


def kind_of(decision):
    """Return the word for what was decided."""
    return DecisionKind(decision.kind).name.lower()


def of(status):
    """Return the values of a DiagnosticStatus."""
    return {pair.key: pair.value for pair in status.values}


def finding(severity=Finding.FAIL, code=Finding.CONTACT):
    """Return a finding."""
    return Finding(code=code, severity=severity, message='the wrist touches the scene')


def spoil_field(**fields):
    def spoil(verdict, result):
        for name, value in fields.items():
            setattr(verdict, name, value)
    return spoil


class World:
    """A gate between the test and a controller, with a shadow_sim that obeys the test."""

    def __init__(self, graph, tester):
        self.graph = tester
        self.arm = Arm(graph.node)
        self.controller = Controller(graph.node, '/arm_controller', self.arm)
        self.shadow = ShadowSim(graph.node)
        self.gate = Gate(tester, '/arm_controller')

    def reset(self):
        self.controller.let_go.set()
        self.shadow.let_go.set()
        self.controller.reset()
        self.shadow.reset()
        self.put(READY)
        self.gate.set(verdict_timeout=20.0, late_evidence='cancel', max_joint_age=10.0,
                      path_tolerance=3.0, path_window=0.3)
        self.gate.feedback.clear()

    def put(self, joints=None, push=None):
        """Have the arm somewhere, and the gate know it."""
        stamp = self.arm.put(joints, push)
        self.gate.hears(lambda heard: heard > stamp)

    def refused(self, goal=None, words='', code=RESULT.INVALID_GOAL):
        """Send a goal that must not pass, and return what the client is told."""
        before = len(self.controller.goals), len(self.controller.messages)
        status, result = self.gate.run(goal or swing())
        assert status == ABORTED
        assert result.error_code == code, result.error_string
        assert words in result.error_string, result.error_string
        assert (len(self.controller.goals), len(self.controller.messages)) == before
        return result.error_string

    def passes(self, goal=None):
        status, result = self.gate.run(goal or swing())
        assert status == SUCCEEDED, result.error_string

    def moving(self, goal=None):
        """Return the handle of a goal that the controller is executing."""
        self.controller.hold = True
        before, since = len(self.controller.ids), len(self.gate.decisions)
        handle = self.gate.send(goal or swing())
        self.gate.decided('forward', since)
        self.graph.wait(lambda: len(self.controller.ids) > before, 'the controller to execute')
        number = self.gate.decided('forward', since).trajectory
        self.gate.executes(number)
        return handle

    def insist_on_what_was_forwarded(self):
        """Insist that nothing else has reached the controller, by its own words and the gate's."""
        forwarded = [one for one in self.gate.decisions if one.kind == Decision.FORWARD]
        goals = {bytes(one.goal_id).hex() for one in forwarded if one.source == Decision.ACTION}
        by_topic = [one for one in forwarded if one.source == Decision.TOPIC]
        assert len(self.controller.goals) <= len(goals) + len(by_topic)
        assert len({goal.hex() for goal in self.controller.ids} - goals) <= len(by_topic)
        assert self.controller.messages == []


@contextlib.contextmanager
def enforcing():
    """
    Give a world whose gate enforces, and insist on a clean end.

    Whatever was tried with it, nothing may have reached the controller but what was forwarded.
    """
    graph = Nodes()
    try:
        with made() as tester:
            world = World(graph, tester)
            try:
                world.gate.ready()
                world.reset()
                yield world
                world.passes()
            finally:
                world.controller.let_go.set()
                world.shadow.let_go.set()
                world.gate.stop()
            world.insist_on_what_was_forwarded()
    finally:
        graph.close()
