# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim receives: kept as messages, made into one Observation when it is asked for."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import images, qos
from kinema4d_ros.bridge.cameras import calibration_from_message
from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.bridge.motion import joint_states, JointStates, stamp_ns
from kinema4d_ros.bridge.stamped_buffer import Entry, merged_joint_states, StampedBuffer
from kinema4d_ros.bridge.start_state import start_state
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.camera import CameraCalibration, LinkPose
from kinema4d_ros.errors import Kinema4DError, ObservationError
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, Observation, StartState

_NS = 1_000_000_000
_JOINT_SPREAD_NS = _NS // 2   # arm and gripper may publish their states so far apart
_RECENT = 5.0                 # [s] the diagnostics show a problem after it last came up
_INFO = 'camera/camera_info'


class InputProblem(ObservationError):
    """An input is missing, stale or unusable; `code` is the finding that says so."""

    def __init__(self, code: FindingCode, message: str):
        """Make the error; `code` is that of the finding it becomes."""
        self.code = code
        super().__init__(message)


class FramedObservation(NamedTuple):
    """An observation, and the names that go with it."""

    observation: Observation
    frame: str                   # of the image
    mount: LinkPose | None       # of a camera that moves with the robot
    root_link: str               # of the robot
    is_in_frame: bool            # the camera is and stays at `frame`


class InputStatus(NamedTuple):
    """How one input does, for the diagnostics."""

    topic: str
    rate: float                  # [Hz]
    age: float | None            # [s] since the last message
    received: int
    refused: int
    problem: str | None          # why the last one was refused, or none can come


class _Problem(NamedTuple):
    """What was wrong with a topic last; `until` is on the monotonic clock [s]."""

    text: str
    until: float


class Inputs:
    """
    Subscriptions to camera, joints and TF.

    Callbacks only put messages into buffers (decoding happens once per request), so any number
    of camera frames per second costs little.
    """

    def __init__(self, node: Node, values: Mapping[str, Any], tree: TransformTree,
                 group: CallbackGroup, on_jump: Callable[[str], None]):
        """
        Subscribe to camera, joint_states and TF.

        :param values: snapshot of the parameters.
        :param tree: kept up to date from TF.
        :param on_jump: called with a reason when the stamps of a topic jump back.
        """
        self._node, self._group, self._on_jump = node, group, on_jump
        self._reliability = values['camera_reliability']
        self._tree = tree
        self._buffers: dict[str, StampedBuffer] = {}
        self._problems: dict[str, _Problem] = {}
        self._unusable: dict[str, Entry] = {}      # the newest entry that was counted as refused
        self._subscriptions: dict[str, Any] = {}
        self._camera_topics: dict[str, tuple[type, Any]] = {}
        self._info: StampedBuffer | None = None
        compressed = values['image_transport'] == 'compressed'
        self._image_topic = 'camera/image_raw' + ('/compressed' if compressed else '')
        self._image = self._camera(self._image_topic, CompressedImage if compressed else Image, 8)
        self._info = self._camera(_INFO, CameraInfo, 1)
        self._depth = None
        if values['depth_transport'] != 'none':
            raw = values['depth_transport'] == 'raw'
            self._depth_topic = 'camera/depth/image_raw' + ('' if raw else '/compressedDepth')
            self._depth = self._camera(self._depth_topic, Image if raw else CompressedImage, 8)
        self._joints = self._subscribe('joint_states', JointState, qos.JOINT_STATES, 200,
                                       joint_states, NotForExecutor())
        self._subscription_thread = SubscriptionThread(self._subscriptions['joint_states'])
        for topic, profile, static in (('/tf', qos.TF, False), ('/tf_static', qos.TF_STATIC, True)):
            self._subscriptions[topic] = node.create_subscription(
                TFMessage, topic, lambda message, static=static: self._take_tf(message, static),
                profile, callback_group=group)

    # ------------------------------------------------------------------ subscribing

    def _camera(self, topic: str, kind: type, depth: int) -> StampedBuffer:
        profile = self._camera_qos(topic)
        self._camera_topics[topic] = kind, profile.reliability
        return self._subscribe(topic, kind, profile, depth)

    def _camera_qos(self, topic: str) -> QoSProfile:
        return qos.camera(self._node, self._node.resolve_topic_name(topic),
                          self._reliability)

    def _subscribe(self, topic: str, kind: type, profile: QoSProfile, depth: int,
                   convert: Callable[[Any], Any] = lambda message: message,
                   group: CallbackGroup | None = None) -> StampedBuffer:
        buffer = self._buffers.setdefault(topic, StampedBuffer(depth))

        def take(message: Any) -> None:
            try:
                value = convert(message)
            except Kinema4DError as error:
                buffer.refuse()
                self._note_problem(topic, str(error))
                return
            jumped = buffer.put(stamp_ns(message.header.stamp), value, time.monotonic())
            if jumped and buffer is not self._info:
                self._on_jump(f'the stamps of {topic} jumped back')

        self._subscriptions[topic] = self._node.create_subscription(
            kind, topic, take, profile, callback_group=group or self._group)
        return buffer

    def _note_problem(self, topic: str, text: str) -> None:
        """Keep a problem, and log it unless it was the last one a moment ago."""
        now, last = time.monotonic(), self._problems.get(topic)
        if last is None or last.text != text or now > last.until:
            self._node.get_logger().warning(f'{topic}: {text}')
        self._problems[topic] = _Problem(text, now + _RECENT)

    def _why_unusable(self, topic: str) -> str | None:
        """Return what was wrong with a topic a moment ago, or why nothing can come on it."""
        problem = self._problems.get(topic)
        if problem is not None and time.monotonic() <= problem.until:
            return problem.text
        return self._why_silent(topic)

    def _why_silent(self, topic: str) -> str | None:
        """Return why nothing can come on a topic, None where something can."""
        reason = why_silent(self._node, topic)
        if reason and 'QoS' in reason and topic in self._camera_topics \
                and self._reliability == 'reliable':
            reason += ', or set camera_reliability to auto'
        return reason

    def _read(self, topic: str, entry: Entry, convert: Callable[[Any], Any]) -> Any:
        """
        Return what `convert` makes of a message that was kept.

        :raises InputProblem: it raised; the message counts as refused, once.
        """
        try:
            return convert(entry.value)
        except Kinema4DError as error:
            if self._unusable.get(topic) is not entry:
                self._unusable[topic] = entry
                self._buffers[topic].refuse(kept=True)
            self._note_problem(topic, str(error))
            name = self._node.resolve_topic_name(topic)
            raise InputProblem(FindingCode.MISSING_INPUT, f'{name}: {error}') from error

    def _take_tf(self, message: TFMessage, static: bool) -> None:
        try:
            self._tree.update(message, static=static)
        except Kinema4DError as error:
            self._note_problem('/tf', str(error))

    def refresh(self) -> None:
        """Subscribe anew where publishers that came since offer a better QoS."""
        for topic, (kind, reliability) in self._camera_topics.items():
            # it takes the name as it is, without the remappings of this node
            if not self._node.count_publishers(self._node.resolve_topic_name(topic)):
                continue
            profile = self._camera_qos(topic)
            if profile.reliability != reliability:
                self._node.destroy_subscription(self._subscriptions[topic])
                self._camera_topics[topic] = kind, profile.reliability
                self._subscribe(topic, kind, profile, 0)

    def close(self) -> None:
        """Unsubscribe."""
        self._subscription_thread.close()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def clear(self) -> None:
        """Forget what was received: the clock jumped back."""
        for buffer in self._buffers.values():
            if buffer is not self._info:
                buffer.clear()
        self._tree.clear()

    # ------------------------------------------------------------------ asked by the node

    def status(self) -> Iterator[InputStatus]:
        """Yield how each input does."""
        now = time.monotonic()
        for topic, buffer in self._buffers.items():
            yield InputStatus(topic, buffer.rate(), buffer.age(now), buffer.received,
                              buffer.refused, self._why_unusable(topic))

    def joint_positions(self, robot: Robot, now_ns: int,
                        values: Mapping[str, Any]) -> dict[str, float]:
        """Return the newest positions of the robot's joints [rad or m]; see `joint_states`."""
        return self.joint_states(robot, now_ns, values).positions

    def joint_states(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> JointStates:
        """
        Return the newest states of the robot's joints, each with a position.

        Velocities are there of those joints whose publisher sends them.

        :param values: snapshot of the parameters.
        :raises InputProblem: there are none, they are stale, or a joint is missing.
        """
        newest = self._joints.latest()
        if newest is None:
            raise self._missing('joint_states')
        _check_age('joint_states', newest, now_ns, values['max_input_age'])
        return self._of_robot(robot, newest.stamp_ns, _JOINT_SPREAD_NS)

    def start_state(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> StartState:
        """
        Return the newest state of the robot's joints, as a motion would start from it.

        :param values: snapshot of the parameters.
        :raises InputProblem: as `joint_states`.
        """
        states = self.joint_states(robot, now_ns, values)
        newest = self._joints.latest()
        return start_state(states, self._joints, now_ns if newest is None else newest.stamp_ns)

    def observe(self, finder: CameraFinder, now_ns: int,
                values: Mapping[str, Any]) -> FramedObservation:
        """
        Return the newest look at the world, decoded and rectified.

        :param finder: of the camera on the robot.
        :param values: snapshot of the parameters.
        :raises InputProblem: an input is missing, stale or unusable.
        """
        robot = finder.robot
        entry, positions, depth_entry = self._newest_complete(
            robot, round(values['sync_tolerance'] * _NS))
        _check_age('camera image', entry, now_ns, values['max_input_age'])
        info = None if self._info is None else self._info.latest()
        if info is None:
            raise self._missing(_INFO)
        stamped = entry.value.header.frame_id
        frame = values['camera_frame'] or stamped
        calibration = self._read(_INFO, info, lambda message: _calibration(message, stamped))
        image = self._read(self._image_topic, entry,
                           lambda message: calibration.rectify(images.rgb_image(message)))
        depth = None
        if depth_entry is not None:
            depth = self._read(self._depth_topic, depth_entry, lambda message: (
                calibration.rectify_depth(_registered_depth(message, stamped, image.shape[:2]))))
        try:
            pose = finder.find(frame, positions).moved(calibration.T_optical_camera)
            observation = Observation.from_rgbd(
                image, depth, calibration.pinhole, pose.T_base_camera, positions,
                stamp_ns=entry.stamp_ns)
        except Kinema4DError as error:
            raise InputProblem(FindingCode.MISSING_INPUT, str(error)) from error
        is_in_frame = pose.mount is None and np.array_equal(calibration.T_optical_camera, np.eye(4))
        return FramedObservation(observation, frame, pose.mount, robot.root_link, is_in_frame)

    def _newest_complete(self, robot: Robot, within_ns: int
                         ) -> tuple[Entry, dict[str, float], Entry | None]:
        """
        Return the newest image that has joint positions and depth image, both with it.

        Without any depth image that fits, the newest image with joint positions and None.
        """
        newest = self._image.latest()
        if newest is None:
            raise self._missing(self._image_topic)
        if robot.joint_names and self._joints.latest() is None:
            raise self._missing('joint_states')
        best = None
        for entry in self._image.by_distance(newest.stamp_ns, 10 * within_ns):
            try:
                positions = self._of_robot(robot, entry.stamp_ns, within_ns).positions
            except InputProblem:
                continue
            depth = None
            if self._depth is not None:
                depth = self._depth.nearest(entry.stamp_ns, within_ns)
            if depth is not None:
                return entry, positions, depth
            best = best or (entry, positions, None)
        if best is None:     # say what is wrong with the newest
            return newest, self._of_robot(robot, newest.stamp_ns, within_ns).positions, None
        return best

    def _of_robot(self, robot: Robot, at_ns: int, within_ns: int) -> JointStates:
        states = merged_joint_states(self._joints, at_ns, within_ns)
        positions = states.positions
        lacking = [name for name in robot.joint_names if name not in positions]
        if not lacking:
            return states.of(robot.joint_names)
        newest = self._joints.latest()
        if newest is None:
            raise self._missing('joint_states')
        if not positions:
            raise InputProblem(
                FindingCode.STALE_INPUT,
                f'no joint_states within {within_ns / _NS:.2f} s of the image: the newest is '
                f'{abs(at_ns - newest.stamp_ns) / _NS:.2f} s away; do both clocks agree?')
        raise InputProblem(
            FindingCode.MISSING_INPUT,
            'joint_states lack ' + ', '.join(
                f'{name} ({states.unusable[name]})' if name in states.unusable else name
                for name in lacking) + f'; they have: {", ".join(sorted(positions))}')

    def _missing(self, topic: str) -> InputProblem:
        name = self._node.resolve_topic_name(topic)
        text = f'nothing usable has been received on {name}, which has ' \
               f'{self._node.count_publishers(name)} publisher(s)'
        if topic in self._problems:
            text += f'; last problem: {self._problems[topic].text}'
        if reason := self._why_silent(topic):
            text += f'; {reason}'
        return InputProblem(FindingCode.MISSING_INPUT, text)


def _calibration(message: CameraInfo, image_frame: str) -> CameraCalibration:
    """Return the calibration; it must be that of the camera which made the image."""
    frame = message.header.frame_id
    if frame.lstrip('/') != image_frame.lstrip('/'):
        raise ObservationError(
            f'the calibration is of frame {frame!r}, the image of {image_frame!r}; remap '
            'camera/camera_info to the topic beside that of the image')
    return calibration_from_message(message)


def _registered_depth(message: Image | CompressedImage, image_frame: str,
                      shape: tuple[int, int]) -> np.ndarray:
    """Return the depth image (H, W) float32 [m]; its pixels must be those of the image."""
    cure = 'use the depth that the driver registers to the image (aligned_depth_to_color, ' \
           'depth_registered, depth_to_rgb or the like), or depth_image_proc/register'
    frame = message.header.frame_id
    if frame.lstrip('/') != image_frame.lstrip('/'):
        raise ObservationError(f'the depth image is of frame {frame!r}, the image of '
                               f'{image_frame!r}, so their pixels do not match; {cure}')
    depth = images.depth_to_metres(message)
    if depth.shape != shape:
        raise ObservationError(
            f'the depth image has {depth.shape[1]} x {depth.shape[0]} pixels, the image '
            f'{shape[1]} x {shape[0]}; {cure}')
    return depth


def _check_age(what: str, entry: Entry, now_ns: int, limit: float) -> None:
    """Raise InputProblem when an entry is older than `limit` [s], unless that is 0.0."""
    age = (now_ns - entry.stamp_ns) / _NS
    if limit == 0.0 or abs(age) <= limit:
        return
    hint = ''
    if now_ns == 0:
        hint = '; use_sim_time is set but nothing is on /clock'
    elif abs(age) > 3600.0:
        hint = '; played from a bag? then set use_sim_time and play with --clock'
    when = f'{age:.2f} s old' if age > 0 else f'{-age:.2f} s in the future'
    raise InputProblem(FindingCode.STALE_INPUT,
                       f'the newest {what} is {when}, limit {limit} s{hint}')
