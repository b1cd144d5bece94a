# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The world around a gate: an arm, its controller and a shadow_sim that says what a test wants.

Run as a program it is one of them in a process of its own, to be killed or stopped:
``gate_world.py shadow_sim``, ``gate_world.py controller``, or a gate with a bug:
``gate_world.py gate GateMachine._answered``.
"""
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import rclpy
from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from graph import Graph, Process, READY, ROOT, URDF
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Verdict
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import (duration_seconds, joint_state_message,
                                        trajectory_from_message)
from kinema4d_ros.robot import Robot, trajectory_hash

ROBOT_HASH = Robot.from_urdf(URDF).description_hash
RESULT = FollowJointTrajectory.Result
SUCCEEDED, ABORTED, CANCELED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED,
                                GoalStatus.STATUS_CANCELED)


class Arm:
    """Tells its description and, 50 times a second, its joints; moves along trajectories."""

    def __init__(self, node):
        self._node = node
        self.joints, self.push, self.on = dict(READY), {}, True
        self.stamp_offset = 0.0                 # [s] added to all stamps
        self._path, self._started = None, 0.0
        self.speed, self._set_at = {}, time.monotonic()
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

    def set_moving(self, joints):
        """Be where a controller has these joints now."""
        with self._lock:
            now = time.monotonic()
            step = now - self._set_at
            if step > 0:
                self.speed = {name: (value - self.joints[name]) / step
                              for name, value in joints.items()}
            self.joints.update(joints)
            self._set_at = now

    def state(self):
        """Return where the joints are, and how fast they move."""
        with self._lock:
            return dict(self.joints), dict(self.speed)

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
        self._begin()


def break_gate():
    """Run a gate of which a method, `sys.argv[2]`, raises whenever it is called."""
    from kinema4d_ros.nodes import run
    from kinema4d_ros.gate import execution, machine
    from kinema4d_ros.nodes.trajectory_gate import goal_server, live_state

    def broken(*_):
        raise ZeroDivisionError('a bug')

    kind, _, method = sys.argv[2].partition('.')
    owner = {'GateMachine': machine.GateMachine, 'Execution': execution.Execution,
             'GoalServer': goal_server.GoalServer, 'LiveState': live_state.LiveState}[kind]
    getattr(owner, method)      # another name must not pass for a method that is never called
    setattr(owner, method, broken)
    del sys.argv[1:3]
    sys.exit(run.main('kinema4d_ros.nodes.trajectory_gate.node'))


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
