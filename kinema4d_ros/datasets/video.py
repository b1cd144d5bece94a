# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of videos and of compressed images, decoded one at a time by PyAV and OpenCV."""
from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kinema4d_ros.datasets.paths import lfs_hint, MOST_BYTES, MOST_PIXELS
from kinema4d_ros.errors import DatasetError

_MOST_CODE = 4095       # of 12 bits


@dataclass(frozen=True)
class DepthCode:
    """
    How 12-bit codes stand for depth; both ends of the scale stand for what is unknown.

    As LeRobot 0.6 writes them: code / 4095 is the position of log(depth + shift), or of the depth
    itself, between those of `least` and `most`. A depth that is not known (0) becomes code 0.
    """

    least: float = 0.01      # [m]
    most: float = 10.0       # [m]
    shift: float = 3.5       # [m]
    is_log: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that no depth has."""
        if not 0 <= self.least < self.most < 1e4 or self.is_log and not self.least + self.shift > 0:
            raise DatasetError(f'the codes of depth cannot be read: {self}')

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return depth (H, W) float32 [m], NaN unknown, of codes (H, W)."""
        part = codes.astype(np.float32) / _MOST_CODE
        if self.is_log:
            low, high = math.log(self.least + self.shift), math.log(self.most + self.shift)
            depth = np.exp(low + part * (high - low)) - self.shift
        else:
            depth = self.least + part * (self.most - self.least)
        depth[(codes == 0) | (codes >= _MOST_CODE)] = np.nan
        return depth.astype(np.float32)

    def encode(self, depth: np.ndarray) -> np.ndarray:
        """Return codes (H, W) uint16 of depth (H, W) [m]; what is not finite becomes 0."""
        known = np.isfinite(depth) & (depth > 0)
        metres = np.where(known, depth, self.least)
        if self.is_log:
            low, high = math.log(self.least + self.shift), math.log(self.most + self.shift)
            part = (np.log(metres + self.shift) - low) / (high - low)
        else:
            part = (metres - self.least) / (self.most - self.least)
        codes = np.rint(part * _MOST_CODE).clip(0, _MOST_CODE)
        return np.where(known, codes, 0).astype(np.uint16)


class VideoFrames:
    """The frames of a video file, or of the stretch of it that is one episode's."""

    def __init__(self, path: Path, *, begin: float = 0.0, end: float | None = None,
                 depth: DepthCode | None = None, times: np.ndarray | None = None) -> None:
        """
        Remember the stretch; the file is opened when it is asked for something.

        :param begin: [s] in the video, of the first frame.
        :param end: [s] in the video, behind the last frame; None is the end of the file.
        :param depth: for a video of depth.
        :param times: (F,) [s] from the first row, where more is known than that they follow.
        """
        self.path, self._begin, self._end, self._depth = path, begin, end, depth
        self.times = times

    @property
    def is_depth(self) -> bool:
        """Whether it is depth."""
        return self._depth is not None

    @property
    def rate(self) -> float | None:
        """Frames a second, as the file says."""
        return self._stated[1]

    @property
    def count(self) -> int | None:
        """How many frames there are, as the file says."""
        count, rate = self._stated
        if self._end is None and self._begin == 0.0:
            return count
        if rate is None:
            return None
        wanted = None if self._end is None else round((self._end - self._begin) * rate)
        there = None if count is None else max(0, count - round(self._begin * rate))
        return min((n for n in (wanted, there) if n is not None), default=None)

    @cached_property
    def _stated(self) -> tuple[int | None, float | None]:
        import av

        with self._open() as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate) if stream.average_rate else None
            count = stream.frames or None
            if count is None and rate and container.duration:
                count = round(container.duration / av.time_base * rate)
            return count, rate

    def _open(self) -> Any:
        import av

        try:
            container = av.open(str(self.path))
        except (OSError, ValueError, av.FFmpegError) as error:
            raise DatasetError(f'the video {self.path} cannot be opened ({error}); fetch it '
                               f'again{lfs_hint(self.path)}') from error
        if not container.streams.video:
            container.close()
            raise DatasetError(f'{self.path} has no video in it')
        codec = container.streams.video[0].codec_context
        if codec is None:
            container.close()
            raise DatasetError(f'the video {self.path} is of no known codec, or damaged; fetch it '
                               'again')
        width, height = codec.width, codec.height
        if not 0 < width * height <= MOST_PIXELS:
            container.close()
            raise DatasetError(f'the video {self.path} has {width} x {height} pixels, more than '
                               f'the {MOST_PIXELS} that are decoded')
        return container

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames of the stretch."""
        import av

        done = 0
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = 'AUTO'
            rate = float(stream.average_rate) if stream.average_rate else 30.0
            half = 0.5 / rate
            try:
                if self._begin > 1.0:
                    container.seek(int((self._begin - half) / stream.time_base), stream=stream)
                first = float((stream.start_time or 0) * stream.time_base)
                for frame in container.decode(stream):
                    at = frame.time - first if frame.time is not None else done / rate
                    if at < self._begin - half:
                        continue
                    if self._end is not None and at > self._end - half:
                        break
                    done += 1
                    yield self._picture(frame)
            except (OSError, ValueError, av.FFmpegError) as error:
                raise DatasetError(f'the video {self.path} is damaged after {done} frames '
                                   f'({error}); fetch it again') from error

    def _picture(self, frame: Any) -> np.ndarray:
        if self._depth is None:
            return frame.to_ndarray(format='rgb24')
        codes = frame.to_ndarray(format='gray12le' if '12' in frame.format.name else 'gray16le')
        return self._depth.decode(codes.reshape(frame.height, frame.width))


class EncodedFrames:
    """Compressed images: bytes that are there already, or that are read when it is their turn."""

    rate = None

    def __init__(self, images: Sequence[bytes | Path | None], *,
                 times: np.ndarray | None = None, depth_scale: float | None = None) -> None:
        """
        Remember the images.

        :param images: contents of JPEG or PNG files, or such files; None where one is missing.
        :param times: (F,) [s] from the first row.
        :param depth_scale: metres a unit, for 16-bit depth.
        """
        self._images, self.times, self._scale = images, times, depth_scale

    @property
    def is_depth(self) -> bool:
        """Whether it is depth."""
        return self._scale is not None

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._images)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the decoded images."""
        for number, item in enumerate(self._images):
            if item is None:
                raise DatasetError(f'image {number} is missing')
            where = f'image {number}' if isinstance(item, bytes) else str(item)
            try:
                data = item if isinstance(item, bytes) else item.read_bytes()
            except OSError as error:
                raise DatasetError(f'{where} cannot be read: {error.strerror}') from error
            yield decode_image(data, where, self._scale)


def has_16_bits(item: bytes | Path) -> bool:
    """Whether an image has one channel of 16 bits, as depth; its head alone is read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(item) if isinstance(item, bytes) else item) as image:
            return image.mode.startswith('I')
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def decode_image(data: bytes, where: str, depth_scale: float | None = None) -> np.ndarray:
    """
    Return (H, W, 3) uint8 RGB of a JPEG or PNG, or depth (H, W) float32 [m] of one with 16 bits.

    :raises DatasetError: it is damaged, or too large to be unpacked.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:      # reads the head only
            width, height = image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f'{where} is damaged: {error}') from error
    if width * height > MOST_PIXELS or len(data) > MOST_BYTES:
        raise DatasetError(f'{where} has {width} x {height} pixels, more than the {MOST_PIXELS} '
                           'that are decoded')
    flags = cv2.IMREAD_COLOR if depth_scale is None else cv2.IMREAD_UNCHANGED
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise DatasetError(f'{where} is damaged')
    if depth_scale is None:
        return np.ascontiguousarray(pixels[..., ::-1])
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise DatasetError(f'{where} is {pixels.shape} {pixels.dtype}, and no depth of 16 bits')
    return np.where(pixels == 0, np.nan, pixels * np.float32(depth_scale)).astype(np.float32)


class LazyFrames:
    """Pictures that a function gives when they are asked for, such as those of a bag."""

    rate = None

    def __init__(self, make: Callable[[], Iterator[np.ndarray]], times: np.ndarray, *,
                 is_depth: bool = False) -> None:
        """Remember how to make them, and when each was taken, (F,) [s] from the first row."""
        self._make, self.times, self.is_depth = make, times, is_depth

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.times)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the pictures."""
        return self._make()
