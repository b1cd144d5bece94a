# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a calibration found, and how well it knows it."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.types import PinholeCamera

_WORST_SHIFT = 0.03        # [m] one sigma, above which a place is not known
_WORST_TURN = math.radians(2.0)
_WORST_FOCAL = 0.08        # of the focal length
_LEAST_SUPPORT = 0.3       # of the outline must be where it is drawn
_LEAST_OVERLAP = 0.1       # of what moves must be the robot, intersection over union
_QUESTION = ('is it the robot of these joints, does the camera stay, and does little else '
             'move?')
_SHIFTS = ('sideways in the image', 'up and down in the image', 'towards the camera and away')
_TURNS = ('about the horizontal axis of the image', 'about the vertical axis of the image',
          'about the line of sight')
_CURES = ('move the hand farther left and right, seen from the camera',
          'move the hand farther up and down, seen from the camera',
          'move the hand towards the camera and away from it',
          'move the hand up and down at different distances from the camera',
          'move the hand left and right at different distances from the camera',
          'move the hand over more of the image, and turn the first joint')


@dataclass(frozen=True, eq=False)
class CameraFit:
    """
    A camera that stays, as the robot's motion shows it.

    The covariance is of the robot's shift [m] and turn [rad] in the camera frame, about `center`,
    and of the logarithm of the focal length: that of the equations, and what the result varies by
    when a fifth of the frames is left out, added up; four times that where there is no depth.
    """

    camera: PinholeCamera
    T_base_camera: np.ndarray    # (4, 4) float64
    center: np.ndarray           # (3,) [m] camera frame, middle of the robot that was seen
    covariance: np.ndarray       # (7, 7)
    focal_known: bool            # beforehand, and not looked for
    outline_error: float         # [px] root mean square
    depth_error: float           # [m] root mean square, NaN without depth
    overlap: float               # 0..1 what moves and the drawn robot, intersection over union
    overlaps: tuple[float, ...]  # the same of each frame, NaN where neither is
    support: float               # 0..1 of the outline, before a known background, is found
    frames: int
    samples: int
    tracked: int                 # points on the robot that are followed, and agree
    track_error: float           # [px] root mean square of these, NaN where there is none

    @property
    def shift_sigma(self) -> float:
        """How well the robot's middle is placed before the camera [m], worst direction."""
        return math.sqrt(float(np.linalg.eigvalsh(self.covariance[:3, :3])[-1]))

    @property
    def turn_sigma(self) -> float:
        """How well the camera's orientation is known [rad], worst axis."""
        return math.sqrt(float(np.linalg.eigvalsh(self.covariance[3:6, 3:6])[-1]))

    @property
    def focal_sigma(self) -> float:
        """How well the focal length is known, as a part of it; 0 where it was given."""
        return 0.0 if self.focal_known else math.sqrt(float(self.covariance[6, 6]))

    @property
    def place_covariance(self) -> np.ndarray:
        """(6, 6) of the camera in the base, along the base's axes: place [m], turn [rad]."""
        R = self.T_base_camera[:3, :3]
        x, y, z = self.center
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        J = np.zeros((6, 6))
        J[:3, :3], J[:3, 3:], J[3:, 3:] = -R, -R @ cross, -R
        out: np.ndarray = J @ self.covariance[:6, :6] @ J.T
        return out


def why_not_known(fit: CameraFit) -> str | None:
    """Return why a fit is no calibration, and which motions to add; None where it is one."""
    if not fit.support >= _LEAST_SUPPORT:
        return (f'the robot is not found in the images: {100 * fit.support:.0f} % of its outline '
                'lies on the edge of something that moves, at least '
                f'{100 * _LEAST_SUPPORT:.0f} % are needed; {_QUESTION}')
    if not fit.overlap >= _LEAST_OVERLAP:
        return (f'the robot is not found in the images: it covers {100 * fit.overlap:.0f} % of '
                f'what moves, at least {100 * _LEAST_OVERLAP:.0f} % are needed; {_QUESTION}')
    shift, turn = np.linalg.eigh(fit.covariance[:3, :3]), np.linalg.eigh(fit.covariance[3:6, 3:6])
    parts = []
    if not math.sqrt(shift[0][-1]) <= _WORST_SHIFT:
        axis = int(np.abs(shift[1][:, -1]).argmax())
        parts.append((f'its place {_SHIFTS[axis]} to {1000 * math.sqrt(shift[0][-1]):.0f} mm only',
                      _CURES[axis]))
    if not math.sqrt(turn[0][-1]) <= _WORST_TURN:
        axis = int(np.abs(turn[1][:, -1]).argmax())
        parts.append((f'its turn {_TURNS[axis]} to '
                      f'{math.degrees(math.sqrt(turn[0][-1])):.1f} degrees only', _CURES[3 + axis]))
    if not fit.focal_sigma <= _WORST_FOCAL:
        parts.append((f'its focal length to {100 * fit.focal_sigma:.0f} % only', _CURES[2]))
    if not parts:
        return None
    return ('this motion does not tell where the camera is: it tells '
            + ', '.join(part[0] for part in parts) + '; '
            + '; '.join(dict.fromkeys(part[1] for part in parts)))
