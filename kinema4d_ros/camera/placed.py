# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well the place of what a camera sees is known, point by point."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_LEAST = 1e-4      # [m] and [rad]: no calibration is better


@dataclass(frozen=True, eq=False)
class Placed:
    """
    A small motion by which what a camera sees may be off, of which only its spread is known.

    Near its center a place is known as well as the shift is, and worse with the distance from it,
    across the axes about which the turn is not known.
    """

    center: np.ndarray        # (3,) [m] camera frame
    covariance: np.ndarray    # (6, 6) of shift [m] and turn [rad] about the center
    besides: float = 0.0      # [m] standard deviation of what is off everywhere alike

    def sigma_at(self, distance: float) -> float:
        """Return how well a place is known at worst [m], this far from the center [m]."""
        shift, turn = (np.linalg.eigvalsh(part)[-1] for part in (
            self.covariance[:3, :3], self.covariance[3:, 3:]))
        return float(np.sqrt(shift + turn * distance ** 2 + self.besides ** 2))

    @cached_property
    def roots(self) -> np.ndarray:
        """A square root of the covariance, (6, 6) float64: times its own transposed it is that."""
        spread, axes = np.linalg.eigh(self.covariance)
        return np.ascontiguousarray(axes * np.sqrt(np.maximum(spread, 0.0)))

    def not_moved_by(self, T: np.ndarray) -> Placed:
        """Return how well it is known where its likeliest motion T (3 or 4, 4) is left out."""
        motion = _motion(T, self.center)
        return dataclasses.replace(self, covariance=self.covariance + np.outer(motion, motion))

    def with_besides(self, sigma: float) -> Placed:
        """Return it with more that is off everywhere [m]."""
        return dataclasses.replace(self, besides=float(np.hypot(self.besides, sigma)))


def likeliest_motion(T: np.ndarray, covariance: np.ndarray, center: np.ndarray,
                     fitted_with: np.ndarray, calibration: tuple[float, float],
                     too_much: np.ndarray) -> tuple[np.ndarray, Placed]:
    """
    Return the motion that a fit and the calibration together make likeliest, and its spread.

    A fit says little of the directions in which nothing was measured; there the calibration
    counts. It is of the camera: a turn of it moves what is far away.

    :param T: (3, 4) motion that was fitted with a wide prior, camera frame.
    :param covariance: (6, 6) of its shift [m] and turn [rad] about the center (3,).
    :param fitted_with: (6,) standard deviations of that prior.
    :param calibration: standard deviation of the camera's place [m] and orientation [rad].
    :param too_much: (6, 6) what of the inverse of the covariance is not the scatter of what was
        measured, which is less than the fit reckoned with; zeros for nothing.
    :return: (3, 4), and its spread where the center has come to.
    """
    from cv2 import Rodrigues      # for those who look at a robot, not for those who set rules
    place, turn = (max(each, _LEAST) for each in calibration)
    lever = np.eye(6)       # of the camera's motion to that of the center
    x, y, z = center
    lever[:3, 3:] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
    prior = lever @ np.diag(np.repeat([place ** 2, turn ** 2], 3)) @ lever.T
    known = np.linalg.inv(covariance)
    both = known - np.diag(fitted_with ** -2.0) + np.linalg.inv(prior)
    spread = np.linalg.inv(both)
    likeliest = spread @ known @ _motion(T, center)
    spread = spread @ (both - too_much) @ spread
    moved = np.empty((3, 4))
    moved[:, :3] = Rodrigues(likeliest[3:])[0]
    moved[:, 3] = center + likeliest[:3] - moved[:, :3] @ center
    return moved, Placed(center + likeliest[:3], (spread + spread.T) / 2)


def _motion(T: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return the shift of a center and the turn about it of a rigid motion, (6,)."""
    from cv2 import Rodrigues
    shift = T[:3, :3] @ center + T[:3, 3] - center
    found: np.ndarray = np.r_[shift, Rodrigues(np.ascontiguousarray(T[:3, :3]))[0][:, 0]]
    return found
