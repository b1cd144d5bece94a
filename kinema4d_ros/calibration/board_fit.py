# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera against the robot from images of a board, on the hand or before a camera on the hand."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.calibration.boards import Board
from kinema4d_ros.calibration.hand_eye import HandEye, solve_hand_eye
from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.types import PinholeCamera

_FEWEST = 5
_WORST_PLACE, _WORST_TURN = 0.02, 0.035     # [m], [rad] one sigma
_APART, _TURNED = 0.01, 0.03     # [m], [rad] two poses of the hand that are closer are one


@dataclass(frozen=True, eq=False)
class BoardFit:
    """What images of a board tell."""

    hand_eye: HandEye
    used: tuple[int, ...]        # images that show the board, of poses that differ
    reprojection: float          # [px] root mean square over these


def calibrate_by_board(images: Iterable[np.ndarray], T_base_hand: np.ndarray,
                       camera: PinholeCamera, board: Board, *, on_hand: bool,
                       report: Callable[[str, int, int], None] = lambda *_: None) -> BoardFit:
    """
    Find the camera from images (H, W, 3) uint8 RGB of a board, and the hand at each of them.

    :param T_base_hand: (N, 4, 4) by the joints.
    :param on_hand: whether the camera is on the hand and the board stays; else the other way.
    :raises CalibrationError: the board is seen too rarely, or as `solve_hand_eye`.
    """
    poses: list[np.ndarray] = []
    used: list[int] = []
    errors: list[float] = []
    total = 0
    for index, image in enumerate(images):
        total += 1
        if any(_same(T_base_hand[index], T_base_hand[other]) for other in used):
            continue
        report('board', index, len(T_base_hand))
        found = board.pose(image, camera)
        if found is not None:
            poses.append(found[0])
            errors.append(found[1])
            used.append(index)
    if len(used) < _FEWEST:
        raise CalibrationError(
            f'{len(used)} of {total} images show the {board.kind} clearly, from poses that differ; '
            f'at least {_FEWEST} are needed: is its description right, is it sharp, large enough '
            'in the image, and not hidden?')
    result = solve_hand_eye(T_base_hand[used], np.stack(poses), on_hand=on_hand)
    place, turn = result.sigma
    if not (place <= _WORST_PLACE and turn <= _WORST_TURN):
        raise CalibrationError(
            f'these poses do not tell where the camera is: its place to {1000 * place:.0f} mm and '
            f'its orientation to {np.degrees(turn):.1f} degrees only (one sigma); the axes about '
            f'which the hand turns differ by {np.degrees(result.axis_spread):.0f} degrees: add '
            'poses that turn it by 20 to 60 degrees about other axes, and check the size of the '
            f'{board.kind}')
    return BoardFit(result, tuple(used), float(np.sqrt(np.mean(np.square(errors)))))


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    step = first[:3, :3].T @ second[:3, :3]
    angle = np.arccos(np.clip((np.trace(step) - 1) / 2, -1, 1))
    return bool(np.linalg.norm(first[:3, 3] - second[:3, 3]) < _APART and angle < _TURNED)
