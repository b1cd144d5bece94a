# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera as its driver calibrated it, and its image without distortion."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kinema4d_ros.errors import CameraError
from kinema4d_ros.types import PinholeCamera

# What drivers call a model -> its name in ROS; '' is none.
_MODELS = {
    'plumb_bob': 'plumb_bob', 'radtan': 'plumb_bob', 'radial_tangential': 'plumb_bob',
    'brown_conrady': 'plumb_bob', 'radtan4': 'plumb_bob', 'radtan5': 'plumb_bob',
    'rational_polynomial': 'rational_polynomial', 'rational': 'rational_polynomial',
    'thin_prism': 'rational_polynomial', 'radtan8': 'rational_polynomial',
    'equidistant': 'equidistant', 'fisheye': 'equidistant', 'kannala_brandt': 'equidistant',
    'kannala_brandt4': 'equidistant', 'kb4': 'equidistant',
    '': '', 'none': '', 'no_distortion': '', 'undistorted': '', 'rectified': ''}
# Numbers of coefficients that OpenCV takes. Those of plumb_bob are the first ones of
# rational_polynomial, and a coefficient that is not given is 0 in each model.
_LENGTHS = {'plumb_bob': (5, 8, 12, 14), 'rational_polynomial': (5, 8, 12, 14),
            'equidistant': (4,), '': ()}
_PLACEHOLDER = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)     # a P that nobody has filled in


@dataclass(frozen=True)
class CameraCalibration:
    """
    What sensor_msgs/CameraInfo says, with the meaning that it gives its fields.

    `width`, `height`, `K`, `P` and `roi` are of the full sensor; the image is the region of
    interest, binned. Binning joins pixels, so the centre of pixel 0 of the image is that of the
    whole block it was made of. R or P all zero are not set: identity, and K.

    Distortion models are taken by the names that drivers have for them, and coefficients that are
    0 at the end of D say nothing, however many there are: `distortion_model` and `D` are then what
    ROS means. Coefficients that are all 0 are no distortion, as in image_geometry, whatever the
    model is called (`inverse_brown_conrady` of a rectified RealSense, say).

    :raises CameraError: not calibrated, distorted by an unknown model, values that cannot be.
    """

    width: int
    height: int
    distortion_model: str                # '' only without distortion
    D: tuple[float, ...]
    K: tuple[float, ...]                 # (9,) row-major [px], raw image
    R: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)     # (9,) row-major, camera to rectified
    P: tuple[float, ...] = (0,) * 12     # (12,) row-major [px], rectified image
    binning_x: int = 0                   # 0 means 1
    binning_y: int = 0
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)    # x, y, width, height [px]; no size: all

    def __post_init__(self) -> None:
        """Check everything, so that what exists can be used."""
        for name, length in (('K', 9), ('R', 9), ('P', 12), ('D', None)):
            value = tuple(float(v) for v in np.ravel(getattr(self, name)))
            object.__setattr__(self, name, value)
            if length is not None and len(value) != length:
                raise CameraError(f'{name} must have {length} values, got {len(value)}')
            if not np.isfinite(value).all():
                raise CameraError(f'{name} of the camera is not finite: {value}')
        if self.K[0] == 0:
            raise CameraError('the camera is not calibrated (K[0] is 0); calibrate it, or give '
                              'the driver its calibration file')
        if self.K[0] == self.K[4] == 1 and not any(self.K[i] for i in (1, 2, 3, 5)):
            raise CameraError('the camera is not calibrated (K is the identity); calibrate it, or '
                              'give the driver its calibration file')
        if self.K[0] < 0 or self.K[4] <= 0:
            raise CameraError(f'focal lengths must be positive, K is {self.K}')
        self._name_distortion()
        if self.P == _PLACEHOLDER:
            object.__setattr__(self, 'P', (0.0,) * 12)
        self._check_size()
        self._check_centre()
        R = np.reshape(self.R, (3, 3))
        if any(self.R) and (not np.allclose(R @ R.T, np.eye(3), atol=1e-3)
                            or np.linalg.det(R) < 0):
            raise CameraError(f'R of the camera is not a rotation: {self.R}')
        P = self.P
        if P[0] < 0 or (P[0] > 0 and (P[5] <= 0 or abs(P[1]) > 1e-6 * P[0])):
            raise CameraError(f'P of the camera is not a projection without skew: {P}')

    def _name_distortion(self) -> None:
        """Give model and coefficients their meaning in ROS."""
        given = self.distortion_model
        model = _MODELS.get(given.strip().lower().replace('-', '_').replace(' ', '_'))
        if model is None and not any(self.D):      # without coefficients any model is none
            model = ''
        if model is None:
            known = ', '.join(name for name in _MODELS if name)
            raise CameraError(f'unknown distortion model {given!r}; known: {known}; state the '
                              'calibration in one of them, or send rectified images without D')
        used = max((i + 1 for i, value in enumerate(self.D) if value), default=0)
        length = 0 if not used else next((n for n in _LENGTHS[model] if n >= used), None)
        if length is None:
            most = max(_LENGTHS[model], default=0)
            raise CameraError(f'distortion model {given!r} has at most {most} coefficients, D has '
                              f'{used} that are not followed by zeros alone: {self.D}')
        if model == 'plumb_bob' and length > 5:
            model = 'rational_polynomial'
        object.__setattr__(self, 'distortion_model', model)
        object.__setattr__(self, 'D', (*self.D[:length], *[0.0] * (length - len(self.D))))

    def _check_centre(self) -> None:
        """Check that K and P are of this image, and not of another resolution."""
        x, y = self.K[2], self.K[5]
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise CameraError(
                f'the principal point ({x:g}, {y:g}) of K is outside of the {self.width} x '
                f'{self.height} pixels; is the calibration that of another resolution?')
        x, y = self.P[2], self.P[6]
        if self.P[0] and not (-self.width <= 2 * x < 3 * self.width
                              and -self.height <= 2 * y < 3 * self.height):
            raise CameraError(
                f'the principal point ({x:g}, {y:g}) of P is far outside of the {self.width} x '
                f'{self.height} pixels; is P that of another resolution?')

    def _check_size(self) -> None:
        x, y, width, height = roi = tuple(int(v) for v in self.roi)
        object.__setattr__(self, 'roi', roi)
        if self.width == self.height == 0:
            raise CameraError('the calibration does not say of how many pixels it is (width and '
                              'height are 0); have the driver fill them in')
        if self.width < 1 or self.height < 1 or self.binning_x < 0 or self.binning_y < 0:
            raise CameraError(f'camera of {self.width} x {self.height} pixels with binning '
                              f'{self.binning_x} x {self.binning_y} cannot be')
        if min(roi) < 0 or x + width > self.width or y + height > self.height:
            raise CameraError(f'region of interest (x, y, width, height) {roi} is not inside of '
                              f'{self.width} x {self.height}')
        if min(self._image_size) < 1:
            raise CameraError(f'binning {self.binning_x} x {self.binning_y} leaves no image of '
                              f'region of interest {roi}')

    @property
    def _image_size(self) -> tuple[int, int]:
        x, y, width, height = self.roi
        return ((width or self.width - x) // max(self.binning_x, 1),
                (height or self.height - y) // max(self.binning_y, 1))

    def _of_image(self, fx: float, fy: float, cx: float, cy: float) -> PinholeCamera:
        """Return intrinsics of the full sensor as those of the image."""
        bin_x, bin_y = max(self.binning_x, 1), max(self.binning_y, 1)
        width, height = self._image_size
        x, y = self.roi[:2]
        return PinholeCamera(width, height, fx / bin_x, fy / bin_y,
                             (cx - x + 0.5) / bin_x - 0.5, (cy - y + 0.5) / bin_y - 0.5)

    @cached_property
    def pinhole(self) -> PinholeCamera:
        """The camera of the rectified image, which has the size of the raw image."""
        K, P = self.K, self.P
        if P[0] == 0:
            return self._of_image(K[0], K[4], K[2], K[5])
        return self._of_image(P[0], P[5], P[2], P[6])

    @property
    def T_optical_camera(self) -> np.ndarray:
        """
        Pose of the rectified camera in the frame of the message, (4, 4) float64.

        The right camera of a stereo pair is stamped with the frame of the left one; the fourth
        column of P says how far apart they are.
        """
        T = np.eye(4)
        if self.P[0] > 0:
            T[:2, 3] = -self.P[3] / self.P[0], -self.P[7] / self.P[5]
        return T

    def rectify(self, image: np.ndarray) -> np.ndarray:
        """
        Return the image (H, W[, C]) as `pinhole` sees it; black where the raw image ends.

        :raises CameraError: the image has another size than the calibration.
        """
        self._check(image)
        if self._maps is None:
            return image
        import cv2
        return cv2.remap(image, *self._maps[:2], cv2.INTER_LINEAR)

    def rectify_depth(self, depth: np.ndarray) -> np.ndarray:
        """
        Return the depth (H, W) float32 [m] as `pinhole` sees it, NaN where the raw image ends.

        Values are taken from the nearest pixel, since between two surfaces there is none.

        :raises CameraError: the image has another size than the calibration.
        """
        self._check(depth)
        if self._maps is None:
            return depth
        import cv2
        map_x, map_y, along_z = self._maps
        return along_z * cv2.remap(np.asarray(depth, np.float32), map_x, map_y, cv2.INTER_NEAREST,
                                   borderMode=cv2.BORDER_CONSTANT, borderValue=float('nan'))

    def _check(self, image: np.ndarray) -> None:
        camera = self.pinhole
        if image.shape[:2] != (camera.height, camera.width):
            raise CameraError(f'the image has {image.shape[1]} x {image.shape[0]} pixels, its '
                              f'calibration is for {camera.width} x {camera.height}')

    @cached_property
    def _maps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Raw x and y of each rectified pixel, and rectified z / raw z; None if nothing to do."""
        raw, rectified = self._of_image(*(self.K[i] for i in (0, 4, 2, 5))), self.pinhole
        R = np.reshape(self.R, (3, 3)) if any(self.R) else np.eye(3)
        if not any(self.D) and raw == rectified and not self.K[1] and np.array_equal(R, np.eye(3)):
            return None
        import cv2
        K = raw.K
        K[0, 1] = self.K[1] / max(self.binning_x, 1)
        size = (raw.width, raw.height)
        if self.distortion_model == 'equidistant' and any(self.D):
            maps = cv2.fisheye.initUndistortRectifyMap(
                K, np.array(self.D), R, rectified.K, size, cv2.CV_32FC1)
        else:
            maps = cv2.initUndistortRectifyMap(
                K, np.array(self.D or (0.0,) * 5), R, rectified.K, size, cv2.CV_32FC1)
        along_z = 1.0 / (rectified.rays().astype(np.float64) @ R)[..., 2]
        return (*maps, along_z.astype(np.float32))
