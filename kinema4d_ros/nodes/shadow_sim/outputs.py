# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim publishes. Nothing in here, or anywhere in its process, commands a robot."""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Point
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image, compressed_message
from kinema4d_ros.bridge.motion import duration_message, joint_state_message, time_message
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.msg import Candidates, PredictedFrame
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.markers import verdict_markers
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Verdict
from kinema4d_ros.worker.rollout_frame import RolloutFrame

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


class Rollout(NamedTuple):
    """What the frames of one prediction have in common."""

    id: str
    observed: FramedObservation     # that the prediction starts from
    cloud_stride: int               # of rows and columns of the clouds that are published


class Outputs:
    """
    The lifecycle publishers. A message is made only when somebody subscribes to its topic.

    Everything carries the observation's stamp, with one exception: predicted/joint_states is
    stamped when it is sent, since tf2 ignores a transform that repeats the stamp of the last,
    and the shadow robot in RViz2 would not move.
    """

    def __init__(self, node: LifecycleNode) -> None:
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

    def publish_frame(self, frame: RolloutFrame, rollout: Rollout) -> None:
        """
        Publish one predicted frame.

        Points go out in the camera's frame, or in that of the root link where the camera moves
        (its frame is where it is now, not where it will be) or is beside its frame, as the right
        one of a stereo pair is.
        """
        observed, predicted, robot = rollout.observed, frame.predicted, frame.robot
        header = Header(stamp=time_message(observed.observation.stamp_ns), frame_id=observed.frame)
        wanted = self.wanted_of_frames()

        def cloud(points: np.ndarray, times_less: int = 1) -> PointCloud2:
            stride = rollout.cloud_stride * times_less
            if observed.is_in_frame:
                return cloud_message(points, predicted.image, header, stride=stride)
            T = robot.T_base_camera  # noqa: N806
            points = (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
            return cloud_message(
                points, predicted.image,
                Header(stamp=header.stamp, frame_id=observed.root_link), stride=stride)

        image = points = None
        if wanted & {'predicted/image', 'predicted/frame'}:
            image = array_to_image(predicted.image, header)
        if wanted & {'predicted/points', 'predicted/frame'}:
            points = cloud(predicted.pointmap)
        if 'predicted/frame' in wanted:
            carried = predicted.carried_point_base
            x, y, z = (math.nan,) * 3 if carried is None else map(float, carried)
            sigma = Image() if predicted.pointmap_sigma is None else array_to_image(
                predicted.pointmap_sigma, header, '32FC1')
            self._publish('predicted/frame', PredictedFrame(
                header=header, rollout_id=rollout.id, index=predicted.index, count=predicted.count,
                time_from_start=duration_message(predicted.time), image=image, points=points,
                mask=array_to_image(predicted.robot_mask, header, 'mono8'),
                joints=joint_state_message(dict(robot.joint_positions),
                                           Header(stamp=header.stamp)),
                sigma=sigma, action_following=math.nan if predicted.action_following is None
                else float(predicted.action_following),
                carried_point=Point(x=x, y=y, z=z)))
        if 'predicted/image' in wanted:
            self._publish('predicted/image', image)
        if 'predicted/image/compressed' in wanted:
            self._publish('predicted/image/compressed', compressed_message(predicted.image, header))
        if 'predicted/points' in wanted:
            self._publish('predicted/points', points)
        if 'predicted/points/decimated' in wanted:
            self._publish('predicted/points/decimated', cloud(predicted.pointmap, _DECIMATION))
        if 'predicted/camera_info' in wanted:
            self._publish('predicted/camera_info', camera_info_message(robot.camera, header))
        if 'robot/points' in wanted:
            self._publish('robot/points', cloud(robot.pointmap))
        if 'robot/mask' in wanted:
            self._publish('robot/mask', array_to_image(robot.mask, header, 'mono8'))
        if 'predicted/joint_states' in wanted:
            now = self._node.get_clock().now().to_msg()
            self._publish('predicted/joint_states',
                          joint_state_message(dict(robot.joint_positions), Header(stamp=now)))

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

    def _publish(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)
