# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What set_point_gate adds: a set point's way from sender to controller, with the gate and without.

Robot (a Panda, joints at 500 Hz, a camera of 640x480 with depth at 30 Hz), shadow_sim, which tells
the free space around it, and the gate are processes of their own. Sender and controller are this
one. Between two set points for the gate one goes the direct way, and one through a bare relay of
rclpy (`bench.set_point_peer`), so that what else the machine does hits all alike; each is told by
a millionth of a radian in its numbers.
"""
from __future__ import annotations

import statistics
import sys
import threading
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float64MultiArray

from bench.graph import node, Process, robot_feed, shadow_sim
from bench.precheck import START
from bench.render import PANDA
from bench.report import OUT
from bench.timing import row
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.quick_messages import read_float64_array
from kinema4d_ros.bridge.rclpy_compat import take, Waiter
from kinema4d_ros.bridge.subscription_thread import NotForExecutor
from kinema4d_ros.robot import Robot

SECONDS, RATES = 10.0, (100.0, 250.0)     # [s] of each; [Hz]
CONTROLLER, DIRECT = '/bench_controller', '/direct_controller/commands'
RELAY = '/bench_relay/commands', '/relayed_controller/commands'
MEDIAN, MOST = 1e-3, 2e-3                 # [s] that may be added: at the median, and of 95 %
#: [m] free, since the one camera measures nothing behind the arm, and so sees nothing before it
FREE = '[-1.0, -1.0, 0.0, 1.0, 1.0, 1.5]'
PATIENCE = 60.0                           # [s] the first start compiles
_TOLD = 1e-6                              # [rad] from one set point to the next


class Listener:
    """Notes when each set point comes on a topic, in a thread that waits for nothing else."""

    def __init__(self, of, topic: str, start: float):
        """Listen; `start` [rad] is the number that the first joint counts from."""
        self.at: dict[int, float] = {}
        self._start, self._ending = start, threading.Event()
        self._subscription = of.create_subscription(
            Float64MultiArray, topic, lambda _: None, qos.TRAJECTORY, raw=True,
            callback_group=NotForExecutor())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        waiter = Waiter(self._subscription)
        while not self._ending.is_set():
            waiter.wait(0.1)
            while (taken := take(self._subscription)) is not None:
                now = time.perf_counter()
                told = (read_float64_array(taken[0])[0] - self._start) / _TOLD
                self.at.setdefault(round(told), now)

    def close(self) -> None:
        """Listen no more."""
        self._ending.set()
        self._thread.join(2.0)


class Way:
    """One way from the sender to the controller."""

    def __init__(self, of, come: str, go: str, place: np.ndarray):
        """Make sender and listener; `place` (n,) [rad] is where the robot stands."""
        self._publisher = of.create_publisher(Float64MultiArray, come, qos.TRAJECTORY)
        self._place, self.sent = place, {}
        self.listener = Listener(of, go, place[0])

    def send(self, number: int) -> None:
        """Send a set point."""
        values = self._place.copy()
        values[0] += number * _TOLD
        message = Float64MultiArray(data=values.tolist())
        self.sent[number] = time.perf_counter()
        self._publisher.publish(message)

    def seconds(self) -> list[float]:
        """Return how long each took that arrived."""
        return [self.listener.at[number] - sent for number, sent in self.sent.items()
                if number in self.listener.at]

    def clear(self) -> None:
        """Forget what was sent."""
        self.sent.clear()
        self.listener.at.clear()


class Cell:
    """The graph."""

    def __init__(self) -> None:
        """Start it."""
        folder = OUT / 'log'
        folder.mkdir(parents=True, exist_ok=True)
        robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
        joints = [name for name in robot.joint_names if 'finger' not in name]
        start = dict(zip(robot.joint_names, START))
        place = np.array([start[name] for name in joints], float)
        self.processes: list[Process] = [
            robot_feed(folder, size=(640, 480), camera_rate=30.0, joint_rate=500.0),
            shadow_sim(folder, world_model='frozen', **{'tier1.known_free': FREE}),
            node(folder, 'set_point_gate', controller=CONTROLLER, controller_manager="''",
                 joints=f'[{",".join(joints)}]', max_scene_age=2.0),
            Process('set_point_peer', [sys.executable, '-m', 'bench.set_point_peer', *RELAY],
                    folder / 'set_point_peer.log')]
        rclpy.init()
        self.node = rclpy.create_node('bench_sender')
        self.status = ''
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self.ways = {'gate': Way(self.node, 'set_point_gate/commands', f'{CONTROLLER}/commands',
                                 place),
                     'relay': Way(self.node, *RELAY, place),
                     'direct': Way(self.node, DIRECT, DIRECT, place)}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'set_point_gate: set points':
                self.status = status.message

    def wait_ready(self) -> None:
        """Wait until set points come through the gate."""
        gate, until = self.ways['gate'], time.monotonic() + PATIENCE
        number = 0
        while len(gate.listener.at) < 50:
            number = (number + 1) % 100
            gate.send(number)
            time.sleep(0.02)
            for process in self.processes:
                process.check()
            if time.monotonic() > until:
                raise RuntimeError(f'no set point comes through the gate: {self.status}')

    def run(self, rate: float) -> dict[str, list[float]]:
        """Return how long set points took each way at a rate [Hz], [s]."""
        for way in self.ways.values():
            way.clear()
        due, names = time.perf_counter() + 0.5, list(self.ways)
        for number in range(round(SECONDS * rate)):
            for name in names:
                wait = due - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                self.ways[name].send(number % 5000 + 1)
                due += 1.0 / (rate * len(names))
        time.sleep(0.5)
        return {name: way.seconds() for name, way in self.ways.items()}

    def close(self) -> None:
        """End it."""
        for way in self.ways.values():
            way.listener.close()
        for process in self.processes[::-1]:
            process.end()
        self._executor.shutdown()
        rclpy.try_shutdown()


def measure(repeats: int) -> list[dict]:
    """Return the rows; `repeats` plays no part."""
    cell = Cell()
    rows = []
    try:
        cell.wait_ready()
        for rate in RATES:
            found = cell.run(rate)
            sent = round(SECONDS * rate)
            for share, name, limit in ((0.5, 'median', MEDIAN), (0.95, '95 %', MOST)):
                ours, usual, relay = (_quantile(found[way], share)
                                      for way in ('gate', 'direct', 'relay'))
                made = row(f'set point at {rate:.0f} Hz from sender to controller, through the '
                           f'gate and without: {name}', ours, usual, None,
                           same=len(found['gate']) >= 0.99 * sent, added_s=ours - usual,
                           relay_s=relay, arrived=len(found['gate']), sent=sent)
                if rate == RATES[0]:
                    made['good'] &= made['added_s'] <= limit
                rows.append(made)
    finally:
        cell.close()
    return rows


def _quantile(seconds: list[float], share: float) -> float:
    if not seconds:
        return float('nan')
    return statistics.median(seconds) if share == 0.5 else float(np.quantile(seconds, share))
