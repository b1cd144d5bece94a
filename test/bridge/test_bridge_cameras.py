# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to a calibration and back."""
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from kinema4d_ros.bridge.cameras import calibration_from_message, camera_info_message
from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(640, 480, 500.0, 510.0, 319.5, 239.5)


def test_round_trip_of_a_rectified_camera():
    message = camera_info_message(CAMERA, Header(frame_id='optical'))
    assert message.header.frame_id == 'optical'
    assert list(message.p) == [500, 0, 319.5, 0, 0, 510, 239.5, 0, 0, 0, 1, 0]
    assert calibration_from_message(message).pinhole == CAMERA


def test_distortion_binning_and_region_of_interest_arrive():
    message = CameraInfo(
        width=640, height=480, distortion_model='plumb_bob', d=[0.1, -0.2, 0.0, 0.0, 0.3],
        k=[500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0], binning_x=2, binning_y=2,
        roi=RegionOfInterest(x_offset=20, y_offset=10, width=200, height=100))
    out = calibration_from_message(message)
    assert out.D == tuple(message.d) and out.K == tuple(message.k)
    assert out.roi == (20, 10, 200, 100) and (out.binning_x, out.binning_y) == (2, 2)
    # (320 - 20 + 0.5) / 2 - 0.5
    assert out.pinhole == PinholeCamera(100, 50, 250.0, 250.0, 149.75, 114.75)


def test_uncalibrated_and_unknown_models_are_refused():
    with pytest.raises(CameraError, match='not calibrated'):
        calibration_from_message(CameraInfo(width=640, height=480))
    message = camera_info_message(CAMERA, Header())
    message.distortion_model, message.d = 'lens_of_my_own', [0.1, 0.0, 0.0, 0.0, 0.0]
    with pytest.raises(CameraError, match='lens_of_my_own'):
        calibration_from_message(message)
