# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes an episode file: all or nothing, messages in the order of their stamps."""
from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from kinema4d_ros.episodes import images
from kinema4d_ros.episodes.metadata import EpisodeMetadata
from kinema4d_ros.episodes.topics import (CAMERA, CameraTopics, of_first, offered_qos, Topic, TYPES,
                                         type_of, typestore)
from kinema4d_ros.episodes.truth import TrueClearance
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.robot import transforms
from kinema4d_ros.types import JointTrajectory, PinholeCamera

_types = typestore.types


def _time(stamp_ns: int) -> Any:
    seconds, nanoseconds = divmod(int(stamp_ns), 10**9)
    return _types['builtin_interfaces/msg/Time'](seconds, nanoseconds)


def _header(stamp_ns: int, frame_id: str = '') -> Any:
    return _types['std_msgs/msg/Header'](_time(stamp_ns), frame_id)


class EpisodeWriter:
    """
    Collects the messages of one episode and writes the file when the `with` block ends well.

    Nothing is left behind when it does not. Stamps are [ns]; poses are (4, 4) float64.
    """

    def __init__(self, path: str | Path, *, jpeg_quality: int = 90):
        """Remember where to write; an existing file is replaced at the end."""
        self.path = Path(path)
        self._quality = jpeg_quality
        self._messages: list[tuple[int, int, str, memoryview]] = []
        self._order = {topic: rank for rank, topic in enumerate(TYPES)}

    def __enter__(self) -> EpisodeWriter:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Write the file, unless an exception ended the block."""
        if kind is None:
            self._store()

    def add_metadata(self, stamp_ns: int, metadata: EpisodeMetadata) -> None:
        """Add the description of the whole, once."""
        self._text(Topic.METADATA, stamp_ns, metadata.to_json())

    def add_robot_description(self, stamp_ns: int, urdf: str) -> None:
        """Add the URDF, once; it has the camera's optical frame as a link."""
        self._text(Topic.ROBOT_DESCRIPTION, stamp_ns, urdf)

    def add_static_transform(self, stamp_ns: int, parent: str, child: str,
                             T_parent_child: np.ndarray) -> None:
        """Add the camera's mounting."""
        self._add(Topic.TF_STATIC, stamp_ns,
                  self._transforms(stamp_ns, parent, {child: T_parent_child}))

    def add_transforms(self, stamp_ns: int, parent: str, poses: Mapping[str, np.ndarray]) -> None:
        """Add where frames are in `parent` at this stamp, for a camera that moves otherwise."""
        self._add(Topic.TF, stamp_ns, self._transforms(stamp_ns, parent, poses))

    def add_joint_state(self, stamp_ns: int, names: Sequence[str], positions: np.ndarray,
                        velocities: np.ndarray) -> None:
        """Add a joint state, positions and velocities (J,) [rad or m, per s]."""
        self._add(Topic.JOINT_STATES, stamp_ns, _types[TYPES[Topic.JOINT_STATES]](
            _header(stamp_ns), list(names), np.asarray(positions, np.float64),
            np.asarray(velocities, np.float64), np.zeros(0)))

    def add_camera_info(self, stamp_ns: int, frame_id: str, camera: PinholeCamera, *,
                        name: str = CAMERA) -> None:
        """Add the calibration of an undistorted camera; `name` is that of one of several."""
        K = camera.K
        self._add(CameraTopics(name).camera_info, stamp_ns, _types[TYPES[Topic.CAMERA_INFO]](
            _header(stamp_ns, frame_id), camera.height, camera.width, 'plumb_bob', np.zeros(5),
            K.reshape(9), np.eye(3).reshape(9), np.c_[K, np.zeros(3)].reshape(12), 0, 0,
            _types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)))

    def add_image(self, stamp_ns: int, frame_id: str, image: np.ndarray, *,
                  name: str = CAMERA) -> None:
        """Add a colour image (H, W, 3) uint8 RGB; `name` is that of one of several cameras."""
        self._compressed(CameraTopics(name).image, stamp_ns, frame_id, images.JPEG,
                         images.encode_color(image, self._quality))

    def add_depth(self, stamp_ns: int, frame_id: str, depth: np.ndarray, *,
                  name: str = CAMERA) -> None:
        """Add a depth image (H, W) float32 [m], NaN unknown; kept to the millimetre."""
        self._compressed(CameraTopics(name).depth, stamp_ns, frame_id, images.DEPTH,
                         images.encode_depth(depth))

    def add_robot_mask(self, stamp_ns: int, frame_id: str, mask: np.ndarray, *,
                       name: str = CAMERA) -> None:
        """Add the true mask (H, W) bool of the robot where nothing hides it."""
        self._compressed(CameraTopics(name).robot_mask, stamp_ns, frame_id, images.MASK,
                         images.encode_mask(mask))

    def add_rendered(self, stamp_ns: int, frame_id: str, pointmap: np.ndarray,
                     link_id: np.ndarray, image: np.ndarray) -> None:
        """
        Add the robot as it was drawn into the (first) camera.

        :param pointmap: (H, W, 3) [m] camera frame, NaN where no robot; z is kept to 1 mm.
        :param link_id: (H, W) int16, index of a link of the URDF's robot, -1 where no robot.
        :param image: (H, W, 3) uint8, black where no robot.
        """
        for topic, layout, data in (
                (Topic.RENDERED_IMAGE, images.DRAWN, images.encode_drawn(image)),
                (Topic.RENDERED_DEPTH, images.DEPTH, images.encode_depth(pointmap[..., 2])),
                (Topic.RENDERED_LINKS, images.LINKS, images.encode_links(link_id))):
            self._compressed(topic, stamp_ns, frame_id, layout, data)

    def add_curation(self, stamp_ns: int, text: str) -> None:
        """Add how a 4D episode was made, as JSON, once."""
        self._text(Topic.CURATION, stamp_ns, text)

    def add_object_poses(self, stamp_ns: int, base_frame: str,
                         poses: Mapping[str, np.ndarray]) -> None:
        """Add the true T_base_object of the objects."""
        self._add(Topic.TRUTH_TF, stamp_ns, self._transforms(stamp_ns, base_frame, poses))

    def add_clearance(self, stamp_ns: int, clearance: TrueClearance) -> None:
        """Add the true distances of the whole motion, once."""
        self._text(Topic.TRUTH_CLEARANCE, stamp_ns, clearance.to_json())

    def add_trajectory(self, stamp_ns: int, trajectory: JointTrajectory) -> None:
        """Add the trajectory that starts at this stamp, once."""
        self._add(Topic.TRAJECTORY, stamp_ns, trajectory_message(stamp_ns, trajectory))

    def _text(self, topic: str, stamp_ns: int, text: str) -> None:
        self._add(topic, stamp_ns, _types['std_msgs/msg/String'](text))

    def _compressed(self, topic: str, stamp_ns: int, frame_id: str, layout: str,
                    data: np.ndarray) -> None:
        self._add(topic, stamp_ns, _types['sensor_msgs/msg/CompressedImage'](
            _header(stamp_ns, frame_id), layout, data))

    def _transforms(self, stamp_ns: int, parent: str, poses: Mapping[str, np.ndarray]) -> Any:
        vector, quaternion = _types['geometry_msgs/msg/Vector3'], \
            _types['geometry_msgs/msg/Quaternion']
        return _types['tf2_msgs/msg/TFMessage']([
            _types['geometry_msgs/msg/TransformStamped'](
                _header(stamp_ns, parent), child, _types['geometry_msgs/msg/Transform'](
                    vector(*map(float, T[:3, 3])),
                    quaternion(*transforms.quaternion(T[:3, :3]))))
            for child, T in poses.items()])

    def _add(self, topic: str, stamp_ns: int, message: Any) -> None:
        topic = str(topic)
        self._messages.append((int(stamp_ns), self._order[of_first(topic)], topic,
                               typestore.serialize_cdr(message, type_of(topic))))

    def _store(self) -> None:
        if not self._messages:
            raise EpisodeError(f'{self.path}: nothing was added to the episode')
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix='.episode_') as folder:
            bag = Path(folder) / 'bag'
            with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
                used = dict.fromkeys(topic for _, _, topic, _ in self._messages)
                connections = {
                    topic: writer.add_connection(topic, type_of(topic), typestore=typestore,
                                                 offered_qos_profiles=[offered_qos(topic)])
                    for topic in sorted(used, key=lambda topic: self._order[of_first(topic)])}
                for stamp_ns, _, topic, raw in sorted(self._messages, key=lambda m: m[:2]):
                    writer.write(connections[topic], stamp_ns, raw)
            file = bag / 'bag.mcap'
            _add_checksums(file)
            os.replace(file, self.path)


def _add_checksums(path: Path) -> None:
    """
    Fill in the CRC-32 of every chunk of an uncompressed MCAP file, which rosbags leaves at 0.

    Record layouts: MCAP specification, https://mcap.dev/spec (Chunk, opcode 0x06).
    """
    with path.open('r+b') as file:
        file.seek(8)                                    # magic
        while len(head := file.read(9)) == 9:
            opcode, size = struct.unpack('<BQ', head)
            start = file.tell()
            if opcode == 0x06:
                fields = file.read(28)                  # start, end, uncompressed size, crc
                skip = struct.unpack('<I', file.read(4))[0] + 8      # compression name, length
                file.seek(skip, os.SEEK_CUR)
                crc = zlib.crc32(file.read(struct.unpack_from('<Q', fields, 16)[0]))
                file.seek(start + 24)
                file.write(struct.pack('<I', crc))
            elif opcode == 0x02:                        # footer: only the magic follows
                break
            file.seek(start + size)


def trajectory_message(stamp_ns: int, trajectory: JointTrajectory) -> Any:
    """Return a trajectory as rosbags' trajectory_msgs/JointTrajectory."""
    points = []
    for i, time in enumerate(trajectory.times):
        row = [np.zeros(0) if value is None else np.asarray(value[i], np.float64)
               for value in (trajectory.positions, trajectory.velocities,
                             trajectory.accelerations)]
        seconds, nanoseconds = divmod(round(float(time) * 1e9), 10**9)
        points.append(_types['trajectory_msgs/msg/JointTrajectoryPoint'](
            *row, np.zeros(0), _types['builtin_interfaces/msg/Duration'](seconds, nanoseconds)))
    return _types[TYPES[Topic.TRAJECTORY]](_header(stamp_ns), list(trajectory.joint_names), points)
