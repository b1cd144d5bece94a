# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera found from the motion of an arm that is drawn where it is known to be."""
import dataclasses
import math

import numpy as np
import pytest
from arm_film import CAMERA, moved, step_between, TRUE

from kinema4d_ros.calibration import ArmFrames, calibrate_by_robot, RobotFitSettings
from kinema4d_ros.errors import CalibrationError

FEW = RobotFitSettings(frames=12)
NO_DEPTH = dataclasses.replace(FEW, use_depth=False)


@pytest.fixture(scope='module')
def by_outline(arm, film):
    return calibrate_by_robot(film, arm.model, moved(TRUE, 50, 5), settings=NO_DEPTH)


@pytest.fixture(scope='module')
def by_depth(arm, film):
    return calibrate_by_robot(film, arm.model, moved(TRUE, 50, 5), settings=FEW)


def test_the_outline_alone_finds_the_camera(by_outline):
    millimetres, degrees = step_between(TRUE, by_outline.T_base_camera)
    assert millimetres < 8 and degrees < 0.6
    assert by_outline.support > 0.7 and by_outline.overlap > 0.85
    assert math.isnan(by_outline.depth_error)


def test_depth_finds_it_better(by_depth, by_outline):
    millimetres, degrees = step_between(TRUE, by_depth.T_base_camera)
    assert millimetres < 2 and degrees < 0.2
    assert by_depth.shift_sigma < by_outline.shift_sigma
    assert by_depth.depth_error == pytest.approx(0.002, abs=0.0015)


@pytest.mark.parametrize('which', ['by_outline', 'by_depth'])
def test_the_error_is_what_the_covariance_says(which, request):
    fit = request.getfixturevalue(which)
    error = fit.T_base_camera[:3, 3] - TRUE[:3, 3]
    covariance = fit.place_covariance
    assert np.linalg.eigvalsh(covariance)[0] > 0
    # Five sigma, and what meshes of pixels leave.
    known = covariance[:3, :3] + np.eye(3) * 0.001 ** 2
    assert error @ np.linalg.solve(known, error) < 25


def test_nothing_has_to_be_known_of_the_place(arm, film):
    fit = calibrate_by_robot(film, arm.model, None,
                             settings=dataclasses.replace(NO_DEPTH, search=3000))
    millimetres, degrees = step_between(TRUE, fit.T_base_camera)
    assert millimetres < 12 and degrees < 0.8


def test_the_focal_length_is_found_too(arm, film):
    wrong = dataclasses.replace(CAMERA, fx=CAMERA.fx * 1.05, fy=CAMERA.fy * 1.05)
    frames = ArmFrames(film.images, film.depths, film.joint_positions, wrong)
    fit = calibrate_by_robot(frames, arm.model, moved(TRUE, 20, 2),
                             settings=dataclasses.replace(FEW, focal_sigma=0.06))
    assert fit.camera.fx == pytest.approx(CAMERA.fx, rel=0.01)
    assert not fit.focal_known and 0 < fit.focal_sigma < 0.02


def test_what_passes_by_decides_nothing(arm, film, by_outline):
    """A bright thing wanders through the image, and hides a part of the robot at times."""
    images = film.images.copy()
    for t, image in enumerate(images):
        image[90:125, 5 * t:5 * t + 25] = (250, 240, 40)
    frames = ArmFrames(images, None, film.joint_positions, CAMERA)
    fit = calibrate_by_robot(frames, arm.model, moved(TRUE, 50, 5), settings=NO_DEPTH)
    millimetres, degrees = step_between(TRUE, fit.T_base_camera)
    assert millimetres < 12 and degrees < 0.8


@pytest.mark.parametrize('fill', [np.nan, 0.0])
def test_depth_that_says_nothing_changes_nothing(arm, film, fill, by_outline):
    frames = ArmFrames(film.images, np.full_like(film.depths, fill), film.joint_positions, CAMERA)
    fit = calibrate_by_robot(frames, arm.model, moved(TRUE, 50, 5), settings=FEW)
    assert step_between(by_outline.T_base_camera, fit.T_base_camera)[0] < 3
    assert math.isnan(fit.depth_error)


def test_a_robot_that_stands_still_is_refused(arm):
    frames = arm.film(np.tile(arm.ready, (8, 1)))
    with pytest.raises(CalibrationError, match='next to nothing moves.*move the robot'):
        calibrate_by_robot(frames, arm.model, TRUE, settings=NO_DEPTH)


def test_one_wrist_joint_is_too_little(arm):
    """Only the hand turns: what is told is too little for a place, and it says what to add."""
    positions = np.tile(arm.ready, (20, 1))
    positions[:, 5] += np.linspace(-1.2, 1.2, 20)
    with pytest.raises(CalibrationError, match='does not tell|is not found|are needed') as caught:
        calibrate_by_robot(arm.film(positions, noise=6.0), arm.model, moved(TRUE, 50, 5),
                           settings=NO_DEPTH)
    assert any(cure in str(caught.value) for cure in ('move the hand', 'is it this robot',
                                                      'is it the robot'))


def test_images_of_another_film_are_refused(arm, film):
    """What moves in them is not the robot of these joints."""
    generator = np.random.default_rng(0)
    frames = ArmFrames(film.images[generator.permutation(len(film))], None, film.joint_positions,
                       CAMERA)
    with pytest.raises(CalibrationError, match='not found|does not tell|are needed') as caught:
        calibrate_by_robot(frames, arm.model, moved(TRUE, 50, 5), settings=NO_DEPTH)
    assert 'counted among the 30 images' in str(caught.value)      # not those of the recording


@pytest.mark.parametrize('change, said', [
    ({'images': np.zeros((3, 10, 10, 3), np.uint8)}, 'images must be uint8'),
    ({'images': np.zeros((30, 150, 200, 3), np.float32)}, 'images must be uint8'),
    ({'depths': np.zeros((30, 10, 10), np.float32)}, 'depths must have shape'),
    ({'joint_positions': np.zeros((5, 7))}, 'as many rows of finite'),
    ({'joint_positions': np.full((30, 7), np.nan)}, 'as many rows of finite')])
def test_frames_that_do_not_belong_together(film, change, said):
    with pytest.raises(CalibrationError, match=said):
        dataclasses.replace(film, **change)


def test_too_few_images(arm, film):
    with pytest.raises(CalibrationError, match='4 images are too few'):
        calibrate_by_robot(film.take(np.arange(4)), arm.model, TRUE, settings=NO_DEPTH)
