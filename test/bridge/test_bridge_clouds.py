# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds: exact bytes of a hand-made cloud, other layouts, round trips, every refusal."""
import struct

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from kinema4d_ros.bridge.clouds import cloud_message, cloud_to_arrays
from kinema4d_ros.errors import ObservationError

RNG = np.random.default_rng(5)
POINTS = RNG.normal(size=(4, 6, 3)).astype(np.float32)
COLORS = RNG.integers(0, 256, (4, 6, 3), np.uint8)


def test_bytes_of_one_point_and_its_layout():
    cloud = cloud_message(np.array([[[1, 2, 3]]], np.float32),
                          np.array([[[0x11, 0x22, 0x33]]], np.uint8), Header(frame_id='optical'))
    assert bytes(cloud.data) == struct.pack('<fffI', 1, 2, 3, 0x00112233)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), ('rgb', 12, 7, 1)]
    assert cloud.header.frame_id == 'optical' and not cloud.is_bigendian


def test_height_is_rows_and_width_is_columns():
    cloud = cloud_message(POINTS, COLORS, Header())
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (4, 6, 16, 96)
    assert cloud.is_dense and len(cloud.data) == 4 * 96


def test_nan_makes_it_not_dense_and_comes_back():
    points = POINTS.copy()
    points[1, 2] = np.nan
    cloud = cloud_message(points, COLORS, Header())
    assert cloud.is_dense is False
    back, colors = cloud_to_arrays(cloud)
    np.testing.assert_array_equal(back, points)
    np.testing.assert_array_equal(colors, COLORS)


def test_all_colours_survive_even_those_that_are_denormal_floats():
    colors = np.array([[[0, 0, 1], [0, 0, 0], [255, 255, 255], [1, 0, 0]]], np.uint8)
    _, back = cloud_to_arrays(cloud_message(np.zeros((1, 4, 3), np.float32), colors, Header()))
    np.testing.assert_array_equal(back, colors)


def test_stride_and_no_colour():
    cloud = cloud_message(POINTS, None, Header(), stride=2)
    assert (cloud.height, cloud.width, len(cloud.fields)) == (2, 3, 3)
    points, colors = cloud_to_arrays(cloud)
    np.testing.assert_array_equal(points, POINTS[::2, ::2])
    assert colors is None
    strided = cloud_message(POINTS, COLORS, Header(), stride=3)
    np.testing.assert_array_equal(cloud_to_arrays(strided)[1], COLORS[::3, ::3])


@pytest.mark.parametrize('big', [False, True])
def test_any_layout_is_read(big):
    # rgba first, a byte between, FLOAT64 coordinates in reverse order, padded points and rows
    order = '>' if big else '<'
    rows = b''
    for row in range(2):
        for column in range(3):
            x, y, z = (float(v) for v in POINTS[row, column])
            r, g, b = (int(v) for v in COLORS[row, column])
            rows += struct.pack(order + 'IBddd3x', 0xFF000000 | r << 16 | g << 8 | b, 7, z, y, x)
        rows += b'pad'
    step = struct.calcsize(order + 'IBddd3x')
    cloud = PointCloud2(
        height=2, width=3, point_step=step, row_step=3 * step + 3, is_bigendian=big,
        fields=[PointField(name=n, offset=o, datatype=d, count=1) for n, o, d in (
            ('rgba', 0, PointField.UINT32), ('ring', 4, PointField.UINT8),
            ('z', 5, PointField.FLOAT64), ('y', 13, PointField.FLOAT64),
            ('x', 21, PointField.FLOAT64))])
    cloud.data.frombytes(rows)
    points, colors = cloud_to_arrays(cloud)
    np.testing.assert_array_equal(points, POINTS[:2, :3])
    np.testing.assert_array_equal(colors, COLORS[:2, :3])


@pytest.mark.parametrize('change, words', [
    (lambda c: c.fields.pop(2), 'no field z; it has: x, y, rgb'),
    (lambda c: setattr(c.fields[0], 'datatype', PointField.INT16), 'field x has datatype 3'),
    (lambda c: setattr(c.fields[0], 'offset', 14), 'offset 14 of 16'),
    (lambda c: setattr(c, 'row_step', 95), 'row_step 95'),
    (lambda c: setattr(c, 'height', 5), '6x5'),
    (lambda c: setattr(c, 'width', 0), '0x4 is refused')])
def test_bad_clouds_are_refused_with_the_reason(change, words):
    cloud = cloud_message(POINTS, COLORS, Header())
    change(cloud)
    with pytest.raises(ObservationError, match=words):
        cloud_to_arrays(cloud)


@pytest.mark.parametrize('points, colors, stride', [
    (POINTS[0], None, 1), (POINTS, COLORS[:2], 1), (POINTS, COLORS.astype(float), 1),
    (POINTS, COLORS, 0)])
def test_bad_arrays_are_refused(points, colors, stride):
    with pytest.raises(ObservationError, match='a cloud takes points'):
        cloud_message(points, colors, Header(), stride=stride)


def test_sensor_msgs_py_reads_the_same_where_ros_has_it():
    point_cloud2 = pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py comes with a ROS installation')
    cloud = cloud_message(POINTS, COLORS, Header())
    theirs = point_cloud2.read_points(cloud, field_names=['x', 'y', 'z'])
    xyz = np.stack([theirs['x'], theirs['y'], theirs['z']], -1).reshape(POINTS.shape)
    np.testing.assert_array_equal(xyz, POINTS)


def test_an_earlier_cloud_is_written_over_where_it_has_the_size():
    first = cloud_message(np.full_like(POINTS, np.nan), COLORS, Header(frame_id='first'))
    again = cloud_message(POINTS, COLORS, Header(frame_id='second'), again=first)
    assert again is first and again == cloud_message(POINTS, COLORS, Header(frame_id='second'))
    for other in (POINTS[:1], POINTS[:, :1]):
        fresh = cloud_message(other, None, Header(), again=first)
        assert fresh is not first and fresh == cloud_message(other, None, Header())
    assert cloud_message(POINTS, None, Header(), again=first) is not first     # it has no colour
