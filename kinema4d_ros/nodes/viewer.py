# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node viewer: a web page that shows robot, scene, predicted future and verdict."""
from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage
from visualization_msgs.msg import Marker, MarkerArray

from kinema4d_ros.bridge import images, qos
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.graph import IncompatiblePublishers
from kinema4d_ros.bridge.motion import (duration_seconds, joint_positions, stamp_ns,
                                        trajectory_from_message)
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.parameters import Parameter, ParameterTable
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.bridge.verdicts import verdict_from_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.msg import Candidates, Decision, PredictedFrame
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.launcher import LAUNCHER_PID
from kinema4d_ros.nodes.shadow_sim.camera_parameters import (extrinsics_of, OF_CAMERA,
                                                             why_not_cameras)
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.inputs import Inputs
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE as SHADOW_SIM_TABLE, TABLE_ROWS
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory
from kinema4d_ros.viewer import (CandidateTrajectory, ChunkState, FutureFrame, LedgerReader,
                                 meshes_to_show, OtherPicture, read_token, small, Viewer,
                                 who_may_reach)

#: what is seen is found as shadow_sim finds it, so these are the same in both nodes
_SHARED = ('cameras', 'image_transport', 'depth_transport', 'camera_reliability', 'camera_frame',
           'extrinsics', 'frame_prefix', 'fixed_joints.<joint>', 'joint_agreement',
           'max_input_age', 'sync_tolerance', 'package_paths')
#: as verdicts are published, but none is lost where several come at once
_VERDICTS = QoSProfile(depth=50, reliability=qos.VERDICT.reliability,
                       durability=qos.VERDICT.durability)
# It takes long, so not while the node is made, when Ctrl-C has to wait; that it is missing is said
# by the one that needs it.
with contextlib.suppress(ImportError):
    importlib.import_module('viser')

#: what a gate decided -> what became of the chunk
_STATES = {Decision.FORWARD: ChunkState.PASSED, Decision.REFUSE: ChunkState.REFUSED,
           Decision.STOP: ChunkState.REFUSED, Decision.HOLD: ChunkState.ASKED,
           Decision.ASK: ChunkState.ASKED, Decision.CANCEL: ChunkState.REFUSED}
_REFRESH = 1.0      # [s] between two looks for new publishers

TABLE = ParameterTable((
    Parameter('host', str, '127.0.0.1',
              'Address to listen on; one that other machines reach, such as 0.0.0.0, needs a token',
              read_only=True),
    Parameter('token_file', str, '', 'File, readable by you alone, with the token that browsers '
              'must show as ADDRESS/?token=TOKEN; empty for the environment variable '
              'KINEMA4D_VIEWER_TOKEN, or none', read_only=True),
    Parameter('allowed_hosts', list[str], (), 'Names that the page may be asked for by, besides '
              "addresses, localhost and the machine's own; such as that of a proxy",
              read_only=True),
    Parameter('port', int, 8080, 'Port of the page; the next free one where it is in use',
              minimum=1, maximum=65535, read_only=True),
    Parameter('rate', float, 20.0, 'How often the page is brought up to date', unit='Hz',
              minimum=1.0, maximum=60.0, read_only=True),
    Parameter('camera_rate', float, 10.0, 'How often the camera picture is', unit='Hz',
              minimum=0.1, maximum=30.0, read_only=True),
    Parameter('scene_rate', float, 2.0, 'How often the observed cloud is; 0.0 never', unit='Hz',
              minimum=0.0, maximum=30.0, read_only=True),
    Parameter('point_budget', int, 100_000, 'Points of a cloud at most; a tenth where the browser '
              'has no GPU', minimum=100,
              maximum=5_000_000, read_only=True),
    Parameter('point_size', float, 0.004, 'Size of a predicted point', unit='m', minimum=0.0001,
              maximum=0.1, read_only=True),
    Parameter('kept', int, 6, 'Predictions that can be looked at again', minimum=2, maximum=100,
              read_only=True),
    Parameter('shadow_sims', list[str], (), 'Namespaces of the shadow_sim nodes to listen to, '
              'such as kinematic and frozen, to compare world models; empty for the own one',
              read_only=True),
    Parameter('decisions', list[str], ('trajectory_gate/decision',), 'Topics of the gates that say '
              'what becomes of a chunk, for the colours of the last ones', read_only=True),
    Parameter('ledger', str, '', 'File of the trust ledger that shadow_sim writes on this machine, '
              'to show on the page; empty for none', read_only=True),
    LAUNCHER_PID,
    *(replace(row, read_only=True) for row in TABLE_ROWS
      if row.name in _SHARED or row in OF_CAMERA)),
    rules=(why_not_cameras,), shares_files_with=SHADOW_SIM_TABLE)


class ViewerNode(NodeBase, Node):
    """Passes what it subscribes to on to the page; it publishes and commands nothing."""

    def __init__(self) -> None:
        """Declare the parameters, open the page and subscribe."""
        super().__init__('viewer')
        TABLE.declare(self)
        values = self._values = TABLE.snapshot(self)
        self.failures: list[Exception] = []
        self._robot: Robot | None = None
        self._robot_text = ''
        self._finder: CameraFinder | None = None
        self._candidates: dict[str, Candidates] = {}     # the newest of each shadow_sim
        self._ticked = self._observed = self._made_scene = time.monotonic()
        token = read_token(values['token_file'])
        self._viewer = Viewer(**{name: values[name] for name in (
            'host', 'port', 'allowed_hosts', 'point_budget', 'point_size', 'kept')}, token=token)
        inputs, results, page, slow = (MutuallyExclusiveCallbackGroup() for _ in range(4))
        self._tree = TransformTree()
        self._inputs = Inputs(self, values, self._tree)
        self.create_subscription(String, 'robot_description', self._on_robot_description,
                                 qos.ROBOT_DESCRIPTION, callback_group=slow)
        for source in values['shadow_sims'] or ('',):
            for topic, kind, profile, take in (
                    ('predicted/frame', PredictedFrame, qos.PREDICTED_FRAMES, self._on_frame),
                    ('verdict', VerdictMessage, _VERDICTS, self._on_verdict),
                    ('candidates', Candidates, qos.CANDIDATES, self._on_candidates),
                    ('verdict_markers', MarkerArray, qos.MARKERS, self._on_markers)):
                self.create_subscription(
                    kind, f'{source}/{topic}' if source else topic,
                    partial(take, source=source), profile, callback_group=results)
            for camera in values['cameras'][1:]:
                self.create_subscription(
                    PredictedFrame, '/'.join(filter(None, (source, 'predicted', camera, 'frame'))),
                    partial(self._on_view, camera=camera, source=source), qos.PREDICTED_FRAMES,
                    callback_group=results)
        for topic in values['decisions']:
            self.create_subscription(Decision, topic, self._on_decision, qos.DECISIONS,
                                     callback_group=results)
        if values['ledger']:
            self._ledger = LedgerReader(values['ledger'])
            self.create_timer(_REFRESH, self._on_ledger, callback_group=slow)
        self.create_timer(1.0 / values['rate'], self._on_tick, callback_group=page)
        self.create_timer(_REFRESH, self._inputs.refresh, callback_group=inputs)
        self.create_timer(_REFRESH, IncompatiblePublishers(self).look, callback_group=slow)
        self.get_logger().info(f'open {self._viewer.address} in a browser; it can be reached by '
                               f'{who_may_reach(values["host"], token)}')

    def quit(self) -> None:
        """Do nothing: no callback of this node blocks."""

    def close(self) -> None:
        """Close the page."""
        self._inputs.close()
        self._viewer.close()

    # ------------------------------------------------------------------ callbacks

    def _on_robot_description(self, message: String) -> None:
        """Show another robot; the same description again changes nothing."""
        if message.data == self._robot_text:
            return
        try:
            robot = Robot.from_urdf(message.data, package_paths=self._values['package_paths'])
            meshes = meshes_to_show(robot)
            finder = CameraFinder(robot, extrinsics_of(self._values), self._tree,
                                  self._values['frame_prefix'])
            self._viewer.set_robot(robot, meshes)
        except Kinema4DError as error:
            self.get_logger().error(f'robot_description is refused: {error}')
            return
        is_first = self._robot is None
        self._robot_text, self._finder, self._robot = message.data, finder, robot
        for source, candidates in self._candidates.items() if is_first else ():
            self._on_candidates(candidates, source)      # they may have come before the robot
        for warning in meshes.warnings:
            self.get_logger().warning(f'robot_description: {warning}')

    def _on_frame(self, message: PredictedFrame, source: str) -> None:
        """Convert a predicted frame for the page; before there is a robot it is dropped."""
        robot, finder = self._robot, self._finder
        if robot is None or finder is None:
            return
        try:
            joints = joint_positions(message.joints)
            points, colors = cloud_to_arrays(message.points)
            image, mask = images.rgb_image(message.image), images.image_to_array(message.mask)
            stride = -(-mask.shape[0] // points.shape[0])
            poses = {frame: finder.find(frame, joints).T_base_camera
                     for frame in {message.header.frame_id, message.points.header.frame_id}}
            self._viewer.add_frame(message.rollout_id, FutureFrame.thinned(
                self._values['point_budget'], index=message.index, count=message.count,
                time=duration_seconds(message.time_from_start),
                stamp_ns=stamp_ns(message.header.stamp),
                points=points,
                colors=image[::stride, ::stride] if colors is None else colors,
                robot_mask=mask[::stride, ::stride] > 0, image=image, joint_positions=joints,
                T_base_cloud=poses[message.points.header.frame_id],
                T_base_camera=poses[message.header.frame_id]), source)
        except Kinema4DError as error:
            self.get_logger().warning(f'a predicted frame is not shown: {error}',
                                      throttle_duration_sec=5.0)

    def _on_view(self, message: PredictedFrame, camera: str, source: str) -> None:
        """Show what one of several cameras would see; before there is a robot it is dropped."""
        finder = self._finder
        if finder is None:
            return
        try:
            pose = finder.find(message.header.frame_id, joint_positions(message.joints), camera)
            self._viewer.add_view(message.rollout_id, message.index, camera, OtherPicture(
                small(images.rgb_image(message.image)), pose.T_base_camera), source)
        except Kinema4DError as error:
            self.get_logger().warning(f'a predicted frame of camera {camera} is not shown: {error}',
                                      throttle_duration_sec=5.0)

    def _on_verdict(self, message: VerdictMessage, source: str) -> None:
        self._viewer.add_verdict(message.rollout_id, verdict_from_message(message), source)

    def _on_markers(self, message: MarkerArray, source: str) -> None:
        """Take the way of the tool from the marker that shows it; its text names the rollout."""
        for marker in message.markers:
            if marker.ns == 'tool_path' and marker.text and marker.action == Marker.ADD:
                self._viewer.add_chunk(marker.text, np.array(
                    [(point.x, point.y, point.z) for point in marker.points]))

    def _on_decision(self, message: Decision) -> None:
        """Colour a chunk by what a gate decided."""
        state = _STATES.get(message.kind)
        if state is not None and message.rollout_id:
            self._viewer.decide_chunk(message.rollout_id, state)

    def _on_ledger(self) -> None:
        """Show the ledger where it has changed."""
        if (news := self._ledger.news()) is not None:
            self._viewer.show_ledger(news)

    def _on_candidates(self, message: Candidates, source: str) -> None:
        """Show the candidates of a goal, best first, once there is a robot."""
        self._candidates[source] = message
        robot = self._robot
        if robot is None:
            return
        try:
            live = self._inputs.joint_positions(
                robot, self.get_clock().now().nanoseconds, self._values)
        except InputProblem:
            live = {}
        self._viewer.add_candidates([
            CandidateTrajectory.of(
                message.verdicts[index].rollout_id, verdict_from_message(message.verdicts[index]),
                _trajectory(message.trajectories[index]), robot, live, source)
            for index in message.ranking])

    def _on_tick(self) -> None:
        """Update the page; live inputs only while a browser is open or an execution is awaited."""
        now, values = time.monotonic(), self._values
        self._viewer.tick(now - self._ticked)
        self._ticked = now
        if self._robot is None or self._finder is None:
            self._viewer.show_status('nothing has come on robot_description yet')
            return
        now_ns = self.get_clock().now().nanoseconds
        try:
            if self._viewer.is_watched:
                self._viewer.show_joints(
                    self._inputs.joint_positions(self._robot, now_ns, values))
            wanted = self._viewer.is_watched or self._viewer.awaits_execution
            if not wanted or now - self._observed < 1.0 / values['camera_rate']:
                return
            self._observed = now
            look = self._inputs.observe(self._finder, now_ns, values)
            scene = values['scene_rate'] > 0 and \
                now - self._made_scene >= 1.0 / values['scene_rate']
            if scene:
                self._made_scene = now
            self._viewer.show_live(look.observation, scene=scene)
        except InputProblem as problem:
            self._viewer.show_status(str(problem))
        else:
            self._viewer.show_status('')


def _trajectory(message: JointTrajectoryMessage) -> JointTrajectory | None:
    """Return a trajectory, None for one that is malformed."""
    try:
        return trajectory_from_message(message)
    except Kinema4DError:
        return None


def make_node(on_end: Callable[[], None]) -> ViewerNode:
    """Return the node, subscribed and with its page open."""
    return ViewerNode()
