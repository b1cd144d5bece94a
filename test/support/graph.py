# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real graph for the tests: nodes as processes over DDS, a robot made up here, and ears."""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import ClassVar

import numpy as np
import rclpy
from kinema4d_ros.action import Precheck
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient, ActionServer
from rclpy.action.client import ClientGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header, String
from trajectory_msgs.msg import JointTrajectory
from unique_identifier_msgs.msg import UUID

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message, trajectory_message
from kinema4d_ros.bridge.rclpy_compat import InvalidHandle
from kinema4d_ros.types import JointTrajectory as Trajectory
from kinema4d_ros.types import PinholeCamera

ROOT = Path(__file__).resolve().parents[2]
URDF = (ROOT / 'urdf' / 'demo_arm.urdf').read_text()
CAMERA_FRAME = 'camera_optical_frame'
WIDTH, HEIGHT, FRAMES = 96, 72, 5
LIMIT = 60.0      # [s] nothing below takes so long unless it is broken
_AGAIN = 2.0      # [s] without an answer, after which it was lost
JOINTS = ('shoulder_pan_joint', 'shoulder_lift_joint', 'elbow_joint', 'forearm_roll_joint',
          'wrist_pitch_joint', 'wrist_roll_joint', 'finger_joint', 'right_finger_joint')
READY = dict(zip(JOINTS, (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.044, 0.044)))


def swing(angle=0.3, start=None, seconds=1.0) -> JointTrajectory:
    """Return a good trajectory: the shoulder turns by `angle` in a second, or in `seconds`."""
    names = tuple(READY)
    begin = np.array([(start or READY)[name] for name in names])
    end = begin.copy()
    end[0] += angle
    return trajectory_message(Trajectory(names, np.array([0.0, seconds]), np.stack([begin, end])))


def ahead(angle: float) -> dict[str, float]:
    """Return joints whose shoulder is `angle` further than at the start."""
    return READY | {'shoulder_pan_joint': READY['shoulder_pan_joint'] + angle}


class Process:
    """One executable of the package, its output in a file."""

    running: ClassVar[set] = set()

    def __init__(self, name: str, *arguments: str, program: tuple[str, ...] = ()):
        self.name, self._log = name, tempfile.TemporaryFile('w+')
        paths = [str(ROOT), str(ROOT / 'test' / 'support'), os.environ.get('PYTHONPATH', '')]
        self.process = subprocess.Popen(
            [sys.executable, *(program or (str(ROOT / 'executables' / name),)), '--ros-args',
             *arguments],
            stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths)),
                 'PYTHONFAULTHANDLER': '1'})
        Process.running.add(self)

    def output(self) -> str:
        """Return what it wrote so far."""
        self._log.seek(0)
        return self._log.read()

    def stop(self, number=signal.SIGINT) -> int:
        """Ask it to end and return its exit code; kill it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(20.0)
            Process.running.discard(self)
            return code
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)      # it tells where its threads are
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5.0)
            self.kill()
            raise AssertionError(f'{self.name} did not end; it wrote:\n{self.output()}') from None

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        Process.running.discard(self)


def parameters(**values) -> list[str]:
    """Return the command line arguments that set parameters."""
    return [part for name, value in values.items() for part in ('-p', f'{name}:={value}')]


def start_shadow_sim(*arguments: str, **values) -> Process:
    """
    Start shadow_sim with the scripted world model and few frames.

    Its camera is believed: the wall that FakeRobot shows is no robot.
    """
    values = {'world_model': 'stub_models:Scripted', 'frames': FRAMES, 'cancel_grace': 0.5,
              'memory_rate': 0.0, 'diagnostics_rate': 10.0, 'required_tiers': [0],
              'separate_checks': 'false', 'tier1.camera_check': 'off', **values}
    return Process('shadow_sim', *parameters(**values), *arguments)


def spin(executor) -> None:
    """
    Serve an executor until it is shut down.

    A publisher that another thread destroys while the executor is about to wait for it makes that
    raise; without anybody who listens or sends the test would wait for its graph in vain.
    """
    while True:
        with contextlib.suppress(InvalidHandle):
            return executor.spin()


class Graph:
    """A node of the test with an executor of its own, that publishes and listens."""

    def __init__(self, namespace: str = ''):
        self.context = rclpy.Context()
        self.context.init()
        self.node = Node('tester', namespace=namespace, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.changed = threading.Condition()
        self.heard: dict[str, list] = {}
        self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=spin, args=(self._executor,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; a later test in this domain would still see what actions are left behind."""
        self._executor.shutdown()
        self._thread.join(10.0)
        for waitable in list(self.node.waitables):
            if isinstance(waitable, (ActionClient, ActionServer)):     # which destroy_node forgets
                waitable.destroy()
        self.node.destroy_node()
        self.context.try_shutdown()

    def listen(self, topic: str, kind, profile) -> list:
        """Keep what comes on a topic from now on; return the list it is kept in."""
        kept = self.heard.setdefault(topic, [])

        def take(message) -> None:
            with self.changed:
                kept.append(message)
                self.changed.notify_all()

        self.node.create_subscription(kind, topic, take, profile)
        return kept

    def wait(self, condition, what: str, limit: float = LIMIT):
        """Wait until `condition()` is true and return what it returned."""
        end = time.monotonic() + limit
        with self.changed:
            while not (result := condition()):
                # woken by messages; the short timeout is for conditions on other things
                self.changed.wait(0.05)
                if time.monotonic() > end:
                    said = ''.join(f'\n--- {process.name}:\n{process.output()[-4000:]}'
                                   for process in Process.running)
                    raise AssertionError(f'waited {limit} s for {what}{said}')
        return result

    def set_parameter(self, node: str, **values) -> str:
        """Set parameters of another node; return why it refused, or ''."""
        client = self.node.create_client(SetParameters, f'{node}/set_parameters')
        assert client.wait_for_service(LIMIT)
        reply = self.answer(client.call_async, SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]))
        self.node.destroy_client(client)
        return '; '.join(result.reason for result in reply.results if not result.successful)

    def result(self, future, limit: float = LIMIT):
        """Wait for a future and return its result."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(limit), 'no answer'
        return future.result()

    def ask(self, send):
        """
        Return the answer to a request that an action client sends when `send()` is called.

        From the executor's own thread: rclpy notes the request after it has sent it, so an answer
        that another thread takes in between is dropped as unexpected.
        """
        return self.result(self.result(self._executor.create_task(send)))

    def answer(self, ask, *question):
        """
        Return the answer to a question that may be asked again and again, until it is there.

        The graph shows a server before the messages of both find their way, on a busy machine some
        seconds before: what is asked in between is lost.
        """
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            future = self.result(self._executor.create_task(ask, *question))
            done = threading.Event()
            future.add_done_callback(lambda _, done=done: done.set())
            if done.wait(_AGAIN):
                return future.result()
        raise AssertionError(f'no answer to {question}')

    def greet(self, client) -> ActionClient:
        """Return an action client that server hears, and that hears the server."""
        kind = client._action_type
        assert client.wait_for_server(LIMIT)
        self.answer(lambda: ClientGoalHandle(
            client, UUID(uuid=list(uuid.uuid4().bytes)), kind.Impl.SendGoalService.Response(
                accepted=True)).get_result_async())      # of a goal that there is not
        return client

    def action(self, node: str = 'shadow_sim') -> ActionClient:
        """Return a client of ~/precheck whose server is there."""
        return self.greet(ActionClient(self.node, Precheck, f'{node}/precheck'))


class Asker:
    """What sends goals by `client`, keeps their feedback and waits for their outcome."""

    def __init__(self, graph: Graph, client: ActionClient):
        self.graph, self.client, self.feedback = graph, client, []

    def send(self, goal):
        """Send a goal and return its accepted handle."""
        handle = self.graph.ask(lambda: self.client.send_goal_async(
            goal, feedback_callback=lambda message: self.feedback.append(message.feedback)))
        assert handle.accepted
        return handle

    def outcome(self, handle):
        """Return status and result of a goal."""
        reply = self.graph.ask(handle.get_result_async)
        return reply.status, reply.result

    def verdict(self, goal):
        """
        Return the verdict on the first candidate of a goal, asked again until there is one.

        What is asked while shadow_sim has no robot yet ends without.
        """
        end = time.monotonic() + LIMIT
        while not (verdicts := self.outcome(self.send(goal))[1].verdicts):
            assert time.monotonic() < end, 'no verdict'
        return verdicts[0]


class FakeRobot:
    """Publishes what a live robot and its camera do, 20 times a second, as the fields say."""

    def __init__(self, graph: Graph, *, image_qos=qos.PREDICTION, camera='camera'):
        self.graph = graph
        self._node = node = graph.node
        self.camera = PinholeCamera(WIDTH, HEIGHT, 90.0, 90.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)
        self.joints = dict(READY)
        self.image = np.full((HEIGHT, WIDTH, 3), (10, 120, 240), np.uint8)
        self.depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        self.make_image = lambda image, header: array_to_image(image, header, 'rgb8')
        self.make_depth = lambda depth, header: array_to_image(depth, header, '32FC1')
        self.make_joints = joint_state_message
        self.make_info = camera_info_message
        self.frame = self.depth_frame = CAMERA_FRAME
        self.stamp_offset = 0.0                 # [s] added to all stamps
        self.camera_on = self.joints_on = self.depth_on = self.info_on = True
        self.shown = 0
        self._robot = node.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
        self._image = node.create_publisher(Image, f'{camera}/image_raw', image_qos)
        self._packed = node.create_publisher(CompressedImage, f'{camera}/image_raw/compressed',
                                             qos.PREDICTION)
        self._depth = node.create_publisher(Image, f'{camera}/depth/image_raw', qos.PREDICTION)
        self._packed_depth = node.create_publisher(
            CompressedImage, f'{camera}/depth/image_raw/compressedDepth', qos.PREDICTION)
        self._info = node.create_publisher(CameraInfo, f'{camera}/camera_info', qos.PREDICTION)
        self._joints = node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        self.trajectory = node.create_publisher(JointTrajectory, 'joint_trajectory',
                                                qos.TRAJECTORY)
        self.describe(URDF)
        self._timer = node.create_timer(0.05, self.show)

    def describe(self, urdf: str) -> None:
        """Publish a robot description."""
        self._robot.publish(String(data=urdf))

    def show(self) -> None:
        """Publish one look of everything that is on."""
        now = self._node.get_clock().now().nanoseconds + round(self.stamp_offset * 1e9)
        stamp = rclpy.time.Time(nanoseconds=now).to_msg()
        header = Header(stamp=stamp, frame_id=self.frame)
        if self.joints_on:
            self._joints.publish(self.make_joints(self.joints, Header(stamp=stamp)))
        if self.camera_on:
            if self.info_on:
                self._info.publish(self.make_info(self.camera, header))
            if self.depth_on:
                message = self.make_depth(
                    self.depth, Header(stamp=stamp, frame_id=self.depth_frame))
                (self._depth if isinstance(message, Image) else self._packed_depth).publish(message)
            message = self.make_image(self.image, header)
            (self._image if isinstance(message, Image) else self._packed).publish(message)
        self.shown += 1

    def wait_heard(self) -> None:
        """Wait until somebody listens to its image and its joints."""
        self.graph.wait(lambda: self._image.get_subscription_count()
                        and self._joints.get_subscription_count(), 'somebody to listen')

    def wait_shown(self, count: int = 4) -> None:
        """Wait until what is set now has been published some times."""
        target = self.shown + count
        self.graph.wait(lambda: self.shown >= target, 'the robot to publish')


@contextlib.contextmanager
def made(namespace: str = ''):
    """Give a graph and end it."""
    graph = Graph(namespace)
    try:
        yield graph
    finally:
        graph.close()
