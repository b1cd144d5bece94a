# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo semantics by hand numbers and OpenCV's projection."""
import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.camera import CameraCalibration
from kinema4d_ros.errors import CameraError

K = (500.0, 0.0, 321.0, 0.0, 510.0, 238.0, 0.0, 0.0, 1.0)
P = (450.0, 0.0, 318.0, 0.0, 0.0, 455.0, 241.0, 0.0, 0.0, 0.0, 1.0, 0.0)
PLUMB_BOB = CameraCalibration(640, 480, 'plumb_bob', (-0.2, 0.05, 0.001, -0.002, 0.01), K, P=P)
RATIONAL = dataclasses.replace(
    PLUMB_BOB, distortion_model='rational_polynomial',
    D=(0.3, -0.1, 0.001, 0.0005, 0.02, 0.5, -0.1, 0.03))
FISHEYE = dataclasses.replace(
    PLUMB_BOB, distortion_model='equidistant', D=(0.05, -0.01, 0.003, -0.001))


def raw_pixel(calibration, point):
    """Return where the full raw image shows a point of the rectified frame, by OpenCV."""
    R = np.reshape(calibration.R, (3, 3))
    camera = np.reshape(calibration.K, (3, 3))
    point = (R.T @ point).reshape(1, 1, 3)
    zero = np.zeros(3)
    if calibration.distortion_model == 'equidistant':
        return cv2.fisheye.projectPoints(point, zero, zero, camera,
                                         np.array(calibration.D))[0].reshape(2)
    return cv2.projectPoints(point, zero, zero, camera, np.array(calibration.D))[0].reshape(2)


def ramp(width, height, x=0, y=0, bins=(1, 1)):
    """Return an image whose value is its full raw pixel (u, v) / 1000, as floats."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    u = x + u * bins[0] + (bins[0] - 1) / 2
    v = y + v * bins[1] + (bins[1] - 1) / 2
    return np.stack([u, v, np.ones_like(u)], -1)


@pytest.mark.parametrize('calibration', [PLUMB_BOB, RATIONAL, FISHEYE],
                         ids=lambda c: c.distortion_model)
@pytest.mark.parametrize('window', [
    {}, {'roi': (40, 30, 400, 320)}, {'binning_x': 2, 'binning_y': 2},
    {'roi': (41, 30, 402, 320), 'binning_x': 2, 'binning_y': 4}],
    ids=['full', 'roi', 'binned', 'roi binned'])
def test_rectified_pixels_come_from_where_opencv_projects(calibration, window):
    calibration = dataclasses.replace(calibration, **window)
    x, y = calibration.roi[:2]
    bins = max(calibration.binning_x, 1), max(calibration.binning_y, 1)
    camera = calibration.pinhole
    rectified = calibration.rectify(ramp(camera.width, camera.height, x, y, bins))
    for u, v in ((camera.width // 2, camera.height // 2), (camera.width // 3,
                                                           camera.height // 4)):
        ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
        # The maps round to 1/32 of a pixel of the image.
        assert np.abs(rectified[v, u, :2] - raw_pixel(calibration, ray)).max() \
            < 0.05 * max(bins)


def test_the_window_and_the_bins_move_the_centre():
    whole = PLUMB_BOB.pinhole
    assert (whole.fx, whole.fy, whole.cx, whole.cy) == (450, 455, 318, 241)
    part = dataclasses.replace(PLUMB_BOB, roi=(100, 60, 300, 200)).pinhole
    assert (part.width, part.height, part.cx, part.cy) == (300, 200, 218, 181)
    binned = dataclasses.replace(PLUMB_BOB, binning_x=2, binning_y=4).pinhole
    assert (binned.width, binned.height) == (320, 120)
    assert (binned.fx, binned.fy) == (225, 113.75)
    # Pixel 0 of the binned image is the mean of raw pixels 0 and 1, at 0.5.
    assert (binned.cx, binned.cy) == (158.75, pytest.approx((241 - 1.5) / 4))


@given(u=st.floats(0, 639), v=st.floats(0, 479), x=st.integers(0, 200), y=st.integers(0, 200),
       bin_x=st.integers(1, 4), bin_y=st.integers(1, 4))
def test_a_ray_stays_the_ray_whatever_the_window(u, v, x, y, bin_x, bin_y):
    whole = PLUMB_BOB.pinhole
    part = dataclasses.replace(PLUMB_BOB, roi=(x, y, 400, 240), binning_x=bin_x,
                               binning_y=bin_y).pinhole
    new_u, new_v = (u - x - (bin_x - 1) / 2) / bin_x, (v - y - (bin_y - 1) / 2) / bin_y
    assert (new_u - part.cx) / part.fx == pytest.approx((u - whole.cx) / whole.fx, abs=1e-9)
    assert (new_v - part.cy) / part.fy == pytest.approx((v - whole.cy) / whole.fy, abs=1e-9)


def test_an_ideal_image_is_left_alone():
    ideal = CameraCalibration(640, 480, '', (), K)
    image = np.zeros((480, 640, 3), np.uint8)
    assert ideal.rectify(image) is image
    assert ideal.rectify_depth(image[..., 0]) is not None
    assert (ideal.pinhole.fx, ideal.pinhole.cy) == (500, 238)
    zeros = dataclasses.replace(ideal, distortion_model='plumb_bob', D=(0,) * 5, R=(0,) * 9)
    assert zeros.rectify(image) is image


def test_depth_is_never_blended_over_edges_and_unknown_outside():
    depth = np.full((480, 640), 1.0, np.float32)
    depth[:, 320:] = 2.0
    wide = dataclasses.replace(PLUMB_BOB, P=(250.0, *P[1:5], 250.0, *P[6:]))
    out = wide.rectify_depth(depth)
    assert set(np.unique(out[np.isfinite(out)])) == {1.0, 2.0}
    assert np.isnan(out[0, 0]) and np.isfinite(out[240, 320])


def test_depth_of_a_turned_camera_is_along_its_new_axis():
    angle = np.deg2rad(8)
    R = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0],
                  [-np.sin(angle), 0, np.cos(angle)]])
    turned = CameraCalibration(640, 480, 'plumb_bob', (0,) * 5, K, tuple(R.reshape(-1)),
                               (*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0))
    # A wall at 2 m in front of the raw camera, as the turned one sees it.
    out = turned.rectify_depth(np.full((480, 640), 2.0, np.float32))
    camera = turned.pinhole
    points = camera.rays() * out[..., None]
    along_raw_z = (points @ R)[..., 2]
    seen = np.isfinite(out)
    assert seen.mean() > 0.8 and np.abs(along_raw_z[seen] - 2).max() < 1e-5
    image = turned.rectify(ramp(640, 480))
    ray = np.array([(300 - camera.cx) / camera.fx, (200 - camera.cy) / camera.fy, 1.0])
    assert np.abs(image[200, 300, :2] - raw_pixel(turned, ray)).max() < 0.05


def test_the_right_camera_of_a_stereo_pair_is_beside_the_left_one():
    right = dataclasses.replace(PLUMB_BOB, P=(450.0, 0, 318, -54.0, 0, 455, 241, 0, 0, 0, 1, 0))
    assert np.allclose(right.T_optical_camera[:3, 3], (0.12, 0, 0))
    assert np.array_equal(PLUMB_BOB.T_optical_camera, np.eye(4))
    point = np.array([0.3, 0.1, 2.0])      # in the frame of the message, the left camera
    by_message = np.reshape(right.P, (3, 4)) @ [*point, 1]
    seen = (np.linalg.inv(right.T_optical_camera) @ [*point, 1])[:3]
    camera = right.pinhole
    assert camera.fx * seen[0] / seen[2] + camera.cx == pytest.approx(by_message[0] / 2)


@settings(max_examples=20, deadline=None)
@given(k1=st.floats(-0.2, 0.2), k2=st.floats(-0.03, 0.03), u=st.integers(200, 440),
       v=st.integers(150, 330))
def test_straight_lines_of_the_world_become_straight(k1, k2, u, v):
    calibration = dataclasses.replace(PLUMB_BOB, D=(k1, k2, 0.0, 0.0, 0.0))
    camera = calibration.pinhole
    ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
    out = calibration.rectify(ramp(640, 480))
    assert np.abs(out[v, u, :2] - raw_pixel(calibration, ray)).max() < 0.05


@pytest.mark.parametrize(('change', 'message'), [
    ({'K': (0.0,) * 9}, r'not calibrated \(K\[0\] is 0\)'),
    ({'K': (-1.0, *K[1:])}, 'focal lengths must be positive'),
    ({'K': K[:8]}, 'K must have 9 values, got 8'),
    ({'K': (float('nan'), *K[1:])}, 'K of the camera is not finite'),
    ({'D': (float('inf'), 0, 0, 0, 0)}, 'D of the camera is not finite'),
    ({'distortion_model': 'magic'}, "unknown distortion model 'magic'; known: plumb_bob"),
    ({'K': (1.0, 0, 0, 0, 1, 0, 0, 0, 1)}, 'K is the identity'),
    ({'K': (500.0, 0, 700.0, 0, 500, 238, 0, 0, 1)}, 'K is outside .*another resolution'),
    ({'P': (450.0, 0, 1318, 0, 0, 455, 241, 0, 0, 0, 1, 0)}, 'P is far outside'),
    ({'D': (0.1,) * 15}, "'plumb_bob' has at most 14 coefficients, D has 15"),
    ({'distortion_model': 'equidistant'}, "'equidistant' has at most 4 coefficients, D has 5"),
    ({'distortion_model': ''}, "'' has at most 0 coefficients, D has 5"),
    ({'distortion_model': 'none'}, "'none' has at most 0 coefficients, D has 5"),
    ({'distortion_model': 'magic'}, 'state the calibration in one of them, or send rectified'),
    ({'width': 0}, 'cannot be'), ({'width': 0, 'height': 0}, 'does not say of how many pixels'),
    ({'binning_x': -1}, 'cannot be'),
    ({'roi': (600, 0, 100, 100)}, 'is not inside of 640 x 480'),
    ({'roi': (0, 0, 10, 10), 'binning_x': 20}, 'leaves no image'),
    ({'R': (2.0, 0, 0, 0, 1, 0, 0, 0, 1)}, 'R of the camera is not a rotation'),
    ({'P': (450.0, 9.0, *P[2:])}, 'not a projection without skew'),
])
def test_calibrations_that_cannot_be_used_are_refused(change, message):
    with pytest.raises(CameraError, match=message):
        dataclasses.replace(PLUMB_BOB, **change)


@pytest.mark.parametrize('model', ['inverse_brown_conrady', 'Inverse Brown Conrady', 'ftheta',
                                   'pinhole', 'magic'])
def test_a_model_without_coefficients_is_no_distortion_whatever_it_is_called(model):
    for D in (), (0.0,) * 5, (0.0,) * 12:
        calibration = dataclasses.replace(PLUMB_BOB, distortion_model=model, D=D)
        assert calibration.distortion_model == ''
        assert calibration.pinhole == dataclasses.replace(PLUMB_BOB, D=()).pinhole


@pytest.mark.parametrize('given, like', [
    # every Orbbec camera: three zeros more than the model has
    (('radtan5', PLUMB_BOB.D), PLUMB_BOB), (('radtan8', RATIONAL.D), RATIONAL),
    (('plumb_bob', (*PLUMB_BOB.D, 0, 0, 0)), PLUMB_BOB), (('plumb_bob', RATIONAL.D), RATIONAL),
    (('Plumb_Bob', PLUMB_BOB.D), PLUMB_BOB), (('radtan', PLUMB_BOB.D), PLUMB_BOB),
    (('BROWN-CONRADY ', PLUMB_BOB.D), PLUMB_BOB), (('rational_polynomial', PLUMB_BOB.D), PLUMB_BOB),
    (('rational_polynomial', (*RATIONAL.D, 0, 0, 0, 0, 0, 0)), RATIONAL),
    (('equidistant', (*FISHEYE.D, 0)), FISHEYE), (('fisheye', (*FISHEYE.D, 0, 0, 0, 0)), FISHEYE),
    (('KANNALA_BRANDT4', FISHEYE.D), FISHEYE),
    (('plumb_bob', (-0.2,)), dataclasses.replace(PLUMB_BOB, D=(-0.2, 0, 0, 0, 0))),
    (('plumb_bob', (-0.2, 0.05, 0.001, -0.002)),
     dataclasses.replace(PLUMB_BOB, D=(-0.2, 0.05, 0.001, -0.002, 0)))])
def test_what_drivers_write_is_what_they_mean(given, like):
    calibration = dataclasses.replace(PLUMB_BOB, distortion_model=given[0], D=given[1])
    for u, v in ((320, 240), (100, 400)):
        ray = np.array([(u - 318) / 450, (v - 241) / 455, 1.0])
        np.testing.assert_allclose(calibration.rectify(ramp(640, 480))[v, u, :2],
                                   raw_pixel(like, ray), atol=0.05)


@pytest.mark.parametrize('length', [12, 14])
def test_thin_prisms_arrive(length):
    D = (*RATIONAL.D, *[0.002, -0.001, 0.003, 0.001, 0.01, -0.02][:length - 8])
    for model in ('plumb_bob', 'rational_polynomial'):
        calibration = dataclasses.replace(PLUMB_BOB, distortion_model=model, D=(*D, 0.0, 0.0))
        assert (calibration.distortion_model, calibration.D) == ('rational_polynomial', D)
        ray = np.array([0.2, -0.1, 1.0])
        u, v = round(318 + 450 * 0.2), round(241 - 455 * 0.1)
        ray = np.array([(u - 318) / 450, (v - 241) / 455, 1.0])
        np.testing.assert_allclose(calibration.rectify(ramp(640, 480))[v, u, :2],
                                   raw_pixel(calibration, ray), atol=0.05)


@pytest.mark.parametrize('model', ['', 'none', 'None', 'plumb_bob', 'rational_polynomial',
                                   'equidistant', 'radtan'])
@pytest.mark.parametrize('count', [0, 1, 4, 5, 8, 14, 20])
def test_coefficients_of_zero_are_no_distortion(model, count):
    image = np.zeros((480, 640), np.float32)
    for P_ in ((0.0,) * 12, (1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)):     # neither is filled in
        calibration = CameraCalibration(640, 480, model, (0.0,) * count, K, R=(0.0,) * 9, P=P_)
        assert calibration.rectify(image) is image and calibration.D == ()
        assert (calibration.pinhole.fx, calibration.pinhole.cy) == (500, 238)


def test_images_of_another_size_are_refused():
    for way in (PLUMB_BOB.rectify, PLUMB_BOB.rectify_depth):
        with pytest.raises(CameraError, match='has 320 x 480 pixels, its calibration is for 640'):
            way(np.zeros((480, 320), np.float32))
