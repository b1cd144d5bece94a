# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is read of bytes is what rclpy reads of them."""
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header, MultiArrayDimension, MultiArrayLayout

from kinema4d_ros.bridge.motion import joint_states, stamp_ns
from kinema4d_ros.bridge.quick_messages import JointStateReader, read_float64_array
from kinema4d_ros.errors import ObservationError

NUMBERS = st.lists(st.floats(width=64), max_size=9)
NAMES = st.lists(st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=9),
                 max_size=9)


@settings(max_examples=150, deadline=None)
@given(NAMES, NUMBERS, NUMBERS, NUMBERS, st.text('abc/_', max_size=7),
       st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1))
def test_joint_states_are_read_as_rclpy_reads_them(names, positions, velocities, effort, frame,
                                                   sec, nanosec):
    message = JointState(name=names, position=positions, velocity=velocities, effort=effort)
    message.header.frame_id, message.header.stamp.sec = frame, sec
    message.header.stamp.nanosec = nanosec
    reader = JointStateReader()
    raw = serialize_message(message)
    for _ in range(2):      # the second time the names are known
        found = reader.read(raw)
        assert found.stamp_ns == sec * 10**9 + nanosec and found.names == tuple(names)
        np.testing.assert_array_equal(found.positions, positions)
        np.testing.assert_array_equal(found.velocities, velocities)


def test_publishers_of_other_joints_are_told_apart():
    reader = JointStateReader()
    for names in (['a', 'b'], ['a', 'c'], ['a'], ['a', 'b', 'c']):
        raw = serialize_message(JointState(name=names, position=[1.0] * len(names)))
        assert reader.read(raw).names == tuple(names) == reader.read(raw).names


@settings(max_examples=100, deadline=None)
@given(NUMBERS, st.lists(st.text('xyz', max_size=5), max_size=2), st.integers(0, 9))
def test_arrays_are_read_as_rclpy_reads_them(data, labels, offset):
    message = Float64MultiArray(data=data, layout=MultiArrayLayout(data_offset=offset, dim=[
        MultiArrayDimension(label=label, size=1, stride=1) for label in labels]))
    np.testing.assert_array_equal(read_float64_array(serialize_message(message)), data)


@pytest.mark.parametrize('raw', [
    b'', b'\x00\x01', b'\x00\x01\x00\x00' + b'\xff' * 8, b'\x00\x01\x00\x00' + b'\xff' * 40,
    serialize_message(JointState(header=Header(), name=['a'], position=[1.0]))[:-17]],
    ids=['nothing', 'half a header', 'long', 'longer', 'cut off'])
def test_bytes_that_are_no_message_raise(raw):
    with pytest.raises(Exception):      # noqa: B017 - of several kinds
        JointStateReader().read(raw)


def test_an_array_that_is_cut_off_raises():
    with pytest.raises(Exception):      # noqa: B017
        read_float64_array(serialize_message(Float64MultiArray(data=[1.0, 2.0]))[:-8])


@pytest.mark.parametrize('names, positions, velocities', [
    (['a', 'b'], [1.0, 2.0], [0.1, 0.2]), (['a', 'b'], [1.0, 2.0], [0.1]),
    (['a', 'b'], [1.0, math.nan], [0.1, 0.2]), (['a', 'b'], [1.0, 2.0], [math.inf, 0.2]),
    (['a', 'a'], [1.0, 2.0], []), ([], [], []), ([f'j{i}' for i in range(5000)], [0.5] * 5000, [])])
def test_states_are_what_is_made_of_the_message(names, positions, velocities):
    message = JointState(header=Header(stamp=Time(sec=3, nanosec=7)), name=names,
                         position=positions, velocity=velocities)
    assert JointStateReader().states(serialize_message(message)) == (
        3_000_000_007, joint_states(message))


def test_states_that_do_not_match_are_refused_as_ever():
    message = JointState(name=['a'], position=[1.0, 2.0])
    with pytest.raises(ObservationError, match='1 names but 2 positions'):
        JointStateReader().states(serialize_message(message))
    with pytest.raises(ObservationError, match='5 bytes that are no JointState'):
        JointStateReader().states(b'hello')


@settings(max_examples=200, deadline=None)
@given(NAMES, st.booleans(), st.booleans(), st.integers(0, 99), st.integers(4, 499),
       st.sampled_from([None, 0, 1, 2, 5, 9, 0xff]))
def test_damaged_states_are_those_that_rclpy_reads_or_are_refused(names, moves, pushes, cut, at,
                                                                  byte):
    values = [0.5] * len(names)
    raw = bytearray(serialize_message(JointState(
        name=names, position=values, velocity=values if moves else [],
        effort=values if pushes else [])))
    reader = JointStateReader()
    reader.states(bytes(raw))
    if byte is not None:
        raw[4 + at % (len(raw) - 4)] = byte
    raw = bytes(raw[:max(len(raw) - cut, 0)] if byte is None else raw)
    try:
        message = deserialize_message(raw, JointState)
        expected = stamp_ns(message.header.stamp), joint_states(message)
    except Exception:      # of several kinds
        with pytest.raises(ObservationError):
            reader.states(raw)
    else:
        assert repr(reader.states(raw)) == repr(expected)     # NaN and all
