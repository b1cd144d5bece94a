# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A camera against the robot from poses of a board that it sees: AX = XB, closed form and refined.

Two transforms are unknown: X, where the camera is, and Y, where the board is; for each pose i
``hand_i X camera_i = Y`` with what the robot says of the hand and what the image says of the board.
A camera on the hand has X in the hand and Y in the base; for one that stays the hand is turned
round: X in the base and Y in the hand. The start is that of Park and Martin (1994): rotation by
logarithms, place by least squares, over all pairs of poses. Then both transforms are refined over
all poses at once, with errors that fade (Huber), so that a pose that is wrong decides nothing.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import CalibrationError

_FEWEST = 3
_LEAST_TURN = math.radians(3.0)       # between two poses, to say anything of an axis
_LEAST_SPREAD = math.radians(10.0)    # of the axes; less is one axis for all
_HUBER = 1.345                        # times the usual error, from which an error counts linearly


@dataclass(frozen=True, eq=False)
class HandEye:
    """Where the camera and the board are, and how well the poses agree on it."""

    T_mount_camera: np.ndarray     # (4, 4) hand to camera, or base to camera that stays
    T_other_board: np.ndarray      # (4, 4) base to board, or hand to board
    covariance: np.ndarray         # (6, 6) of the camera: place [m], turn [rad], its own axes
    shifts: np.ndarray             # (N,) [m] by which each pose is off
    turns: np.ndarray              # (N,) [rad]
    axis_spread: float             # [rad] how far the axes of the turns between poses differ
    outliers: tuple[int, ...]      # poses that are off by more than four times the usual

    @property
    def sigma(self) -> tuple[float, float]:
        """How well the camera's place [m] and orientation [rad] are known, worst directions."""
        return (math.sqrt(float(np.linalg.eigvalsh(self.covariance[:3, :3])[-1])),
                math.sqrt(float(np.linalg.eigvalsh(self.covariance[3:, 3:])[-1])))

    @property
    def mount_covariance(self) -> np.ndarray:
        """(6, 6) of the camera, along the axes of what it is mounted on: place [m], turn [rad]."""
        J = np.kron(np.eye(2), self.T_mount_camera[:3, :3])
        out: np.ndarray = J @ self.covariance @ J.T
        return out

    @property
    def scatter(self) -> tuple[float, float]:
        """Root mean square of what poses are off [m], [rad]."""
        return (float(np.sqrt(np.mean(self.shifts ** 2))),
                float(np.sqrt(np.mean(self.turns ** 2))))


def solve_hand_eye(T_base_hand: np.ndarray, T_camera_board: np.ndarray, *, on_hand: bool,
                   robust: bool = True) -> HandEye:
    """
    Find the camera on the hand, or one that stays and sees a board on the hand.

    :param T_base_hand: (N, 4, 4) the hand at each image, by the joints.
    :param T_camera_board: (N, 4, 4) the board at each image, by the image.
    :param on_hand: whether the camera is on the hand; else the board is.
    :param robust: False: least squares, each pose has the same say.
    :raises CalibrationError: too few poses, or they turn about one axis only; it says which to add.
    """
    hand, board = _checked(T_base_hand), _checked(T_camera_board)
    if len(hand) != len(board):
        raise CalibrationError(f'{len(hand)} poses of the hand and {len(board)} of the board do '
                               'not belong together')
    if len(hand) < _FEWEST:
        raise CalibrationError(f'{len(hand)} poses are too few, at least {_FEWEST} are needed '
                               'and 10 to 20 are good')
    if not on_hand:
        hand = np.linalg.inv(hand)
    spread = _axis_spread(hand)
    X = _closed_form(hand, board)
    Y = _mean_pose(hand @ X @ board)
    return _refined(hand, board, X, Y, spread, robust)


def _checked(poses: np.ndarray) -> np.ndarray:
    poses = np.asarray(poses, np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or not np.isfinite(poses).all():
        raise CalibrationError(f'poses must be finite and of shape (N, 4, 4), got {poses.shape}')
    return poses


def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(count, 1)


def _axis_spread(hand: np.ndarray) -> float:
    """Return how far the axes differ about which the hand turns between poses [rad]; refuse one."""
    first, second = _pairs(len(hand))
    turns = Rotation.from_matrix(
        hand[first, :3, :3].transpose(0, 2, 1) @ hand[second, :3, :3]).as_rotvec()
    angles = np.linalg.norm(turns, axis=1)
    enough = angles > _LEAST_TURN
    if not enough.any():
        raise CalibrationError(
            f'the hand turns by {math.degrees(angles.max()):.1f} degrees at most: add poses that '
            'turn it by 20 to 60 degrees, about two axes or more')
    # Long turns say more; the second axis is as strong as what is across the first.
    weighted = turns[enough]
    values, vectors = np.linalg.eigh(weighted.T @ weighted)
    spread = math.atan2(math.sqrt(max(values[1], 0.0)), math.sqrt(values[2]))
    if spread < _LEAST_SPREAD:
        x, y, z = vectors[:, 2]
        raise CalibrationError(
            f'the hand turns about one axis only, ({x:.2f}, {y:.2f}, {z:.2f}) in its own frame, to '
            f'{math.degrees(spread):.1f} degrees: the place along this axis and the turn about it '
            'stay unknown; add poses that turn it by 20 degrees or more about axes across that one')
    return spread


def _closed_form(hand: np.ndarray, board: np.ndarray) -> np.ndarray:
    """Return X of A X = X B over all pairs, (4, 4)."""
    first, second = _pairs(len(hand))
    # hand_i X board_i = hand_j X board_j
    A = np.linalg.inv(hand[second]) @ hand[first]
    B = board[second] @ np.linalg.inv(board[first])
    a = Rotation.from_matrix(A[:, :3, :3]).as_rotvec()
    b = Rotation.from_matrix(B[:, :3, :3]).as_rotvec()
    near = (np.linalg.norm(a, axis=1) < math.pi - 0.15) & (np.linalg.norm(b, axis=1)
                                                            < math.pi - 0.15)
    if near.sum() >= 3:       # the logarithm of half a turn has no sign
        A, B, a, b = A[near], B[near], a[near], b[near]
    U, _, Vt = np.linalg.svd(a.T @ b)
    R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
    left = (A[:, :3, :3] - np.eye(3)).reshape(-1, 3)
    right = (np.einsum('ij,nj->ni', R, B[:, :3, 3]) - A[:, :3, 3]).reshape(-1)
    X = np.eye(4)
    X[:3, :3], X[:3, 3] = R, np.linalg.lstsq(left, right, rcond=None)[0]
    return X


def _mean_pose(poses: np.ndarray) -> np.ndarray:
    """Return a middle of poses that an outlier does not move, (4, 4)."""
    T = np.eye(4)
    T[:3, 3] = np.median(poses[:, :3, 3], axis=0)
    turns = Rotation.from_matrix(poses[:, :3, :3])
    middle = turns.mean()
    near = (turns * middle.inv()).magnitude()
    T[:3, :3] = turns[near <= np.median(near)].mean().as_matrix()
    return T


def _refined(hand: np.ndarray, board: np.ndarray, X: np.ndarray, Y: np.ndarray, spread: float,
             robust: bool) -> HandEye:
    scale = np.array([1.0, 1.0])      # [m], [rad] usual errors, of which both kinds are multiples

    def residuals(change: np.ndarray) -> np.ndarray:
        shifts, turns = _errors(hand, board, _moved(X, change[:6]), _moved(Y, change[6:]))
        return np.hstack([shifts / scale[0], turns / scale[1]])

    def weighed(change: np.ndarray) -> np.ndarray:
        return (residuals(change) * weight[:, None]).ravel()

    weight = np.ones(len(hand))
    for _ in range(8 if robust else 3):
        shifts, turns = _errors(hand, board, X, Y)
        lengths = np.linalg.norm(shifts, axis=1), np.linalg.norm(turns, axis=1)
        scale = np.array([max(float(np.median(each)), floor) for each, floor
                          in zip(lengths, (1e-7, 1e-7))])
        off = np.sqrt((lengths[0] / scale[0]) ** 2 + (lengths[1] / scale[1]) ** 2) / math.sqrt(2)
        if robust:
            weight = np.sqrt(np.minimum(1.0, _HUBER * 1.5 / np.maximum(off, 1e-9)))
            weight[off > 6.0] = 1e-3      # not a pose of this set
        found = least_squares(weighed, np.zeros(12), method='lm', max_nfev=200)
        X, Y = _moved(X, found.x[:6]), _moved(Y, found.x[6:])
        if np.abs(found.x).max() < 1e-10:
            break
    freedom = max(6 * len(hand) - 12, 1)
    variance = float(found.fun @ found.fun) / freedom
    covariance = np.linalg.pinv(found.jac.T @ found.jac)[:6, :6] * variance
    shifts, turns = _errors(hand, board, X, Y)
    off_m, off_rad = np.linalg.norm(shifts, axis=1), np.linalg.norm(turns, axis=1)
    usual = max(float(np.median(off_m)), 1e-7), max(float(np.median(off_rad)), 1e-7)
    outliers = np.flatnonzero((off_m > 4 * usual[0]) | (off_rad > 4 * usual[1]))
    return HandEye(X, Y, covariance, off_m, off_rad, spread, tuple(map(int, outliers)))


def _errors(hand: np.ndarray, board: np.ndarray, X: np.ndarray, Y: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:
    """Return where the board is seen against where it is, (N, 3) [m] and (N, 3) [rad]."""
    off = np.linalg.inv(Y) @ hand @ X @ board
    return off[:, :3, 3], Rotation.from_matrix(off[:, :3, :3]).as_rotvec()


def _moved(T: np.ndarray, change: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return T shifted by change[:3] and turned by change[3:] in its own frame."""
    step = np.eye(4)
    step[:3, 3] = change[:3]
    step[:3, :3] = Rotation.from_rotvec(np.asarray(change[3:])).as_matrix()
    moved: np.ndarray = T @ step
    return moved
