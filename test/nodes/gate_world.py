# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The world around a gate: an arm, its controller and a shadow_sim that says what a test wants.

Run as a program it is one of them in a process of its own, to be killed or stopped:
``gate_world.py shadow_sim``, ``gate_world.py controller``, or a gate with a bug:
``gate_world.py gate Gate.answered``.
"""
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

import rclpy
from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import Graph, LIMIT, parameters, Process, READY, ROOT, URDF
from rclpy.action import ActionClient, ActionServer, CancelResponse, GoalResponse
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import (
    duration_seconds,
    joint_state_message,
    trajectory_from_message,
)
from kinema4d_ros.msg import Finding, Verdict
from kinema4d_ros.precheck import trajectory_hash
from kinema4d_ros.robot import Robot

ROBOT_HASH = Robot.from_urdf(URDF).description_hash
RESULT = FollowJointTrajectory.Result
SUCCEEDED, ABORTED, CANCELED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED,
                                GoalStatus.STATUS_CANCELED)


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


class Arm:
    """Tells its description and, 50 times a second, its joints; moves along trajectories."""

    def __init__(self, node):
        self._node = node
        self.joints, self.push, self.on = dict(READY), {}, True
        self.stamp_offset = 0.0                 # [s] added to all stamps
        self._path, self._started = None, 0.0
        self._lock = threading.Lock()
        self._description = node.create_publisher(String, 'robot_description',
                                                  qos.ROBOT_DESCRIPTION)
        self._states = node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        self._description.publish(String(data=URDF))
        node.create_timer(0.02, self._tell)

    def follow(self, message):
        """Move along the straight lines of a trajectory from now on; None stops."""
        with self._lock:
            self._path, self._started = message, time.monotonic()

    def put(self, joints=None, push=None):
        """Stop; be where `joints` says, off by `push`; return a stamp [ns] all later ones have."""
        with self._lock:
            self._path = None
            self.joints = dict(self.joints if joints is None else joints)
            self.push, self.on = dict(push or {}), True
            return self._node.get_clock().now().nanoseconds

    def _tell(self):
        with self._lock:
            self._tell_now()

    def _tell_now(self):
        path = self._path
        if path is not None:
            now = time.monotonic() - self._started
            before, after = path.points[0], path.points[-1]
            share = min(1.0, now / duration_seconds(after.time_from_start))
            for i, name in enumerate(path.joint_names):
                self.joints[name] = before.positions[i] + share * (
                    after.positions[i] - before.positions[i])
        if self.on:
            pushed = {name: value + self.push.get(name, 0.0)
                      for name, value in self.joints.items()}
            stamp = (self._node.get_clock().now()
                     + rclpy.duration.Duration(seconds=self.stamp_offset)).to_msg()
            self._states.publish(joint_state_message(pushed, Header(stamp=stamp)))


class Controller:
    """Executes goals as the fields say, and keeps every byte that reached it."""

    def __init__(self, node, name, arm=None):
        self.name, self.arm, self.changed = name, arm, threading.Condition()
        self.reset()
        self.goals: list = []                   # FollowJointTrajectory.Goal
        self.ids: list[bytes] = []
        self.messages: list[bytes] = []         # serialised JointTrajectory, from the topic
        self.cancels: list[float] = []          # steady time [s]
        self._current = None
        self._server = ActionServer(
            node, FollowJointTrajectory, f'{name}/follow_joint_trajectory', self._execute,
            goal_callback=self._goal, cancel_callback=self._cancel)
        node.create_subscription(JointTrajectory, f'{name}/joint_trajectory', self._message,
                                 qos.TRAJECTORY, raw=True)

    def reset(self):
        self.accepts, self.hold = True, False
        self.result = (True, RESULT(error_code=0, error_string='there'))
        self.feedback = []
        self.let_go = threading.Event()

    def close(self):
        """Leave the graph."""
        self._server.destroy()

    def _note(self, kept, what):
        with self.changed:
            kept.append(what)
            self.changed.notify_all()

    def _message(self, raw):
        self._note(self.messages, raw)

    def _goal(self, goal):
        self._note(self.goals, goal)
        return GoalResponse.ACCEPT if self.accepts else GoalResponse.REJECT

    def _cancel(self, _):
        self._note(self.cancels, time.monotonic())
        return CancelResponse.ACCEPT

    def _execute(self, goal):
        self._note(self.ids, bytes(goal.goal_id.uuid))
        older, self._current = self._current, goal
        if older is not None and older.is_active and not older.is_cancel_requested:
            older.abort()
        if self.arm is not None:
            self.arm.follow(goal.request.trajectory)
        try:
            return self._run(goal)
        finally:
            if self.arm is not None and self._current is goal:
                self.arm.follow(None)

    def _run(self, goal):
        for feedback in self.feedback:
            goal.publish_feedback(feedback)
        while self.hold and not self.let_go.wait(0.002):
            if not goal.is_active:
                return RESULT(error_code=RESULT.INVALID_GOAL, error_string='a newer goal came')
            if goal.is_cancel_requested:
                goal.canceled()
                return RESULT(error_code=0, error_string='stopped')
        succeeds, result = self.result
        goal.succeed() if succeeds else goal.abort()
        return result


class ShadowSim:
    """Answers questions with PASS, or as `spoil` changes the verdict or result."""

    def __init__(self, node, name='shadow_sim'):
        self._node = node
        self.reset()
        self.asked: list = []
        self.cancels = 0
        self.verdict = node.create_publisher(Verdict, 'verdict', qos.VERDICT)
        self._server = ActionServer(
            node, Precheck, f'{name}/precheck', self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT if self.accepts else GoalResponse.REJECT,
            cancel_callback=self._cancel)

    def reset(self):
        self.accepts, self.slow, self.end = True, False, 'succeed'
        self.spoil = lambda verdict, result: None
        self.let_go = threading.Event()

    def pass_of(self, trajectory, **fields):
        """Return a PASS on a trajectory that holds for five seconds."""
        now = self._node.get_clock().now()
        later = now + rclpy.duration.Duration(seconds=5.0)
        return Verdict(
            header=Header(stamp=now.to_msg(), frame_id='base_link'), status=Verdict.PASS,
            final=True, trajectory_hash=trajectory_hash(trajectory_from_message(trajectory)),
            robot_hash=ROBOT_HASH, tiers_passed=[0, 1], tier=1, summary='nothing wrong found',
            rollout_id=f'rollout-{len(self.asked)}', valid_until=later.to_msg(), **fields)

    def _cancel(self, _):
        self.cancels += 1
        return CancelResponse.ACCEPT

    def _execute(self, goal):
        self.asked.append(goal.request)
        verdict = self.pass_of(goal.request.candidates[0])
        while self.slow and not self.let_go.wait(0.005):
            if goal.is_cancel_requested:
                break
        result = Precheck.Result(verdicts=[verdict], ranking=[0])
        self.spoil(verdict, result)
        if goal.is_cancel_requested:
            goal.canceled()
        else:
            {'succeed': goal.succeed, 'abort': goal.abort}[self.end]()
        return result


class Nodes(Graph):
    """A graph whose callbacks may wait."""

    def __init__(self):
        self.context = rclpy.Context()
        self.context.init()
        self.node = Node('world', context=self.context)
        self._executor = MultiThreadedExecutor(num_threads=8, context=self.context)
        self._executor.add_node(self.node)
        self.changed = threading.Condition()
        self.heard = {}
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()


def break_gate():
    """Run a gate of which a method, `sys.argv[2]`, raises whenever it is called."""
    from kinema4d_ros.nodes import gate_core, gate_execution, gate_front, gate_state, spin

    def broken(*_):
        raise ZeroDivisionError('a bug')

    kind, _, method = sys.argv[2].partition('.')
    setattr({'Gate': gate_core.Gate, 'Execution': gate_execution.Execution,
             'Front': gate_front.Front, 'GateState': gate_state.GateState}[kind], method, broken)
    del sys.argv[1:3]
    sys.exit(spin.main('kinema4d_ros.nodes.trajectory_gate'))


class Gate:
    """A running gate and its clients."""

    def __init__(self, graph, controller, name='trajectory_gate', *arguments, broken='', **values):
        self.graph, self.controller, self.name = graph, controller, name
        self.process = Process(
            'trajectory_gate', *parameters(controller=controller, diagnostics_rate=10.0, **values),
            '-r', f'__node:={name}', *arguments,
            program=(__file__, 'gate', broken) if broken else ())
        self.decisions = graph.listen(f'{name}/decision', DiagnosticStatus, qos.DECISIONS)
        self.diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        self.client = ActionClient(graph.node, FollowJointTrajectory,
                                   f'{name}/follow_joint_trajectory')
        self.topic = graph.node.create_publisher(JointTrajectory, f'{name}/joint_trajectory',
                                                 qos.TRAJECTORY)
        self.feedback = []

    def ready(self, but='ready'):
        """Wait until it knows everybody, or has no complaint but the one that begins so."""
        assert self.client.wait_for_server(LIMIT), self.process.output()

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

    def send(self, goal):
        """Send a goal; return its handle."""
        if isinstance(goal, JointTrajectory):
            goal = FollowJointTrajectory.Goal(trajectory=goal)
        handle = self.graph.ask(lambda: self.client.send_goal_async(
            goal, feedback_callback=lambda message: self.feedback.append(message.feedback)))
        assert handle.accepted
        return handle

    def outcome(self, handle):
        """Return status and result of a goal."""
        reply = self.graph.ask(handle.get_result_async)
        return reply.status, reply.result

    def run(self, goal):
        """Send a goal and return status and result."""
        return self.outcome(self.send(goal))

    def decided(self, what, since=0):
        """Wait for a decision of a kind and return it."""
        return self.graph.wait(
            lambda: next((d for d in self.decisions[since:] if of(d)['decision'] == what), None),
            f'decision {what} in {[d.message for d in self.decisions[since:]]}')

    def call(self, service):
        """Call one of the operator's services; return success and message."""
        client = self.graph.node.create_client(Trigger, f'{self.name}/{service}')
        assert client.wait_for_service(LIMIT)
        reply = self.graph.result(client.call_async(Trigger.Request()))
        self.graph.node.destroy_client(client)
        return reply.success, reply.message

    def insist(self, service):
        """Call a service until it does its work; return the message."""
        end, pause = time.monotonic() + LIMIT, threading.Event()
        while not (reply := self.call(service))[0]:
            assert time.monotonic() < end, reply[1]
            pause.wait(0.05)
        return reply[1]

    def set(self, **values):
        """Set parameters."""
        assert self.graph.set_parameter(self.name, **values) == ''

    def stop(self):
        """End it, and insist on a clean end."""
        code = self.process.stop()
        assert code == 0, self.process.output()
        assert 'Traceback' not in self.process.output(), self.process.output()


def of(status):
    """Return the values of a decision."""
    return {pair.key: pair.value for pair in status.values}


def finding(severity=Finding.FAIL, code=Finding.CONTACT):
    """Return a finding."""
    return Finding(code=code, severity=severity, message='the wrist touches the scene')


class OtherProcess(Process):
    """One of this module's nodes in a process of its own."""

    def __init__(self, role):
        self.name, self._log = role, tempfile.TemporaryFile('w+')
        path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        self.process = subprocess.Popen(
            [sys.executable, __file__, role], stdout=self._log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env={**os.environ, 'PYTHONPATH': path})

    def kill(self):
        """End it as a crash would."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def main():
    rclpy.init()
    node = Node(f'{sys.argv[1]}_process')
    role = {'shadow_sim': ShadowSim, 'controller': lambda n: Controller(n, '/far_controller')}[
        sys.argv[1]](node)
    if sys.argv[1] == 'controller':
        role.hold = True
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(node)
    executor.spin()


if __name__ == '__main__':
    break_gate() if sys.argv[1] == 'gate' else main()
