# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The file of a camera's place, written by a calibration, read by nodes and programs.

It is a parameter file of ROS: a node that is started with ``--params-file`` takes the pose and how
well it is known from it. What else is known of the camera stands there under the name of a node
that does not exist, `kinema4d_calibration`, so that one file says all.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera.pose import rigid
from kinema4d_ros.errors import CalibrationError, CameraError
from kinema4d_ros.serialization import write_whole
from kinema4d_ros.types import PinholeCamera

_OWN = 'kinema4d_calibration'
_LEAST_SIGMA = 0.001                    # [m] meshes and joints are not better than this
_LEAST_TURN = math.radians(0.05)


@dataclass(frozen=True, eq=False)
class Extrinsics:
    """A camera in a link of the robot, and how well that is known."""

    parent: str                  # link: the root for a camera that stays, else that it is on
    T_parent_camera: np.ndarray  # (4, 4) float64, the rectified camera
    calibration_sigma: float     # [m] of the robot's place before the camera, worst direction
    calibration_turn_sigma: float    # [rad] of the camera's orientation, worst axis
    stays: bool = True           # False: it is on a link that moves
    frame: str = ''              # optical frame
    camera: PinholeCamera | None = None
    covariance: np.ndarray | None = None     # (6, 6) place [m] and turn [rad], axes of the parent
    method: str = ''
    source: str = ''
    #: (4, 4) of the rectified camera in the optical frame; one of a stereo pair is beside it
    T_optical_camera: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        """Refuse what is no pose."""
        try:
            for name in ('T_parent_camera', 'T_optical_camera'):
                object.__setattr__(self, name, rigid(getattr(self, name), name))
        except CameraError as error:
            raise CalibrationError(str(error)) from error

    @property
    def pose(self) -> list[float]:
        """
        Place and orientation, x y z [m] qx qy qz qw, as the parameter `extrinsics` has it.

        That is of the optical frame: nodes move from there to the rectified camera themselves, by
        the calibration that they receive.
        """
        T = self.T_parent_camera @ np.linalg.inv(self.T_optical_camera)
        return [*T[:3, 3].tolist(), *Rotation.from_matrix(T[:3, :3]).as_quat().tolist()]

    def save(self, path: str | Path, camera: str = '') -> None:
        """
        Write the file.

        :param camera: name of the camera where shadow_sim has several; '' for the parameters of a
            single one.
        """
        pose = ', '.join(f'{value:.9e}' for value in self.pose)
        lines = ['# Where a camera is, by `kinema4d calibrate`. For shadow_sim and viewer:',
                 '#   ros2 run kinema4d_ros shadow_sim --ros-args --params-file THIS_FILE']
        if camera:
            lines.append(f'# It is of the camera {camera}, which the parameter `cameras` must '
                         'name; give this file after that.')
        if not self.stays:
            x, y, z, *q = (f'{value:.6f}' for value in self.pose)
            lines += [
                '# The camera is on a link that moves: add it to the URDF, or publish its place:',
                '#   ros2 run tf2_ros static_transform_publisher --frame-id '
                f'{self.parent} --child-frame-id {self.frame or "camera_optical_frame"}',
                f'#     --x {x} --y {y} --z {z} --qx {q[0]} --qy {q[1]} --qz {q[2]} --qw {q[3]}']
        lines += ['/**:', '  ros__parameters:']
        said = [f'extrinsics: [{pose}]'] if self.stays else []
        sigmas = ['calibration_sigma: '
                  f'{max(self.calibration_sigma, _LEAST_SIGMA):.6e}',
                  'calibration_turn_sigma: '
                  f'{max(self.calibration_turn_sigma, _LEAST_TURN):.6e}']
        if camera:
            lines += [f'    {camera}:', *(f'      {line}' for line in (*said, *sigmas))]
        else:
            lines += [*(f'    {line}' for line in said), '    tier1:',
                      *(f'      {line}' for line in sigmas)]
        lines += [f'{_OWN}:', '  ros__parameters:', f'    parent: {json.dumps(self.parent)}',
                  f'    frame: {json.dumps(self.frame)}', f'    stays: {str(self.stays).lower()}',
                  f'    pose: [{pose}]',
                  '    camera_in_frame: [' + ', '.join(
                      f'{value:.9e}' for value in self.T_optical_camera[:3, 3]) + ']',
                  f'    calibration_sigma: {self.calibration_sigma:.6e}',
                  f'    calibration_turn_sigma: {self.calibration_turn_sigma:.6e}',
                  f'    method: {json.dumps(self.method)}',
                  f'    source: {json.dumps(self.source)}']
        if self.camera is not None:
            K = (self.camera.fx, self.camera.fy, self.camera.cx, self.camera.cy)
            lines += [f'    width: {self.camera.width}', f'    height: {self.camera.height}',
                      f'    K: [{", ".join(f"{value:.9e}" for value in K)}]']
        if self.covariance is not None:
            lines.append('    covariance: [' + ', '.join(
                f'{value:.6e}' for value in np.ravel(self.covariance)) + ']')
        try:
            write_whole(Path(path), '\n'.join(lines) + '\n')
        except OSError as error:
            raise CalibrationError(f'{path} cannot be written: {error.strerror}') from error

    @classmethod
    def load(cls, path: str | Path) -> Extrinsics:
        """
        Read a file.

        :raises CalibrationError: it cannot be read, or is none of `save`.
        """
        try:
            document = yaml.safe_load(Path(path).read_text())
            own = document[_OWN]['ros__parameters']
            pose = [float(value) for value in own['pose']]
            if len(pose) != 7 or not np.isfinite(pose).all() or not any(pose[3:]):
                raise ValueError(f'pose must be x y z qx qy qz qw, got {own["pose"]}')
            T = np.eye(4)
            T[:3, 3], T[:3, :3] = pose[:3], Rotation.from_quat(pose[3:]).as_matrix()
            beside = np.eye(4)
            beside[:3, 3] = own.get('camera_in_frame', (0.0, 0.0, 0.0))
            return cls(str(own['parent']), T @ beside, float(own['calibration_sigma']),
                       float(own['calibration_turn_sigma']), bool(own['stays']),
                       str(own['frame']), _camera(own), _covariance(own), str(own['method']),
                       str(own['source']), beside)
        except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError, ValueError,
                CameraError) as error:
            raise CalibrationError(f'{path} is no file of `kinema4d calibrate` '
                                   f'({type(error).__name__}: {error})') from error


def _camera(own: Mapping[str, Any]) -> PinholeCamera | None:
    if 'K' not in own:
        return None
    fx, fy, cx, cy = map(float, own['K'])
    return PinholeCamera(int(own['width']), int(own['height']), fx, fy, cx, cy)


def _covariance(own: Mapping[str, Any]) -> np.ndarray | None:
    return np.array(own['covariance'], np.float64).reshape(6, 6) if 'covariance' in own else None
