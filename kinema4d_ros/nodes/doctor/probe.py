# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor's node: what it hears is what the checks look at."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.nodes.doctor.drift import DriftReports
from kinema4d_ros.nodes.shadow_sim.inputs import Inputs
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE

#: parameter -> forms of a topic of a camera: (value of the parameter, rest of the topic, type)
FORMS = {
    'image_transport': (('raw', 'image_raw', 'sensor_msgs/msg/Image'),
                        ('compressed', 'image_raw/compressed', 'sensor_msgs/msg/CompressedImage')),
    'depth_transport': (('raw', 'depth/image_raw', 'sensor_msgs/msg/Image'),
                        ('compressedDepth', 'depth/image_raw/compressedDepth',
                         'sensor_msgs/msg/CompressedImage'))}


def inputs_of(cameras: Sequence[str]) -> dict[str, tuple[str, QoSProfile | None, bool]]:
    """
    Return topic -> (type, QoS, is needed) of what comes in one form only.

    The QoS is what shadow_sim asks for, None for what the publisher offers.
    """
    return {
        'robot_description': ('std_msgs/msg/String', qos.ROBOT_DESCRIPTION, True),
        'joint_states': ('sensor_msgs/msg/JointState', qos.JOINT_STATES, True),
        **{f'{name}/camera_info': ('sensor_msgs/msg/CameraInfo', None, True) for name in cameras},
        'joint_trajectory': ('trajectory_msgs/msg/JointTrajectory', qos.TRAJECTORY, False)}


class HeardInfo(NamedTuple):
    """The newest calibration of a camera."""

    message: CameraInfo
    age: float          # [s] of its stamp when it came


class GraphProbe(NodeBase, Node):
    """
    A node that listens as shadow_sim would; it commands and publishes nothing.

    Parameters of shadow_sim that are given to it hold as they do there.
    """

    inputs: Inputs      # from `listen` on

    def __init__(self, context: rclpy.Context, arguments: Sequence[str]):
        """Make the node, subscribed to what comes in one form only; `listen` adds the camera."""
        super().__init__('kinema4d_doctor', context=context, cli_args=list(arguments),
                         enable_rosout=False, start_parameter_services=False)
        self.robot_text = ''
        self.joint_names: set[str] = set()
        self.infos: dict[str, HeardInfo] = {}      # by camera
        self.tree = TransformTree()
        self.drift = DriftReports(self)
        self.values = dict(TABLE.validate({
            name: self.get_parameter(name).value for name in self.list_parameters([], 0).names
            if TABLE.row(name) is not None}))
        self.cameras: tuple[str, ...] = self.values['cameras']
        self.create_subscription(String, 'robot_description', self._on_robot,
                                 qos.ROBOT_DESCRIPTION)
        self.create_subscription(JointState, 'joint_states', self._on_joints, qos.JOINT_STATES)
        for name in self.cameras:
            self.create_subscription(
                CameraInfo, f'{name}/camera_info', partial(self._on_info, name),
                qos.camera(self, f'{name}/camera_info', 'best_effort'))

    def publishers(self, topic: str) -> list[TopicEndpointInfo]:
        """Return the endpoints that publish on a topic of this package."""
        return self.get_publishers_info_by_topic(self.resolve_topic_name(topic))

    def is_silent(self) -> bool:
        """Return whether nobody publishes anything that shadow_sim subscribes to."""
        topics = [*inputs_of(self.cameras), *(
            form[1] for _, _, forms in self.forms() for form in forms)]
        return not any(self.publishers(topic) for topic in topics)

    def forms(self) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
        """Yield (parameter, camera, its forms: value of the parameter, topic and type)."""
        for name in self.cameras:
            for parameter, forms in FORMS.items():
                yield parameter, name, [(value, f'{name}/{rest}', kind)
                                        for value, rest, kind in forms]

    def named(self, check: str, camera: str) -> str:
        """Return the name of a check of a camera, with that of the camera where there are more."""
        return check if len(self.cameras) == 1 else f'{check} ({camera})'

    def listen(self) -> None:
        """Subscribe to the cameras, in the form in which each is published."""
        for parameter, name, forms in self.forms():
            there = [value for value, topic, _ in forms if self.publishers(topic)]
            self.values[f'{name}.{parameter}'] = there[0] if there else (
                'none' if parameter == 'depth_transport' else 'raw')
        self.inputs = Inputs(self, self.values, self.tree)

    def _on_robot(self, message: String) -> None:
        self.robot_text = message.data

    def _on_joints(self, message: JointState) -> None:
        self.joint_names.update(message.name)

    def _on_info(self, camera: str, message: CameraInfo) -> None:
        age_ns = self.get_clock().now().nanoseconds - stamp_ns(message.header.stamp)
        self.infos[camera] = HeardInfo(message, age_ns * 1e-9)
