# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boards and tags in pictures that are drawn with a known camera, and what is no board."""
import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.calibration import Board, calibrate_by_board
from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(480, 360, 430.0, 430.0, 239.5, 179.5)
PX = 24       # of a square in the board's own picture
FORMS = ['charuco:6x5:0.04:0.03:DICT_4X4_50', 'chessboard:6x4:0.04', 'aruco:3:0.16',
         'apriltag:7:0.16']


def picture(text):
    """Return the board's own picture, and its corners (4, 2) [m] in the board's frame."""
    board = Board.from_text(text)
    if board.kind == 'charuco':
        drawn = cv2.aruco.CharucoBoard((6, 5), 0.04, 0.03, cv2.aruco.getPredefinedDictionary(
            cv2.aruco.DICT_4X4_50)).generateImage((6 * PX, 5 * PX), marginSize=0)
        return drawn, np.array([(0, 0), (0.24, 0), (0.24, 0.2), (0, 0.2)])
    if board.kind == 'chessboard':
        dark = np.indices((7, 9)).sum(axis=0) % 2 == 0
        dark[0], dark[-1], dark[:, 0], dark[:, -1] = False, False, False, False
        drawn = np.where(np.kron(dark, np.ones((PX, PX), bool)), 10, 245).astype(np.uint8)
        return drawn, np.array([(-0.08, -0.08), (0.28, -0.08), (0.28, 0.2), (-0.08, 0.2)])
    family = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    side = 8 * PX
    drawn = np.full((side + 2 * PX, side + 2 * PX), 255, np.uint8)
    drawn[PX:-PX, PX:-PX] = cv2.aruco.generateImageMarker(family, board.tag, side)
    edge = 0.08 * (1 + 2 * PX / side)
    return drawn, np.array([(-edge, edge), (edge, edge), (edge, -edge), (-edge, -edge)])


def photo(text, T_camera_board):
    """Return what the camera sees of it, on grey."""
    drawn, corners = picture(text)
    places = np.c_[corners, np.zeros(4)]
    there = cv2.projectPoints(places, cv2.Rodrigues(T_camera_board[:3, :3])[0],
                              T_camera_board[:3, 3], CAMERA.K, None)[0].reshape(4, 2)
    height, width = drawn.shape
    own = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    H = cv2.getPerspectiveTransform(own, there.astype(np.float32))
    out = cv2.warpPerspective(drawn, H, (480, 360), flags=cv2.INTER_AREA, borderValue=150)
    return np.repeat(cv2.GaussianBlur(out, (0, 0), 0.6)[..., None], 3, axis=2)


def facing(degrees, place=(0.0, 0.0, 0.65), flipped=False):
    T = np.eye(4)
    turn = Rotation.from_euler('xyz', degrees, degrees=True)
    T[:3, :3] = (turn * Rotation.from_euler('x', 180 if flipped else 0, degrees=True)).as_matrix()
    T[:3, 3] = place
    return T


@pytest.mark.parametrize('text', FORMS)
def test_the_pose_of_a_board(text):
    flipped = text.startswith(('aruco', 'apriltag'))
    T = facing((25, -20, 10), (-0.05, -0.04, 0.65), flipped)
    found = Board.from_text(text).pose(photo(text, T), CAMERA)
    assert found is not None
    np.testing.assert_allclose(found[0][:3, 3], T[:3, 3], atol=0.006)
    off = Rotation.from_matrix(found[0][:3, :3].T @ T[:3, :3]).magnitude()
    half = Rotation.from_matrix(found[0][:3, :3].T @ T[:3, :3]
                                @ np.diag([-1.0, -1.0, 1.0])).magnitude()
    # a chessboard of even columns and rows looks alike from both ends
    assert np.degrees(min(off, half if text.startswith('chess') else off)) < 2.0
    assert found[1] < 0.6


def test_a_camera_is_found_with_the_board_on_the_hand():
    text = FORMS[0]
    generator = np.random.default_rng(3)
    T_hand_board, T_base_camera = facing((5, 175, 0), (0.0, 0.02, 0.1)), facing((150, 10, 80),
                                                                                (0.9, 0.2, 0.7))
    photos, hands = [], []
    for _ in range(8):
        T = facing(generator.uniform(-35, 35, 3), (-0.1, -0.08, 0.65)
                   + generator.uniform(-0.04, 0.04, 3))
        photos.append(photo(text, T))
        hands.append(T_base_camera @ T @ np.linalg.inv(T_hand_board))
    photos.append(np.zeros_like(photos[0]))       # the board is out of view
    hands.append(facing((0, 0, 0), (5.0, 0, 0)))
    fit = calibrate_by_board(photos, np.stack(hands), CAMERA, Board.from_text(text), on_hand=False)
    assert fit.used == tuple(range(8)) and fit.reprojection < 0.6
    error = fit.hand_eye.T_mount_camera[:3, 3] - T_base_camera[:3, 3]
    assert np.linalg.norm(error) < 0.01


def test_a_board_that_is_not_there():
    blank = np.full((3, 360, 480, 3), 130, np.uint8)
    hands = np.stack([facing((0, 10 * k, 0)) for k in range(3)])
    with pytest.raises(CalibrationError, match='0 of 3 images show the charuco.*description'):
        calibrate_by_board(blank, hands, CAMERA, Board.from_text(FORMS[0]), on_hand=True)


def test_the_same_pose_again_is_not_looked_at():
    looked = []
    with pytest.raises(CalibrationError, match='at least 5'):
        calibrate_by_board([photo(FORMS[0], facing((20, 0, 0)))] * 6,
                           np.stack([facing((0, 0, 0))] * 6), CAMERA, Board.from_text(FORMS[0]),
                           on_hand=True, report=lambda *now: looked.append(now[1]))
    assert looked == [0]


@pytest.mark.parametrize('text', ['', 'charuco', 'charuco:6:0.04:0.03', 'charuco:6x5:0.03:0.04',
                                  'chessboard:2x2:0.1', 'aruco:x:0.1', 'aruco:1:-0.1', 'tag:1:0.1'])
def test_what_is_no_board(text):
    with pytest.raises(CalibrationError, match='a board is charuco:COLUMNSxROWS'):
        Board.from_text(text)


def test_an_unknown_dictionary_names_those_there_are():
    with pytest.raises(CalibrationError, match="unknown dictionary 'DICT_9X9'.*DICT_4X4_50"):
        Board.from_text('aruco:1:0.1:9X9')
