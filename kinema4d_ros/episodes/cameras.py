# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of an episode: its calibration, its frames, and where it was at each of them."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload, TYPE_CHECKING

import numpy as np

from kinema4d_ros.episodes import images
from kinema4d_ros.episodes.storage import Messages
from kinema4d_ros.episodes.topics import CameraTopics, Topic
from kinema4d_ros.types import CameraView

if TYPE_CHECKING:      # at run time only where it is asked for: the recorder has no KDL
    from kinema4d_ros.camera import CameraCalibration

_AT_ONCE_NS = 1_000_000      # messages this close are of the same instant
_OLDEST_NS = 1_000_000_000   # [ns] a frame older than this is none of the present
_PAIR_NS = 500_000_000       # [ns] a frame with depth stands for one without that is so much newer


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

    def __init__(self, messages: Messages, start_ns: int, size: tuple[int, int],
                 topics: CameraTopics):
        """Make the sequence of frames, from what was recorded of one camera."""
        self._messages, self._size, self._start_ns = messages, size, start_ns
        self._topics = topics
        self.stamps_ns = messages.stamps(topics.image)
        self._depths = messages.stamps(topics.depth)
        self._joints = messages.stamps(Topic.JOINT_STATES)

    @property
    def times(self) -> np.ndarray:
        """Times of the frames from the start of the trajectory, (N,) float64 [s]."""
        times: np.ndarray = (self.stamps_ns - self._start_ns) * 1e-9
        return times

    def has_depth(self, index: int) -> bool:
        """Whether depth was recorded with a frame."""
        return self._depth_at(int(self.stamps_ns[index])) is not None

    def _depth_at(self, stamp_ns: int) -> int | None:
        at = _nearest(self._depths, stamp_ns) if len(self._depths) else None
        return at if at is not None and abs(int(self._depths[at]) - stamp_ns) <= _AT_ONCE_NS \
            else None

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
        image = messages.decode(self._topics.image, index, images.decode_color, *self._size)
        depth, at = None, self._depth_at(stamp_ns)
        if at is not None:
            depth = messages.decode(self._topics.depth, at, images.decode_depth, *self._size)
        state = messages.get(Topic.JOINT_STATES, _nearest(self._joints, stamp_ns))
        return EpisodeFrame((stamp_ns - self._start_ns) * 1e-9, stamp_ns, image, depth,
                            dict(zip(state.name, map(float, state.position))))


class _RobotMasks(Mapping[int, np.ndarray]):
    """Robot masks by index of the frame, decoded when asked for."""

    def __init__(self, messages: Messages, frames: EpisodeFrames, size: tuple[int, int],
                 topic: str):
        self._messages, self._size, self._topic = messages, size, topic
        stamps = messages.stamps(topic)
        self._at = {_nearest(frames.stamps_ns, stamp): i for i, stamp in enumerate(stamps)}

    def __getitem__(self, frame: int) -> np.ndarray:
        return self._messages.decode(self._topic, self._at[frame],
                                     images.decode_mask, *self._size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


class EpisodeCamera:
    """One of the cameras of an episode; `frames` are decoded when they are asked for."""

    def __init__(self, messages: Messages, name: str, topics: CameraTopics, start_ns: int):
        """
        Read the calibration, and index the frames.

        :raises EpisodeError: the camera is not calibrated.
        """
        self._messages, self._topics = messages, topics
        self.name = name
        self._info = info = messages.get(topics.camera_info, 0)
        self.frame: str = info.header.frame_id        # its optical frame
        if not np.isfinite(np.r_[info.k, info.p, info.r, info.d]).all() or info.k[0] <= 0:
            raise messages.error(topics.camera_info, 0, 'the camera is not calibrated')
        self._size = info.height, info.width
        self.frames = EpisodeFrames(messages, start_ns, self._size, topics)

    @property
    def robot_masks(self) -> Mapping[int, np.ndarray]:
        """Index of a frame -> its true robot mask (H, W) bool, for the frames that have one."""
        return _RobotMasks(self._messages, self.frames, self._size, self._topics.robot_mask)

    @cached_property
    def calibration(self) -> CameraCalibration:
        """The calibration as its camera_info has it."""
        from kinema4d_ros.camera import CameraCalibration

        info, roi = self._info, self._info.roi
        return CameraCalibration(
            width=info.width, height=info.height, distortion_model=info.distortion_model,
            D=tuple(info.d), K=tuple(info.k), R=tuple(info.r), P=tuple(info.p),
            binning_x=info.binning_x, binning_y=info.binning_y,
            roi=(roi.x_offset, roi.y_offset, roi.width, roi.height))

    def latest(self, now_ns: int) -> int | str:
        """
        Return the index of the frame that a live system has at a moment, or why it has none.

        It is the newest one that is there; where depth comes more rarely than images, the newest
        one that has depth. The reason reads after the camera's name.
        """
        stamps = self.frames.stamps_ns
        newest = int(np.searchsorted(stamps, now_ns, 'right')) - 1
        if newest < 0:
            return 'has sent nothing yet'
        age = now_ns - int(stamps[newest])
        if age > _OLDEST_NS:
            return f'is late: {age * 1e-9:.1f} s old'
        for index in range(newest, -1, -1):
            if int(stamps[newest] - stamps[index]) > _PAIR_NS:
                break
            if self.frames.has_depth(index):
                return index
        return newest

    def view(self, index: int, T_base_optical: np.ndarray, mount_link: str = '') -> CameraView:
        """
        Return a frame as the view of an observation, with the joints at its stamp.

        :param T_base_optical: (4, 4) of `frame`, at the stamp.
        :param mount_link: that carries the camera; '' for one that stays.
        """
        frame, calibration = self.frames[index], self.calibration
        return CameraView(
            calibration.rectify(frame.image),
            None if frame.depth is None else calibration.rectify_depth(frame.depth),
            calibration.pinhole, T_base_optical @ calibration.T_optical_camera, frame.stamp_ns,
            self.name, joint_positions=frame.joint_positions, mount_link=mount_link)


def _nearest(stamps: np.ndarray, stamp_ns: int) -> int:
    """Return the index of the nearest of some stamps."""
    return int(np.abs(stamps - stamp_ns).argmin())
