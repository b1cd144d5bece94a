# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim publishes. Nothing in here, or anywhere in its process, commands a robot."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from rclpy.time import Time as RosTime
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image, compressed_message
from kinema4d_ros.bridge.motion import duration_message, joint_state_message
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.msg import Candidates, PredictedFrame
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.shadow_sim.markers import verdict_markers
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Verdict
from kinema4d_ros.worker.protocol import Frame

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
}
#: what becomes of one predicted frame; without a reader of any of these it need not be made
OF_FRAMES = frozenset(topic for topic in TOPICS if topic.startswith(('predicted/', 'robot/')))
_DECIMATION = 4      # rows and columns of predicted/points for one of predicted/points/decimated


class Outputs:
    """
    The lifecycle publishers. A message is made only when somebody subscribes to its topic.

    Everything carries the observation's stamp, with one exception: predicted/joint_states is
    stamped when it is sent, since tf2 ignores a transform that repeats the stamp of the last,
    and the shadow robot in RViz2 would not move.
    """

    def __init__(self, node):
        """Create the publishers; they send once the node is active."""
        self._node = node
        self._publishers = {
            topic: node.create_lifecycle_publisher(kind, topic, profile)
            for topic, (kind, profile) in TOPICS.items()}
        self._static = node.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._node.destroy_publisher(self._static)

    def publish_frame(self, frame: Frame, *, rollout_id: str, stamp_ns: int, camera_frame: str,
                      root_link: str, in_frame: bool, values: Mapping[str, Any]) -> None:
        """
        Publish one predicted frame.

        :param in_frame: the camera is and stays at `camera_frame`. Points go out in the frame of
            the root link where it moves (its frame is where it is now, not where it will be) or is
            beside it, as the right one of a stereo pair is.
        """
        header = Header(stamp=time_message(stamp_ns), frame_id=camera_frame)
        wanted = self.wanted_of_frames()

        def cloud(points: np.ndarray, times_less: int = 1) -> PointCloud2:
            stride = values['cloud_stride'] * times_less
            if in_frame:
                return cloud_message(points, frame.image, header, stride=stride)
            T = frame.T_base_camera  # noqa: N806
            points = (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
            return cloud_message(points, frame.image,
                                 Header(stamp=header.stamp, frame_id=root_link), stride=stride)

        image = points = None
        if wanted & {'predicted/image', 'predicted/frame'}:
            image = array_to_image(frame.image, header)
        if wanted & {'predicted/points', 'predicted/frame'}:
            points = cloud(frame.pointmap)
        if 'predicted/frame' in wanted:
            carried = frame.carried_point_base
            x, y, z = (math.nan,) * 3 if carried is None else map(float, carried)
            sigma = Image() if frame.pointmap_sigma is None else array_to_image(
                frame.pointmap_sigma, header, '32FC1')
            self._publish('predicted/frame', PredictedFrame(
                header=header, rollout_id=rollout_id, index=frame.index, count=frame.count,
                time_from_start=duration_message(frame.time), image=image, points=points,
                mask=array_to_image(frame.robot_mask, header, 'mono8'),
                joints=joint_state_message(dict(frame.joint_positions),
                                           Header(stamp=header.stamp)),
                sigma=sigma, action_following=math.nan if frame.action_following is None
                else float(frame.action_following),
                carried_point=Point(x=x, y=y, z=z)))
        if 'predicted/image' in wanted:
            self._publish('predicted/image', image)
        if 'predicted/image/compressed' in wanted:
            self._publish('predicted/image/compressed', compressed_message(frame.image, header))
        if 'predicted/points' in wanted:
            self._publish('predicted/points', points)
        if 'predicted/points/decimated' in wanted:
            self._publish('predicted/points/decimated', cloud(frame.pointmap, _DECIMATION))
        if 'predicted/camera_info' in wanted:
            self._publish('predicted/camera_info', camera_info_message(frame.camera, header))
        if 'robot/points' in wanted:
            self._publish('robot/points', cloud(frame.robot_pointmap))
        if 'robot/mask' in wanted:
            self._publish('robot/mask', array_to_image(frame.exact_mask, header, 'mono8'))
        if 'predicted/joint_states' in wanted:
            now = self._node.get_clock().now().to_msg()
            self._publish('predicted/joint_states',
                          joint_state_message(dict(frame.joint_positions), Header(stamp=now)))

    def verdict_message(self, verdict: Verdict, *, rollout_id: str, root_link: str,
                        lifetime: float) -> VerdictMessage:
        """
        Return the message of a verdict.

        :param lifetime: [s] that it may be acted on, from the look at the world that it rests on,
            or from now where it rests on none.
        """
        header = Header(stamp=time_message(verdict.scene_stamp_ns), frame_id=root_link)
        since_ns = verdict.scene_stamp_ns or self._node.get_clock().now().nanoseconds
        message = verdict_message(verdict, header)
        message.rollout_id = rollout_id
        message.valid_until = time_message(since_ns + round(lifetime * 1e9))
        return message

    def publish_verdict(self, message: VerdictMessage) -> None:
        """Publish a verdict; it stays for late readers."""
        self._publish('verdict', message)

    def publish_markers(self, message: VerdictMessage, tool_path: np.ndarray | None = None
                        ) -> None:
        """
        Publish what RViz2 shows of a verdict; it stays for late readers.

        :param tool_path: where the motion takes the tool, (T, 3) [m] in the root link.
        """
        self._publish('verdict_markers', verdict_markers(message, tool_path))

    def publish_candidates(self, message: Candidates) -> None:
        """Publish the candidates of a goal; they stay for late readers."""
        self._publish('candidates', message)

    def publish_shadow_root(self, robot: Robot, prefix: str) -> None:
        """
        Tie the frames of the predicted robot to the live robot's root link.

        The frame `root` after the prefix is the same place, under a name that is the same for all
        robots; the RViz2 configuration uses it.
        """
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=robot.root_link)
        names = {robot.root_link} | ({'root'} - set(robot.link_names))
        self._static.publish(TFMessage(transforms=[
            transform_message(np.eye(4), header, prefix + name) for name in sorted(names)]))

    def wanted_of_frames(self) -> frozenset[str]:
        """Return which of the topics that frames go to have readers now."""
        return frozenset(topic for topic in OF_FRAMES
                         if self._publishers[topic].get_subscription_count())

    def _publish(self, topic: str, message) -> None:
        self._publishers[topic].publish(message)


def time_message(stamp_ns: int) -> Time:
    """Return nanoseconds as the message."""
    return RosTime(nanoseconds=stamp_ns).to_msg()
