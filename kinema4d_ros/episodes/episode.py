# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a recorded episode: strict about what it finds, images decoded when they are asked for."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes.cameras import EpisodeCamera
from kinema4d_ros.episodes.metadata import EpisodeMetadata
from kinema4d_ros.episodes.recording import KIND
from kinema4d_ros.episodes.rendered import RenderedFrames
from kinema4d_ros.episodes.storage import find_episode, Messages
from kinema4d_ros.episodes.topics import CAMERA, CameraTopics, Topic
from kinema4d_ros.episodes.transforms import matrix_from_message, TransformHistory
from kinema4d_ros.episodes.truth import EpisodeTruth, TrueClearance
from kinema4d_ros.errors import EpisodeError, TrajectoryError
from kinema4d_ros.types import CameraView, JointTrajectory, Observation

if TYPE_CHECKING:      # at run time only where it is asked for: the recorder has no KDL
    from kinema4d_ros.camera import CameraCalibration
    from kinema4d_ros.robot import Robot


class Episode:
    """
    One recorded episode: what a live robot would have published, one trajectory, the truth.

    A recording of a live robot has no truth and may have further `trajectories`; what is said of
    "the" trajectory means its first.

    Open it with `Episode.open`. The compressed file is held in memory, decoded frames are not.
    """

    def __init__(self, messages: Messages):
        """Check the messages and index them; see `open`."""
        self._messages = messages
        self.path = messages.path
        try:
            self.metadata = EpisodeMetadata.from_json(messages.only(Topic.METADATA).data)
        except EpisodeError as error:
            raise EpisodeError(f'episode {self.path}: topic {Topic.METADATA}: {error}') from error
        self.robot_description: str = messages.only(Topic.ROBOT_DESCRIPTION).data
        if self.metadata.kind != KIND:
            messages.only(Topic.TRAJECTORY)
        #: (stamp [ns], trajectory) in order of time
        self.trajectories = tuple((int(stamp_ns), self._read_trajectory(index)) for index, stamp_ns
                                  in enumerate(messages.stamps(Topic.TRAJECTORY)))
        self.trajectory_stamp_ns, self.trajectory = self.trajectories[0]
        self._check_joint_states()
        #: name -> why this camera is in no observation
        self.left_out: dict[str, str] = {}
        #: name -> a camera whose place nobody knows: its frames are there to be looked at
        self.unplaced: dict[str, EpisodeCamera] = {}
        self.cameras = tuple(self._cameras())
        self._first = self.cameras[0]
        self.camera_frame, self.frames = self._first.frame, self._first.frames
        #: the last frame of the first camera before the trajectory
        self.start_index = max(0, int(np.searchsorted(
            self.frames.stamps_ns, self.trajectory_stamp_ns, 'right')) - 1)

    def _cameras(self) -> Iterator[EpisodeCamera]:
        """Yield the cameras; without the first there is no episode, a further one is left out."""
        messages, said = self._messages, self.metadata.cameras
        first, *others = messages.cameras
        others.sort(key=lambda name: said.index(name) if name in said else len(said))
        for number, name in enumerate([first, *others]):
            topics = CameraTopics(name if number else CAMERA)
            try:
                camera = EpisodeCamera(messages, name, topics, self.trajectory_stamp_ns)
                if number and name in self.metadata.unplaced:
                    self.unplaced[name] = camera
                    self.left_out[name] = 'is in no observation: where it is is not known'
                    continue
                self._check_placed(camera)
            except EpisodeError as error:
                if not number:
                    raise
                self.left_out[name] = f'cannot be used: {error}'
            else:
                yield camera

    def _check_placed(self, camera: EpisodeCamera) -> None:
        """
        Check that it is known where a camera is.

        :raises EpisodeError: it is no link, and no transforms lead to one.
        """
        if not self.metadata.camera_known or any(
                f'"{name}"' in self.robot_description
                for name in [camera.frame, *self._transforms.ancestors(camera.frame)]):
            return
        raise EpisodeError(f'episode {self.path}: the camera frame {camera.frame!r} of '
                           f'{CameraTopics(camera.name).camera_info} is no link of '
                           f'{Topic.ROBOT_DESCRIPTION}, and no transform leads from a link to it; '
                           'add the optical frame to the URDF')

    @cached_property
    def _transforms(self) -> TransformHistory:
        """Where frames were that are no links."""
        history = TransformHistory()
        for topic in (Topic.TF_STATIC, Topic.TF):
            for index, stamp_ns in enumerate(self._messages.stamps(topic)):
                try:
                    history.add(self._messages.get(topic, index),
                                None if topic == Topic.TF_STATIC else int(stamp_ns))
                except EpisodeError as error:
                    raise self._messages.error(topic, index, str(error)) from error
        return history

    @classmethod
    def open(cls, path: str | Path, *, topics: Mapping[str, str] = MappingProxyType({}),
             trajectory: JointTrajectory | None = None) -> Episode:
        """
        Open an episode by its path, or by the name of a bundled one.

        A folder with one .mcap file, as a recording is, stands for that file.

        :param topics: role -> topic of a recording, where they are not named as here and not as
            cameras name them: image, depth, camera_info, joint_states, trajectory, ...
        :param trajectory: in place of that of the recording, as if sent after its last image.
        :raises EpisodeError: when it is damaged, too large, lacks a topic or holds nonsense;
            the message names the file, the topic and what to do.
        """
        return cls(Messages(find_episode(path), topics, trajectory))

    def camera(self, name: str) -> EpisodeCamera:
        """
        Return a camera by its name.

        :raises EpisodeError: there is none of this name; the message lists those that are.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        why = f'; {name} {self.left_out[name]}' if name in self.left_out else ''
        raise EpisodeError(f'episode {self.path} has no camera {name!r}; it has: '
                           f'{", ".join(camera.name for camera in self.cameras)}{why}')

    @property
    def calibration(self) -> CameraCalibration:
        """The (first) camera's calibration as its camera_info has it."""
        return self._first.calibration

    @cached_property
    def rendered(self) -> RenderedFrames:
        """The robot as `kinema4d curate` drew it; empty for other episodes."""
        return RenderedFrames(self._messages, self.calibration.pinhole)

    @cached_property
    def curation(self) -> str:
        """How `kinema4d curate` made this episode, as JSON; '' for other episodes."""
        messages = self._messages
        return str(messages.only(Topic.CURATION).data) if len(
            messages.stamps(Topic.CURATION)) else ''

    def observation(self, offset: int = 0, cameras: Sequence[str] | None = None) -> Observation:
        """
        Return what a live system has at the trajectory's stamp, or `offset` frames later.

        Each view has its own stamp, and is where the camera was then: by the joints at the stamp
        where its frame is a link, by /tf where it is not. Cameras that have nothing recent are
        named in `left_out`.

        :param offset: in frames of the first camera (of those that are asked for).
        :param cameras: names, the first one first; None for all.
        :raises EpisodeError: there is no such frame, or no such camera.
        """
        from kinema4d_ros.robot import Robot

        if not self.metadata.camera_known:
            raise EpisodeError(f'episode {self.path}: where the camera is is not known; find it '
                               'with kinema4d calibrate, and import again with --extrinsics FILE')
        chosen = self.cameras if cameras is None else [self.camera(name) for name in cameras]
        if not chosen:
            raise EpisodeError(f'episode {self.path}: an observation needs a camera; name some of '
                               f'{", ".join(camera.name for camera in self.cameras)}')
        first, robot = chosen[0], Robot.from_urdf(self.robot_description)
        start = max(0, int(np.searchsorted(first.frames.stamps_ns, self.trajectory_stamp_ns,
                                           'right')) - 1)
        index = start + offset
        if not 0 <= index < len(first.frames):
            raise EpisodeError(f'episode {self.path} has frames {-start} to '
                               f'{len(first.frames) - 1 - start} relative to the '
                               f'trajectory, got {offset}')
        now_ns = int(first.frames.stamps_ns[index])
        if offset == 0:
            now_ns = max(now_ns, self.trajectory_stamp_ns)
        views = [self._view(first, index, robot)]
        left_out = dict(self.left_out) if cameras is None else {}
        for camera in chosen[1:]:
            found = camera.latest(now_ns)
            if isinstance(found, str):
                left_out[camera.name] = found
                continue
            try:
                views.append(self._view(camera, found, robot))
            except EpisodeError as error:
                left_out[camera.name] = f'cannot be used: {error}'
        joints = views[0].joint_positions or {}
        # the first view is taken at the observation's stamp: its joints are the observation's, and
        # stay so for who replaces those
        views[0] = dataclasses.replace(views[0], joint_positions=None)
        return Observation(views[0].stamp_ns, tuple(views), joints, left_out=left_out)

    def _view(self, camera: EpisodeCamera, index: int, robot: Robot) -> CameraView:
        """
        Return a frame of a camera as a view, where the camera was then.

        :raises EpisodeError: the transforms do not lead to a link at that stamp.
        """
        from kinema4d_ros.robot import ForwardKinematics, JointType

        frame = camera.frames[index]
        T_base_link = ForwardKinematics(robot)(
            robot.configuration(frame.joint_positions)[None])[0]
        links, link, T = robot.link_names, camera.frame, np.eye(4)  # noqa: N806 - a transform
        if link not in links:
            link, T = self._transforms.up_to(links, link, frame.stamp_ns)  # noqa: N806
        moves = any(joint.type is not JointType.FIXED for joint in robot.path(link))
        return camera.view(index, T_base_link[links.index(link)] @ T, link if moves else '')

    @cached_property
    def joint_states(self) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
        """Times (N,) [s] from the trajectory's start, names, and realised positions (N, J)."""
        times = (self._messages.stamps(Topic.JOINT_STATES) - self.trajectory_stamp_ns) * 1e-9
        states = [self._messages.get(Topic.JOINT_STATES, i) for i in range(len(times))]
        names = tuple(states[0].name)
        rows = [dict(zip(state.name, state.position)) for state in states]
        return times, names, np.array([[row[name] for name in names] for row in rows])

    @cached_property
    def truth(self) -> EpisodeTruth:
        """What really happened."""
        times = (self._messages.stamps(Topic.TRUTH_TF) - self.trajectory_stamp_ns) * 1e-9
        seen: dict[str, tuple[list[float], list[np.ndarray]]] = {}
        for i, time in enumerate(times):
            for item in self._messages.get(Topic.TRUTH_TF, i).transforms:
                try:
                    T = matrix_from_message(item.transform)
                except EpisodeError as error:
                    raise self._messages.error(Topic.TRUTH_TF, i, str(error)) from error
                when, where = seen.setdefault(item.child_frame_id, ([], []))
                when.append(time)
                where.append(T)
        return EpisodeTruth(
            self.metadata.carried_object,
            {name: (np.array(when), np.array(where)) for name, (when, where) in seen.items()},
            self._first.robot_masks, self.frames, self._true_clearance())

    def _true_clearance(self) -> TrueClearance | None:
        messages = self._messages
        if not len(messages.stamps(Topic.TRUTH_CLEARANCE)):
            return None
        try:
            return TrueClearance.from_json(messages.only(Topic.TRUTH_CLEARANCE).data)
        except EpisodeError as error:
            raise messages.error(Topic.TRUTH_CLEARANCE, 0, str(error)) from error

    def _read_trajectory(self, index: int) -> JointTrajectory:
        message = self._messages.get(Topic.TRAJECTORY, index)
        points = message.points
        if not points:
            raise self._messages.error(Topic.TRAJECTORY, index, 'the trajectory has no points')
        times = np.array([p.time_from_start.sec + p.time_from_start.nanosec * 1e-9
                          for p in points])
        try:
            positions = _rows(points, 'positions')
            if positions is None:
                raise TrajectoryError('a trajectory needs positions')
            trajectory = JointTrajectory(
                tuple(message.joint_names), times, positions, _rows(points, 'velocities'),
                _rows(points, 'accelerations'))
        except (TrajectoryError, ValueError) as error:
            raise self._messages.error(Topic.TRAJECTORY, index, str(error)) from error
        if not np.isfinite(trajectory.positions).all() or (np.diff(times) <= 0).any():
            raise self._messages.error(Topic.TRAJECTORY, index,
                                       'positions are not finite or times do not increase')
        return trajectory

    def _check_joint_states(self) -> None:
        stamps = self._messages.stamps(Topic.JOINT_STATES)
        for i in range(len(stamps)):
            state = self._messages.get(Topic.JOINT_STATES, i)
            if len(state.name) != len(state.position) or not np.isfinite(state.position).all():
                raise self._messages.error(Topic.JOINT_STATES, i,
                                           'a joint has no position, or one that is not finite')


def _rows(points: Sequence[Any], key: str) -> np.ndarray | None:
    """Return that field of all points, (N, J) float64; None where no point has it."""
    values = [np.asarray(getattr(point, key), np.float64) for point in points]
    return np.array(values) if any(value.size for value in values) else None
