# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boards and tags of known size, and where an image shows them; found by OpenCV."""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.types import PinholeCamera

FORMS = ('charuco:COLUMNSxROWS:SQUARE:MARKER[:DICTIONARY], chessboard:COLUMNSxROWS:SQUARE (inner '
         'corners), aruco:ID:SIZE[:DICTIONARY] or apriltag:ID:SIZE[:FAMILY], lengths in metres')
_FEWEST = 6             # corners of a board
_CLOSER = 1.5           # the better of two mirrored poses of a plane, by so much, is believed


@dataclass(frozen=True)
class Board:
    """
    A plane with corners of known places; its frame lies in it, z out of its back.

    :param kind: charuco, chessboard, aruco or apriltag.
    :param columns: squares (charuco) or inner corners (chessboard) in a row; of a tag 0.
    :param square: [m] side of a square, or of the tag.
    :param marker: [m] side of a charuco's markers.
    """

    kind: str
    columns: int
    rows: int
    square: float
    marker: float = 0.0
    dictionary: str = 'DICT_4X4_50'
    tag: int = 0

    @classmethod
    def from_text(cls, text: str) -> Board:
        """
        Read a board as the command line has it, such as ``charuco:7x5:0.04:0.03:DICT_5X5_100``.

        :raises CalibrationError: it is none of `FORMS`, or cannot be.
        """
        kind, *rest = text.split(':')
        try:
            if kind == 'charuco' and len(rest) in (3, 4):
                columns, rows = map(int, rest[0].split('x'))
                board = cls(kind, columns, rows, float(rest[1]), float(rest[2]),
                            _dictionary(*rest[3:]))
                usable = columns > 1 and rows > 1 and 0 < board.marker < board.square
            elif kind == 'chessboard' and len(rest) == 2:
                columns, rows = map(int, rest[0].split('x'))
                board = cls(kind, columns, rows, float(rest[1]))
                usable = columns > 2 and rows > 2 and board.square > 0
            elif kind in ('aruco', 'apriltag') and len(rest) in (2, 3):
                board = cls(kind, 0, 0, float(rest[1]), tag=int(rest[0]), dictionary=_dictionary(
                    *rest[2:] or (('36h11',) if kind == 'apriltag' else ())))
                usable = board.square > 0 and board.tag >= 0
            else:
                raise ValueError
        except ValueError:
            raise CalibrationError(f'{text!r} is no board; a board is {FORMS}') from None
        if not usable:
            raise CalibrationError(f'the board {text!r} cannot be: sizes must be positive, and '
                                   f'markers smaller than squares; a board is {FORMS}')
        return board

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """
        Return the corners that an image (H, W, 3) uint8 RGB shows; None where it shows none.

        :return: (N, 3) float64 [m] on the board, (N, 2) float64 [px].
        """
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self.kind == 'chessboard':
            return self._chessboard(grey)
        if self.kind == 'charuco':
            corners, ids, _, _ = self._charuco.detectBoard(grey)
            if ids is None or len(ids) < _FEWEST:
                return None
            places = np.asarray(self._charuco.getBoard().getChessboardCorners(), np.float64)
            return places[np.ravel(ids)], np.asarray(corners, np.float64).reshape(-1, 2)
        corners, ids, _ = self._tags.detectMarkers(grey)
        if ids is None or self.tag not in np.ravel(ids):
            return None
        half = self.square / 2
        places = np.array([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])
        at = int(np.flatnonzero(np.ravel(ids) == self.tag)[0])
        return places, np.asarray(corners[at], np.float64).reshape(4, 2)

    def pose(self, image: np.ndarray, camera: PinholeCamera) -> tuple[np.ndarray, float] | None:
        """
        Return T_camera_board (4, 4) and the reprojection error [px]; None where it is not seen.

        A plane that is small in the image fits two mirrored poses alike; where neither is clearly
        better it is not believed either.
        """
        found = self.find(image)
        if found is None:
            return None
        places, pixels = found
        count, turns, shifts, errors = cv2.solvePnPGeneric(
            places, pixels, camera.K, None, flags=cv2.SOLVEPNP_IPPE)
        if not count:
            return None
        if count > 1 and errors[1] < _CLOSER * errors[0] and errors[0] > 0.05:
            return None
        turn, shift = cv2.solvePnPRefineLM(places, pixels, camera.K, None, turns[0], shifts[0])
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = cv2.Rodrigues(turn)[0], np.ravel(shift)
        drawn, _ = cv2.projectPoints(places, turn, shift, camera.K, None)
        error = np.linalg.norm(drawn.reshape(-1, 2) - pixels, axis=1)
        return T, float(np.sqrt((error ** 2).mean()))

    def _chessboard(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        size = (self.columns, self.rows)
        there, corners = cv2.findChessboardCornersSB(grey, size, flags=cv2.CALIB_CB_ACCURACY)
        if not there:
            return None
        across, down = np.meshgrid(np.arange(self.columns), np.arange(self.rows))
        places = np.stack([across, down, np.zeros_like(down)], -1).reshape(-1, 3) * self.square
        return places.astype(np.float64), np.asarray(corners, np.float64).reshape(-1, 2)

    @cached_property
    def _charuco(self) -> cv2.aruco.CharucoDetector:
        return cv2.aruco.CharucoDetector(cv2.aruco.CharucoBoard(
            (self.columns, self.rows), self.square, self.marker, _predefined(self.dictionary)))

    @cached_property
    def _tags(self) -> cv2.aruco.ArucoDetector:
        parameters = cv2.aruco.DetectorParameters()
        parameters.cornerRefinementMethod = (
            cv2.aruco.CORNER_REFINE_APRILTAG if self.kind == 'apriltag'
            else cv2.aruco.CORNER_REFINE_SUBPIX)
        return cv2.aruco.ArucoDetector(_predefined(self.dictionary), parameters)


def _dictionary(name: str = 'DICT_4X4_50') -> str:
    """Return the name of a dictionary as OpenCV has it."""
    if re.fullmatch(r'(?i)(tag)?\d\dh\d+', name):
        name = f'APRILTAG_{name.lower().removeprefix("tag")}'
    name = name if name.upper().startswith('DICT_') else f'DICT_{name}'
    known = [each for each in dir(cv2.aruco) if each.upper() == name.upper()]
    if not known:
        names = sorted(each for each in dir(cv2.aruco) if each.startswith('DICT_'))
        raise CalibrationError(f'unknown dictionary {name!r}; known: {", ".join(names)}')
    return known[0]


def _predefined(name: str) -> cv2.aruco.Dictionary:
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
