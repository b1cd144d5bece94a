# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The topics that shadow_sim publishes.

Apart from what fills them: a recorder needs to know them, and nothing of pictures and robots, which
is 25 MB.
"""
from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, PointCloud2
from visualization_msgs.msg import MarkerArray

from kinema4d_ros.bridge import qos
from kinema4d_ros.msg import Candidates, LocalClearance, PredictedFrame
from kinema4d_ros.msg import Verdict as VerdictMessage

#: topic -> (type, QoS); all relative, so that a namespace moves them together
TOPICS = {
    'predicted/frame': (PredictedFrame, qos.PREDICTED_FRAMES),
    'predicted/image': (Image, qos.PREDICTION),
    'predicted/image/compressed': (CompressedImage, qos.PREDICTION),
    'predicted/points': (PointCloud2, qos.PREDICTION),
    'predicted/points/decimated': (PointCloud2, qos.PREDICTION),
    'predicted/camera_info': (CameraInfo, qos.PREDICTION),
    'predicted/joint_states': (JointState, qos.PREDICTION),
    'robot/points': (PointCloud2, qos.PREDICTION),
    'robot/mask': (Image, qos.PREDICTION),
    'verdict': (VerdictMessage, qos.VERDICT),
    'verdict_markers': (MarkerArray, qos.MARKERS),
    'candidates': (Candidates, qos.CANDIDATES),
    'local_clearance': (LocalClearance, qos.LOCAL_CLEARANCE),
}
#: what becomes of one predicted frame; without a reader of any of these it need not be made
OF_FRAMES = frozenset(topic for topic in TOPICS if topic.startswith(('predicted/', 'robot/')))
#: those of them that show what one camera sees
OF_VIEWS = OF_FRAMES - {'predicted/joint_states'}


def topics(cameras: Sequence[str]) -> dict[str, tuple[type, QoSProfile]]:
    """
    Return topic -> (type, QoS) of all that is published with these cameras.

    Of several, each has its views on topics of its own, as predicted/NAME/image; those without a
    name show the first camera that is of use.
    """
    return TOPICS | ({topic_of(topic, name): TOPICS[topic] for name in cameras
                      for topic in sorted(OF_VIEWS)} if len(cameras) > 1 else {})


def topic_of(topic: str, camera: str) -> str:
    """Return the topic of one of several cameras, the given one where that is ''."""
    first, _, rest = topic.partition('/')
    return f'{first}/{camera}/{rest}' if camera else topic
