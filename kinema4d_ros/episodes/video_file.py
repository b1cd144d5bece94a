# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes videos for people; for machines there is the episode."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float,
                quality: int = 20) -> None:
    """
    Write (H, W, 3) uint8 frames of one even size as an H.264 MP4 that browsers play.

    :param fps: frames per second of motion.
    :param quality: constant rate factor of H.264, 0 to 51; less is better and larger.
    """
    import av

    with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
        stream = None
        for frame in frames:
            if stream is None:
                rate = Fraction(fps).limit_denominator(1000)
                stream = container.add_stream('libx264', rate=rate,
                                              options={'crf': str(quality), 'preset': 'veryfast'})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = 'yuv420p'
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24')
            container.mux(stream.encode(picture))
        if stream is None:
            raise ValueError(f'{path}: no frame to write')
        container.mux(stream.encode())


def side_by_side(images: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return pictures (H, W, 3) uint8 beside each other, in the height of the first.

    :return: (H', W', 3) uint8 with even sides, as video encoders need.
    """
    height = images[0].shape[0] // 2 * 2
    return np.hstack([np.asarray(Image.fromarray(image).resize(
        (max(2, round(image.shape[1] * height / image.shape[0]) // 2 * 2), height)))
        for image in images])
