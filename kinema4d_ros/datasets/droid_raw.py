# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DROID as it was recorded: a folder an episode, with trajectory.h5, metadata_*.json and MP4."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.paths import file_name, file_names, json_object, MOST_BYTES, MOST_ROWS
from kinema4d_ros.datasets.poses import pose_matrix
from kinema4d_ros.datasets.source import FrameStream, SourceCamera, SourceEpisode
from kinema4d_ros.datasets.video import VideoFrames
from kinema4d_ros.errors import DatasetError

_TABLE = 'trajectory.h5'
_RATE = 15.0                    # [Hz], where no stamps are there
_CAMERAS = {'wrist': 'wrist_left', 'ext1': 'exterior_1_left', 'ext2': 'exterior_2_left'}
_DEEPEST = 6                    # groups within groups that are looked into
_MOST_COLUMNS = 500


class DroidRawSource:
    """Episodes in folders, at whatever depth."""

    form = 'DROID raw (HDF5 + MP4)'

    def __init__(self, path: Path, rate: float | None = None) -> None:
        """
        Remember where to look.

        :param path: of one episode, or of a folder of them (success/2023-..., failure/...).
        :param rate: rows a second, where the table has no stamps (default 15).
        """
        self.path, self.rate = path, rate or _RATE

    @cached_property
    def _folders(self) -> Mapping[str, Path]:
        folders = sorted(file.parent for file in self.path.rglob(_TABLE))
        return file_names((folder.name if folder == self.path
                           else folder.relative_to(self.path).as_posix(), folder)
                          for folder in folders)

    def episode_names(self) -> Sequence[str]:
        """Return the folders of the episodes, with their parents."""
        return tuple(self._folders)

    def read(self, name: str) -> SourceEpisode:
        """
        Read the table and the metadata of one episode.

        :raises DatasetError: they are not there, damaged, or their columns differ in length.
        """
        folder = self._folders[name]
        columns, stamps = _table(folder / _TABLE)
        metas = sorted(folder.glob('metadata*.json'))
        meta = json_object(metas[0]) if metas else {}
        counts = {key: len(column) for key, column in columns.items()}
        if stamps is not None:
            counts['the stamps'] = len(stamps)
        if len(set(counts.values())) > 1:
            raise DatasetError(f'{folder / _TABLE}: its columns differ in length: {counts}')
        count = next(iter(counts.values()))
        times = np.arange(count) / self.rate
        if stamps is not None:
            times = (stamps - stamps[0]) * 1e-3
        success = meta.get('success')
        if not isinstance(success, bool):
            parts = {part.lower() for part in folder.parts}
            success = 'success' in parts if parts & {'success', 'failure'} else None
        videos, cameras = _videos(folder, meta)
        return SourceEpisode(
            name, times, columns, videos,
            cameras=cameras, text=str(meta.get('current_task') or ''), success=success,
            origin=f'DROID {meta.get("uuid", folder.name)}', licence='CC-BY-4.0',
            robot=str(meta.get('robot_serial') or ''))


def _table(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return the columns of numbers, by dotted name, and the stamps of the rows [ms]."""
    import h5py

    found: dict[str, np.ndarray] = {}

    def read(group: Any, prefix: str, depth: int) -> None:
        for key, item in group.items():
            name = f'{prefix}.{key}' if prefix else str(key)
            if isinstance(item, h5py.Group):
                if depth < _DEEPEST and 'image' not in key:
                    read(item, name, depth + 1)
                continue
            if not isinstance(item, h5py.Dataset) or item.dtype.kind not in 'fiub' \
                    or item.ndim not in (1, 2) or not len(item):
                continue
            if item.nbytes > MOST_BYTES or len(item) > MOST_ROWS or len(found) >= _MOST_COLUMNS:
                raise DatasetError(f'{path}: {name} has the shape {item.shape}, more than is '
                                   'unpacked')
            found[name] = np.asarray(item[()], np.float64).reshape(len(item), -1)

    try:
        with h5py.File(path, 'r') as file:
            read(file, '', 0)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise DatasetError(f'{path} is damaged or no HDF5 file ({error}); fetch it '
                           'again') from error
    stamps = next((found[name][:, 0] for name in (
        'observation.timestamp.control.step_start', 'observation.timestamp.robot_state.read_start')
        if name in found), None)
    columns = {name: values for name, values in found.items() if 'timestamp' not in name
               and 'camera' not in name}
    if not columns:
        raise DatasetError(f'{path} has no table of numbers in it')
    return columns, stamps


def _videos(folder: Path, meta: Mapping[str, Any]
            ) -> tuple[dict[str, FrameStream], dict[str, SourceCamera]]:
    """Return the left pictures of each camera, and what the metadata says of where it is."""
    videos: dict[str, FrameStream] = {}
    cameras: dict[str, SourceCamera] = {}
    named = set()
    for short, camera in _CAMERAS.items():
        serial = file_name(str(meta.get(f'{short}_cam_serial') or ''))
        path = folder / 'recordings' / 'MP4' / f'{serial}.mp4'
        if not path.is_file():
            continue
        named.add(path)
        videos[camera] = VideoFrames(path)
        numbers = meta.get(f'{short}_cam_extrinsics')
        if short != 'wrist' and isinstance(numbers, list) and len(numbers) == 6:
            try:
                T = pose_matrix(np.array(numbers, np.float64), 'xyz_rpy')
            except (TypeError, ValueError) as error:
                raise DatasetError(f'{folder}: {short}_cam_extrinsics is {numbers}') from error
            cameras[camera] = SourceCamera(T_base_camera=T, origin='metadata of DROID, which is '
                                           'noisy or wrong for many episodes')
    for path in sorted((folder / 'recordings' / 'MP4').glob('*.mp4')):
        if path not in named and 'stereo' not in path.name:
            videos[path.stem] = VideoFrames(path)
    return videos, cameras
