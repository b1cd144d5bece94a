# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to a CameraCalibration, and a rectified camera back to CameraInfo."""
from __future__ import annotations

from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from kinema4d_ros.camera import CameraCalibration
from kinema4d_ros.types import PinholeCamera


def calibration_from_message(message: CameraInfo) -> CameraCalibration:
    """
    Return the calibration a driver sent.

    :raises CameraError: the camera is uncalibrated (K[0] == 0) or its model is unknown.
    """
    roi = message.roi
    return CameraCalibration(
        width=message.width, height=message.height,
        distortion_model=message.distortion_model, D=tuple(map(float, message.d)),
        K=tuple(map(float, message.k)), R=tuple(map(float, message.r)),
        P=tuple(map(float, message.p)),
        binning_x=message.binning_x, binning_y=message.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height))


def calibration_message(calibration: CameraCalibration, header: Header) -> CameraInfo:
    """Return the CameraInfo of a raw image: what `calibration_from_message` reads."""
    x, y, width, height = calibration.roi
    return CameraInfo(
        header=header, width=int(calibration.width), height=int(calibration.height),
        distortion_model=calibration.distortion_model, d=list(calibration.D),
        k=list(calibration.K), r=list(calibration.R), p=list(calibration.P),
        binning_x=int(calibration.binning_x), binning_y=int(calibration.binning_y),
        roi=RegionOfInterest(x_offset=int(x), y_offset=int(y), width=int(width),
                             height=int(height)))


def camera_info_message(camera: PinholeCamera, header: Header) -> CameraInfo:
    """Return the CameraInfo of a rectified pinhole image: no distortion, P = [K | 0]."""
    fx, fy, cx, cy = (float(v) for v in (camera.fx, camera.fy, camera.cx, camera.cy))
    return CameraInfo(
        header=header, width=int(camera.width), height=int(camera.height),
        distortion_model='plumb_bob', d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0])
