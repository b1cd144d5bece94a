# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One source of the scene beside the cameras: clouds, voxels, or what MoveIt declares."""
from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.bridge.planning_scene import CollisionObjects, Declared
from kinema4d_ros.bridge.serialized import PlainMessage
from kinema4d_ros.bridge.stamped_buffer import Entry, StampedBuffer
from kinema4d_ros.bridge.voxel_blocks import Layer, VoxelBlocks
from kinema4d_ros.errors import Kinema4DError, ObservationError
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder, CameraPose
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem, NS, why_silent_for, why_stale
from kinema4d_ros.nodes.shadow_sim.joint_input import JointInput
from kinema4d_ros.nodes.shadow_sim.received import Received
from kinema4d_ros.nodes.shadow_sim.scene_parameters import (COLLISION_OBJECTS, NVBLOX, OCTOMAP,
                                                            PLANNING_SCENE, POINTS, VOXELS)
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, PointSource, SceneSource, SolidSource, VoxelSource

_MOST_POINTS = 2_000_000
_FARTHEST = 10.0       # [m] from the robot's root; points beyond are of no use
_KINDS = {OCTOMAP: ('octomap_msgs', 'Octomap'), NVBLOX: ('nvblox_msgs', 'VoxelBlockLayer'),
          PLANNING_SCENE: ('moveit_msgs', 'PlanningScene'),
          COLLISION_OBJECTS: ('moveit_msgs', 'CollisionObject')}
#: of which every message counts, since each brings only what has changed
_CHANGES = QoSProfile(depth=100)


class _State(NamedTuple):
    """What has come of a source at one moment; it is never changed."""

    entry: Entry
    declared: Declared
    layer: Layer

    def is_that(self, other: _State) -> bool:
        """Return whether nothing has come between the two."""
        return all(mine is others for mine, others in zip(self, other))


class KnownSource(NamedTuple):
    """What is known from a source."""

    source: SceneSource
    problems: Mapping[str, str]     # parts of it that cannot be used, and why; the others can


class SceneInput:
    """
    Subscribes to scene/NAME, and makes of what came last a source of the scene.

    Where the package of its messages is not installed it says so instead.
    """

    def __init__(self, name: str, told: Mapping[str, Any], received: Received, joints: JointInput,
                 max_input_age: float):
        """
        Subscribe.

        :param told: what the parameters say of it, see `scene_parameters`.
        :param received: that keeps what is received.
        :param max_input_age: [s] of cameras.
        """
        self.name, self._received, self._joints = name, received, joints
        self.kind: str = told['kind']
        self.topic = f'scene/{name}'
        self.is_required: bool = told.get('required', True)
        self._is_declared = self.kind in (PLANNING_SCENE, COLLISION_OBJECTS)
        self._max_age: float = told.get('max_age', 0.0 if self._is_declared else max_input_age)
        self._ages = not self._is_declared or 'max_age' in told
        self._sigma: float = told.get('sigma', 0.01 if self.kind == POINTS else 0.0)
        self._frame: str = told.get('frame', '')
        self._spacing: float = told.get('spacing', 0.01)
        self._resolution: float = told.get('resolution', 0.0)
        self._counts_free: bool = told.get('free', False)
        self._objects, self._blocks = CollisionObjects(), VoxelBlocks()
        self.buffer = StampedBuffer(1)
        self._made: tuple[_State, Robot, KnownSource] | None = None
        self.lacking = self._subscribe()

    def _subscribe(self) -> str:
        """Subscribe; return which package that takes is missing, '' where none is."""
        if self.kind in (POINTS, VOXELS):
            self.buffer = self._received.camera(self.topic, PointCloud2, 1, 'auto')
            return ''
        package, message = _KINDS[self.kind]
        try:
            kind = getattr(importlib.import_module(f'{package}.msg'), message)
        except ImportError:
            return package
        if self.kind == OCTOMAP:
            self.buffer = self._received.camera(self.topic, kind, 1, 'auto')
            return ''
        self._received.buffers[self.topic] = self.buffer
        self._received.listen(self.topic, kind, lambda message: self.take(message), _CHANGES)
        return ''

    def take(self, message: Any) -> None:
        """Take in a message that says what has changed."""
        arrival, now_ns = time.monotonic(), self._received.node.get_clock().now().nanoseconds
        stamp, problem = now_ns, ''
        try:
            if self.kind == NVBLOX:
                self._blocks.take(message)
                stamp = stamp_ns(message.header.stamp)
            elif self.kind == PLANNING_SCENE:
                problem = self._objects.take_scene(message)
            else:
                problem = self._objects.take(message)
        except (Kinema4DError, AttributeError, TypeError, ValueError) as error:
            self.buffer.refuse()
            self._received.note_problem(self.topic, str(error))
            return
        if problem:
            self._received.note_problem(self.topic, problem)
        self.buffer.put(stamp, PlainMessage(message), arrival, now_ns)

    def source(self, finder: CameraFinder, now_ns: int, values: Mapping[str, Any],
               live: Mapping[str, float]) -> KnownSource:
        """
        Return what is known from it, in the frame of the robot's root.

        :param finder: which knows where frames are.
        :param now_ns: ROS time.
        :param values: snapshot of the parameters.
        :param live: the joints at the stamp of the observation [rad or m].
        :raises InputProblem: it is missing, stale or unusable.
        """
        if self.lacking:
            raise InputProblem(FindingCode.MISSING_INPUT, (
                f'{self.lacking} is not installed: sudo apt-get install '
                f'ros-$ROS_DISTRO-{self.lacking.replace("_", "-")}'))
        entry = self.buffer.latest()
        if entry is None:
            raise self._received.missing(self.topic)
        # messages come in another thread: all that follows is of this one moment
        state = _State(entry, self._objects.now, self._blocks.now)
        if self.kind == PLANNING_SCENE and not state.declared.is_whole:
            raise InputProblem(FindingCode.MISSING_INPUT, (
                'only differences (is_diff) have come of the planning scene, so what it began with '
                'is not known: start this node before what publishes it, or publish it once whole'))
        if self.kind == NVBLOX and not state.layer.is_whole:
            raise InputProblem(FindingCode.MISSING_INPUT, (
                'only changes have come of the layer since this node began or the clock jumped '
                'back, so what else it holds is not known: have it sent whole once (clear)'))
        self._refuse_stale(entry, now_ns)
        made = self._made
        if made is not None and made[0].is_that(state) and made[1] is finder.robot:
            return made[2]
        try:
            known = self._convert(state, finder, values, live)
        except InputProblem:
            raise
        except Kinema4DError as error:
            raise InputProblem.of(error) from error
        if not state.declared.objects:       # frames of objects may move with the robot
            self._made = state, finder.robot, known
        return known

    def clear(self) -> None:
        """
        Forget what is of another time: the clock jumped back.

        What was declared was not measured at any time, and is often sent once only: it holds.
        """
        if not self._is_declared:
            self.buffer.clear()
        self._made = None
        self._blocks.clear()

    def _refuse_stale(self, entry: Entry, now_ns: int) -> None:
        name = self._received.node.resolve_topic_name(self.topic)
        if not self._ages:
            return
        stale = why_stale(f'scene on {name}', entry.stamp_ns, now_ns, self._max_age) \
            or why_silent_for(f'scenes on {name}', entry.arrival, time.monotonic(), self._max_age)
        if stale is not None:
            raise InputProblem(FindingCode.STALE_INPUT, stale)

    def _convert(self, state: _State, finder: CameraFinder, values: Mapping[str, Any],
                 live: Mapping[str, float]) -> KnownSource:
        declared, entry = state.declared, state.entry
        if not self._is_declared:
            return KnownSource(self._measured(entry, state.layer, finder, values, live), {})
        solids, problems = declared.solids(
            lambda frame: self._pose(self._frame or frame, finder, live).T_base_camera)
        stamp = entry.stamp_ns if self._ages else None
        return KnownSource(SolidSource(self.name, solids, stamp, self._sigma), problems)

    def _measured(self, entry: Entry, layer: Layer, finder: CameraFinder,
                  values: Mapping[str, Any], live: Mapping[str, float]) -> SceneSource:
        # With the compiler that it takes: 70 MB, for a source that few have.
        from kinema4d_ros.bridge.octomaps import octomap_source, voxels_kept
        held, stamp = entry.value, entry.stamp_ns if self._ages else None
        T, joints = self._placed(  # noqa: N806 - a transform
            self._frame or held.frame_id, entry, finder, values, live)
        if self.kind == OCTOMAP:
            voxels: VoxelSource = self._received.read(
                self.topic, entry, lambda message: octomap_source(
                    message, self.name, T, stamp_ns=stamp, sigma=self._sigma,
                    joint_positions=joints))
            return voxels if self._counts_free else dataclasses.replace(voxels, states=np.where(
                voxels.states == VoxelSource.FREE, VoxelSource.UNKNOWN, voxels.states))
        if self.kind == NVBLOX:
            centers, resolution = layer.centers, layer.resolution
        else:
            centers = self._received.read(self.topic, entry, lambda message: _points(message, T))
            resolution = self._resolution
        if self.kind == POINTS:
            moved = centers @ T[:3, :3].T + T[:3, 3]
            return PointSource(self.name, moved, stamp, self._sigma, self._spacing, joints)
        kept = voxels_kept(resolution) * resolution
        centers = centers[(np.abs(centers - np.linalg.inv(T)[:3, 3]) < kept).all(axis=1)]
        if not len(centers):
            return VoxelSource(self.name, np.zeros((1, 1, 1), np.uint8), resolution, T, stamp,
                               self._sigma, joints)
        return VoxelSource.from_centers(self.name, centers, np.empty((0, 3)), resolution, T,
                                        stamp_ns=stamp, sigma=self._sigma, joint_positions=joints)

    def _placed(self, frame: str, entry: Entry, finder: CameraFinder, values: Mapping[str, Any],
                live: Mapping[str, float]) -> tuple[np.ndarray, Mapping[str, float] | None]:
        """
        Return T_base_frame, and where the joints were at the stamp; None where nobody knows.

        The place of a frame that does not move takes no joints: a map may be sent once, or seldom.
        """
        fixed = self._pose(frame, finder, live)
        try:
            joints = self._joints.at(finder.robot, entry, round(values['sync_tolerance'] * NS),
                                     values, is_prompt=False).positions
        except InputProblem as problem:
            if fixed.mount is not None or problem.code == FindingCode.CONTRADICTION:
                raise
            return fixed.T_base_camera, None
        return self._pose(frame, finder, joints).T_base_camera, joints

    def _pose(self, frame: str, finder: CameraFinder, joints: Mapping[str, float]) -> CameraPose:
        """Return where a frame is in that of the robot's root; raises as `CameraFinder.find`."""
        if frame.lstrip('/') in ('', finder.robot.root_link):
            return CameraPose(np.eye(4), None)
        return finder.find(frame, joints, self.topic)


def _points(message: PointCloud2, T_base_cloud: np.ndarray) -> np.ndarray:
    """
    Return the finite points of a cloud that are near the robot, (N, 3) float64 [m], in its frame.

    :raises ObservationError: it is malformed, has too many points, or none that is finite.
    """
    if message.width * message.height > _MOST_POINTS:
        raise ObservationError(f'the cloud has {message.width * message.height} points; at most '
                               f'{_MOST_POINTS} are taken, thin it')
    if not message.width * message.height and {'x', 'y', 'z'} <= {f.name for f in message.fields}:
        return np.empty((0, 3))       # there is nothing
    points = cloud_to_arrays(message)[0].reshape(-1, 3).astype(np.float64)
    finite = points[np.isfinite(points).all(axis=1)]
    if len(points) and not len(finite):
        raise ObservationError('no point of the cloud is finite')
    root = np.linalg.inv(T_base_cloud)[:3, 3]
    near: np.ndarray = finite[np.linalg.norm(finite - root, axis=1) < _FARTHEST]
    return near
