# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a recorded episode: strict about what it finds, images decoded when they are asked for."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload, TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes import images
from kinema4d_ros.episodes.metadata import EpisodeMetadata
from kinema4d_ros.episodes.recording import KIND
from kinema4d_ros.episodes.storage import find_episode, Messages
from kinema4d_ros.episodes.topics import Topic
from kinema4d_ros.episodes.transforms import matrix_from_message
from kinema4d_ros.episodes.truth import EpisodeTruth, TrueClearance
from kinema4d_ros.errors import EpisodeError, TrajectoryError
from kinema4d_ros.types import JointTrajectory, Observation

if TYPE_CHECKING:      # at run time only where it is asked for: the recorder has no KDL
    from kinema4d_ros.camera import CameraCalibration

_AT_ONCE_NS = 1_000_000      # messages this close are of the same instant


@dataclass(frozen=True, eq=False)
class EpisodeFrame:
    """One camera image and what goes with it."""

    time: float                             # [s] from the start of the trajectory, < 0 before it
    stamp_ns: int
    image: np.ndarray                       # (H, W, 3) uint8 RGB
    depth: np.ndarray | None                # (H, W) float32 [m], NaN unknown; None: not recorded
    joint_positions: Mapping[str, float]    # [rad or m], the joint state nearest in time


class EpisodeFrames(Sequence[EpisodeFrame]):
    """The frames of an episode in time; each is decoded anew when it is asked for."""

    def __init__(self, messages: Messages, start_ns: int, size: tuple[int, int]):
        """Make the sequence of frames, from what was recorded."""
        self._messages, self._size, self._start_ns = messages, size, start_ns
        self.stamps_ns = messages.stamps(Topic.IMAGE)
        self._depths = messages.stamps(Topic.DEPTH)
        self._joints = messages.stamps(Topic.JOINT_STATES)

    @property
    def times(self) -> np.ndarray:
        """Times of the frames from the start of the trajectory, (N,) float64 [s]."""
        times: np.ndarray = (self.stamps_ns - self._start_ns) * 1e-9
        return times

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.stamps_ns)

    @overload
    def __getitem__(self, index: int) -> EpisodeFrame: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[EpisodeFrame, ...]: ...

    def __getitem__(self, index: int | slice) -> EpisodeFrame | tuple[EpisodeFrame, ...]:
        """
        Decode a frame, or a tuple of frames for a slice.

        :raises EpisodeError: when an image is damaged, naming topic and message.
        """
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        index = range(len(self))[index]
        stamp_ns, messages = int(self.stamps_ns[index]), self._messages
        image = messages.decode(Topic.IMAGE, index, images.decode_color, *self._size)
        depth = None
        at = _nearest(self._depths, stamp_ns) if len(self._depths) else None
        if at is not None and abs(int(self._depths[at]) - stamp_ns) <= _AT_ONCE_NS:
            depth = messages.decode(Topic.DEPTH, at, images.decode_depth, *self._size)
        state = messages.get(Topic.JOINT_STATES, _nearest(self._joints, stamp_ns))
        return EpisodeFrame((stamp_ns - self._start_ns) * 1e-9, stamp_ns, image, depth,
                            dict(zip(state.name, map(float, state.position))))


class _RobotMasks(Mapping[int, np.ndarray]):
    """Robot masks by index of the frame, decoded when asked for."""

    def __init__(self, messages: Messages, frames: EpisodeFrames, size: tuple[int, int]):
        self._messages, self._size = messages, size
        stamps = messages.stamps(Topic.TRUTH_ROBOT_MASK)
        self._at = {_nearest(frames.stamps_ns, stamp): i for i, stamp in enumerate(stamps)}

    def __getitem__(self, frame: int) -> np.ndarray:
        return self._messages.decode(Topic.TRUTH_ROBOT_MASK, self._at[frame],
                                     images.decode_mask, *self._size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


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
        info = messages.get(Topic.CAMERA_INFO, 0)
        self.camera_frame: str = info.header.frame_id
        if f'"{self.camera_frame}"' not in self.robot_description:
            raise EpisodeError(f'episode {self.path}: the camera frame {self.camera_frame!r} of '
                               f'{Topic.CAMERA_INFO} is no link of {Topic.ROBOT_DESCRIPTION}; add '
                               'the optical frame to the URDF')
        if not np.isfinite(np.r_[info.k, info.p, info.r, info.d]).all() or info.k[0] <= 0:
            raise messages.error(Topic.CAMERA_INFO, 0, 'the camera is not calibrated')
        self._info = info
        self._check_joint_states()
        self.frames = EpisodeFrames(messages, self.trajectory_stamp_ns, (info.height, info.width))
        #: the last frame before the trajectory
        self.start_index = max(0, int(np.searchsorted(
            self.frames.stamps_ns, self.trajectory_stamp_ns, 'right')) - 1)

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

    @cached_property
    def calibration(self) -> CameraCalibration:
        """The camera's calibration as /camera/camera_info has it."""
        from kinema4d_ros.camera import CameraCalibration

        info, roi = self._info, self._info.roi
        return CameraCalibration(
            width=info.width, height=info.height, distortion_model=info.distortion_model,
            D=tuple(info.d), K=tuple(info.k), R=tuple(info.r), P=tuple(info.p),
            binning_x=info.binning_x, binning_y=info.binning_y,
            roi=(roi.x_offset, roi.y_offset, roi.width, roi.height))

    def observation(self, offset: int = 0) -> Observation:
        """
        Return what a live system has at the trajectory's stamp, or `offset` frames later.

        :raises EpisodeError: when there is no such frame.
        """
        from kinema4d_ros.robot import ForwardKinematics, Robot

        index = self.start_index + offset
        if not 0 <= index < len(self.frames):
            raise EpisodeError(f'episode {self.path} has frames {-self.start_index} to '
                               f'{len(self.frames) - 1 - self.start_index} relative to the '
                               f'trajectory, got {offset}')
        frame, calibration = self.frames[index], self.calibration
        robot = Robot.from_urdf(self.robot_description)
        joints = robot.configuration(frame.joint_positions)
        T_base_link = ForwardKinematics(robot)(joints[None])[0]
        T_base_optical = T_base_link[robot.link_names.index(self.camera_frame)]
        return Observation.from_rgbd(
            calibration.rectify(frame.image),
            None if frame.depth is None else calibration.rectify_depth(frame.depth),
            calibration.pinhole, T_base_optical @ calibration.T_optical_camera,
            frame.joint_positions, stamp_ns=frame.stamp_ns)

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
            _RobotMasks(self._messages, self.frames, (self._info.height, self._info.width)),
            self.frames, self._true_clearance())

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


def _nearest(stamps: np.ndarray, stamp_ns: int) -> int:
    """Return the index of the nearest of some stamps."""
    return int(np.abs(stamps - stamp_ns).argmin())
