# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 to and from organized arrays (height = rows, width = columns)."""
from __future__ import annotations

import sys

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from kinema4d_ros.bridge.images import check_size
from kinema4d_ros.errors import ObservationError

_POINT_STEP = 16
_BLOCK = 1 << 15      # points
_DTYPES = {
    PointField.INT8: 'i1', PointField.UINT8: 'u1', PointField.INT16: 'i2',
    PointField.UINT16: 'u2', PointField.INT32: 'i4', PointField.UINT32: 'u4',
    PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}


def cloud_message(points: np.ndarray, colors: np.ndarray | None, header: Header, *,
                  stride: int = 1, again: PointCloud2 | None = None) -> PointCloud2:
    """
    Return an organized cloud: x y z FLOAT32 at 0 4 8, and rgb as RViz and PCL want it at 12.

    :param points: (H, W, 3) float32 [m] in the frame of `header`, NaN where unknown.
    :param colors: (H, W, 3) uint8 RGB, or None for a cloud without colour.
    :param stride: keep every `stride`-th row and column, to send less.
    :param again: an earlier cloud of this function that nobody needs any more. Where it has the
        same size, it is written over and returned, which takes half of the time.
    """
    if points.ndim != 3 or points.shape[2] != 3 or stride < 1 or (
            colors is not None and (colors.shape != points.shape or colors.dtype != np.uint8)):
        raise ObservationError(
            'a cloud takes points (H, W, 3), colors (H, W, 3) uint8 or None and stride >= 1, got '
            f'{points.shape}, {None if colors is None else (colors.shape, str(colors.dtype))}, '
            f'{stride}')
    points, colors = points[::stride, ::stride], None if colors is None else \
        colors[::stride, ::stride]
    height, width = points.shape[:2]
    check_size(width, height)
    names = ('x', 'y', 'z') if colors is None else ('x', 'y', 'z', 'rgb')
    if again is not None and (again.height, again.width, len(again.fields)) == (
            height, width, len(names)):
        again.header, again.is_dense = header, True
        return _filled(again, points, colors)
    message = PointCloud2(
        header=header, height=int(height), width=int(width), point_step=_POINT_STEP,
        row_step=_POINT_STEP * int(width), is_bigendian=sys.byteorder == 'big', is_dense=True,
        fields=[PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
                for index, name in enumerate(names)])
    # The message's own memory is made as long as it must be in place: assigned, it would be copied.
    data = message.data
    data.frombytes(bytes(message.row_step))
    data *= height
    return _filled(message, points, colors)


def _filled(message: PointCloud2, points: np.ndarray, colors: np.ndarray | None) -> PointCloud2:
    """Write a cloud into a message of its size, in blocks of rows that the caches hold."""
    height, width = points.shape[:2]
    packed = np.frombuffer(message.data, np.float32).reshape(height, width, 4)
    rows = max(1, _BLOCK // width)
    for top in range(0, height, rows):
        block = np.s_[top:top + rows]
        if not _interleave(points[block], None if colors is None else colors[block],
                           packed[block]):
            message.is_dense = False
    return message


def _interleave(points: np.ndarray, colors: np.ndarray | None, packed: np.ndarray) -> bool:
    """Write points (H, W, 3) and colours to `packed` (H, W, 4) float32; are all finite."""
    import cv2

    points = np.ascontiguousarray(points, np.float32)
    # OpenCV's colour conversions are the quickest way to interleave 3 channels with a fourth.
    cv2.cvtColor(points, cv2.COLOR_RGB2RGBA, dst=packed)
    bits = packed.view(np.uint32)[..., 3]
    if colors is None:
        bits[...] = 0
    else:
        # Through integers, never float arithmetic: these bits are a denormal as a float, which
        # some code rounds to zero, that is to black.
        bgra = cv2.cvtColor(np.ascontiguousarray(colors), cv2.COLOR_RGB2BGRA)
        np.bitwise_and(bgra.view('<u4')[..., 0], 0x00FFFFFF, out=bits)
    return bool(np.isfinite(points).all())


def cloud_to_arrays(message: PointCloud2) -> tuple[np.ndarray, np.ndarray | None]:
    """
    Return points (H, W, 3) float32 [m] and colors (H, W, 3) uint8 RGB, None without colour.

    Fields may have any order, offset and padding; x y z may be FLOAT32 or FLOAT64, colour is
    `rgb` or `rgba` in four bytes. An unorganized cloud has H = 1.

    :raises ObservationError: a field is missing or outside the point, or sizes contradict.
    """
    height, width, step = message.height, message.width, message.point_step
    check_size(width, height)
    data = np.frombuffer(message.data, np.uint8)
    if step < 1 or message.row_step < step * width or data.size != message.row_step * height:
        raise ObservationError(
            f'cloud of {width}x{height} points with point_step {step} and row_step '
            f'{message.row_step} does not fit its {data.size} bytes of data')
    fields = {field.name: field for field in message.fields}
    missing = [name for name in 'xyz' if name not in fields]
    if missing:
        raise ObservationError(
            f'cloud has no field {", ".join(missing)}; it has: {", ".join(fields) or "none"}')
    order = '>' if message.is_bigendian else '<'

    def view(dtype: str, offset: int) -> np.ndarray:
        strides = (message.row_step, step)
        return np.ndarray((height, width), dtype, data, offset, strides)

    def checked(name: str, kinds: tuple[str, ...]) -> tuple[str, int]:
        field = fields[name]
        kind = _DTYPES.get(field.datatype, '?0')
        if kind not in kinds or field.offset + int(kind[1]) > step:
            raise ObservationError(
                f'cloud field {name} has datatype {field.datatype} at offset {field.offset} of '
                f'{step} bytes; expected one of {", ".join(kinds)} inside the point')
        return order + kind, field.offset

    points = np.empty((height, width, 3), np.float32)
    for axis, name in enumerate('xyz'):
        points[..., axis] = view(*checked(name, ('f4', 'f8')))
    color = next((name for name in ('rgb', 'rgba') if name in fields), None)
    if color is None:
        return points, None
    _, offset = checked(color, ('f4', 'u4', 'i4'))
    colors = np.empty((height, width, 3), np.uint8)
    for channel, octet in enumerate((1, 2, 3) if message.is_bigendian else (2, 1, 0)):
        colors[..., channel] = view('u1', offset + octet)
    return points, colors
