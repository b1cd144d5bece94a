# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What trajectory_gate costs: a goal's and a cancel's way from client to controller, with and without.

The gate is a process of its own in mode enforce, and hears joint states at 500 Hz meanwhile. Robot,
controller, client, and a shadow_sim that says PASS at once, so that its time is not in the figures,
are threads of this one. The limit for the cancel is 100 ms at the median of at least 100 tries.
"""
from __future__ import annotations

import contextlib
import threading
import time

import rclpy
from control_msgs.action import FollowJointTrajectory
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Verdict
from rclpy.action import ActionClient, ActionServer, CancelResponse
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String

from bench.graph import greet, node, Process
from bench.report import OUT
from bench.timing import median, rounds, row
from bench.world import ROOT
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import (joint_state_message, trajectory_from_message,
                                        trajectory_message)
from kinema4d_ros.robot import Robot, trajectory_hash
from kinema4d_ros.types import JointTrajectory

TRIES, LIMIT = 100, 0.1     # at least; [s]
JOINT_RATE = 500.0          # [Hz] of joint_states, which the gate watches beside
PATIENCE = 60.0             # [s]
CONTROLLER = '/bench_controller'


class Refused(RuntimeError):
    """The gate refused a goal."""


class World:
    """Robot, controller, shadow_sim and client around the gate."""

    def __init__(self):
        """Make the graph and start its processes."""
        self._context = rclpy.Context()
        self._context.init()
        self.node, self._asker = (rclpy.create_node(name, context=self._context)
                                  for name in ('bench_world', 'bench_client'))
        urdf = (ROOT / 'urdf' / 'demo_arm.urdf').read_text()
        self.robot = Robot.from_urdf(urdf)
        start = self.robot.configuration({})
        names = self.robot.joint_names
        self._positions = dict(zip(names, start.tolist()))
        self.goal = FollowJointTrajectory.Goal(trajectory=trajectory_message(JointTrajectory(
            names, [0.0, 1.0], [start, start])))
        self.got_goal, self.got_cancel = threading.Event(), threading.Event()
        self.at, self.arrived, self.cancels = {}, [], 0
        self._description = self.node.create_publisher(String, 'robot_description',
                                                       qos.ROBOT_DESCRIPTION)
        self._description.publish(String(data=urdf))
        self._joints = self.node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        self.node.create_timer(1.0 / JOINT_RATE, self._tell)
        self._servers = (
            ActionServer(self.node, FollowJointTrajectory,
                         f'{CONTROLLER}/follow_joint_trajectory', self._execute,
                         cancel_callback=self._cancel),
            ActionServer(self.node, Precheck, 'shadow_sim/precheck', self._judge))
        self.ways = {
            'gate': ActionClient(self._asker, FollowJointTrajectory,
                                 'trajectory_gate/follow_joint_trajectory'),
            'direct': ActionClient(self._asker, FollowJointTrajectory,
                                   f'{CONTROLLER}/follow_joint_trajectory')}
        several = MultiThreadedExecutor(num_threads=4, context=self._context)
        several.add_node(self.node)
        self._client = SingleThreadedExecutor(context=self._context)
        self._client.add_node(self._asker)
        for executor in (several, self._client):
            threading.Thread(target=_spin, args=(executor,), daemon=True).start()

    def _tell(self) -> None:
        self._joints.publish(joint_state_message(
            self._positions, Header(stamp=self.node.get_clock().now().to_msg())))

    def _execute(self, goal) -> FollowJointTrajectory.Result:
        self.at['goal'] = time.perf_counter()
        self.arrived.append(goal.request)
        self.got_goal.set()
        until = time.monotonic() + PATIENCE
        while not goal.is_cancel_requested and time.monotonic() < until:
            time.sleep(0.001)
        goal.canceled() if goal.is_cancel_requested else goal.abort()
        return FollowJointTrajectory.Result()

    def _cancel(self, _) -> CancelResponse:
        if not self.got_cancel.is_set():     # the gate may repeat it
            self.at['cancel'] = time.perf_counter()
            self.cancels += 1
            self.got_cancel.set()
        return CancelResponse.ACCEPT

    def _judge(self, goal) -> Precheck.Result:
        now = self.node.get_clock().now()
        verdict = Verdict(
            header=Header(stamp=now.to_msg()), status=Verdict.PASS, final=True,
            tiers_passed=[0, 1],
            trajectory_hash=trajectory_hash(trajectory_from_message(goal.request.candidates[0])),
            robot_hash=self.robot.description_hash,
            valid_until=(now + Duration(seconds=5.0)).to_msg())
        goal.succeed()
        return Precheck.Result(verdicts=[verdict], ranking=[0])

    def ask(self, send):
        """Return the answer to what `send()` requests, in the client's own thread."""
        return _wait(_wait(self._client.create_task(send)))

    def once(self, way: str) -> dict[str, float]:
        """Send a goal and cancel it; return how long each took to the controller [s]."""
        self.got_goal.clear()
        self.got_cancel.clear()
        sent = {'goal': time.perf_counter()}
        handle = self.ask(lambda: self.ways[way].send_goal_async(self.goal))
        end = _wait(self._client.create_task(handle.get_result_async))
        while not self.got_goal.wait(0.05):
            if end.done():
                raise Refused(end.result().result.error_string)
        sent['cancel'] = time.perf_counter()
        self.ask(handle.cancel_goal_async)
        if not self.got_cancel.wait(PATIENCE):
            raise RuntimeError('the cancel does not arrive')
        _wait(end)
        return {what: self.at[what] - sent[what] for what in sent}

    def wait_ready(self, gate: Process) -> None:
        """Wait until a goal gets through the gate."""
        for client in self.ways.values():
            until = time.monotonic() + PATIENCE
            while not client.wait_for_server(1.0):
                gate.check()
                if time.monotonic() > until:
                    raise RuntimeError(f'the gate does not come up; see {gate.log}')
            greet(self._client, client)
        while True:
            try:
                self.once('gate')
            except Refused:      # it has not heard of everybody yet
                if time.monotonic() > until:
                    raise
            else:
                break
        self.arrived.clear()
        self.cancels = 0

    def close(self) -> None:
        """End."""
        self._context.try_shutdown()


def _spin(executor) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()


def _wait(future):
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(PATIENCE):
        raise RuntimeError('no answer')
    return future.result()


def measure(repeats: int) -> list[dict]:
    """Return the rows."""
    log_folder = OUT / 'log'
    log_folder.mkdir(parents=True, exist_ok=True)
    gate = node(log_folder, 'trajectory_gate', controller=CONTROLLER, max_joint_age=10.0)
    world, tries = World(), max(TRIES, repeats)
    seconds = {(way, what): [] for way in world.ways for what in ('goal', 'cancel')}
    try:
        world.wait_ready(gate)
        for counts, way in rounds(world.ways, tries):
            for what, took in world.once(way).items():
                if counts:
                    seconds[way, what].append((took, took))
        same = all(goal == world.goal for goal in world.arrived) \
            and len(world.arrived) == world.cancels == 2 * (tries + 1)
    finally:
        world.close()
        gate.end()
    rows = []
    for what in ('goal', 'cancel'):
        ours, usual = seconds['gate', what], seconds['direct', what]
        case = f'{what} from client to controller, through the gate and without'
        rows += [row(case, median(ours), median(usual), None, same=same, tries=tries),
                 row(f'... the slowest of {tries}', max(ours)[0], max(usual)[0], None, same=same,
                     tries=tries)]
    rows[2]['good'] &= rows[2]['ours_s'] <= LIMIT
    return rows
