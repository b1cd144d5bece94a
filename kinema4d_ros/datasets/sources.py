# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finds out which layout a folder has, and opens it with the reader for that."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from kinema4d_ros.datasets.ctrl_world import CtrlWorldSource
from kinema4d_ros.datasets.droid_raw import DroidRawSource
from kinema4d_ros.datasets.frame_folder import FrameFolderSource, VideoFolderSource
from kinema4d_ros.datasets.lerobot import LeRobotSource
from kinema4d_ros.datasets.rlds import RldsSource
from kinema4d_ros.datasets.rosbag import bag_paths, RosbagSource
from kinema4d_ros.datasets.source import DatasetSource
from kinema4d_ros.errors import DatasetError

FORMS = ('LeRobot 2.0, 2.1, 3.0 (meta/info.json)', 'RLDS (*.tfrecord*)',
         'Ctrl-World (annotation/)', 'DROID raw (trajectory.h5)', 'pictures (info.json)',
         'ROS 2 bags (*.mcap, *.db3)', 'bare videos with rows (*.mp4, *.npz)')


def open_source(path: str | Path, *, rate: float | None = None, usual_rate: float | None = None,
                topics: Mapping[str, str] = MappingProxyType({}),
                version: str = '') -> DatasetSource:
    """
    Open a data set, whatever its layout.

    :param rate: rows a second, in place of what the set says.
    :param usual_rate: rows a second of sets of that robot that do not say it.
    :param topics: role -> topic of bags, where they are not named as usual.
    :param version: of an RLDS set whose folder has several, such as 1.0.1; '' for the newest.
    :raises DatasetError: there is none, its layout is not known, or it has no versions.
    """
    source = _open(Path(path).expanduser(), rate, usual_rate, topics, version)
    if version and not isinstance(source, RldsSource):
        raise DatasetError(f'{path} is of the form {source.form}, which has no versions; leave out '
                           f'the version {version}')
    return source


def _open(path: Path, rate: float | None, usual_rate: float | None, topics: Mapping[str, str],
          version: str) -> DatasetSource:
    if not path.exists():
        raise DatasetError(f'there is no data set {path}')
    if path.is_dir():
        if (path / 'meta' / 'info.json').is_file():
            return LeRobotSource(path, rate)
        if (path / 'annotation').is_dir():
            return CtrlWorldSource(path, rate)
        if (path / 'info.json').is_file():
            return FrameFolderSource(path, rate)
        if next(path.rglob('trajectory.h5'), None) is not None:
            return DroidRawSource(path, rate)
        if next(path.rglob('*.tfrecord*'), None) is not None:
            return RldsSource(path, rate or usual_rate, version)
    elif '.tfrecord' in path.name:
        return RldsSource(path, rate or usual_rate, version)
    if (path / 'mask_videos').is_dir() or (path / 'pointmap').is_dir():
        raise DatasetError(f'{path} has the layout of Robo4D-200k, whose clips have neither joints '
                           'nor cameras, so that no episode can be made of them; kinema4d train '
                           'takes them as they are')
    if bag_paths(path):
        return RosbagSource(path, topics)
    if path.suffix == '.mp4' or path.is_dir() and next(path.rglob('*.mp4'), None) is not None:
        return VideoFolderSource(path, rate)
    raise DatasetError(f'{path} has none of the layouts that are read: {"; ".join(FORMS)}')
