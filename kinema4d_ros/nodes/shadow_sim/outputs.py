# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim publishes. Nothing in here, or anywhere in its process, commands a robot."""
from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Point
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image, compressed_message
from kinema4d_ros.bridge.motion import duration_message, joint_state_message, time_message
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.msg import Candidates, LocalClearance, PredictedFrame
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.shadow_sim.camera_input import FramedView
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.markers import verdict_markers
from kinema4d_ros.nodes.shadow_sim.output_topics import OF_FRAMES, topic_of, TOPICS, topics
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import PredictedFrame as Predicted
from kinema4d_ros.types import PredictedView, Verdict
from kinema4d_ros.worker.rollout_frame import RobotFrame, RolloutFrame

_DECIMATION = 4      # rows and columns of predicted/points for one of predicted/points/decimated


class Rollout(NamedTuple):
    """What the frames of one prediction have in common."""

    id: str
    observed: FramedObservation     # that the prediction starts from
    cloud_stride: int               # of rows and columns of the clouds that are published


class _Shown:
    """What one camera would see of one frame, as messages that are made once."""

    def __init__(self, framed: FramedView, predicted: Predicted | PredictedView | None,
                 robot: RobotFrame, rollout: Rollout, clouds: dict[str, PointCloud2]) -> None:
        """
        Take what is to be shown.

        :param predicted: None of a world model that does not predict this camera.
        :param clouds: of the frame before, by name of the camera: they are written over.
        """
        self._clouds = clouds
        self.framed, self.predicted, self.robot, self._rollout = framed, predicted, robot, rollout
        observed = rollout.observed
        self.header = Header(stamp=time_message(observed.observation.stamp_ns),
                             frame_id=framed.frame)

    @functools.cached_property
    def image(self) -> Image:
        """The predicted image, where there is one."""
        assert self.predicted is not None
        return array_to_image(self.predicted.image, self.header)

    @functools.cached_property
    def points(self) -> PointCloud2:
        """The predicted points, where there are some."""
        assert self.predicted is not None
        name = self.framed.view.name
        self._clouds[name] = cloud = self.cloud(self.predicted.pointmap,
                                                again=self._clouds.get(name))
        return cloud

    def whole(self, frame: RolloutFrame) -> PredictedFrame:
        """Return the message of all that is predicted of this camera, and of the frame."""
        of_all, seen = frame.predicted, self.predicted
        assert seen is not None
        carried, sigma = of_all.carried_point_base, getattr(seen, 'pointmap_sigma', None)
        x, y, z = (math.nan,) * 3 if carried is None else map(float, carried)
        return PredictedFrame(
            header=self.header, rollout_id=self._rollout.id, index=of_all.index,
            count=of_all.count, time_from_start=duration_message(of_all.time), image=self.image,
            points=self.points, mask=array_to_image(seen.robot_mask, self.header, 'mono8'),
            joints=joint_state_message(dict(frame.robot.joint_positions),
                                       Header(stamp=self.header.stamp)),
            sigma=Image() if sigma is None else array_to_image(sigma, self.header, '32FC1'),
            action_following=math.nan if of_all.action_following is None
            else float(of_all.action_following),
            carried_point=Point(x=x, y=y, z=z))

    def cloud(self, points: np.ndarray, times_less: int = 1,
              again: PointCloud2 | None = None) -> PointCloud2:
        """Return the cloud of points (H, W, 3) [m] of the camera, in the colours of the frame."""
        stride = self._rollout.cloud_stride * times_less
        colors = None if self.predicted is None else self.predicted.image
        if self.framed.is_in_frame:
            return cloud_message(points, colors, self.header, stride=stride, again=again)
        T = self.robot.T_base_camera  # noqa: N806
        points = (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
        return cloud_message(points, colors, Header(
            stamp=self.header.stamp, frame_id=self._rollout.observed.root_link), stride=stride,
            again=again)


class Outputs:
    """
    The lifecycle publishers. A message is made only when somebody subscribes to its topic.

    Everything carries the observation's stamp, with one exception: predicted/joint_states is
    stamped when it is sent, since tf2 ignores a transform that repeats the stamp of the last,
    and the shadow robot in RViz2 would not move.
    """

    def __init__(self, node: LifecycleNode, cameras: Sequence[str]) -> None:
        """
        Create the publishers; they send once the node is active.

        :param cameras: their names.
        """
        self._node = node
        self._publishers = {
            topic: node.create_lifecycle_publisher(kind, topic, profile)
            for topic, (kind, profile) in topics(cameras).items()}
        self._of_frames = OF_FRAMES | {topic for topic in self._publishers if topic not in TOPICS}
        self._clouds: dict[str, PointCloud2] = {}     # the last of each camera
        self._static = node.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._node.destroy_publisher(self._static)

    def publish_frame(self, frame: RolloutFrame, rollout: Rollout) -> None:
        """
        Publish one predicted frame, as each camera would see it.

        Points go out in the camera's frame, or in that of the root link where the camera moves
        (its frame is where it is now, not where it will be) or is beside its frame, as the right
        one of a stereo pair is.
        """
        observed, predicted, robot = rollout.observed, frame.predicted, frame.robot
        wanted, first = self.wanted_of_frames(), observed.framed[0]
        shown = _Shown(first, predicted, robot, rollout, self._clouds)
        self._publish_view('', shown, frame, wanted)
        views = {view.name: view for view in predicted.others}
        for each in observed.framed if len(wanted - OF_FRAMES) else ():
            name = each.view.name
            if each is first:
                self._publish_view(name, shown, frame, wanted)
            elif name in frame.others:
                self._publish_view(name, _Shown(each, views.get(name), frame.others[name],
                                                rollout, self._clouds), frame, wanted)
        if 'predicted/joint_states' in wanted:
            now = self._node.get_clock().now().to_msg()
            self._publish('predicted/joint_states',
                          joint_state_message(dict(robot.joint_positions), Header(stamp=now)))

    def _publish_view(self, camera: str, shown: _Shown, frame: RolloutFrame,
                      wanted: frozenset[str]) -> None:
        """
        Publish what one camera would see of a frame.

        :param camera: for the topics of its name; '' for those without one.
        """
        make: dict[str, Callable[[], Any]] = {
            'robot/points': lambda: shown.cloud(shown.robot.pointmap),
            'robot/mask': lambda: array_to_image(shown.robot.mask, shown.header, 'mono8'),
            'predicted/camera_info': lambda: camera_info_message(
                shown.robot.camera, shown.header)}
        predicted = shown.predicted
        if predicted is not None:
            make |= {'predicted/frame': lambda: shown.whole(frame),
                     'predicted/image': lambda: shown.image,
                     'predicted/points': lambda: shown.points,
                     'predicted/image/compressed': lambda: compressed_message(
                         predicted.image, shown.header),
                     'predicted/points/decimated': lambda: shown.cloud(
                         predicted.pointmap, _DECIMATION)}
        for topic, message in make.items():
            if (name := topic_of(topic, camera)) in wanted:
                self._publish(name, message())

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

    def is_wanted(self, topic: str) -> bool:
        """Return whether a topic has readers now."""
        return bool(self._publishers[topic].get_subscription_count())

    def publish_local_clearance(self, message: LocalClearance) -> None:
        """Publish the free space around the robot."""
        self._publish('local_clearance', message)

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
        return frozenset(topic for topic in self._of_frames
                         if self._publishers[topic].get_subscription_count())

    def _publish(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)
