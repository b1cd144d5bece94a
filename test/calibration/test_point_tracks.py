# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points that are followed: where they go, what they say of a camera, and when they say nothing."""
import cv2
import numpy as np
import pytest
from arm_film import CAMERA, moved, step_between, TRUE

from kinema4d_ros.calibration.flow_grid import FlowGrid
from kinema4d_ros.calibration.normal_equations import Balance, FrameEvidence
from kinema4d_ros.calibration.point_tracks import PointTracks, track_points
from kinema4d_ros.calibration.same_time import motion_agreement, why_not_together
from kinema4d_ros.calibration.surface_tracks import on_surface, rows_at


def textured(height, width, seed=3):
    generator = np.random.default_rng(seed)
    grey = generator.integers(0, 256, (height // 4, width // 4)).astype(np.float32)
    return cv2.GaussianBlur(cv2.resize(grey, (width, height)), (0, 0), 1.5)


def test_points_are_found_where_they_went():
    """A textured image slides by a known fraction of a pixel; each point does as well."""
    whole = textured(160, 240)
    images = []
    for t in range(6):
        shift = np.array([[1, 0, -10 - 2.25 * t], [0, 1, -10 + 1.5 * t]])
        seen = cv2.warpAffine(whole, shift, (180, 120), flags=cv2.INTER_LINEAR)
        images.append(np.repeat(seen[..., None], 3, axis=-1).astype(np.uint8))
    tracks = track_points(np.stack(images))
    first = tracks.steps()
    step = tracks.pixel[first + 1] - tracks.pixel[first]
    assert len(first) > 200
    assert np.abs(np.median(step, axis=0) - (-2.25, 1.5)).max() < 0.05
    assert np.quantile(np.abs(step - (-2.25, 1.5)).max(axis=1), 0.95) < 0.3
    assert (tracks.frame[first + 1] == tracks.frame[first] + 1).all()


def exact_tracks(arm, positions, T_base_camera, noise=0.0, seed=0):
    """Return tracks of points of the robot where the joints have them, none of them hidden."""
    generator = np.random.default_rng(seed)
    poses = arm.model.poses(positions)
    drawn = arm.model.render(poses, CAMERA, T_base_camera)
    T = np.linalg.inv(T_base_camera) @ poses
    track, frame, pixel = [], [], []
    for begin in range(0, len(positions) - 7, 4):
        rows, columns = np.nonzero(drawn.link_id[begin + 3] >= 0)
        for n in generator.choice(len(rows), 60):
            link = drawn.link_id[begin + 3, rows[n], columns[n]]
            here = T[begin + 3, link]
            point = here[:3, :3].T @ (drawn.pointmap[begin + 3, rows[n], columns[n]] - here[:3, 3])
            way = T[begin:begin + 7, link, :3, :3] @ point + T[begin:begin + 7, link, :3, 3]
            u = CAMERA.fx * way[:, 0] / way[:, 2] + CAMERA.cx
            v = CAMERA.fy * way[:, 1] / way[:, 2] + CAMERA.cy
            track.append(np.full(7, track[-1][0] + 1 if track else 0))
            frame.append(np.arange(begin, begin + 7))
            pixel.append(np.stack([u, v], axis=1) + generator.normal(0, noise, (7, 2)))
    return PointTracks(np.concatenate(track), np.concatenate(frame), np.concatenate(pixel))


def fitted(arm, positions, tracks, T_base_camera, rounds=6):
    """Return the camera by the points alone: no outline, no depth."""
    poses = arm.model.poses(positions)
    chosen = np.arange(1, len(positions), 3)
    rows = rows_at(tracks, chosen)
    nothing = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    T_camera_base = np.linalg.inv(T_base_camera)
    for reach in np.geomspace(20, 3, rounds):
        drawn = arm.model.render(poses[chosen], CAMERA, np.linalg.inv(T_camera_base))
        evidence = [FrameEvidence.of(
            drawn.pointmap[t], drawn.link_id[t], nothing, 10.0, None,
            on_surface(rows[t], tracks, drawn.pointmap[t], drawn.link_id[t],
                       T_camera_base @ poses)) for t in range(len(chosen))]
        balance = Balance(evidence, CAMERA, np.r_[[0.15] * 3, [0.26] * 3, 1e-9, 0.25], reach, 0.1)
        for _ in range(3):
            balance.step()
        T_camera_base = balance.motion @ T_camera_base
    return np.linalg.inv(T_camera_base), balance


def test_points_alone_tell_the_camera(arm):
    positions = arm.motion(28)
    tracks = exact_tracks(arm, positions, TRUE)
    found, balance = fitted(arm, positions, tracks, moved(TRUE, 30, 2))
    millimetres, degrees = step_between(TRUE, found)
    assert millimetres < 1 and degrees < 0.06
    assert len(balance.track_errors()) > 30


def test_points_that_slide_have_no_say(arm):
    """A third of the points go where the robot does not."""
    positions = arm.motion(28)
    tracks = exact_tracks(arm, positions, TRUE, noise=0.2)
    wrong = tracks.track % 3 == 0
    tracks.pixel[wrong] += (3.0 * (tracks.frame - tracks.frame[0])[:, None]
                            * np.array([1.0, -0.6]))[wrong] % 23
    found, _ = fitted(arm, positions, tracks, moved(TRUE, 20, 1))
    millimetres, degrees = step_between(TRUE, found)
    assert millimetres < 8 and degrees < 0.6


def test_points_on_what_stands_still_say_nothing(arm):
    positions = np.tile(arm.ready, (12, 1))
    tracks = exact_tracks(arm, positions, TRUE)
    poses = arm.model.poses(positions)
    drawn = arm.model.render(poses[3:4], CAMERA, TRUE)
    rows = rows_at(tracks, np.array([3]))[0]
    assert len(rows) and not len(on_surface(rows, tracks, drawn.pointmap[0], drawn.link_id[0],
                                            np.linalg.inv(TRUE) @ poses))


def test_motion_of_points_tells_where_the_camera_is(arm):
    """Though something lies elsewhere from the middle of the film on, which never moves."""
    positions = arm.motion(30)
    tracks = exact_tracks(arm, positions, TRUE, noise=0.3)
    generator = np.random.default_rng(1)
    corners = generator.uniform((0, 0), (CAMERA.width, CAMERA.height), (300, 2))
    still = np.repeat(corners, 30, axis=0)
    tracks = PointTracks(
        np.r_[tracks.track, tracks.track[-1] + 1 + np.repeat(np.arange(300), 30)],
        np.r_[tracks.frame, np.tile(np.arange(30), 300)], np.vstack([tracks.pixel, still]))
    grid = FlowGrid(tracks, arm.model.surface(arm.model.poses(positions)), CAMERA)
    poses = np.stack([np.linalg.inv(T) for T in (
        TRUE, moved(TRUE, 200, 0), moved(TRUE, 0, 20), moved(TRUE, 600, 40))])
    scores = grid.scores(poses, np.ones(4))
    assert grid.tells and scores[0] > 0.5
    assert scores[0] > scores[1:].max() and scores[3] < 0.3


def test_too_few_points_that_move_tell_nothing(arm):
    positions = arm.motion(10)
    still = PointTracks(np.repeat(np.arange(40), 10), np.tile(np.arange(10), 40),
                        np.repeat(np.random.default_rng(0).uniform(5, 140, (40, 2)), 10, axis=0))
    grid = FlowGrid(still, arm.model.surface(arm.model.poses(positions)), CAMERA)
    assert not grid.tells and np.isfinite(grid.scores(np.linalg.inv(TRUE)[None], np.ones(1))).all()


@pytest.fixture(scope='module')
def uneven(arm):
    """Return images and surface of a motion that is fast and slow in turn."""
    phase = np.cumsum(0.02 + 0.25 * np.random.default_rng(2).random(50) ** 4)
    positions = np.tile(arm.ready, (50, 1))
    positions[:, 0] += 0.9 * np.sin(phase)
    positions[:, 1] += 0.4 * np.sin(1.7 * phase)
    return arm.film(positions).images, arm.model.surface(arm.model.poses(positions))


def test_images_and_joints_that_belong_together(uneven):
    agreement = motion_agreement(*uneven)
    assert agreement.argmax() == 8 and agreement[8] > 0.7
    assert why_not_together(agreement) is None


def test_images_that_are_late_are_named(uneven):
    images, surface = uneven
    said = why_not_together(motion_agreement(images[:-4], surface[4:]))
    assert '4 frames late' in said and 'clocks' in said


def test_images_of_another_motion_are_named(uneven):
    images, surface = uneven
    said = why_not_together(motion_agreement(images[np.random.default_rng(0).permutation(50)],
                                             surface))
    assert 'move at different times' in said
    assert why_not_together(motion_agreement(np.repeat(images[:1], 50, axis=0), surface)) is None
