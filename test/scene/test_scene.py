# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One scene: the robot taken out by two rims, memory with its age, several cameras."""
import dataclasses
import pickle

import cv2
import numpy as np
import pytest

from kinema4d_ros.errors import CameraError, ObservationError
from kinema4d_ros.scene import Knowledge, Scene, SceneMemory, SceneSettings
from kinema4d_ros.scene.mask import grow
from kinema4d_ros.types import Observation, PinholeCamera

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
SETTINGS = SceneSettings(mask_growth=5)


def seen(value=0, depth=1.0, stamp_ns=0, **view):
    """Return an observation of a wall."""
    observation = Observation.from_rgbd(
        np.full((120, 160, 3), value, np.uint8), np.full((120, 160), depth, np.float32), CAMERA,
        np.eye(4), stamp_ns=stamp_ns)
    return observation.with_view(**view)


def robot(left, right):
    """Return the mask of a robot that stands in the way."""
    mask = np.zeros((120, 160), bool)
    mask[:, left:right] = True
    return mask


def test_a_mask_grows_by_a_disc_or_a_square():
    mask = np.zeros((11, 11), bool)
    mask[5, 5] = True
    rows, columns = np.indices(mask.shape)
    disc = grow(mask, 2)
    assert not disc[np.hypot(rows - 5, columns - 5) > 2.5].any() and disc[3, 5] and disc[5, 7]
    square = grow(mask, 2, square=True)
    np.testing.assert_array_equal(square, (abs(rows - 5) <= 2) & (abs(columns - 5) <= 2))
    np.testing.assert_array_equal(grow(mask, 0), mask)


def test_the_picture_and_the_measurement_lack_rims_of_their_own():
    view = Scene(seen(), (robot(60, 100),), SETTINGS).view
    assert np.flatnonzero(np.isnan(view.depth[60])).tolist() == list(range(58, 102))
    assert np.flatnonzero(np.isnan(view.measured_depth[60])).tolist() == list(range(55, 105))
    assert np.isfinite(view.seen_to).all() and view.measured_share == 1.0
    assert np.isnan(view.points_base[60, 58]).all() and np.isfinite(view.points_base[60, 57]).all()


@pytest.mark.parametrize('middle', [(0.1, 0.05, 1.0), (0.5, 0.3, 1.0), (0.0, 0.0, 0.0),
                                    (3.0, 0.0, 1.0), (0.0, 0.0, -1.0)])
def test_the_points_around_a_box_are_those_of_the_picture(middle):
    depth = 1.0 + 0.2 * np.random.default_rng(0).random((120, 160), np.float32)
    view = Scene(seen(depth=depth), (robot(60, 70),), SETTINGS).view
    low, high = box = np.array(middle) + [[-0.15] * 3, [0.15] * 3]
    window, points = view.points_around(box)
    np.testing.assert_array_equal(points, view.points_base[window])
    inside = ((view.points_base >= low) & (view.points_base <= high)).all(-1)
    inside[window] = False
    assert not inside.any()


def test_what_is_remembered_has_an_age():
    memory = SceneMemory()
    memory.update(seen(10, stamp_ns=2_000_000_000), robot(100, 140))
    memory.update(seen(20, stamp_ns=5_500_000_000), robot(60, 100))
    now = seen(30, 2.0, 6_000_000_000, background=memory.background)
    view = Scene(now, (robot(60, 120),), SETTINGS).view
    assert view.age[60, [10, 80, 115]].tolist() == [0.0, 4.0, 0.5]
    assert view.image[60, [10, 80, 115], 0].tolist() == [30, 10, 20]
    points = view.points
    ages = {int(column): float(age) for (_, column), age in zip(points.pixels, points.age)}
    assert len(points) == len(points.age) and points.age.dtype == np.float32
    assert {age for column, age in ages.items() if 62 < column < 96} == {4.0}
    assert {age for column, age in ages.items() if 106 < column < 120} == {0.5}
    assert {age for column, age in ages.items() if column < 50} == {0.0}
    few = points.only(points.age == 4.0)
    assert 0 < len(few) < len(points) and (few.age == 4.0).all()


@pytest.mark.parametrize('ahead, is_known', [(0.5, True), (30.0, False)])
def test_what_is_stamped_far_ahead_of_the_view_is_not_known_to_be_free(ahead, is_known):
    memory = SceneMemory()
    memory.update(seen(stamp_ns=10_000_000_000 + round(ahead * 1e9)), robot(0, 0))
    view = Scene(seen(stamp_ns=10_000_000_000, depth=0.3, background=memory.background),
                 (robot(60, 100),)).view
    v, u = np.argwhere(view.rendered).mean(axis=0)
    camera = view.seen.camera
    behind = 0.6 * np.array([[(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0]])
    found, _ = view.knowledge(behind, 0.01)
    assert found[0] == (Knowledge.REMEMBERED if is_known else Knowledge.TOO_OLD)


def test_what_nobody_saw_and_memory_without_stamps_have_no_age():
    view = Scene(seen(), (robot(60, 100),)).view
    assert np.isnan(view.age[60, 80]) and view.age[60, 10] == 0.0
    memory = SceneMemory()
    memory.update(seen(10, stamp_ns=2), robot(0, 0))
    unstamped = dataclasses.replace(memory.background, stamp_ns=None)
    view = Scene(seen(background=unstamped), (robot(60, 100),)).view
    assert np.isfinite(view.depth).all() and np.isnan(view.age[60, 80])


def test_ages_survive_the_way_to_another_process():
    memory = SceneMemory()
    memory.update(seen(10, stamp_ns=7), robot(0, 40))
    there = pickle.loads(pickle.dumps(seen(background=memory.background)))
    np.testing.assert_array_equal(there.view.background.stamp_ns, memory.background.stamp_ns)


def test_without_depth_nothing_is_measured_and_the_picture_is_there():
    scene = Scene(seen(9, depth=1.0).with_view(depth=None), (robot(60, 100),))
    assert np.isnan(scene.view.depth).all()
    assert (scene.view.image[:, :50] == 9).all()
    assert (len(scene.points), scene.measured) == (0, 0.0)
    assert scene.unseen(np.array([[0.0, 0.0, 0.5]]), 0.01).all()


def two_cameras():
    """Return a scene of two cameras before and behind a wall that both see."""
    front = seen().view
    behind = np.diag([1.0, -1.0, -1.0, 1.0])
    behind[2, 3] = 2.0
    back = dataclasses.replace(front, name='back', T_base_camera=behind)
    return Scene(Observation(0, (front, back)), (robot(60, 100), robot(0, 0)))


def test_several_cameras_tell_of_one_scene():
    scene = two_cameras()
    front, back = scene.views
    assert len(scene.points) == len(front.points) + len(back.points)
    np.testing.assert_allclose(scene.points.points_base[:, 2], 1.0, atol=1e-6)
    places = np.array([[0.2, 0, 0.5], [0.2, 0, 1.5], [9.0, 0, 0.5]])   # before, behind, beside
    assert (front.knowledge(places, 0.0)[0] > 1).tolist() == [False, True, True]
    assert (back.knowledge(places, 0.0)[0] > 1).tolist() == [True, False, True]
    assert scene.unseen(places, 0.0).tolist() == [False, False, True]
    assert scene.measured == 1.0
    with pytest.raises(ObservationError, match='camera, back'):
        _ = scene.view


def test_a_scene_needs_a_mask_of_each_view_in_its_size():
    with pytest.raises(ObservationError, match='0 robot masks for 1 views'):
        Scene(seen(), ())
    with pytest.raises(CameraError, match='robot_mask .* does not have the size'):
        Scene(seen(), (np.zeros((3, 4), bool),))


def test_a_scene_serves_again_for_the_same_observation_and_robot():
    observation, mask = seen(), robot(60, 100)
    scene = Scene(observation, (mask,))
    assert scene.is_of(observation, (mask.copy(),))
    assert not scene.is_of(observation, (robot(60, 99),)) and not scene.is_of(seen(), (mask,))


def test_the_rim_of_the_picture_grows_with_it():
    for height, rim in ((120, 2), (480, 3), (960, 6)):
        camera = PinholeCamera(64, height, 50.0, 50.0, 31.5, height / 2)
        observation = Observation.from_rgbd(
            np.zeros((height, 64, 3), np.uint8), np.ones((height, 64), np.float32), camera,
            np.eye(4))
        mask = np.zeros((height, 64), bool)
        mask[50, 30] = True
        hidden = np.isnan(Scene(observation, (mask,)).view.depth)
        side = 2 * rim + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        assert hidden.sum() == disc.sum() and hidden[50 - rim, 30] and not hidden[49 - rim, 30]
