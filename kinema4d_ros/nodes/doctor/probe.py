# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor's node: what it hears is what the checks look at."""
from __future__ import annotations

from collections.abc import Sequence

import rclpy
from rclpy.node import Node
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

#: topic -> (type, QoS that shadow_sim asks for, None for what the publisher offers; is needed)
INPUTS = {
    'robot_description': ('std_msgs/msg/String', qos.ROBOT_DESCRIPTION, True),
    'joint_states': ('sensor_msgs/msg/JointState', qos.JOINT_STATES, True),
    'camera/camera_info': ('sensor_msgs/msg/CameraInfo', None, True),
    'joint_trajectory': ('trajectory_msgs/msg/JointTrajectory', qos.TRAJECTORY, False)}
#: topic -> its forms: (value of the parameter, topic, type)
FORMS = {
    'image_transport': (('raw', 'camera/image_raw', 'sensor_msgs/msg/Image'),
                        ('compressed', 'camera/image_raw/compressed',
                         'sensor_msgs/msg/CompressedImage')),
    'depth_transport': (('raw', 'camera/depth/image_raw', 'sensor_msgs/msg/Image'),
                        ('compressedDepth', 'camera/depth/image_raw/compressedDepth',
                         'sensor_msgs/msg/CompressedImage'))}


class GraphProbe(NodeBase, Node):
    """A node that listens as shadow_sim would; it commands and publishes nothing."""

    inputs: Inputs      # from `listen` on

    def __init__(self, context: rclpy.Context, arguments: Sequence[str]):
        """Make the node, subscribed to what comes in one form only; `listen` adds the camera."""
        super().__init__('kinema4d_doctor', context=context, cli_args=list(arguments),
                         enable_rosout=False, start_parameter_services=False)
        self.robot_text = ''
        self.joint_names: set[str] = set()
        self.info: CameraInfo | None = None
        self.info_age = 0.0          # [s] of its stamp when it came
        self.tree = TransformTree()
        self.drift = DriftReports(self)
        self.values = dict(TABLE.validate({}))
        self.create_subscription(String, 'robot_description', self._on_robot,
                                 qos.ROBOT_DESCRIPTION)
        self.create_subscription(JointState, 'joint_states', self._on_joints, qos.JOINT_STATES)
        self.create_subscription(CameraInfo, 'camera/camera_info', self._on_info,
                                 qos.camera(self, 'camera/camera_info', 'best_effort'))

    def publishers(self, topic: str) -> list[TopicEndpointInfo]:
        """Return the endpoints that publish on a topic of this package."""
        return self.get_publishers_info_by_topic(self.resolve_topic_name(topic))

    def is_silent(self) -> bool:
        """Return whether nobody publishes anything that shadow_sim subscribes to."""
        topics = [*INPUTS, *(form[1] for forms in FORMS.values() for form in forms)]
        return not any(self.publishers(topic) for topic in topics)

    def listen(self) -> None:
        """Subscribe to the camera, in the form in which it is published."""
        for parameter, forms in FORMS.items():
            there = [value for value, topic, _ in forms if self.publishers(topic)]
            self.values[parameter] = there[0] if there else (
                'none' if parameter == 'depth_transport' else 'raw')
        self.inputs = Inputs(self, self.values, self.tree, self.default_callback_group)

    def _on_robot(self, message: String) -> None:
        self.robot_text = message.data

    def _on_joints(self, message: JointState) -> None:
        self.joint_names.update(message.name)

    def _on_info(self, message: CameraInfo) -> None:
        self.info = message
        self.info_age = (self.get_clock().now().nanoseconds - stamp_ns(message.header.stamp)) * 1e-9
