# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From a goal to the first motion, with all that is between: the gate and shadow_sim as they are.

Robot (a Panda, joints at 500 Hz, a camera of 640x480 with depth at 30 Hz), shadow_sim, the gate and
its controller are processes of their own; the client is this one. The controller takes the time
at which rclpy has it execute a goal, as the client takes that at which it is sent. Goals go through
the gate and to the controller directly in turn, each cancelled once it moves.
"""
from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time

import numpy as np
import rclpy
from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor

from bench.graph import greet, node, Process, robot_feed, shadow_sim
from bench.precheck import START
from bench.render import PANDA
from bench.report import OUT
from bench.timing import median, rounds, row
from bench.world import ROOT, ros_environment
from kinema4d_ros.bridge.motion import trajectory_message
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory

TRIES = 100               # at least
#: tiers -> goals [s]: median, slowest
GOALS = {(0,): (0.004, 0.008), (0, 1): (0.020, 0.030)}
PAUSE = 0.1               # [s] between two goals, for what is predicted to come to its end
PATIENCE = 180.0          # [s] the first start compiles
ARRIVAL = 30.0            # [s] for a goal that was accepted
MOTION = 0.1              # [rad] of the first joint, in a second
CONTROLLER = '/bench_controller'


class Cell:
    """The graph, with one set of tiers that the gate waits for."""

    def __init__(self, tiers: tuple[int, ...]) -> None:
        """Start it."""
        folder, wanted = OUT / 'log', f'[{",".join(map(str, tiers))}]'
        folder.mkdir(parents=True, exist_ok=True)
        self._ending = contextlib.ExitStack()
        self.processes: list[Process] = [
            robot_feed(folder, size=(640, 480), camera_rate=30.0, joint_rate=500.0),
            shadow_sim(folder, world_model='frozen', frames=2, required_tiers=wanted,
                       late_tiers='[]'),
            node(folder, 'trajectory_gate', controller=CONTROLLER, required_tiers=wanted,
                 max_joint_age=10.0, path_tolerance=3.0, tracking_tolerance=3.0)]
        for process in self.processes:
            self._ending.callback(process.end)
        self._controller = subprocess.Popen(
            [sys.executable, '-m', 'bench.first_motion_peer', CONTROLLER], cwd=ROOT, text=True,
            env=ros_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._ending.callback(self._end_controller)
        robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
        start = robot.configuration(dict(zip(robot.joint_names, START)))
        end = start.copy()
        end[0] += MOTION
        self.goal = FollowJointTrajectory.Goal(trajectory=trajectory_message(JointTrajectory(
            robot.joint_names, [0.0, 1.0], np.stack([start, end]))))
        rclpy.init()
        self._ending.callback(rclpy.try_shutdown)
        self.node = rclpy.create_node('bench_client')
        self.ways = {'gate': ActionClient(self.node, FollowJointTrajectory,
                                          'trajectory_gate/follow_joint_trajectory'),
                     'direct': ActionClient(self.node, FollowJointTrajectory,
                                            f'{CONTROLLER}/follow_joint_trajectory')}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        threading.Thread(target=self._executor.spin, daemon=True).start()

    def _end_controller(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._controller.communicate(timeout=10.0)
        self._controller.kill()

    def once(self, way: str) -> tuple[float, str]:
        """
        Send a goal and cancel it once it moves.

        :return: how long it took to the first motion [s]; NaN and why, where it was refused.
        """
        sent: dict[str, float] = {}
        time.sleep(PAUSE)

        def send():
            sent['at'] = time.perf_counter()
            return self.ways[way].send_goal_async(self.goal)

        handle = _wait(_wait(self._executor.create_task(send)))
        result = _wait(self._executor.create_task(handle.get_result_async))
        moved = threading.Thread(target=self._hear, args=(sent,), daemon=True)
        moved.start()
        until = time.monotonic() + ARRIVAL
        while 'moved' not in sent and not result.done() and time.monotonic() < until:
            time.sleep(0.001)
        if 'moved' not in sent:
            self._controller.stdin.write('nothing\n')      # so that nobody waits for it any more
            self._controller.stdin.flush()
            moved.join()
            return float('nan'), result.result().result.error_string if result.done() else 'lost'
        _wait(_wait(self._executor.create_task(handle.cancel_goal_async)))
        _wait(result)
        return sent['moved'] - sent['at'], ''

    def _hear(self, sent: dict[str, float]) -> None:
        """Take the next line of the controller: when it was to move."""
        at = json.loads(self._controller.stdout.readline())
        if at is not None:
            sent['moved'] = at

    def wait_ready(self) -> None:
        """Wait until a goal gets through the gate."""
        until, why = time.monotonic() + PATIENCE, ''
        for client in self.ways.values():
            while not client.wait_for_server(1.0):
                self._check(until, 'nobody offers the action')
            greet(self._executor, client)
        while np.isnan((told := self.once('gate'))[0]):
            why = told[1]
            self._check(until, why)
            time.sleep(0.3)

    def _check(self, until: float, why: str) -> None:
        for process in self.processes:
            process.check()
        if time.monotonic() > until:
            raise RuntimeError(f'no goal comes through the gate: {why}')

    def close(self) -> None:
        """End it."""
        self._executor.shutdown()
        self._ending.close()


def _wait(future):
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(ARRIVAL):
        raise RuntimeError('no answer')
    return future.result()


def measure(repeats: int) -> list[dict]:
    """Return rows for each set of tiers."""
    rows, tries = [], max(TRIES, repeats)
    for tiers, goals in GOALS.items():
        cell = Cell(tiers)
        seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in cell.ways}
        refused = 0
        try:
            cell.wait_ready()
            for counts, way in rounds(cell.ways, tries):
                took, why = cell.once(way)
                refused += bool(why)
                if counts and not why:
                    seconds[way].append((took, took))
        finally:
            cell.close()
        ours, usual = seconds['gate'], seconds['direct']
        case = f'goal to first motion, tiers {", ".join(map(str, tiers))}, through the gate and ' \
               'without'
        found = (median(ours), max(ours)[0]), (median(usual), max(usual)[0])
        for name, mine, theirs, goal in zip((case, f'... the slowest of {tries}'), *found, goals):
            made = row(name, mine, theirs, None, same=not refused, goal_s=goal, refused=refused)
            made['good'] &= mine <= goal
            rows.append(made)
    return rows
