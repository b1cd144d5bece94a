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
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import images, qos
from kinema4d_ros.bridge.graph import publishers, why_silent
from kinema4d_ros.bridge.motion import JointStates, stamp_ns
from kinema4d_ros.bridge.rclpy_compat import sequence_number
from kinema4d_ros.bridge.sources import Sources
from kinema4d_ros.bridge.stamped_buffer import Entry, StampedBuffer
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.errors import ContradictionError, Kinema4DError
from kinema4d_ros.nodes.shadow_sim.camera_messages import (calibration_of, differ, likeness,
                                                           registered_depth, Stamps)
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.input_problem import (CLOCK_NS, FRESH, InputProblem, NS,
                                                         offset_text, refuse_no_time,
                                                         why_silent_for, why_stale)
from kinema4d_ros.nodes.shadow_sim.joint_input import JointInput, TOPIC as JOINTS
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, Observation, StartState

_RECENT = 5.0                 # [s] the diagnostics show a problem after it last came up
_INFO = 'camera/camera_info'


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
                 group: CallbackGroup, on_jump: Callable[[], None] = lambda: None):
        """
        Subscribe to camera, joint_states and TF.

        :param values: snapshot of the parameters.
        :param tree: kept up to date from TF.
        :param on_jump: called when the stamps of the images jump back: what was remembered of
            them is of another time.
        """
        self._node, self._group, self._on_jump = node, group, on_jump
        self._reliability = values['camera_reliability']
        self._tree = tree
        self._buffers: dict[str, StampedBuffer] = {}
        self._sources: dict[str, Sources[Stamps]] = {}    # of the camera's topics
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
        self._joints = JointInput(node, values, self._note_problem,
                                  lambda: self._missing(JOINTS))
        self._buffers[JOINTS] = self._joints.buffer
        self._subscriptions[JOINTS] = self._joints.subscription
        self._static_publishers: set[bytes] = set()
        self._has_static_gone = False     # one of those that were listened to
        self._looked_at_frame = 0.0       # [s] monotonic
        self._subscribe_to_tf('/tf', qos.TF, static=False)
        self._subscribe_to_tf('/tf_static', qos.TF_STATIC, static=True)

    # ------------------------------------------------------------------ subscribing

    def _camera(self, topic: str, kind: type, depth: int) -> StampedBuffer:
        profile = self._camera_qos(topic)
        self._camera_topics[topic] = kind, profile.reliability
        return self._subscribe(topic, kind, profile, depth)

    def _camera_qos(self, topic: str) -> QoSProfile:
        return qos.camera(self._node, self._node.resolve_topic_name(topic),
                          self._reliability)

    def _subscribe(self, topic: str, kind: type, profile: QoSProfile,
                   depth: int) -> StampedBuffer:
        buffer = self._buffers.setdefault(topic, StampedBuffer(depth))
        sources = self._sources.setdefault(topic, Sources(Stamps))

        def take(message: Any, info: object) -> None:
            arrival, stamp = time.monotonic(), stamp_ns(message.header.stamp)
            sources.of(likeness(message), sequence_number(info), arrival).held.append(stamp)
            jumped = buffer.put(stamp, message, arrival,
                                self._node.get_clock().now().nanoseconds)
            if jumped:
                self._note_problem(topic, 'the stamps jumped back; what came before is forgotten')
            if jumped and topic == self._image_topic:
                self._on_jump()

        self._subscriptions[topic] = self._node.create_subscription(
            kind, topic, take, profile, callback_group=self._group)
        return buffer

    def _subscribe_to_tf(self, topic: str, profile: QoSProfile, *, static: bool) -> None:
        def take(message: TFMessage, info: object) -> None:
            try:
                self._tree.update(
                    message, static=static, sequence=sequence_number(info),
                    only_source=static and self._node.count_publishers(topic) == 1)
            except Kinema4DError as error:
                self._note_problem(topic, str(error))

        self._subscriptions[topic] = self._node.create_subscription(
            TFMessage, topic, take, profile, callback_group=self._group)

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
            raise InputProblem.of(error, f'{name}: ') from error

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
        self._refresh_static()

    def _refresh_static(self) -> None:
        """Listen to /tf_static anew where of two that contradicted each other one has gone."""
        now = {bytes(info.endpoint_gid)
               for info in self._node.get_publishers_info_by_topic('/tf_static')}
        # it may have gone long before another one contradicts what it had said
        self._has_static_gone |= bool(self._static_publishers - now)
        self._static_publishers = now
        if self._has_static_gone and self._tree.contradicted():
            self._has_static_gone = False
            self._node.destroy_subscription(self._subscriptions['/tf_static'])
            self._tree.clear_static()
            self._subscribe_to_tf('/tf_static', qos.TF_STATIC, static=True)

    def close(self) -> None:
        """Unsubscribe."""
        self._joints.close()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def clear(self) -> None:
        """Forget what was received: the clock jumped back."""
        for buffer in self._buffers.values():
            if buffer is not self._info:
                buffer.clear()
        self._joints.clear()
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
        return self._joints.newest(robot, now_ns, values)

    def start_state(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> StartState:
        """
        Return the newest state of the robot's joints, as a motion would start from it.

        :param values: snapshot of the parameters.
        :raises InputProblem: as `joint_states`.
        """
        return self._joints.start_state(robot, now_ns, values)

    def observe(self, finder: CameraFinder, now_ns: int,
                values: Mapping[str, Any]) -> FramedObservation:
        """
        Return the newest look at the world, decoded and rectified.

        :param finder: of the camera on the robot.
        :param values: snapshot of the parameters.
        :raises InputProblem: an input is missing, stale or unusable.
        """
        refuse_no_time(now_ns)
        robot, limit = finder.robot, values['max_input_age']
        if (newest := self._image.latest()) is not None:     # before what does not belong to it
            self._refuse_stale_image(newest, now_ns, limit)
        entry, positions, depth_entry = self._newest_complete(
            robot, values)
        self._refuse_stale_image(entry, now_ns, limit)
        self._refuse_rivals()
        info = None if self._info is None else self._info.latest()
        if info is None:
            raise self._missing(_INFO)
        stamped = entry.value.header.frame_id
        frame = values['camera_frame'] or stamped
        calibration = self._read(_INFO, info, lambda message: calibration_of(message, stamped))
        image = self._read(self._image_topic, entry,
                           lambda message: calibration.rectify(images.rgb_image(message)))
        depth = None
        if depth_entry is not None:
            depth = self._read(self._depth_topic, depth_entry, lambda message: (
                calibration.rectify_depth(registered_depth(message, stamped, image.shape[:2]))))
        self._warn_of_body_frame(finder, frame)
        try:
            pose = finder.find(frame, positions).moved(calibration.T_optical_camera)
            observation = Observation.from_rgbd(
                image, depth, calibration.pinhole, pose.T_base_camera, positions,
                stamp_ns=entry.stamp_ns)
        except ContradictionError as error:
            raise InputProblem.of(error, after=self._tf_publishers()) from error
        except Kinema4DError as error:
            raise InputProblem.of(error) from error
        is_in_frame = pose.mount is None and np.array_equal(calibration.T_optical_camera, np.eye(4))
        return FramedObservation(observation, frame, pose.mount, robot.root_link, is_in_frame)

    def _newest_complete(self, robot: Robot, values: Mapping[str, Any]
                         ) -> tuple[Entry, dict[str, float], Entry | None]:
        """
        Return the newest image that has joint positions and depth image, both with it.

        Without any depth image that fits, the newest image with joint positions and None.
        """
        within_ns = round(values['sync_tolerance'] * NS)
        newest = self._image.latest()
        if newest is None:
            raise self._missing(self._image_topic)
        best = None
        for entry in self._image.by_distance(newest.stamp_ns, 10 * within_ns):
            try:
                positions = self._joints.at(robot, entry, within_ns, values).positions
            except InputProblem as problem:
                if problem.code == FindingCode.CONTRADICTION:
                    raise
                continue
            depth = None
            if self._depth is not None:
                depth = self._depth.nearest(entry.stamp_ns, within_ns)
            if depth is not None:
                return entry, positions, depth
            best = best or (entry, positions, None)
        if best is None:     # say what is wrong with the newest
            return newest, self._joints.at(robot, newest, within_ns, values).positions, None
        self._note_depth_apart(best[0], within_ns)
        return best

    def _refuse_stale_image(self, entry: Entry, now_ns: int, limit: float) -> None:
        name = self._node.resolve_topic_name(self._image_topic)
        stale = why_stale(f'camera image on {name}', entry.stamp_ns, now_ns, limit)
        now = time.monotonic()
        if stale is None:
            stale = why_silent_for(f'camera images on {name}', entry.arrival, now, limit)
        elif now - entry.arrival < FRESH and abs(entry.offset_ns) > CLOCK_NS:
            stale += f'; images are sent, but {offset_text(entry.offset_ns, entry.stamp_ns)}; ' \
                     f'{publishers(self._node, self._image_topic)}'
        if stale is not None:
            raise InputProblem(FindingCode.STALE_INPUT, stale)

    def _note_depth_apart(self, image: Entry, within_ns: int) -> None:
        """Note where depth images come, but none with an image."""
        newest = None if self._depth is None else self._depth.latest()
        if newest is not None and time.monotonic() - newest.arrival < FRESH:
            self._note_problem(self._depth_topic, (
                f'none within {within_ns / NS:.2f} s of an image: the newest is '
                f'{abs(image.stamp_ns - newest.stamp_ns) / NS:.1f} s away; synchronise the clocks, '
                'or raise sync_tolerance'))

    def _refuse_rivals(self) -> None:
        """Raise InputProblem where two publishers send on one topic of the camera."""
        now = time.monotonic()
        for topic, sources in self._sources.items():
            found = sources.rivals(now, alike=False) if topic == _INFO \
                else sources.rivals(now, differ=differ)
            if found is None:
                continue
            what = 'calibrations' if topic == _INFO else 'images'
            frames = ' and '.join(sorted({repr(source.key[0]) for source in found}))
            raise InputProblem(FindingCode.CONTRADICTION, (
                f'two publishers send different {what} on one topic, of frame {frames}: '
                f'{publishers(self._node, topic)}; stop one of them, or remap it to a topic of '
                'its own'))

    def _warn_of_body_frame(self, finder: CameraFinder, frame: str) -> None:
        """Note once in a while that images carry the frame of the camera's body, if they do."""
        now = time.monotonic()
        if now - self._looked_at_frame < _RECENT / 2:
            return
        self._looked_at_frame = now
        if (optical := finder.optical_sibling(frame)) is not None:
            self._note_problem(self._image_topic, (
                f'the images are of frame {frame!r}, a body whose x points ahead; what the camera '
                f'sees is in {optical!r}: set camera_frame to that, or have the driver stamp it'))

    def _tf_publishers(self) -> str:
        return '; ' + '; '.join(publishers(self._node, topic) for topic in ('/tf_static', '/tf'))

    def _missing(self, topic: str) -> InputProblem:
        name = self._node.resolve_topic_name(topic)
        text = f'nothing usable has been received on {name}, which has ' \
               f'{self._node.count_publishers(name)} publisher(s)'
        if topic in self._problems:
            text += f'; last problem: {self._problems[topic].text}'
        if reason := self._why_silent(topic):
            text += f'; {reason}'
        return InputProblem(FindingCode.MISSING_INPUT, text)
