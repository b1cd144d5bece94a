# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages kept as they came: what is read of them is what rclpy reads."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from kinema4d_ros.bridge.images import array_to_image, depth_to_metres, rgb_image
from kinema4d_ros.bridge.motion import stamp_ns, time_message
from kinema4d_ros.bridge.serialized import PlainMessage, RawImage, SerializedMessage
from kinema4d_ros.errors import ObservationError

FRAMES = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=9)
STAMPS = st.integers(0, 2**31 * 10**9 - 1)


def header(stamp=0, frame='camera'):
    return Header(stamp=time_message(stamp), frame_id=frame)


@settings(max_examples=60, deadline=None)
@given(STAMPS, FRAMES, st.integers(0, 3), st.integers(0, 5), FRAMES, st.binary(max_size=40),
       st.integers(0, 99), st.sampled_from([0, 1]))
def test_an_image_is_what_rclpy_reads(stamp, frame, height, width, encoding, data, step, big):
    message = Image(header=header(stamp, frame), height=height, width=width, encoding=encoding,
                    step=step, is_bigendian=big)
    message.data.frombytes(data)
    held = SerializedMessage(Image, serialize_message(message))
    assert (held.stamp_ns, held.frame_id) == (stamp, frame)
    found = held.message
    assert isinstance(found, RawImage) and found.header == (stamp, frame)
    assert (found.height, found.width, found.encoding, found.step, found.is_bigendian) == (
        height, width, encoding, step, big)
    assert bytes(found.data) == data


def test_pixels_are_those_of_the_message():
    rng = np.random.default_rng(0)
    image = array_to_image(rng.integers(0, 255, (6, 9, 3), np.uint8), header(), 'bgr8')
    depth = array_to_image(rng.integers(0, 9000, (6, 9), np.uint16), header(), '16UC1')
    for message, read in (image, rgb_image), (depth, depth_to_metres):
        held = SerializedMessage(Image, serialize_message(message))
        np.testing.assert_array_equal(read(held.message), read(message))


@pytest.mark.parametrize('kind', [CameraInfo, CompressedImage])
def test_others_are_deserialised_whole(kind):
    message = kind(header=header(5, 'eye'))
    held = SerializedMessage(kind, serialize_message(message))
    assert (held.stamp_ns, held.frame_id, held.message) == (5, 'eye', message)


def test_calibrations_are_told_apart_by_all_that_is_in_them_but_their_stamp():
    def likeness(stamp=0, **fields):
        message = CameraInfo(header=header(stamp), width=640, **fields)
        return SerializedMessage(CameraInfo, serialize_message(message)).likeness
    assert likeness(1) == likeness(2) and likeness(1)[0] == 'camera'
    assert likeness() != likeness(d=[0.1])
    assert likeness() != likeness(binning_x=2)


def test_what_lies_between_the_values_tells_no_calibrations_apart():
    """Serialising leaves there whatever was in the memory."""
    raw = bytearray(serialize_message(CameraInfo(header=header(frame='eye'), width=640)))
    assert raw[16:20] == b'eye\0' and raw[28:33] == b'\1\0\0\0\0'     # the model, without a letter
    raw[33:36] = b'abc'
    one = SerializedMessage(CameraInfo, bytes(raw))
    raw[33:36] = b'xyz'
    assert one.likeness == SerializedMessage(CameraInfo, bytes(raw)).likeness


def test_a_calibration_that_is_none_is_refused():
    raw = serialize_message(CameraInfo(header=header(), width=640))
    with pytest.raises(ObservationError, match='bytes that are no CameraInfo'):
        _ = SerializedMessage(CameraInfo, raw[:-40]).likeness


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([Image, CameraInfo, CompressedImage]), FRAMES, st.text('abc', max_size=5),
       st.integers(0, 499), st.integers(4, 499), st.sampled_from([None, 0, 1, 2, 5, 9, 0xff]))
def test_what_is_damaged_is_read_as_rclpy_reads_it_or_refused(kind, frame, encoding, cut, at, byte):
    message = kind(header=header(7, frame))
    if kind is Image:
        message.encoding, message.width = encoding, 3
        message.data.frombytes(b'abcde')
    raw = bytearray(serialize_message(message))
    if byte is not None:
        raw[4 + at % (len(raw) - 4)] = byte
    raw = bytes(raw[:max(len(raw) - cut, 0)] if byte is None else raw)
    try:
        expected = deserialize_message(raw, kind)
    except Exception:      # of several kinds
        with pytest.raises(ObservationError):
            _ = SerializedMessage(kind, raw).message
        return
    held = SerializedMessage(kind, raw)
    assert (held.stamp_ns, held.frame_id) == (
        stamp_ns(expected.header.stamp), expected.header.frame_id)
    if kind is Image:
        for name in 'height', 'width', 'encoding', 'is_bigendian', 'step':
            assert getattr(held.message, name) == getattr(expected, name)
        assert bytes(held.message.data) == bytes(expected.data)


def test_what_is_cut_short_or_in_another_encoding_is_left_to_rclpy():
    raw = serialize_message(array_to_image(np.zeros((4, 4), np.uint8), header(7), 'mono8'))
    with pytest.raises(ObservationError, match='bytes that are no Image'):
        _ = SerializedMessage(Image, raw[:-6]).message
    with pytest.raises(ObservationError, match='7 bytes that are no Image'):
        SerializedMessage(Image, raw[:7])
    big = b'\x00\x00' + raw[2:]       # says that it is big-endian: not read here
    with pytest.raises(ObservationError):
        SerializedMessage(Image, big)


def test_a_message_that_rclpy_has_read_is_asked_the_same():
    message = CompressedImage(header=header(3, 'eye'))
    held = PlainMessage(message)
    assert (held.stamp_ns, held.frame_id, held.likeness) == (
        stamp_ns(message.header.stamp), 'eye', ('eye',))
