# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
DROID as Ctrl-World keeps it: annotation/SPLIT/N.json beside videos/SPLIT/N/0.mp4 and so on.

Pictures are every third of the 15 Hz rows, at 5 Hz; newer recordings have one row a picture.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.paths import file_names, inside, json_object, MOST_ROWS
from kinema4d_ros.datasets.source import FrameStream, SourceEpisode
from kinema4d_ros.datasets.video import VideoFrames
from kinema4d_ros.errors import DatasetError

_RATE = 15.0       # [Hz] of rows that have their own columns
_CAMERAS = ('exterior_1_left', 'exterior_2_left', 'wrist_left')
_SUMMARY = ('states', 'joints')      # one row a picture


class CtrlWorldSource:
    """A folder with annotation/ and videos/."""

    form = 'Ctrl-World'

    def __init__(self, path: Path, rate: float | None = None) -> None:
        """
        Remember where to look.

        :param rate: rows a second (default 15, or that of the video where there is a row for each
            of its pictures).
        """
        self.path, self.rate = path, rate

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        folder = self.path / 'annotation'
        return file_names(((file.relative_to(folder).as_posix(), file)
                           for file in sorted(folder.rglob('*.json'))), ('.json',))

    def episode_names(self) -> Sequence[str]:
        """Return split and number of each annotation."""
        return tuple(self._files)

    def read(self, name: str) -> SourceEpisode:
        """
        Read one annotation.

        :raises DatasetError: it is damaged, or its rows differ in number.
        """
        file = self._files[name]
        values = json_object(file)
        rows = {key: item for key, item in values.items()
                if isinstance(item, list) and key.startswith(('observation.', 'action.'))}
        if not rows:
            rows = {key: values[key] for key in _SUMMARY if isinstance(values.get(key), list)}
        columns = {key: _column(file, key, item) for key, item in rows.items()}
        counts = {key: len(column) for key, column in columns.items()}
        if not counts or len(set(counts.values())) > 1:
            raise DatasetError(f'{file}: its columns differ in length: {counts}')
        videos: dict[str, FrameStream] = {}
        listed = values.get('videos')
        for number, item in enumerate(listed if isinstance(listed, list) else []):
            path = inside(self.path, str(item.get('video_path') if isinstance(item, dict)
                                         else item))
            camera = _CAMERAS[number] if number < len(_CAMERAS) else str(number)
            if path.is_file():
                videos[camera] = VideoFrames(path)
        count = next(iter(counts.values()))
        rate = self.rate or _RATE
        if self.rate is None and 'states' in columns and videos:
            rate = next(iter(videos.values())).rate or rate
        texts = values.get('texts')
        success = values.get('success')
        return SourceEpisode(
            name, np.arange(count) / rate, columns, videos,
            text=str(texts[0]) if isinstance(texts, list) and texts else '',
            success=bool(success) if isinstance(success, (bool, int)) else None,
            origin=f'{self.path.name}/{file.stem} (Ctrl-World)', licence='CC-BY-4.0')


def _column(file: Path, key: str, rows: list[Any]) -> np.ndarray:
    if not 0 < len(rows) <= MOST_ROWS:
        raise DatasetError(f'{file}: {key} has {len(rows)} rows')
    try:
        return np.array(rows, np.float64).reshape(len(rows), -1)
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{file}: {key} is no table of numbers ({error})') from error
