# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: the predicted future beside the real one, as sheet and cloud."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK, _SOFT = (250, 250, 248), (24, 26, 30), (112, 116, 124)
_MARGIN = 8


def _label(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int,
           color: tuple[int, int, int] = _INK) -> None:
    draw.text(at, text, fill=color, font=ImageFont.load_default(size))


def _scaled(image: np.ndarray, width: int) -> Image.Image:
    """Return the (H, W, 3) uint8 `image` at `width` pixels; None becomes a grey card."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    height = round(picture.height * width / picture.width)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def side_by_side(panels: Sequence[tuple[str, np.ndarray]], caption: str = '',
                 width: int = 480) -> np.ndarray:
    """
    Put labelled images next to each other.

    :param panels: (label, image (H, W, 3) uint8) of one size, left to right.
    :param caption: one line below them.
    :param width: width of each panel [px].
    :return: (H', W', 3) uint8 with even sides, as video encoders need.
    """
    pictures = [_scaled(image, width) for _, image in panels]
    top, bottom = 26, 26 if caption else 0
    page = Image.new('RGB', (
        _MARGIN + sum(p.width + _MARGIN for p in pictures),
        top + max(p.height for p in pictures) + _MARGIN + bottom), _PAPER)
    draw = ImageDraw.Draw(page)
    x = _MARGIN
    for (label, _), picture in zip(panels, pictures):
        _label(draw, (x, 5), label, 15)
        page.paste(picture, (x, top))
        x += picture.width + _MARGIN
    if caption:
        _label(draw, (_MARGIN, page.height - bottom - 1), caption, 14, _SOFT)
    out = np.asarray(page)
    return out[:out.shape[0] // 2 * 2, :out.shape[1] // 2 * 2]


def sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], times: Sequence[float],
          title: str = '', width: int = 240) -> np.ndarray:
    """
    Lay out key frames: one row per source, one column per time.

    :param rows: (label, images (H, W, 3) uint8), as many images as `times`.
    :param times: [s], written above the columns.
    :return: (H', W', 3) uint8.
    """
    pictures = [(label, [_scaled(image, width) for image in images]) for label, images in rows]
    height = max(p.height for _, row in pictures for p in row)
    top, left = 56 if title else 30, 92
    page = Image.new('RGB', (left + len(times) * (width + _MARGIN),
                             top + len(rows) * (height + _MARGIN)), _PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        _label(draw, (_MARGIN, 6), title, 18)
    for column, time in enumerate(times):
        _label(draw, (left + column * (width + _MARGIN), top - 22), f'{time:.1f} s', 14, _SOFT)
    for line, (label, row) in enumerate(pictures):
        y = top + line * (height + _MARGIN)
        _label(draw, (_MARGIN, y + 4), label, 14)
        for column, picture in enumerate(row):
            page.paste(picture, (left + column * (width + _MARGIN), y))
    return np.asarray(page)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 image as PNG."""
    Image.fromarray(image).save(path, optimize=True)


def write_cloud(path: Path, points: np.ndarray, colors: np.ndarray) -> None:
    """
    Write the finite points of an organized cloud as binary PLY.

    :param points: (..., 3) float32 [m], NaN where unknown.
    :param colors: (..., 3) uint8 RGB.
    """
    import open3d

    keep = np.isfinite(points).all(axis=-1)
    cloud = open3d.geometry.PointCloud()
    cloud.points = open3d.utility.Vector3dVector(points[keep].astype(np.float64))
    cloud.colors = open3d.utility.Vector3dVector(colors[keep].astype(np.float64) / 255.0)
    if not open3d.io.write_point_cloud(str(path), cloud):
        raise OSError(f'{path}: the point cloud could not be written')
