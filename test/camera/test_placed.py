# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well a camera's place is known after a fit: against errors drawn at random."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera.placed import likeliest_motion, Placed
from kinema4d_ros.scene.points import spread_at

CENTER = np.array([0.1, -0.05, 0.9])
CALIBRATION = (0.005, 0.009)
WIDE = 3.0 * np.repeat([0.01, 0.009], 3)


def motion(shift, turn):
    """Return the rigid motion (3, 4) that moves CENTER by a shift and turns about it."""
    T = np.empty((3, 4))
    T[:, :3] = Rotation.from_rotvec(turn).as_matrix()
    T[:, 3] = CENTER + shift - T[:, :3] @ CENTER
    return T


def fitted(information, seed):
    """Return the true motion of a camera's error, what a wide fit finds of it, and its spread."""
    random = np.random.default_rng(seed)
    shift = CALIBRATION[0] * random.normal(size=3)
    turn = CALIBRATION[1] * random.normal(size=3)
    true = np.r_[shift + np.cross(turn, CENTER), turn]
    covariance = np.linalg.inv(information + np.diag(WIDE ** -2.0))
    noise = np.linalg.cholesky(information + 1e-9 * np.eye(6)) @ random.normal(size=6)
    found = covariance @ (information @ true + noise)
    return motion(true[:3], true[3:]), motion(found[:3], found[3:]), covariance


#: of shift and turn: well known; the turn about the optical axis not at all; nothing known
MEASURED = {'all': np.diag(np.repeat([0.0007 ** -2.0, 0.003 ** -2.0], 3)),
            'no turn in the image': np.diag([0.0007 ** -2.0] * 3 + [0.003 ** -2.0] * 2 + [0.0]),
            'nothing': np.zeros((6, 6))}


@pytest.mark.parametrize('known', MEASURED)
def test_places_are_off_by_about_as_much_as_is_said(known):
    places = CENTER + np.array([[0.0, 0.0, 0.0], [0.3, 0.0, 0.1], [0.0, 0.4, 0.0]])
    ratios = []
    for seed in range(400):
        true, found, covariance = fitted(MEASURED[known], seed)
        T, placed = likeliest_motion(found, covariance, CENTER, WIDE, CALIBRATION,
                                     np.zeros((6, 6)))
        wrong = np.array([(T - true)[:, :3] @ place + (T - true)[:, 3] for place in places])
        said = [np.sqrt(spread_at(*place, placed.center, placed.roots)) for place in places]
        ratios.append(wrong / np.array(said)[:, None])
    ratio = np.sqrt((np.array(ratios) ** 2).mean(axis=0))       # of each place along each axis
    assert np.all(ratio < 1.1) and np.all(ratio.max(axis=1) > 0.5)


def test_a_fit_that_measured_nothing_leaves_the_calibration_as_it_is():
    _, found, covariance = fitted(MEASURED['nothing'], 3)
    T, placed = likeliest_motion(found, covariance, CENTER, WIDE, CALIBRATION, np.zeros((6, 6)))
    assert T == pytest.approx(np.eye(4)[:3], abs=1e-6)
    assert np.sqrt(np.diag(placed.covariance)[3:]) == pytest.approx(np.full(3, 0.009), rel=1e-3)
    along = np.sqrt(placed.covariance[2, 2])      # what turns cannot move along the ray
    assert along == pytest.approx(np.hypot(0.005, 0.009 * np.hypot(*CENTER[:2])), rel=1e-3)


def test_it_is_known_worse_with_the_distance_and_by_what_is_left_out():
    covariance = np.diag(np.repeat([0.001 ** 2, 0.01 ** 2], 3))
    placed = Placed(CENTER, covariance, 0.002)
    near, far = (spread_at(*(CENTER + [x, 0, 0]), placed.center, placed.roots) for x in (0.0, 0.3))
    assert 0.001 <= np.sqrt(near) < 0.0014 and 0.003 < np.sqrt(far) < 0.0048
    assert placed.sigma_at(0.3) == pytest.approx(np.sqrt(1e-6 + 9e-6 + 4e-6))
    left = placed.not_moved_by(motion([0.003, 0, 0], [0, 0, 0]))
    assert left.sigma_at(0.0) == pytest.approx(np.sqrt(1e-6 + 9e-6 + 4e-6), rel=1e-3)
    assert placed.with_besides(0.0015).besides == pytest.approx(0.0025)


def test_noise_of_single_pixels_makes_a_place_better_known():
    information = MEASURED['all']
    _, found, covariance = fitted(information, 1)
    as_patches, alone = (likeliest_motion(found, covariance, CENTER, WIDE, CALIBRATION, share
                                          * information)[1] for share in (0.0, 0.84))
    assert alone.sigma_at(0.3) < 0.6 * as_patches.sigma_at(0.3)
