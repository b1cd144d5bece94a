# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real graph for measurements: the nodes as processes, a robot that stands still, one client."""
from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

import rclpy
from kinema4d_ros.msg import PredictedFrame, Verdict
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.publisher import Publisher
from trajectory_msgs.msg import JointTrajectory
from unique_identifier_msgs.msg import UUID

from bench.precheck import motion, PLACES
from bench.render import looking_at, PANDA
from bench.robot_feed import camera_names
from bench.world import ROOT, ros_environment
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import trajectory_message
from kinema4d_ros.robot import Robot
from kinema4d_ros.robot.transforms import quaternion

PATIENCE = 180.0     # [s] for anything; the first start compiles
#: nodes to which the launch file gives the small profile of Fast DDS
_SEND_LITTLE = ('trajectory_gate', 'set_point_gate', 'viewer', 'recorder')
_GREET_AGAIN = 0.5   # [s] without an answer, after which a server is asked once more
_AGAIN = 30.0        # [s] after which a trajectory that nobody answered is sent again


class Process:
    """A process of the graph; its errors go to a file, its input ends it where it reads that."""

    def __init__(self, name: str, command: list[str], log: Path, domain: int = 0):
        """Make and start the process as the launch file does, on one of the domains of this run."""
        self.name, self.log = name, log
        with log.open('w') as stream:
            self._process = subprocess.Popen(
                command, cwd=ROOT, text=True,
                env=ros_environment(domain, sends_little=name in _SEND_LITTLE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == 'robot_feed' else stream, stderr=stream)
        self.pid = self._process.pid

    def asked(self) -> dict:
        """Ask for a line of JSON, and return it."""
        self._process.stdin.write('\n')
        self._process.stdin.flush()
        return self.read()

    def read(self) -> dict:
        """Return the next line of JSON that it wrote to its output."""
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self.name} ended; see {self.log}')
        return json.loads(line)

    def check(self) -> None:
        """
        Check that it runs.

        :raises RuntimeError: when it has ended.
        """
        if self._process.poll() is not None:
            tail = '\n'.join(self.log.read_text(errors='replace').splitlines()[-15:])
            raise RuntimeError(f'{self.name} ended with {self._process.returncode}:\n{tail}')

    def end(self, number: int = signal.SIGINT) -> None:
        """Have it end, or kill it."""
        self._process.stdin.close()
        if self.name != 'robot_feed':
            self._process.send_signal(number)
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def robot_feed(log_folder: Path, *, size: tuple[int, int], camera_rate: float,
               joint_rate: float, cameras: int = 1) -> Process:
    """Start the robot and its cameras."""
    return Process('robot_feed', [
        sys.executable, '-m', 'bench.robot_feed', '--size', *map(str, size),
        '--cameras', str(cameras), '--camera-rate', str(camera_rate),
        '--joint-rate', str(joint_rate)],
        log_folder / 'robot_feed.log')


def node(log_folder: Path, name: str, domain: int = 0, **parameters: object) -> Process:
    """Start a node of this package."""
    arguments = [part for key, value in parameters.items() for part in ('-p', f'{key}:={value}')]
    return Process(name, [sys.executable, str(ROOT / 'executables' / name), '--ros-args',
                          *arguments], log_folder / f'{name}.log', domain)


def shadow_sim(log_folder: Path, cameras: int = 1, **parameters: object) -> Process:
    """Start shadow_sim, which is given where the cameras of `robot_feed` are."""
    names = camera_names(cameras)
    places: dict[str, object] = {'cameras': names}
    for name, place in zip(names, PLACES.values()):
        T = looking_at(place, (0.35, 0.0, 0.2))
        pose = [*T[:3, 3].tolist(), *quaternion(T[:3, :3])]
        places[f'{name}.extrinsics'] = [float(value) for value in pose]
    return node(log_folder, 'shadow_sim', **places, **parameters)


def greet(executor: Executor, client: ActionClient) -> None:
    """
    Return when a server hears a client that it is known to, and the client its answers.

    The graph shows it before that: what is asked then is lost. So it is asked for the result of a
    goal that there is not, again and again.

    :param executor: that serves the client.
    :raises TimeoutError: there is no answer.
    """
    answered, until = threading.Event(), time.monotonic() + PATIENCE

    def ask() -> None:
        ClientGoalHandle(
            client, UUID(uuid=list(uuid.uuid4().bytes)),
            client._action_type.Impl.SendGoalService.Response(accepted=True)
        ).get_result_async().add_done_callback(lambda _: answered.set())

    while not answered.wait(_GREET_AGAIN):
        if time.monotonic() > until:
            raise TimeoutError(f'a server does not answer within {PATIENCE:.0f} s')
        executor.create_task(ask)


class Client:
    """Sends trajectories and hears what comes of them, with the time at which it came."""

    def __init__(self, *, hears_frames: bool):
        """
        Make a client with a ROS context of its own.

        :param hears_frames: whether predicted/frame is subscribed to.
        """
        self._context = rclpy.Context()
        self._context.init()
        self.node = rclpy.create_node('bench_client', context=self._context)
        self._publisher = self.publisher('joint_trajectory')
        self.changed = threading.Condition()
        self.verdicts: list[tuple[float, Verdict]] = []
        self.frames: list[tuple[float, PredictedFrame]] = []
        self.listen(Verdict, 'verdict', self.verdicts, qos.VERDICT)
        if hears_frames:
            self.listen(PredictedFrame, 'predicted/frame', self.frames, qos.PREDICTED_FRAMES)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def listen(self, kind: type, topic: str, kept: list, profile,
               keep: Callable = lambda message: message) -> None:
        """Keep (time, what `keep` returns of the message) of a topic."""
        self.node.create_subscription(kind, topic, lambda message: self.keep(
            kept, (time.perf_counter(), keep(message))), profile)

    def keep(self, kept: list, item) -> None:
        """Keep what came, and wake who waits for it."""
        with self.changed:
            kept.append(item)
            self.changed.notify_all()

    def publisher(self, topic: str) -> Publisher:
        """Return a publisher of trajectories."""
        return self.node.create_publisher(JointTrajectory, topic, qos.TRAJECTORY)

    def send(self, trajectory: JointTrajectory) -> float:
        """Publish a trajectory and return when that was."""
        now = time.perf_counter()
        self._publisher.publish(trajectory)
        return now

    def wait(self, condition: Callable[[], object], what: str, *processes: Process,
             patience: float = PATIENCE):
        """
        Wait until a condition holds and return what it returned.

        :raises TimeoutError: it did not within `patience` seconds.
        """
        until = time.monotonic() + patience
        with self.changed:
            while not (result := condition()):
                self.changed.wait(0.2)
                for process in processes:
                    process.check()
                if time.monotonic() > until:
                    raise TimeoutError(f'waited {patience:.0f} s for {what}')
        return result

    def wait_ready(self, trajectory: JointTrajectory, *processes: Process) -> None:
        """Send a trajectory, again and again, until its last verdict rests on an observation."""
        self.wait(self._publisher.get_subscription_count, 'shadow_sim to listen', *processes)
        verdict, deadline = None, time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with self.changed:
                self.verdicts.clear()
            self.send(trajectory)
            try:
                _, verdict = self.wait(lambda: self.verdicts and self.verdicts[-1][1].final
                                       and self.verdicts[-1], 'a verdict', *processes,
                                       patience=_AGAIN)
            except TimeoutError:      # sent before both knew of each other
                continue
            if verdict.header.stamp.sec:
                return
            time.sleep(0.2)
        raise RuntimeError('no verdict rests on an observation: '
                           + (verdict.summary if verdict else 'there is none'))

    def close(self) -> None:
        """End."""
        self._context.try_shutdown()
        self._thread.join(10.0)

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


class Graph:
    """Robot, shadow_sim and client, running and having exchanged a first verdict."""

    def __init__(self, log_folder: Path, *, size=(720, 480), camera_rate=30.0, joint_rate=100.0,
                 hears_frames=True, cameras=1, **parameters: object):
        """Make the graph and start its processes."""
        log_folder.mkdir(parents=True, exist_ok=True)
        self.robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
        self.trajectory = trajectory_message(motion(self.robot))
        self._ending = contextlib.ExitStack()
        self.feed = robot_feed(log_folder, size=size, camera_rate=camera_rate,
                               joint_rate=joint_rate, cameras=cameras)
        self._ending.callback(self.feed.end)
        self.node = shadow_sim(log_folder, cameras, **parameters)
        self._ending.callback(self.node.end)
        self.client = Client(hears_frames=hears_frames)
        self._ending.callback(self.client.close)

    def __enter__(self) -> Self:
        """Wait until all know each other and what compiles is compiled."""
        try:
            self.feed.read()
            self.client.wait_ready(self.trajectory, self.feed, self.node)
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        """End them."""
        self._ending.close()
