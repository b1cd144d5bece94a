# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics of an episode, their message types, and which of them are latched."""
from __future__ import annotations

import enum

from rosbags.interfaces import (Qos, QosDurability, QosHistory, QosLiveliness, QosReliability,
                                QosTime)
from rosbags.typesys import get_typestore, Stores

#: message definitions of ROS 2 Jazzy; makes and (de)serialises messages without ROS
typestore = get_typestore(Stores.ROS2_JAZZY)


class Topic(enum.StrEnum):
    """Where things are in an episode; `/truth` is for comparing, never an input."""

    METADATA = '/episode/metadata'
    ROBOT_DESCRIPTION = '/robot_description'
    TF_STATIC = '/tf_static'
    CAMERA_INFO = '/camera/camera_info'
    IMAGE = '/camera/image_raw/compressed'
    DEPTH = '/camera/depth/image_raw/compressedDepth'
    JOINT_STATES = '/joint_states'
    TRAJECTORY = '/joint_trajectory'
    TRUTH_TF = '/truth/tf'
    TRUTH_ROBOT_MASK = '/truth/robot_mask/compressed'
    TRUTH_CLEARANCE = '/truth/clearance'


#: topics in the order in which messages of one stamp are stored: the trajectory comes when
#: everything that it was made from is known
TYPES = {
    Topic.METADATA: 'std_msgs/msg/String',
    Topic.ROBOT_DESCRIPTION: 'std_msgs/msg/String',
    Topic.TF_STATIC: 'tf2_msgs/msg/TFMessage',
    Topic.CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
    Topic.JOINT_STATES: 'sensor_msgs/msg/JointState',
    Topic.IMAGE: 'sensor_msgs/msg/CompressedImage',
    Topic.DEPTH: 'sensor_msgs/msg/CompressedImage',
    Topic.TRUTH_TF: 'tf2_msgs/msg/TFMessage',
    Topic.TRUTH_ROBOT_MASK: 'sensor_msgs/msg/CompressedImage',
    Topic.TRUTH_CLEARANCE: 'std_msgs/msg/String',
    Topic.TRAJECTORY: 'trajectory_msgs/msg/JointTrajectory',
}

LATCHED = frozenset({Topic.METADATA, Topic.ROBOT_DESCRIPTION, Topic.TF_STATIC})
REQUIRED = frozenset({Topic.METADATA, Topic.ROBOT_DESCRIPTION, Topic.CAMERA_INFO, Topic.IMAGE,
                      Topic.JOINT_STATES, Topic.TRAJECTORY})


def offered_qos(topic: Topic) -> Qos:
    """Return the QoS with which a bag player is to publish the topic."""
    forever = QosTime(0, 0)
    latched = topic in LATCHED
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE,
               QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
               forever, forever, QosLiveliness.AUTOMATIC, forever,
               avoid_ros_namespace_conventions=False)
