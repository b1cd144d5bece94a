# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node recorder: inputs and outputs of shadow_sim as a bag for Foxglove and episode_player."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import IncompatiblePublishers, type_name
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.parameters import Parameter, ParameterTable
from kinema4d_ros.nodes.launcher import LAUNCHER_PID
from kinema4d_ros.nodes.recorder.bag import Bag, BagTopic
from kinema4d_ros.nodes.shadow_sim.camera_parameters import (CAMERAS, ONE_CAMERA,
                                                             why_not_cameras)
from kinema4d_ros.nodes.shadow_sim.output_topics import topics as outputs_of
from kinema4d_ros.nodes.shadow_sim.output_topics import TOPICS as OUTPUTS
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE as SHADOW_SIM_TABLE

_DEEP = 200          # messages that wait for this node, so that a moment of load loses none
_WATCH = 0.5         # [s] between looks at publishers, failures and drops
_OPTIONAL = {        # of which recording both forms would be twice the same
    'camera/image_raw/compressed': (CompressedImage, None),
    'camera/depth/image_raw/compressedDepth': (CompressedImage, None)}
#: topic -> (type, QoS); None: as reliable as its publishers offer
TOPICS = {
    'robot_description': (String, qos.ROBOT_DESCRIPTION),
    '/tf_static': (TFMessage, qos.TF_STATIC),
    '/tf': (TFMessage, qos.TF),
    'joint_states': (JointState, None),
    'camera/image_raw': (Image, None),
    'camera/depth/image_raw': (Image, None),
    'camera/camera_info': (CameraInfo, None),
    'joint_trajectory': (JointTrajectory, qos.TRAJECTORY),
    **{topic: OUTPUTS[topic] for topic in (
        'predicted/frame', 'predicted/image', 'predicted/camera_info', 'predicted/points',
        'predicted/joint_states', 'verdict', 'verdict_markers', 'candidates')}}


def named(topics: Iterable[str], cameras: Sequence[str]) -> dict[str, tuple[type, Any]]:
    """
    Return topic -> (type, QoS) of topics of TOPICS, as they are called with these cameras.

    What a topic of `camera` stands for is one of each camera; so do predictions, where there are
    several, beside those of the first.
    """
    known: dict[str, tuple[type, Any]] = {**TOPICS, **_OPTIONAL}
    found: dict[str, tuple[type, Any]] = {}
    outputs = outputs_of(cameras)
    for topic in topics:
        first, _, rest = topic.partition('/')
        if first == ONE_CAMERA:
            found |= {f'{name}/{rest}': known[topic] for name in cameras}
            continue
        found[topic] = known[topic]
        found |= {other: known[topic] for name in cameras
                  if (other := f'{first}/{name}/{rest}') in outputs}
    return found


TABLE = ParameterTable((
    Parameter('output', str, '',
              'Folder of the new bag; empty for recording_ and the time, where the node is started',
              read_only=True),
    Parameter('topics', list[str], tuple(TOPICS),
              'What is recorded; name the compressed topics of the camera instead of the raw ones '
              'where a driver publishes both. A topic of camera stands for that of each camera',
              choices=(*TOPICS, *_OPTIONAL), read_only=True),
    replace(CAMERAS, description='Names of the cameras, as of shadow_sim'),
    Parameter('compression', bool, True, 'Compress the bag (zstd)', read_only=True),
    Parameter('part_size', int, 900,
              'A bag that has grown to this is finished and the next begun, with _1, _2 after its '
              'name; episode_player reads up to 1000', unit='MB', minimum=1, maximum=1_000_000,
              read_only=True),
    Parameter('queue_size', int, 256,
              'What may wait for the disk; messages beyond are dropped, and counted', unit='MB',
              minimum=1, maximum=65536, read_only=True),
    LAUNCHER_PID,
), rules=(why_not_cameras,), shares_files_with=SHADOW_SIM_TABLE)


class Recorder(NodeBase, Node):
    """Writes messages as they arrive, serialised, under the names of this package's topics."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        """Make the node, recording; `on_end` is called when recording fails."""
        super().__init__('recorder')
        TABLE.declare(self)
        values = TABLE.snapshot(self)
        self._on_end = on_end
        self.failures: list[Exception] = []
        folder = Path(values['output'] or time.strftime('recording_%Y%m%d_%H%M%S')).expanduser()
        self._bag = Bag(folder.absolute(), queue_bytes=values['queue_size'] << 20,
                        part_bytes=values['part_size'] << 20, compressed=values['compression'])
        self._told: int = 0
        self._incompatible = IncompatiblePublishers(self)
        self._parts: int = 1
        self._open: dict[str, tuple[ReliabilityPolicy, object]] = {}
        self._topics = named(values['topics'], values['cameras'])
        for topic in self._topics:
            self._subscribe(topic)
        self.create_timer(_WATCH, self._watch)
        self.get_logger().info(
            f'recording {len(self._topics)} topics into {self._bag.folder}; Ctrl-C ends it')

    def quit(self) -> None:
        """Do nothing: no callback waits for anything."""

    def close(self) -> None:
        """Finish the bag and log what is in it."""
        self._bag.close()
        self._check_failure()
        bag, logger = self._bag, self.get_logger()
        if not bag.parts:
            if bag.failure is not None:
                return
            logger.warning('nothing came, so nothing was recorded: is the robot in this '
                           'namespace, and ROS_DOMAIN_ID the same?')
            return
        counts = ', '.join(f'{name} {count}' for name, count in sorted(bag.written.items()))
        logger.info(f'recorded {bag.written.total()} messages into '
                    f'{", ".join(map(str, bag.parts))}: {counts}')
        if bag.dropped:
            logger.warning(self._drops())

    def _subscribe(self, topic: str) -> None:
        kind, profile = self._topics[topic]
        asked = _deep(profile or qos.camera(self, self.resolve_topic_name(topic)))
        in_bag = BagTopic('/' + topic.lstrip('/'), type_name(kind), profile or asked)

        def take(raw: bytes) -> None:
            self._bag.put(in_bag, self.get_clock().now().nanoseconds, raw)

        self._open[topic] = asked.reliability, self.create_subscription(
            kind, topic, take, asked, raw=True)

    def _watch(self) -> None:
        """Ask for reliable where it is offered by now; log drops, new parts and failures."""
        for topic, (reliability, subscription) in list(self._open.items()):
            name = self.resolve_topic_name(topic)
            if self._topics[topic][1] is None and self.count_publishers(name) \
                    and qos.camera(self, name).reliability != reliability:
                self.destroy_subscription(subscription)
                self._subscribe(topic)
        self._incompatible.look()
        bag, logger = self._bag, self.get_logger()
        if len(bag.parts) > self._parts:
            self._parts = len(bag.parts)
            logger.info(f'{bag.parts[-2]} is full (part_size); going on in {bag.parts[-1]}')
        if bag.dropped.total() > self._told:
            self._told = bag.dropped.total()
            logger.warning(self._drops(), throttle_duration_sec=5.0)
        if bag.failure is not None:
            self._on_end()

    def _drops(self) -> str:
        dropped = self._bag.dropped
        return (f'{dropped.total()} messages were dropped, for the disk is too slow '
                f'({", ".join(f"{name} {count}" for name, count in dropped.items())}); record '
                'fewer topics, or raise queue_size')

    def _check_failure(self) -> None:
        failure = self._bag.failure
        if failure is not None:
            self.get_logger().error(f'recording stopped: {failure}')
            self.failures.append(failure)


def _deep(profile: QoSProfile) -> QoSProfile:
    """Return the profile with room for bursts."""
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, reliability=profile.reliability,
                      durability=profile.durability,
                      depth=profile.depth if latched else max(profile.depth, _DEEP))


def make_node(on_end: Callable[[], None]) -> Recorder:
    """Return the node, recording."""
    return Recorder(on_end)
