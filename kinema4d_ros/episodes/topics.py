# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics of an episode, their message types, and which of them are latched."""
from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from rosbags.interfaces import (Qos, QosDurability, QosHistory, QosLiveliness, QosReliability,
                                QosTime)
from rosbags.typesys import get_typestore, Stores

from kinema4d_ros.errors import EpisodeError

#: message definitions of ROS 2 Jazzy; makes and (de)serialises messages without ROS
typestore = get_typestore(Stores.ROS2_JAZZY)


class Topic(enum.StrEnum):
    """Where things are in an episode; `/truth` is for comparing, never an input."""

    METADATA = '/episode/metadata'
    ROBOT_DESCRIPTION = '/robot_description'
    TF_STATIC = '/tf_static'
    TF = '/tf'
    CAMERA_INFO = '/camera/camera_info'
    IMAGE = '/camera/image_raw/compressed'
    DEPTH = '/camera/depth/image_raw/compressedDepth'
    JOINT_STATES = '/joint_states'
    TRAJECTORY = '/joint_trajectory'
    TRUTH_TF = '/truth/tf'
    TRUTH_ROBOT_MASK = '/truth/robot_mask/compressed'
    TRUTH_CLEARANCE = '/truth/clearance'
    # of 4D episodes: the robot drawn as its joints and the camera say, and how all was made
    RENDERED_IMAGE = '/rendered/robot/compressed'
    RENDERED_DEPTH = '/rendered/robot_depth/compressedDepth'
    RENDERED_LINKS = '/rendered/link_id/compressed'
    CURATION = '/rendered/curation'


#: topics in the order in which messages of one stamp are stored: the trajectory comes when
#: everything that it was made from is known
TYPES = {
    Topic.METADATA: 'std_msgs/msg/String',
    Topic.ROBOT_DESCRIPTION: 'std_msgs/msg/String',
    Topic.TF_STATIC: 'tf2_msgs/msg/TFMessage',
    Topic.TF: 'tf2_msgs/msg/TFMessage',
    Topic.CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
    Topic.JOINT_STATES: 'sensor_msgs/msg/JointState',
    Topic.IMAGE: 'sensor_msgs/msg/CompressedImage',
    Topic.DEPTH: 'sensor_msgs/msg/CompressedImage',
    Topic.TRUTH_TF: 'tf2_msgs/msg/TFMessage',
    Topic.TRUTH_ROBOT_MASK: 'sensor_msgs/msg/CompressedImage',
    Topic.TRUTH_CLEARANCE: 'std_msgs/msg/String',
    Topic.RENDERED_IMAGE: 'sensor_msgs/msg/CompressedImage',
    Topic.RENDERED_DEPTH: 'sensor_msgs/msg/CompressedImage',
    Topic.RENDERED_LINKS: 'sensor_msgs/msg/CompressedImage',
    Topic.CURATION: 'std_msgs/msg/String',
    Topic.TRAJECTORY: 'trajectory_msgs/msg/JointTrajectory',
}

LATCHED = frozenset({Topic.METADATA, Topic.ROBOT_DESCRIPTION, Topic.TF_STATIC, Topic.CURATION})
REQUIRED = frozenset({Topic.METADATA, Topic.ROBOT_DESCRIPTION, Topic.CAMERA_INFO, Topic.IMAGE,
                      Topic.JOINT_STATES, Topic.TRAJECTORY})

_NO_CAMERAS = frozenset(topic.split('/')[1] for topic in Topic) - {'camera'}
#: the first camera of an episode, and the only one of most
CAMERA = 'camera'


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera of an episode: those of `Topic` for the first, else below its name."""

    name: str = CAMERA

    def __post_init__(self) -> None:
        """Refuse a name that begins no topic, or those of something else."""
        if not re.fullmatch(r'[A-Za-z]\w*', self.name) or self.name in _NO_CAMERAS:
            raise EpisodeError(f'{self.name!r} names no camera of an episode: its topics are '
                               f'/NAME/image_raw and so on; use letters, digits and _, and none of '
                               f'{", ".join(sorted(_NO_CAMERAS))}')

    @property
    def image(self) -> str:
        """Colour images."""
        return f'/{self.name}/image_raw/compressed'

    @property
    def depth(self) -> str:
        """Depth, registered to the colour images."""
        return f'/{self.name}/depth/image_raw/compressedDepth'

    @property
    def camera_info(self) -> str:
        """Calibration."""
        return f'/{self.name}/camera_info'

    @property
    def robot_mask(self) -> str:
        """Where the robot truly is in the image."""
        return str(Topic.TRUTH_ROBOT_MASK) if self.name == CAMERA \
            else f'/truth/{self.name}/robot_mask/compressed'

    @property
    def by_topic(self) -> dict[str, Topic]:
        """The topic of the first camera that each of these corresponds to."""
        return {self.image: Topic.IMAGE, self.depth: Topic.DEPTH,
                self.camera_info: Topic.CAMERA_INFO, self.robot_mask: Topic.TRUTH_ROBOT_MASK}


def of_first(topic: str) -> Topic:
    """
    Return the topic of the first camera that a topic of some camera corresponds to, else itself.

    :raises EpisodeError: no camera can be called so.
    :raises KeyError: an episode has no such topic.
    """
    if topic in TYPES:
        return Topic(topic)
    head, _, rest = topic.removeprefix('/').partition('/')
    return CameraTopics(rest.partition('/')[0] if head == 'truth' else head).by_topic[topic]


def type_of(topic: str) -> str:
    """Return the type of an episode's topic, such as sensor_msgs/msg/CompressedImage."""
    return TYPES[of_first(topic)]


def offered_qos(topic: str) -> Qos:
    """Return the QoS with which a bag player is to publish the topic."""
    forever = QosTime(0, 0)
    latched = topic in LATCHED
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE,
               QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
               forever, forever, QosLiveliness.AUTOMATIC, forever,
               avoid_ros_namespace_conventions=False)
