# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot data sets of version 2.0, 2.1 and 3.0, read with pyarrow and PyAV."""
from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.lerobot_meta import (components, DEFAULT_DATA, DEFAULT_VIDEO,
                                                EpisodeRow, LeRobotMeta)
from kinema4d_ros.datasets.parquet import episode_rows
from kinema4d_ros.datasets.paths import file_name, fill, inside
from kinema4d_ros.datasets.poses import camera_matrix, poses_by_width
from kinema4d_ros.datasets.source import FrameStream, SourceCamera, SourceEpisode
from kinema4d_ros.datasets.video import DepthCode, EncodedFrames, has_16_bits, VideoFrames
from kinema4d_ros.errors import DatasetError

_BOOKKEEPING = ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index')
_SUCCESS = ('is_episode_successful', 'next.success', 'success', 'episode_success')
_MILLIMETRE = 1e-3          # [m] a unit of depth in images, as LeRobot writes them
_STILL = (0.005, 0.3)       # [m], [deg] that the pose of a fixed camera may vary by


class LeRobotSource:
    """One set: a folder with meta/info.json."""

    def __init__(self, path: Path, rate: float | None = None) -> None:
        """
        Read what the set says of itself.

        :param rate: rows a second, in place of the fps of info.json.
        :raises DatasetError: info.json cannot be read, or is of a version that is not known.
        """
        self.path, self.meta = path, LeRobotMeta.load(path)
        self.rate = rate
        self._twice: set[str] = set()
        self.form = f'LeRobot {self.meta.version}'

    @cached_property
    def _rows(self) -> Mapping[str, EpisodeRow]:
        found: dict[str, EpisodeRow] = {}
        for row in self.meta.episodes():
            name = file_name(f'episode_{row.index:06d}')
            if found.setdefault(name, row) != row:
                self._twice.add(name)
        return found

    def episode_names(self) -> Sequence[str]:
        """Return episode_000000 and so on."""
        return tuple(self._rows)

    def read(self, name: str) -> SourceEpisode:
        """
        Read the rows of one episode; videos are opened when they are looked at.

        :raises DatasetError: its files are not there, or damaged.
        """
        row = self._rows[name]
        if name in self._twice:
            raise DatasetError(f'{self.path}: the list of episodes has {name} several times, and '
                               'says of it what does not agree')
        table = episode_rows(self._data_files(row), row.index, [
            key for key, feature in self.meta.features.items() if feature.get('dtype') == 'image'])
        if not table.count:
            raise DatasetError(f'{self.path}: no row of {name} is in {self._data_files(row)}')
        columns = dict(table.numbers)
        times = np.arange(table.count) / (self.rate or self.meta.rate)
        stamps = columns.get('timestamp')
        if stamps is not None and self.rate is None and np.isfinite(stamps).all():
            times = stamps[:, 0] - stamps[0, 0]
        videos: dict[str, FrameStream] = {
            key: self._images(key, images) for key, images in table.images.items()}
        for key, feature in self.meta.features.items():
            if feature.get('dtype') == 'video':
                stream = self._video(row, key, feature)
                if stream is not None:
                    stream.times = _frame_times(columns.get('frame_index'), times, stream,
                                                self.meta.rate)
                    videos[key] = stream
        names = {key: components(self.meta.features[key].get('names')) for key in columns
                 if key in self.meta.features}
        return SourceEpisode(
            name, times, {key: value for key, value in columns.items() if key not in _BOOKKEEPING},
            videos, {key: value for key, value in names.items() if value},
            _cameras(columns, videos), text=self._text(row, columns), success=_success(columns),
            origin=f'{self.path.name} ({self.form}), episode {row.index}',
            licence=self.meta.licence, robot=self.meta.robot, stated_rows=row.length)

    def _images(self, key: str, images: Sequence[tuple[bytes | None, str | None]]
                ) -> EncodedFrames:
        """Return images that are in the table, or whose paths are; those of 16 bits are depth."""
        found = [data if data is not None else inside(self.path, path) if path else None
                 for data, path in images]
        first = next((item for item in found if item is not None), None)
        is_depth = first is not None and has_16_bits(first) and (
            'depth' in key.lower() or _depth_code(self.meta.features.get(key, {})) is not None)
        return EncodedFrames(found, depth_scale=_MILLIMETRE if is_depth else None)

    def _text(self, row: EpisodeRow, columns: Mapping[str, np.ndarray]) -> str:
        if row.tasks:
            return row.tasks[0]
        index = columns.get('task_index')
        return '' if index is None else self.meta.tasks.get(int(index[0, 0]), '')

    def _values(self, row: EpisodeRow, chunk: int, file: int) -> dict[str, str | int]:
        """Return every name that templates of info.json have been seen to use."""
        old = self.meta.version.startswith('v2')
        return {'episode_chunk': row.index // self.meta.chunks_size if old else chunk,
                'episode_index': row.index, 'episode_file': file, 'chunk_index': chunk,
                'file_index': file}

    def _data_files(self, row: EpisodeRow) -> list[Path]:
        template = self.meta.data_path or DEFAULT_DATA[self.meta.version[:2]]
        named = inside(self.path, fill(template, self._values(row, *row.data)))
        if named.is_file():
            return [named]
        found = sorted((self.path / 'data').rglob(f'*episode_{row.index:06d}.parquet')) or sorted(
            (self.path / 'data').rglob('*.parquet') if self.meta.version.startswith('v3') else [])
        if not found:
            raise DatasetError(f'{self.path}: there is no file {named.relative_to(self.path)}, and '
                               'no other of that episode in data')
        return found

    def _video(self, row: EpisodeRow, key: str, feature: Mapping[str, Any]) -> VideoFrames | None:
        """Return the frames of one camera, None where the file is not there."""
        chunk, file, begin, end = row.videos.get(key, (0, 0, 0.0, None))
        template = self.meta.video_path or DEFAULT_VIDEO[self.meta.version[:2]]
        values = self._values(row, chunk, file) | {'video_key': key}
        path = inside(self.path, fill(template, values))
        if not path.is_file():
            folder = inside(self.path, f'videos/{key}')
            pattern = f'episode_{row.index:06d}.mp4'
            others = sorted(other for other in (self.path / 'videos').rglob(pattern)
                            if key in other.parts)
            if not others and folder.is_dir():
                others = sorted(folder.rglob('*.mp4'))
                others = others if len(others) == 1 else []      # which, if there are several?
            if not others:
                return None
            path = others[0]
        return VideoFrames(path, begin=begin, end=end, depth=_depth_code(feature))


def _frame_times(index: np.ndarray | None, times: np.ndarray, stream: VideoFrames, rate: float
                 ) -> np.ndarray | None:
    """
    Return when the frames of a video were taken whose rows are not all there; None where they are.

    Row r is that of frame ``index[r]``; where rows were left out, the video may still have all.
    """
    if index is None or not np.isfinite(index).all() or (np.diff(index[:, 0]) <= 0).any():
        return None
    rows, count = index[:, 0], None
    if rows[0] == 0 and rows[-1] == len(rows) - 1 or rows[0] < 0:
        return None
    with contextlib.suppress(DatasetError):      # whoever decodes it tells
        count = stream.count
    if count is None or count <= rows[-1]:
        return None
    number = np.arange(count)
    outside = np.where(number < rows[0], number - rows[0], np.maximum(number - rows[-1], 0)) / rate
    return np.interp(number, rows, times) + outside


def _depth_code(feature: Mapping[str, Any]) -> DepthCode | None:
    """Return how a video stands for depth, None where it is colour."""
    info: dict[str, Any] = {}
    for key in ('video_info', 'info'):
        if isinstance(feature.get(key), Mapping):
            info |= feature[key]
    short = {key.removeprefix('video.'): value for key, value in info.items()}
    if not (short.get('is_depth_map') or feature.get('is_depth_map')):
        return None
    try:
        return DepthCode(float(short.get('depth_min', 0.01)), float(short.get('depth_max', 10.0)),
                         float(short.get('shift', 3.5)), bool(short.get('use_log', True)))
    except (TypeError, ValueError) as error:
        raise DatasetError(f'info.json: the depth of a video is coded by {short}') from error


def _success(columns: Mapping[str, np.ndarray]) -> bool | None:
    for name in _SUCCESS:
        if name in columns:
            return bool(np.any(columns[name] > 0.5))
    return None


def _cameras(columns: Mapping[str, np.ndarray], videos: Mapping[str, FrameStream]
             ) -> dict[str, SourceCamera]:
    """Return what columns say of cameras: camera_intrinsics.NAME, camera_extrinsics.NAME."""
    found = {}
    for key in videos:
        short = key.rpartition('.')[2].rpartition('/')[2]
        K = _first(_column(columns, 'intrinsics', short))
        T, why = _fixed_pose(_column(columns, 'extrinsics', short))
        if K is not None or T is not None or why:
            found[key] = SourceCamera(None if K is None else camera_matrix(K), T,
                                      origin='columns of the set', pose_fault=why)
    return found


def _fixed_pose(values: np.ndarray | None) -> tuple[np.ndarray | None, str]:
    """Return the pose of a camera that stands still, or why it is none."""
    if values is None or _first(values) is None:
        return None, ''
    try:
        T = poses_by_width(values, 'xyz_rpy')
    except DatasetError as error:
        return None, f'the column of the set is of no use: {error}'
    away = float(np.linalg.norm(T[:, :3, 3] - T[0, :3, 3], axis=1).max())
    chord = np.linalg.norm(T[:, :3, :3] - T[0, :3, :3], axis=(1, 2)).max() / np.sqrt(8)
    turn = float(np.degrees(2 * np.arcsin(min(chord, 1.0))))
    if away > _STILL[0] or turn > _STILL[1]:
        return None, (f'the camera moves, by up to {1000 * away:.0f} mm and {turn:.1f} deg in the '
                      'columns of the set; only one that stands still can be placed')
    return T[0], ''


def _column(columns: Mapping[str, np.ndarray], kind: str, camera: str) -> np.ndarray | None:
    return next((values for name, values in columns.items()
                 if kind in name and name.rpartition('.')[2] == camera), None)


def _first(values: np.ndarray | None) -> np.ndarray | None:
    """Return the first row; None where it says nothing."""
    if values is None or not np.isfinite(values[0]).all() or not values[0].any():
        return None
    found: np.ndarray = values[0]
    return found
