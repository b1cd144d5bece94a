# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Simple forms: pictures with an info.json, and bare videos such as SIMPLER's.

info.json has ``steps`` {stamp [s]: {img_file, joint_angles, ...}} and may have ``calibration_info``
with ``intrinsic`` (3 x 3) and ``extrinsic`` (a rotation vector and a translation that take points
of the base into the camera), as panda_dataset has. Beside a bare video NAME.mp4 a file NAME.npz
may hold its rows: ``times`` (N,) [s] and one array (N, k) for each column.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.paths import (file_name, file_names, inside, json_object, MOST_BYTES,
                                         MOST_ROWS)
from kinema4d_ros.datasets.poses import camera_matrix, pose_matrices
from kinema4d_ros.datasets.source import FrameStream, SourceCamera, SourceEpisode
from kinema4d_ros.datasets.video import EncodedFrames, VideoFrames
from kinema4d_ros.errors import DatasetError

CAMERA = 'camera'


class FrameFolderSource:
    """A folder of pictures that info.json puts in time: one episode."""

    form = 'pictures with info.json'

    def __init__(self, path: Path, rate: float | None = None) -> None:
        """Remember where to look; `rate` is not used, since each picture has its stamp."""
        self.path = path

    def episode_names(self) -> Sequence[str]:
        """Return the name of the folder."""
        return (file_name(self.path.resolve().name),)

    def read(self, name: str) -> SourceEpisode:
        """
        Read info.json; pictures are decoded when they are looked at.

        :raises DatasetError: it is not of the form that this module describes.
        """
        info = json_object(self.path / 'info.json')
        steps = info.get('steps')
        if not isinstance(steps, dict) or not 0 < len(steps) <= MOST_ROWS:
            raise DatasetError(f'{self.path}/info.json has no steps')
        try:
            ordered = sorted((float(stamp), step) for stamp, step in steps.items())
            stamps = np.array([stamp for stamp, _ in ordered])
            images = [inside(self.path, str(step['img_file'])) for _, step in ordered]
            keys = [key for key, value in ordered[0][1].items() if isinstance(value, list)]
            columns = {key: np.array([step[key] for _, step in ordered], np.float64)
                       .reshape(len(ordered), -1) for key in keys}
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f'{self.path}/info.json: a step lacks {error}') from error
        times = stamps - stamps[0]
        calibration = info.get('calibration_info')
        cameras = {CAMERA: _calibration(self.path, calibration)} \
            if isinstance(calibration, dict) else {}
        return SourceEpisode(name, times, columns, {CAMERA: EncodedFrames(images, times=times)},
                             cameras=cameras, origin=self.path.resolve().name)


def _calibration(path: Path, values: Mapping[str, Any]) -> SourceCamera:
    try:
        K = camera_matrix(np.array(values['intrinsic'], np.float64))
        row = np.ravel(np.array(values['extrinsic'], np.float64))
        T_camera_base = pose_matrices(np.r_[row[3:6], row[:3]][None], 'xyz_rotvec')[0]
    except (KeyError, TypeError, ValueError, DatasetError) as error:
        raise DatasetError(f'{path}/info.json: calibration_info is not as it is described: '
                           f'{error}') from error
    return SourceCamera(K, np.linalg.inv(T_camera_base), origin='info.json of the set')


class VideoFolderSource:
    """Videos in a folder, each an episode; only what has rows beside it can be imported."""

    form = 'bare videos'

    def __init__(self, path: Path, rate: float | None = None) -> None:
        """Remember where to look, and the rate of rows that have no times (default: frames)."""
        self.path, self.rate = path, rate

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        if self.path.is_file():
            return {file_name(self.path.stem): self.path}
        return file_names(((file.relative_to(self.path).as_posix(), file)
                           for file in sorted(self.path.rglob('*.mp4'))), ('.mp4',))

    def episode_names(self) -> Sequence[str]:
        """Return the paths of the videos in the folder, as names."""
        return tuple(self._files)

    def read(self, name: str) -> SourceEpisode:
        """
        Read the rows beside a video.

        :raises DatasetError: there are none, or they are damaged.
        """
        video = self._files[name]
        frames = VideoFrames(video)
        rows = video.with_suffix('.npz')
        if not rows.is_file():
            raise DatasetError(
                f'{video.name} is a video without rows: nothing says where the robot was. Put its '
                f'joints or tip beside it as {rows.name} (arrays times and e.g. joint_position)')
        columns = _arrays(rows)
        times = columns.pop('times', None)
        count = min((len(column) for column in columns.values()), default=0)
        if not count:
            raise DatasetError(f'{rows} holds no column of numbers')
        rate = self.rate or frames.rate or 30.0
        stamps = np.arange(count) / rate if times is None else times[:count, 0] - times[0, 0]
        videos: dict[str, FrameStream] = {CAMERA: frames}
        return SourceEpisode(name, stamps, {key: column[:count] for key, column in
                                            columns.items()}, videos, origin=video.name)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of numbers of an .npz file, of bounded size, none of them pickled."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > MOST_BYTES:
            raise DatasetError(f'{path} unpacks to {size} bytes, more than the {MOST_BYTES} that '
                               'are read')
        found = {}
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                array = arrays[key]
                if not isinstance(array, np.ndarray):
                    raise DatasetError(f'{path}: {key} is no array')
                if array.ndim in (1, 2) and array.dtype.kind in 'fiub' and len(array):
                    found[key] = np.asarray(array, np.float64).reshape(len(array), -1)
        return found
    except DatasetError:
        raise
    except Exception as error:      # of a damaged file; no memory for a shape that is a lie, too
        raise DatasetError(f'{path} cannot be read: {error}') from error
