# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images: every encoding by hand-made bytes, every refusal, round trips as a property."""
import contextlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from kinema4d_ros.bridge import images
from kinema4d_ros.errors import ObservationError

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)


def message(array, encoding, *, padding=0, big=False):
    """Build an Image from raw pixel values, with padded rows and in either byte order."""
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder('>' if big else '<')))
    rows = array.reshape(array.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    out = Image(height=array.shape[0], width=array.shape[1], encoding=encoding,
                step=rows.shape[1], is_bigendian=int(big))
    out.data.frombytes(rows.tobytes())
    return out


def with_alpha(rgb):
    """Return (H, W, 4) with an arbitrary alpha."""
    return np.dstack([rgb, RNG.integers(0, 256, rgb.shape[:2], np.uint8)])


@pytest.mark.parametrize('padding', [0, 1, 5])
@pytest.mark.parametrize('encoding, stored', [
    ('rgb8', RGB), ('bgr8', RGB[..., ::-1]), ('rgba8', with_alpha(RGB)),
    ('bgra8', with_alpha(RGB[..., ::-1]))])
def test_colour_encodings_become_rgb(encoding, stored, padding):
    image = images.image_to_array(message(stored, encoding, padding=padding))
    np.testing.assert_array_equal(image, RGB)
    assert image.flags.c_contiguous


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding, dtype', [
    ('mono8', np.uint8), ('mono16', np.uint16), ('16UC1', np.uint16), ('32FC1', np.float32)])
def test_one_channel_encodings(encoding, dtype, padding, big):
    values = (RNG.random((4, 6)) * 250).astype(dtype)
    image = images.image_to_array(message(values, encoding, padding=padding, big=big))
    np.testing.assert_array_equal(image, values)
    assert image.dtype == np.dtype(dtype) and image.dtype.isnative


def mosaic(order):
    """Return the red, green, blue of one colour as a Bayer pattern lays them out, (6, 8) uint8."""
    values = {'r': 200, 'g': 100, 'b': 50}
    return np.tile(np.array([values[name] for name in order], np.uint8).reshape(2, 2), (3, 4))


@pytest.mark.parametrize('encoding, stored, exact', [
    ('8UC3', np.full((6, 8, 3), (50, 100, 200), np.uint8), True),
    ('8UC4', np.full((6, 8, 4), (50, 100, 200, 7), np.uint8), True),
    ('rgb16', np.full((6, 8, 3), (51200, 25600, 12800), np.uint16), True),
    ('bgr16', np.full((6, 8, 3), (12800, 25600, 51200), np.uint16), True),
    *((f'bayer_{order}8', mosaic(order), True) for order in ('rggb', 'bggr', 'gbrg', 'grbg')),
    *((f'bayer_{order}16', mosaic(order).astype(np.uint16) << 8, True) for order in (
        'rggb', 'grbg')),
    # by the equations of ITU-R BT.601 with 16 for black: Y 123, U 91, V 175
    ('uyvy', np.tile(np.array([91, 123, 175, 123], np.uint8), (6, 4)).reshape(6, 8, 2), False),
    ('yuv422', np.tile(np.array([91, 123, 175, 123], np.uint8), (6, 4)).reshape(6, 8, 2), False),
    ('yuyv', np.tile(np.array([123, 91, 123, 175], np.uint8), (6, 4)).reshape(6, 8, 2), False),
    ('yuv422_yuy2', np.tile(np.array([123, 91, 123, 175], np.uint8), (6, 4)).reshape(6, 8, 2),
     False)])
def test_what_drivers_send_besides_is_seen_in_the_right_colours(encoding, stored, exact):
    seen = images.rgb_image(message(stored, encoding, padding=2))
    assert seen.shape == (6, 8, 3) and seen.dtype == np.uint8
    np.testing.assert_allclose(seen, np.broadcast_to((200, 100, 50), seen.shape),
                               atol=0 if exact else 3)


def test_grey_of_opencv_is_grey_and_no_depth():
    stored = np.full((6, 8), 9, np.uint8)
    assert (images.rgb_image(message(stored, '8UC1')) == 9).all()
    for encoding in ('8UC1', 'bayer_rggb8', 'bayer_rggb16', 'rgb16'):
        pixels = np.full((6, 8, 3) if encoding == 'rgb16' else (6, 8), 9,
                         np.uint16 if '16' in encoding else np.uint8)
        with pytest.raises(ObservationError, match='a depth image is needed'):
            images.depth_to_metres(message(pixels, encoding))


@pytest.mark.parametrize('encoding, shape', [('uyvy', (2, 3, 2)), ('yuyv', (2, 5, 2))])
def test_half_a_pair_of_pixels_is_refused(encoding, shape):
    with pytest.raises(ObservationError, match=f'cannot be {encoding}'):
        images.rgb_image(message(np.zeros(shape, np.uint8), encoding))


def test_known_bytes_of_a_big_endian_depth_image():
    raw = Image(height=1, width=2, encoding='16UC1', step=4, is_bigendian=1,
                data=[0x03, 0xE8, 0x00, 0x00])
    depth = images.depth_to_metres(raw)
    assert depth[0, 0] == np.float32(1.0) and np.isnan(depth[0, 1])


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
                  .map(lambda s: (*s, 3))))
def test_rgb_round_trip(array):
    back = images.image_to_array(images.array_to_image(array, Header(), 'rgb8'))
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize('encoding, dtype, channels', [
    ('mono8', np.uint8, 0), ('mono16', np.uint16, 0), ('16UC1', np.uint16, 0),
    ('32FC1', np.float32, 0)])
def test_other_round_trips(encoding, dtype, channels):
    array = (RNG.random((3, 8)) * 200).astype(dtype)
    out = images.array_to_image(array[:, ::2], Header(frame_id='camera'), encoding)
    assert out.header.frame_id == 'camera' and out.step == 4 * array.itemsize
    np.testing.assert_array_equal(images.image_to_array(out), array[:, ::2])


def test_bool_mask_becomes_0_and_255():
    mask = np.array([[True, False], [False, True]])
    out = images.array_to_image(mask, Header(), 'mono8')
    assert list(out.data) == [255, 0, 0, 255]


@pytest.mark.parametrize('change, words', [
    ({'encoding': 'nv12'}, ['nv12', 'bgr8', 'image_transport']),
    ({'step': 20}, ['step 20', '21 bytes']),
    ({'step': 22}, ['110', '105']),
    ({'height': 0}, ['7x0']),
    ({'width': 100_000, 'height': 100_000}, ['100000x100000', '64000000'])])
def test_bad_images_are_refused_with_the_reason(change, words):
    raw = message(RGB, 'rgb8')
    for key, value in change.items():
        setattr(raw, key, value)
    with pytest.raises(ObservationError) as error:
        images.image_to_array(raw)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize('array, encoding', [
    (RGB.astype(np.float32), 'rgb8'), (RGB, 'mono8'), (RGB[..., 0], 'rgb8'), (RGB, '8UC3'),
    (RGB[0, :, 0], 'mono8')])
def test_array_to_image_refuses_what_does_not_fit(array, encoding):
    with pytest.raises(ObservationError, match=encoding):
        images.array_to_image(array, Header(), encoding)


def test_depth_in_metres_marks_every_kind_of_unknown():
    values = np.array([[1.5, 0.0, -1.0, np.nan, np.inf, -np.inf]], np.float32)
    depth = images.depth_to_metres(message(values, '32FC1'))
    np.testing.assert_array_equal(depth, np.array([[1.5] + [np.nan] * 5], np.float32))
    depth = images.depth_to_metres(message(np.array([[0, 1234, 65535]], np.uint16), '16UC1'))
    np.testing.assert_allclose(depth, [[np.nan, 1.234, np.nan]], rtol=1e-6)


def test_colour_is_not_depth_and_depth_is_not_colour():
    with pytest.raises(ObservationError, match="depth image is needed, got encoding 'rgb8'"):
        images.depth_to_metres(message(RGB, 'rgb8'))
    with pytest.raises(ObservationError, match='colour image is needed.*16UC1'):
        images.rgb_image(message(np.ones((2, 2), np.uint16), '16UC1'))


def test_rgb_image_repeats_grey_and_keeps_the_upper_bits_of_mono16():
    grey = np.array([[0x1234, 0xFF00]], np.uint16)
    np.testing.assert_array_equal(
        images.rgb_image(message(grey, 'mono16')), [[[0x12] * 3, [0xFF] * 3]])
    np.testing.assert_array_equal(
        images.rgb_image(message(grey.astype(np.uint8), 'mono8'))[0, 0], [0x34] * 3)
    np.testing.assert_array_equal(images.rgb_image(message(RGB, 'rgb8')), RGB)


# ------------------------------------------------------------------ compressed

def compressed(array, kind, fmt, head=b''):
    """Encode `array` in the channel order given, as a codec would store it."""
    ok, data = cv2.imencode(kind, array)
    assert ok
    return CompressedImage(format=fmt, data=head + data.tobytes())


@pytest.mark.parametrize('fmt', ['png', 'rgb8; png compressed bgr8', 'bgr8; png compressed bgr8'])
def test_png_is_exact(fmt):
    out = images.compressed_to_array(compressed(RGB[..., ::-1], '.png', fmt))
    np.testing.assert_array_equal(out, RGB)


def test_png_with_alpha_grey_and_16_bit():
    bgra = np.dstack([RGB[..., ::-1], np.full(RGB.shape[:2], 9, np.uint8)])
    np.testing.assert_array_equal(images.compressed_to_array(compressed(bgra, '.png', 'png')), RGB)
    grey = RGB[..., 0]
    png = compressed(grey, '.png', 'mono8; png compressed mono8')
    np.testing.assert_array_equal(images.rgb_image(png)[..., 2], grey)
    depth = np.array([[0, 1500]], np.uint16)
    png = compressed(depth, '.png', '16UC1; png compressed mono16')
    np.testing.assert_allclose(images.depth_to_metres(png), [[np.nan, 1.5]])
    with pytest.raises(ObservationError, match='16UC1'):
        images.rgb_image(png)
    with pytest.raises(ObservationError, match='only 8 bit'):
        images.compressed_to_array(compressed(RGB.astype(np.uint16), '.png', 'png'))


def test_codec_given_rgb_comes_back_unswapped_as_image_transport_names_it():
    out = images.compressed_to_array(compressed(RGB, '.png', 'rgb8; png compressed rgb8'))
    np.testing.assert_array_equal(out, RGB)


def test_jpeg_is_close_and_in_rgb_order():
    smooth = np.zeros((32, 48, 3), np.uint8)
    smooth[..., 0], smooth[..., 2] = 200, 40
    jpeg = compressed(smooth[..., ::-1], '.jpg', 'rgb8; jpeg compressed bgr8')
    assert np.abs(images.rgb_image(jpeg).astype(int) - smooth).max() < 12


def test_compressed_depth_of_both_kinds():
    depth = np.array([[0, 1500, 700]], np.uint16)
    raw = compressed(depth, '.png', '16UC1; compressedDepth png', struct.pack('<iff', 0, 0, 0))
    np.testing.assert_allclose(images.depth_to_metres(raw), [[np.nan, 1.5, 0.7]], rtol=1e-6)
    # A = 100, B = 10: 60 means 100 / (60 - 10) = 2 m, 110 means 1 m; 10 is infinitely far
    inverse = np.array([[0, 60, 110, 10]], np.uint16)
    raw = compressed(inverse, '.png', '32FC1; compressedDepth', struct.pack('<iff', 0, 100, 10))
    np.testing.assert_allclose(
        images.depth_to_metres(raw), [[np.nan, 2.0, 1.0, np.nan]], rtol=1e-6)


def of_size(suffix, width, height):
    """Return a small image file whose header states another size."""
    data = bytearray(cv2.imencode(suffix, RGB)[1].tobytes())
    if suffix == '.png':
        data[16:24] = struct.pack('>II', width, height)
        data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    else:
        at = data.index(b'\xff\xc0')
        data[at + 5:at + 9] = struct.pack('>HH', height, width)
    return bytes(data)


@pytest.mark.parametrize('fmt, data, words', [
    ('jpeg', b'', 'starts with nothing'),
    ('jpeg', b'GIF89a....', '47 49 46 38'),
    ('png', b'\x89PNG\r\n\x1a\n' + bytes(4) + b'IHDR' + struct.pack('>II', 4, 4), 'damaged'),
    ('png', of_size('.png', 60000, 60000), '60000x60000 is refused'),
    ('jpeg', of_size('.jpg', 40000, 50000), '40000x50000 is refused'),
    ('jpeg', b'\xff\xd8\xff\xe0\x00\x02', 'of 6 bytes is damaged'),
    ('16UC1; compressedDepth png', b'', 'read it with depth_to_metres')])
def test_bad_compressed_images(fmt, data, words):
    with pytest.raises(ObservationError, match=words):
        images.rgb_image(CompressedImage(format=fmt, data=data))


@pytest.mark.parametrize('fmt, data, words', [
    ('16UC1; compressedDepth rvl', bytes(40), 'rvl.*compressedDepth png'),
    ('8UC1; compressedDepth png', bytes(40), '16UC1 or 32FC1'),
    ('16UC1; compressedDepth png', bytes(5), 'ends after 5 bytes')])
def test_bad_compressed_depth(fmt, data, words):
    with pytest.raises(ObservationError, match=words):
        images.depth_to_metres(CompressedImage(format=fmt, data=data))


def test_compressed_depth_must_hold_one_16_bit_channel():
    raw = compressed(RGB, '.png', '16UC1; compressedDepth png', bytes(12))
    with pytest.raises(ObservationError, match='one 16 bit channel'):
        images.depth_to_metres(raw)


@given(st.binary(max_size=300))
def test_damaged_files_raise_our_error_only(tail):
    _, data = cv2.imencode('.jpg', RGB)
    for raw in (data.tobytes()[:80] + tail, b'\x89PNG\r\n\x1a\n' + tail):
        with contextlib.suppress(ObservationError):
            images.compressed_to_array(CompressedImage(format='jpeg', data=raw))


def test_same_bytes_as_cv_bridge_where_ros_has_it():
    cv_bridge = pytest.importorskip('cv_bridge', reason='cv_bridge comes with a ROS installation')
    bridge = cv_bridge.CvBridge()
    for encoding, array in (('rgb8', RGB), ('mono8', RGB[..., 0].copy()),
                            ('16UC1', RGB[..., 0].astype(np.uint16))):
        theirs = bridge.cv2_to_imgmsg(array, encoding=encoding)
        ours = images.array_to_image(array, Header(), encoding)
        assert bytes(theirs.data) == bytes(ours.data) and theirs.step == ours.step
        np.testing.assert_array_equal(images.image_to_array(theirs), array)


def test_a_compressed_message_comes_back():
    header = Header(frame_id='camera')
    rows, columns = np.mgrid[:24, :40]
    image = np.stack([4 * rows, 4 * columns, np.full_like(rows, 90)], -1).astype(np.uint8)
    good, small = (images.compressed_message(image, header, quality) for quality in (95, 10))
    assert good.header == header and good.format == 'rgb8; jpeg compressed bgr8'
    assert np.abs(images.compressed_to_array(good).astype(int) - image).mean() < 2.0
    assert len(small.data) < len(good.data) < image.nbytes


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_only_colour_is_compressed(image):
    with pytest.raises(ObservationError, match='uint8'):
        images.compressed_message(image, Header())
