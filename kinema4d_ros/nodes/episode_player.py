# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node episode_player: a recorded episode as if it were the live robot."""
from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.duration import Duration
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import joint_state_message, time_message, trajectory_message
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED
from kinema4d_ros.bridge.rclpy_compat import RCLError
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.launcher import LAUNCHER_PID
from kinema4d_ros.nodes.played_camera import PlayedCamera, ShownFrame
from kinema4d_ros.nodes.shadow_sim.readiness import READINESS, ROBOT_HASH, SCENE_STAMP
from kinema4d_ros.robot import Robot

_END_TIMEOUT = 5.0          # [s] the player's thread gets to end; it looks every 0.1 s
_ACK_TIMEOUT = 7.0          # [s] Fast DDS asks every 3 s for what is not acknowledged
_ACK_PERIOD = Duration(seconds=0.1)
_HOLD_PERIOD = 0.1          # [s] between repetitions of a frame that is held

TABLE = ParameterTable((
    Parameter('episode', str, REQUIRED, 'Episode file (.mcap), or the name of a bundled one',
              read_only=True),
    Parameter('rate', float, 1.0, 'How much faster than recorded it is played', minimum=0.01,
              maximum=100.0, read_only=True),
    Parameter('at_end', str, 'exit', 'What follows the last frame: exit, play again from the '
              'start, or hold the last frame', choices=('exit', 'loop', 'hold'), read_only=True),
    Parameter('cameras', list[str], (),
              'Names of the cameras of the episode that are played, each below its own; one alone '
              'is played as camera. Empty: all that it has', read_only=True),
    Parameter('image_transport', str, 'raw',
              'Publish camera/image_raw (raw) or camera/image_raw/compressed (JPEG)',
              choices=('raw', 'compressed'), read_only=True),
    Parameter('depth_transport', str, 'raw',
              'Publish camera/depth/image_raw (raw, 32FC1), that with /compressedDepth (16UC1), '
              'or no depth', choices=('raw', 'compressedDepth', 'none'), read_only=True),
    Parameter('lead_in', float, 1.0,
              'How long the first frame is shown before the episode starts', unit='s', minimum=0.0,
              maximum=60.0, read_only=True),
    Parameter('wait_for_subscribers', float, 30.0,
              'How long to wait for subscribers of image, depth, camera_info, joints and '
              'trajectory; 0.0 starts at once', unit='s', minimum=0.0, maximum=3600.0,
              read_only=True),
    Parameter('subscribers', int, 1,
              'How many subscribers of each of these to wait for: shadow_sim, and one more for '
              'each recorder', minimum=1, maximum=100, read_only=True),
    Parameter('wait_for_ready', list[str], (),
              'Names of the shadow_sim nodes that must be ready before the episode starts, by '
              'their diagnostics: robot and world model loaded, the first frame seen. It is shown '
              'meanwhile. Empty: none', read_only=True),
    Parameter('ready_timeout', float, 120.0, 'How long to wait for that', unit='s', minimum=0.1,
              maximum=3600.0, read_only=True),
    Parameter('publish_clock', bool, False,
              'Publish /clock and keep the recorded stamps; otherwise stamps are the present time',
              read_only=True),
    LAUNCHER_PID,
))


def recorded_time(stamp_ns: int, offset_ns: int) -> int:
    """
    Return the recorded time [ns] that is `offset_ns` from a stamp, which grows with the offset.

    A recording of a simulation begins seconds after 0, and there is no time before that: what would
    be earlier than half of the stamp comes closer and closer to 0 instead, but is never 0, which
    means that there is no time.
    """
    half, before = stamp_ns // 2, max(-offset_ns, 1)
    return max(1, stamp_ns + offset_ns if before <= half else half * half // before)


class EpisodePlayer(NodeBase, Node):
    """Plays from a thread of its own; `on_end` is called after the last frame, or on failure."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        """Make the node, playing; `on_end` is called after the last frame, or on failure."""
        super().__init__('episode_player')
        TABLE.declare(self)
        self._values = values = TABLE.snapshot(self)
        self._on_end = on_end
        self.failures: list[Exception] = []
        self._episode = Episode.open(values['episode'])
        chosen = [self._episode.camera(name) for name in values['cameras']] \
            or self._episode.cameras
        self._cameras = [PlayedCamera(
            self, camera, is_only=len(chosen) == 1, image_transport=values['image_transport'],
            depth_transport=values['depth_transport']) for camera in chosen]
        self._frames = self._cameras[0].camera.frames      # of the one that sets the pace
        self._joints = self.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        self._trajectory = self.create_publisher(JointTrajectory, 'joint_trajectory',
                                                 qos.TRAJECTORY)
        self._robot = self.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
        self._static = self.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
        self._time = None
        if values['publish_clock']:
            self._time = self.create_publisher(Clock, '/clock', 1)
        self._robot_hash = ''
        space = self.get_namespace()
        self._readiness: dict[str, DiagnosticStatus | None] = dict.fromkeys(
            name.lstrip('/') if name.startswith('/') else f'{space}/{name}'.strip('/')
            for name in values['wait_for_ready'])
        if self._readiness:
            self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='player', daemon=True)
        self._thread.start()

    def quit(self) -> None:
        """Stop playing."""
        self._stop.set()

    def close(self) -> None:
        """Wait until nothing is published any more."""
        self._thread.join(_END_TIMEOUT)

    # ------------------------------------------------------------------ the player's thread

    def _run(self) -> None:
        try:
            self._robot.publish(String(data=self._episode.robot_description))
            self._publish_camera_poses()
            self._wait_for_subscribers()
            self._wait_until_ready()
            while self._play() and self._values['at_end'] == 'loop':
                self.get_logger().info('the episode starts again')
            self._wait_for_acknowledgement()
        except Kinema4DError as error:
            self.get_logger().error(str(error))
            self.failures.append(error)
        except Exception as error:
            self.get_logger().error(traceback.format_exc())
            self.failures.append(error)
        self._on_end()

    def _publish_camera_poses(self) -> None:
        """Publish where cameras are that the robot does not tell of."""
        robot = Robot.from_urdf(self._episode.robot_description)
        self._robot_hash = robot.description_hash
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=robot.root_link)
        mountings = [played.mounting(self._episode, robot, header) for played in self._cameras]
        if transforms := [each for each in mountings if each is not None]:
            self._static.publish(TFMessage(transforms=transforms))

    def _wait_for_subscribers(self) -> None:
        """
        Wait until what is played is listened to, or the time is over.

        Of several cameras the first counts: who wants more has asked for them by then.
        """
        patience, wanted = self._values['wait_for_subscribers'], self._values['subscribers']
        listened = {'joint_states': self._joints, 'joint_trajectory': self._trajectory,
                    **self._cameras[0].publishers}
        end = time.monotonic() + patience
        while patience > 0 and not self._stop.wait(0.02):
            missing = [name for name, publisher in listened.items()
                       if publisher.get_subscription_count() < wanted]
            if not missing:
                return
            if time.monotonic() > end:
                self.get_logger().warning(
                    f'fewer than {wanted} subscribed to {", ".join(missing)} within {patience} s; '
                    'playing on')
                return

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, what = status.name.rpartition(': ')
            if what == READINESS and node in self._readiness:
                self._readiness[node] = status

    def _wait_until_ready(self) -> None:
        """Show the first frame until those who are to judge the episode have seen it."""
        if not self._readiness:
            return
        first, timeout = self._firsts(), self._values['ready_timeout']
        began, shown_ns = time.monotonic(), 0
        while not self._stop.wait(_HOLD_PERIOD):
            waiting = {node: why for node, status in self._readiness.items()
                       if (why := self._why_not_ready(status, shown_ns)) is not None}
            if shown_ns and not waiting:
                return
            elapsed = time.monotonic() - began
            if elapsed > timeout:
                reasons = '; '.join(f'{node}: {why}' for node, why in waiting.items())
                self.get_logger().warning(f'not ready within {timeout} s, playing on: {reasons}')
                return
            # the recorded time runs on while it is shown, and on to the episode's beginning
            stamp_ns = self._stamp_ns(first[-1].frame.stamp_ns, round(
                (elapsed - timeout - _HOLD_PERIOD - self._values['lead_in']) * 1e9))
            shown_ns = shown_ns or stamp_ns
            for each in first:
                self._show(each, stamp_ns)

    def _why_not_ready(self, status: DiagnosticStatus | None, shown_ns: int) -> str | None:
        """Return why a node is not ready for what was shown first at a stamp; None where it is."""
        if status is None:
            return 'its diagnostics are not heard'
        values = {each.key: each.value for each in status.values}
        if values.get(ROBOT_HASH) != self._robot_hash:
            return 'it has not loaded this robot'
        if status.level != DiagnosticStatus.OK:
            return str(status.message)
        return None if int(values.get(SCENE_STAMP, 0)) >= shown_ns > 0 \
            else 'it has not seen this episode yet'

    def _play(self) -> bool:
        """Play once; return False when it was stopped."""
        episode, rate, published = self._episode, self._values['rate'], 0
        last = {each.played: each for each in self._firsts()}
        # A trajectory is published with the last frame before it: the robot is still at its start.
        followed = dict(zip(self._frames.stamps_ns, [*self._frames.stamps_ns[1:], math.inf]))
        start = time.monotonic()
        for at, stamp_ns, shown in self._schedule():
            if self._wait_until(start + at):
                return False
            frame = shown.frame
            self._show(shown, self._stamp_ns(stamp_ns, min(
                0, round((at - self._values['lead_in']) * 1e9))))
            last[shown.played] = shown
            while shown.played is self._cameras[0] and published < len(episode.trajectories) \
                    and episode.trajectories[published][0] < followed[frame.stamp_ns]:
                self._trajectory.publish(trajectory_message(episode.trajectories[published][1]))
                published += 1
        self.get_logger().info(
            f'played {len(self._frames)} frames in {time.monotonic() - start:.1f} s '
            f'({rate:g} times the recorded pace)')
        while self._values['at_end'] == 'hold':
            if self._wait_until(time.monotonic() + _HOLD_PERIOD):
                return False
            newest_ns = self._stamp_ns(max(each.frame.stamp_ns for each in last.values()), 0)
            for shown in last.values():
                self._show(shown, newest_ns)
        return True

    def _firsts(self) -> list[ShownFrame]:
        """Return the first frame of each camera, that of the first camera last."""
        return [ShownFrame(played, played.camera.frames[0]) for played in self._cameras[::-1]]

    def _wait_for_acknowledgement(self) -> None:
        """Wait until who listens has the trajectory: one that was lost is sent again later."""
        end = time.monotonic() + _ACK_TIMEOUT
        try:
            while not self._trajectory.wait_for_all_acked(_ACK_PERIOD) \
                    and not self._stop.is_set():
                if time.monotonic() > end:
                    self.get_logger().warning(
                        f'a subscriber of joint_trajectory does not have it after {_ACK_TIMEOUT} s')
                    return
        except RCLError as error:     # not every RMW knows
            self.get_logger().debug(f'nothing is known of acknowledgements: {error}')

    def _schedule(self) -> Iterator[tuple[float, int, ShownFrame]]:
        """
        Yield (time from the start [s], recorded stamp [ns], frame), stamps never going back.

        The first frames are held, then all are shown at their pace. Of frames of one time that of
        the first camera is the last: what goes with it finds all.
        """
        lead_in, firsts = self._values['lead_in'], self._firsts()
        began = self._frames.times[0]
        for at in np.arange(0.0, lead_in, _HOLD_PERIOD):
            for shown in firsts:
                yield float(at), firsts[-1].frame.stamp_ns, shown
        order = sorted((time, -number, index) for number, played in enumerate(self._cameras)
                       for index, time in enumerate(played.camera.frames.times.tolist()))
        for since, number, index in order:
            if since >= began:
                played = self._cameras[-number]
                frame = played.camera.frames[index]
                yield (lead_in + (since - began) / self._values['rate'], frame.stamp_ns,
                       ShownFrame(played, frame))

    def _wait_until(self, moment: float) -> bool:
        """Wait for a moment of the steady clock; return True when the player is stopped."""
        return self._stop.wait(max(0.0, moment - time.monotonic()))

    def _stamp_ns(self, recorded_ns: int, offset_ns: int) -> int:
        """Return the stamp to publish with: now, or the recorded one with the clock set to it."""
        if self._time is None:
            return self.get_clock().now().nanoseconds
        stamp_ns = recorded_time(recorded_ns, offset_ns)
        self._time.publish(Clock(clock=time_message(stamp_ns)))
        return stamp_ns

    def _show(self, shown: ShownFrame, stamp_ns: int) -> None:
        """Publish one frame of a camera and the robot, all with one stamp."""
        header = Header(stamp=time_message(stamp_ns))
        self._joints.publish(joint_state_message(shown.frame.joint_positions, header))
        shown.played.show(shown.frame, header)


def make_node(on_end: Callable[[], None]) -> EpisodePlayer:
    """Return the node, playing."""
    return EpisodePlayer(on_end)
