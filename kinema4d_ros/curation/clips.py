# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cuts a recording into clips, and writes each as a 4D episode: an MCAP file of ours."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kinema4d_ros.curation.drawn_frames import DrawnFrames, SeenFrame
from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.episodes import Episode, EpisodeWriter
from kinema4d_ros.serialization import to_plain
from kinema4d_ros.types import JointTrajectory

_JPEG_QUALITY = 95      # pictures have been compressed before
_START_NS = 10**9       # stamp of a clip's first frame


def cut(count: int, settings: CurationSettings) -> list[np.ndarray]:
    """
    Return the frames of each clip.

    Clips follow each other, `overlap` frames shared; the last one ends with the recording, so that
    all of it is in some clip. A recording that is shorter than a clip is one, as long as it is.
    """
    span = (settings.frames - 1) * settings.stride + 1
    if count <= span:
        return [np.arange(0, count, settings.stride)]
    step = (settings.frames - settings.overlap) * settings.stride
    starts = [*range(0, count - span, step), count - span]
    return [start + np.arange(0, span, settings.stride) for start in starts]


def printable(text: str) -> str:
    """Return a text without what names of files may have and no encoding of text."""
    return text.encode('utf-8', 'replace').decode()


class ClipWriter:
    """Writes the clips of one recording."""

    def __init__(self, episode: Episode, frames: DrawnFrames, depth_origin: str,
                 depth_of: Callable[[SeenFrame], np.ndarray | None], told: object) -> None:
        """
        Write nothing yet.

        :param depth_origin: '' where depth was measured; else who estimated it.
        :param depth_of: gives the depth of a frame, (H, W) [m].
        :param told: dataclass of what goes into each file: how it was made.
        """
        self._episode, self._frames, self._origin = episode, frames, depth_origin
        self._depth_of, self._told = depth_of, told

    def write(self, path: Path, chosen: np.ndarray) -> None:
        """
        Write a clip of some frames (N,), all or nothing; one frame is decoded at a time.

        The colours of the drawn robot are those of the clip's first frame. Stamps begin anew; the
        trajectory is the path that was driven.

        :raises OSError: the file cannot be written.
        """
        frames, episode = self._frames, self._episode
        urdf, camera_frame = frames.urdf, frames.camera_frame
        frames.look_like(int(chosen[0]))
        begin = frames.time(int(chosen[0]))

        def stamp(time: float) -> int:
            return _START_NS + round((time - begin) * 1e9)

        with EpisodeWriter(path, jpeg_quality=_JPEG_QUALITY) as writer:
            writer.add_metadata(_START_NS, dataclasses.replace(
                episode.metadata, carried_object=None, goal_object=None, goal={}, objects={},
                events=(), outcome=None, cameras=(), unplaced=(), camera_known=True,
                depth_origin=self._origin,
                source=printable(f'{episode.metadata.source}, {episode.path.name}, frames '
                                 f'{chosen[0]} to {chosen[-1]}'),
                trajectory_note='the joints as they moved, in a part of the recording'))
            writer.add_camera_info(_START_NS, camera_frame, frames.pinhole)
            writer.add_robot_description(_START_NS, urdf)
            writer.add_curation(_START_NS, json.dumps(
                {**to_plain(self._told), 'frames': [int(index) for index in chosen],
                 'link_names': list(frames.robot.link_names)}, sort_keys=True))
            end = begin
            for index in chosen:
                frame = frames[int(index)]
                at, end = stamp(frame.time), frame.time
                writer.add_image(at, camera_frame, frame.picture)
                depth = self._depth_of(frame)
                if depth is not None:
                    writer.add_depth(at, camera_frame, depth)
                writer.add_rendered(at, camera_frame, frame.pointmap, frame.link_id, frame.image)
            self._write_motion(writer, begin, end, stamp)

    def _write_motion(self, writer: EpisodeWriter, begin: float, end: float,
                      stamp: Callable[[float], int]) -> None:
        """Add the joint states of a part, its ends included, and the trajectory they make."""
        times, names, positions = self._episode.joint_states
        inside = times[(times > begin) & (times < end)]
        at = np.unique(np.r_[begin, inside, end])
        rows = np.stack([np.interp(at, times, column) for column in positions.T], axis=1)
        speeds = np.gradient(rows, at, axis=0) if len(at) > 1 else np.zeros_like(rows)
        for time, row, speed in zip(at, rows, speeds):
            writer.add_joint_state(stamp(float(time)), names, row, speed)
        moved = [name for name in self._episode.trajectory.joint_names if name in names]
        places = [names.index(name) for name in moved]
        speeds[-1] = 0.0       # a trajectory ends at rest, where the clip was cut
        writer.add_trajectory(_START_NS, JointTrajectory(
            tuple(moved), at - begin, rows[:, places], speeds[:, places]))
