# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Writes episodes as a LeRobot set of version 3.0, with depth: joints, colour as H.264, depth as HEVC.

Each episode has a table and a video of its own, which the version allows. K and T, for which there
is no place, are columns: camera_intrinsics.NAME (fx, fy, cx, cy [px]) and camera_extrinsics.NAME
(T_base_camera, row by row).
"""
from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.paths import file_name
from kinema4d_ros.datasets.video import DepthCode
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import DatasetError

_DATA = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
_VIDEO = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
_STATE, _ACTION, _SUCCESS = 'observation.state', 'action', 'next.success'
_FILES = 1000               # in a chunk
_SPREAD = 0.1               # of the frame time, that frames may be off their place
_CODE = DepthCode()


@dataclass(frozen=True)
class _Shape:
    """What all episodes of a set have in common."""

    rate: int
    joints: tuple[str, ...]
    camera: str
    size: tuple[int, int]      # (height, width)
    has_depth: bool
    has_success: bool = False      # what all episodes say, as a column is of all or of none
    has_camera: bool = False


def write_lerobot(paths: Sequence[Path], out: Path,
                  report: Callable[[str, int, int], None] = lambda stage, step, total: None
                  ) -> None:
    """
    Write episodes as one set.

    A row is a frame of the first camera; the action of a row is where the joints are at the next.
    The column of success, and those of K and T, are there where all episodes say them.

    :param paths: of episodes of one robot and one camera at one rate.
    :param out: folder, replaced as a whole when all is written.
    :raises DatasetError: there is none, or they do not belong into one set.
    """
    if not paths:
        raise DatasetError('there is no episode to write as a LeRobot set')
    part = out.with_name(f'.{out.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    known = [_known(path) for path in paths]
    shape: _Shape | None = None
    rows, tasks, stats, begin = [], dict[str, int](), _Statistics(), 0
    try:
        for number, path in enumerate(paths):
            report(path.stem, number, len(paths))
            episode = Episode.open(path)
            found = dataclasses.replace(_shape(episode), has_success=all(a for a, _ in known),
                                        has_camera=all(b for _, b in known))
            shape = shape or found
            if found != shape:
                raise DatasetError(f'{path.name} is {found}, the first episode {shape}: they do '
                                   'not belong into one set')
            task = tasks.setdefault(episode.metadata.task_text, len(tasks))
            count = _write_episode(part, number, episode, shape, begin, task, stats)
            rows.append(_episode_row(number, episode, shape, begin, count))
            begin += count
        assert shape is not None
        _write_meta(part, shape, rows, tasks, stats, begin)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def _known(path: Path) -> tuple[bool, bool]:
    """Return whether an episode says if it succeeded, and where its camera is."""
    said = Episode.open(path).metadata
    return said.success is not None, said.camera_known


def _shape(episode: Episode) -> _Shape:
    times = episode.frames.times
    if len(times) < 2:
        raise DatasetError(f'{episode.path.name} has fewer than two frames')
    period = float(np.median(np.diff(times)))
    off = np.abs(times - times[0] - period * np.arange(len(times))).max() / period
    if off > max(_SPREAD, 0.01 * len(times)):
        raise DatasetError(f'{episode.path.name}: its frames are not evenly spaced as LeRobot has '
                           f'them: one is {off:.1f} frames off its place')
    first = episode.frames[0]
    return _Shape(max(1, round(1 / period)), episode.joint_states[1],
                  file_name(episode.metadata.camera or 'camera').rpartition('.')[2],
                  (first.image.shape[0], first.image.shape[1]), first.depth is not None)


def _keys(shape: _Shape) -> tuple[str, str]:
    return f'observation.images.{shape.camera}', f'observation.images.{shape.camera}_depth'


def _write_episode(out: Path, number: int, episode: Episode, shape: _Shape, begin: int, task: int,
                   stats: _Statistics) -> int:
    """Write table and videos of an episode; return its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    times, names, positions = episode.joint_states
    at = episode.frames.times
    state = np.stack([np.interp(at, times, column) for column in positions.T], axis=1)
    action = np.r_[state[1:], state[-1:]]
    count = len(at)
    columns: dict[str, Any] = {_STATE: state, _ACTION: action}
    if shape.has_camera:
        view = episode.observation(-episode.start_index).views[0]
        camera = view.camera
        columns[f'camera_intrinsics.{shape.camera}'] = np.tile(
            [camera.fx, camera.fy, camera.cx, camera.cy], (count, 1))
        columns[f'camera_extrinsics.{shape.camera}'] = np.tile(np.ravel(view.T_base_camera),
                                                               (count, 1))
    table = {key: pa.array(values.astype(np.float32).tolist(), pa.list_(pa.float32()))
             for key, values in columns.items()}
    if shape.has_success:
        table[_SUCCESS] = pa.array([bool(episode.metadata.success)] * count)
    table |= {'timestamp': pa.array((np.arange(count) / shape.rate).astype(np.float32)),
              'frame_index': pa.array(range(count)),
              'episode_index': pa.array([number] * count),
              'index': pa.array(range(begin, begin + count)),
              'task_index': pa.array([task] * count)}
    path = out / _DATA.format(chunk_index=number // _FILES, file_index=number % _FILES)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    for key, values in columns.items():
        stats.add(key, values)
    color, depth = _keys(shape)
    rectify = episode.calibration.rectify
    _encode(out / _video_path(color, number), (
        rectify(frame.image) for frame in stats.seen(color, episode.frames)), shape, False)
    if shape.has_depth:
        _encode(out / _video_path(depth, number), (
            _CODE.encode(values) for values in stats.seen_depth(depth, (
                np.full(shape.size, np.nan) if frame.depth is None else
                episode.calibration.rectify_depth(frame.depth) for frame in episode.frames))),
            shape, True)
    return count


def _video_path(key: str, number: int) -> str:
    return _VIDEO.format(video_key=key, chunk_index=number // _FILES, file_index=number % _FILES)


def _encode(path: Path, frames: Iterable[np.ndarray], shape: _Shape, depth: bool) -> None:
    """Write a video; depth without loss, 12 bits a pixel."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream: Any = container.add_stream('libx265' if depth else 'libx264',
                                           rate=Fraction(shape.rate))
        stream.height, stream.width = shape.size
        stream.pix_fmt = 'gray12le' if depth else 'yuv420p'
        stream.options = {'x265-params': 'lossless=1:log-level=none'} if depth else {'crf': '18'}
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(
                image, format='gray12le' if depth else 'rgb24')))
        container.mux(stream.encode())


def _episode_row(number: int, episode: Episode, shape: _Shape, begin: int, count: int
                 ) -> dict[str, Any]:
    place = {'chunk_index': number // _FILES, 'file_index': number % _FILES}
    row: dict[str, Any] = {
        'episode_index': number, 'tasks': [episode.metadata.task_text], 'length': count,
        'dataset_from_index': begin, 'dataset_to_index': begin + count,
        'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0,
        **{f'data/{key}': value for key, value in place.items()}}
    for key in _keys(shape)[:1 + shape.has_depth]:
        row |= {f'videos/{key}/{name}': value for name, value in place.items()}
        row |= {f'videos/{key}/from_timestamp': 0.0,
                f'videos/{key}/to_timestamp': count / shape.rate}
    return row


def _write_meta(out: Path, shape: _Shape, rows: Sequence[Mapping[str, Any]],
                tasks: Mapping[str, int], stats: _Statistics, total: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    color, depth = _keys(shape)

    def video(is_depth: bool) -> dict[str, Any]:
        info: dict[str, Any] = {'video.height': shape.size[0], 'video.width': shape.size[1],
                'video.codec': 'hevc' if is_depth else 'h264',
                'video.pix_fmt': 'gray12le' if is_depth else 'yuv420p',
                'video.is_depth_map': is_depth, 'video.fps': shape.rate,
                'video.channels': 1 if is_depth else 3, 'has_audio': False}
        if is_depth:
            info |= {'video.depth_min': _CODE.least, 'video.depth_max': _CODE.most,
                     'video.shift': _CODE.shift, 'video.use_log': _CODE.is_log,
                     'depth_unit': 'm'}      # of what is coded, and of the statistics
        return {'dtype': 'video', 'shape': [*shape.size, 1 if is_depth else 3],
                'names': ['height', 'width', 'channels'], 'info': info}

    features: dict[str, Any] = {}
    for key, width in stats.widths.items():
        features[key] = {'dtype': 'float32', 'shape': [width], 'names':
                         list(shape.joints) if key in (_STATE, _ACTION) else None}
    features[color] = video(False)
    if shape.has_depth:
        features[depth] = video(True)
    for key, kind in (*(((_SUCCESS, 'bool'),) if shape.has_success else ()),
                      ('timestamp', 'float32'), ('frame_index', 'int64'),
                      ('episode_index', 'int64'), ('index', 'int64'), ('task_index', 'int64')):
        features[key] = {'dtype': kind, 'shape': [1], 'names': None}
    meta = out / 'meta'
    (meta / 'episodes' / 'chunk-000').mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]),
                   meta / 'episodes' / 'chunk-000' / 'file-000.parquet')
    pq.write_table(_task_table(tasks), meta / 'tasks.parquet')
    (meta / 'stats.json').write_text(json.dumps(stats.as_json(), indent=1), encoding='utf-8')
    (meta / 'info.json').write_text(json.dumps({
        'codebase_version': 'v3.0', 'robot_type': '', 'total_episodes': len(rows),
        'total_frames': total, 'total_tasks': len(tasks), 'chunks_size': _FILES,
        'data_files_size_in_mb': 100, 'video_files_size_in_mb': 200, 'fps': shape.rate,
        'splits': {'train': f'0:{len(rows)}'}, 'data_path': _DATA, 'video_path': _VIDEO,
        'features': features}, indent=1), encoding='utf-8')


def _task_table(tasks: Mapping[str, int]) -> Any:
    """Return the tasks; LeRobot finds their text where pandas has said that it is the index."""
    import pyarrow as pa

    table = pa.table({'task_index': pa.array(tasks.values(), pa.int64()),
                      'task': pa.array(tasks, pa.string())})
    kinds = (('task_index', 'int64', 'int64'), ('task', 'unicode', 'object'))
    return table.replace_schema_metadata({'pandas': json.dumps({
        'index_columns': ['task'], 'column_indexes': [], 'pandas_version': '2.0.0', 'columns': [
            {'name': name, 'field_name': name, 'pandas_type': kind, 'numpy_type': numpy_kind,
             'metadata': None} for name, kind, numpy_kind in kinds]})})


class _Statistics:
    """Least, largest, mean and deviation of each column, as meta/stats.json has them."""

    def __init__(self) -> None:
        self._sums: dict[str, list[np.ndarray]] = {}       # least, most, sum, squares, count

    @property
    def widths(self) -> dict[str, int]:
        return {key: len(value[0]) for key, value in self._sums.items()
                if not key.startswith('observation.images')}

    def add(self, key: str, values: np.ndarray) -> None:
        new = [values.min(axis=0), values.max(axis=0), values.sum(axis=0),
               (values ** 2).sum(axis=0), np.array(float(len(values)))]
        old = self._sums.get(key)
        self._sums[key] = new if old is None else [
            np.minimum(old[0], new[0]), np.maximum(old[1], new[1]),
            *(a + b for a, b in zip(old[2:], new[2:]))]

    def seen(self, key: str, frames: Iterable[Any]) -> Iterator[Any]:
        """Yield frames and take their colours into account, a pixel in 16 each way."""
        for frame in frames:
            self.add(key, frame.image[::16, ::16].reshape(-1, 3) / 255.0)
            yield frame

    def seen_depth(self, key: str, depths: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield depth images, and take into account what they know, likewise."""
        for depth in depths:
            known = depth[::16, ::16]
            known = known[np.isfinite(known) & (known > 0)]
            if len(known):
                self.add(key, known[:, None].astype(np.float64))
            yield depth

    def as_json(self) -> dict[str, Any]:
        found = {}
        for key, (least, most, total, squares, count) in self._sums.items():
            mean = total / count
            values = {'min': least, 'max': most, 'mean': mean,
                      'std': np.sqrt(np.maximum(squares / count - mean ** 2, 0.0))}
            is_image = key.startswith('observation.images')
            found[key] = {name: (value.reshape(-1, 1, 1) if is_image else value).tolist()
                          for name, value in values.items()} | {'count': [int(count)]}
        return found
