# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""AX = XB on poses that are made, on motions that do not tell, and on poses of real robots."""
import io
import json
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp
from shared_data import shared_data

from kinema4d_ros.calibration import solve_hand_eye
from kinema4d_ros.errors import CalibrationError

X = np.eye(4)
X[:3, :3], X[:3, 3] = Rotation.from_euler('xyz', (10, -20, 95), degrees=True).as_matrix(), \
    (0.05, -0.02, 0.1)
Y = np.eye(4)
Y[:3, :3], Y[:3, 3] = Rotation.from_euler('xyz', (170, 5, 30), degrees=True).as_matrix(), \
    (0.6, 0.1, 0.02)


def poses(turns, seed=0):
    """Return poses with these turns (N, 3) [rad], about a place."""
    generator = np.random.default_rng(seed)
    out = np.tile(np.eye(4), (len(turns), 1, 1))
    out[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    out[:, :3, 3] = (0.4, 0, 0.5) + generator.normal(0, 0.1, (len(turns), 3))
    return out


def ordinary(count=14, seed=0):
    return poses(np.random.default_rng(seed).normal(0, 0.45, (count, 3)), seed)


def seen(hand, on_hand, noise=0.0, seed=1):
    """Return the board as the camera sees it at each pose of the hand."""
    generator = np.random.default_rng(seed)
    carried = hand if on_hand else np.linalg.inv(hand)
    board = np.linalg.inv(carried @ X) @ Y
    error = np.tile(np.eye(4), (len(hand), 1, 1))
    error[:, :3, 3] = generator.normal(0, noise, (len(hand), 3))
    error[:, :3, :3] = Rotation.from_rotvec(
        generator.normal(0, noise, (len(hand), 3))).as_matrix()
    return board @ error


@pytest.mark.parametrize('on_hand', [True, False])
def test_exact_poses_give_both_transforms(on_hand):
    found = solve_hand_eye(ordinary(), seen(ordinary(), on_hand), on_hand=on_hand)
    np.testing.assert_allclose(found.T_mount_camera, X, atol=1e-7)
    np.testing.assert_allclose(found.T_other_board, Y, atol=1e-7)
    assert max(found.scatter) < 1e-7 and found.outliers == ()


def test_the_covariance_is_that_of_many_trials():
    hand = ordinary()
    places, said = [], []
    for seed in range(25):
        found = solve_hand_eye(hand, seen(hand, True, 0.003, seed), on_hand=True, robust=False)
        places.append(found.T_mount_camera[:3, 3])
        said.append(found.covariance[:3, :3])
    spread = np.sqrt(np.trace(np.cov(np.array(places).T)))
    assert np.sqrt(np.trace(np.mean(said, axis=0))) == pytest.approx(spread, rel=0.4)


def test_the_covariance_along_the_axes_of_the_mount():
    """Small changes of the pose in its own axes, seen from the mount."""
    hand = ordinary()
    found = solve_hand_eye(hand, seen(hand, True, 0.003), on_hand=True)
    T, expected = found.T_mount_camera, np.zeros((6, 6))
    values, vectors = np.linalg.eigh(found.covariance)
    for value, vector in zip(values, vectors.T):
        step = np.eye(4)
        step[:3, 3] = 1e-4 * vector[:3]
        step[:3, :3] = Rotation.from_rotvec(1e-4 * vector[3:]).as_matrix()
        turn = Rotation.from_matrix((T @ step)[:3, :3] @ T[:3, :3].T).as_rotvec()
        change = np.hstack([(T @ step)[:3, 3] - T[:3, 3], turn]) / 1e-4
        expected += value * np.outer(change, change)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.mount_covariance, expected, atol=1e-6 * scale)
    assert np.abs(found.mount_covariance - found.covariance).max() > 1e-3 * scale


def test_a_wrong_pose_decides_nothing_and_is_named():
    hand = ordinary()
    board = seen(hand, True, 0.001)
    board[4] = board[4] @ poses(np.array([[0.5, 0.2, 0.0]]))[0]
    found = solve_hand_eye(hand, board, on_hand=True)
    assert np.linalg.norm(found.T_mount_camera[:3, 3] - X[:3, 3]) < 0.005
    assert found.outliers == (4,) and found.shifts[4] > 0.1
    least_squares = solve_hand_eye(hand, board, on_hand=True, robust=False)
    assert np.linalg.norm(least_squares.T_mount_camera[:3, 3] - X[:3, 3]) > 0.02


def test_turns_about_one_axis_are_refused():
    """As a robot does that turns only its last joint; the axis is named."""
    turns = np.linspace(-0.8, 0.8, 9)[:, None] * np.array([0.0, 0.0, 1.0])
    hand = poses(turns)
    with pytest.raises(CalibrationError, match=r'one axis only, \(-?0.00, -?0.00, -?1.00\).*add'):
        solve_hand_eye(hand, seen(hand, True), on_hand=True)


def test_a_hand_that_does_not_turn_is_refused():
    hand = poses(np.zeros((6, 3)))
    with pytest.raises(CalibrationError, match='turns by 0.0 degrees at most: add poses'):
        solve_hand_eye(hand, seen(hand, True), on_hand=True)


@pytest.mark.parametrize('hand, board, said', [
    (ordinary(2), ordinary(2), 'too few'), (ordinary(5), ordinary(6), 'do not belong together'),
    (ordinary(5) * np.nan, ordinary(5), 'must be finite'), (ordinary(5)[:, :3], ordinary(5),
                                                            'of shape')])
def test_what_is_no_set_of_poses(hand, board, said):
    with pytest.raises(CalibrationError, match=said):
        solve_hand_eye(hand, board, on_hand=True)


def test_poses_of_a_real_robot():
    """MoveIt's samples: where their solvers have the camera, and no more scatter than the best."""
    folder = shared_data('moveit_calibration') / 'moveit_calibration_plugins'
    samples = np.array(json.loads(
        (folder / 'handeye_calibration_solver' / 'test' / 'pose_samples.json').read_text()))
    found = solve_hand_eye(samples[:, 0], samples[:, 1], on_hand=False)
    np.testing.assert_allclose(found.T_mount_camera[:3, 3], (0.659, -0.249, 0.830), atol=0.01)
    # OpenCV 4.14's best of seven solvers on these: 4.587 mm, 0.0891 degrees
    shift, turn = found.scatter
    assert shift < 1.05 * 4.587e-3 and np.degrees(turn) < 1.05 * 0.0891


def test_poses_of_another_real_robot():
    """A camera on an arm of ETH Zurich before a target that stays; every 25th of its poses."""
    with zipfile.ZipFile(shared_data('ethz_handeye') / 'robot_arm_w_color_camera_real.zip') as file:
        arm, target = (np.genfromtxt(io.BytesIO(file.read(name)), delimiter=',')
                       for name in sorted(file.namelist()))
    # the two clocks are 5 ms apart, as the correlation of their turning rates says
    stamps = target[:, 0] + 0.005
    used = np.flatnonzero((stamps > arm[0, 0]) & (stamps < arm[-1, 0]))[::25]
    hand, seen = np.tile(np.eye(4), (2, len(used), 1, 1))
    hand[:, :3, :3] = Slerp(arm[:, 0], Rotation.from_quat(arm[:, 4:]))(stamps[used]).as_matrix()
    hand[:, :3, 3] = np.stack([np.interp(stamps[used], arm[:, 0], arm[:, 1 + axis])
                               for axis in range(3)], axis=1)
    seen[:, :3, :3] = Rotation.from_quat(target[used, 4:]).as_matrix()
    seen[:, :3, 3] = target[used, 1:4]
    found = solve_hand_eye(hand, np.linalg.inv(seen), on_hand=True)
    # OpenCV 4.14's best of seven solvers on these: 5.169 mm, 0.6380 degrees
    shift, turn = found.scatter
    assert len(used) == 68
    assert shift < 1.05 * 5.169e-3 and np.degrees(turn) < 1.05 * 0.6380
