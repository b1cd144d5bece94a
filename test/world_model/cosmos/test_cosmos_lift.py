# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted pictures brought to metres: what is known stays, what has changed is unknown."""
from __future__ import annotations

import numpy as np
import pytest
from sliding_box import BOX, COLOUR, make_scene, picture_of, WALL, wall_of

from kinema4d_ros.scene import Scene
from kinema4d_ros.world_model.cosmos.lift import PictureLift

SIZE = {'width': 160, 'height': 120}


@pytest.fixture(scope='module')
def scene():
    """Return observation, rollout and lift."""
    observation, robot = make_scene(5, **SIZE, speed=0.3)
    view = Scene(observation, (robot.link_id[0] >= 0,)).view
    return observation, robot, PictureLift(view, robot, 30.0)


def test_a_true_picture_is_in_metres_nearly_everywhere(scene):
    observation, robot, lift = scene
    for index in range(5):
        lifted = lift.lift(picture_of(observation, robot, index), index, range(index, index + 1))
        mask = robot.link_id[index] >= 0
        assert np.array_equal(lifted.robot_mask, mask)
        z = lifted.points[..., 2]
        assert np.allclose(z[mask], BOX)
        beside = ~mask & np.isfinite(z)
        assert np.allclose(z[beside], WALL)
        hidden = robot.link_id[0] >= 0         # nobody has seen the wall behind it
        assert beside.sum() > 0.85 * (~mask & ~hidden).sum()
        assert not lifted.unplaced[~hidden].any()
        assert lifted.following == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize('shift', [4, 8, 16])
def test_a_robot_that_is_elsewhere_is_told_by_how_much(scene, shift):
    observation, robot, lift = scene
    lifted = lift.lift(picture_of(observation, robot, 4, shift), 4, range(4, 5))
    assert lifted.following == pytest.approx(shift / robot.camera.fx * BOX, rel=0.3)
    mask = robot.link_id[4] >= 0
    gone = mask & ~np.roll(mask, shift, axis=1)
    inner = gone & ~np.roll(gone, -1, axis=1)
    assert np.isnan(lifted.points[..., 2][gone & ~inner]).mean() > 0.5
    assert lifted.unplaced.any()


def test_a_robot_that_is_not_there_is_far_away(scene):
    observation, robot, lift = scene
    nothing = wall_of(observation, robot)
    lifted = lift.lift(nothing, 4, range(4, 5))
    assert lifted.following > 0.5
    assert np.isnan(lifted.points[robot.link_id[4] >= 0]).all()


def test_noise_does_not_follow(scene):
    observation, robot, lift = scene
    noise = np.random.default_rng(0).integers(0, 255, (15, 20, 3), np.uint8).repeat(8, 0).repeat(
        8, 1)
    lifted = lift.lift(noise, 4, range(4, 5))
    assert lifted.following > 0.05 and lifted.unplaced.mean() > 0.5
    # What is there differs from the scene, as the robot would; but it is not the robot.
    assert np.isnan(lifted.points[robot.link_id[4] >= 0]).all()


def test_a_thing_that_appears_has_no_place(scene):
    observation, robot, lift = scene
    picture = picture_of(observation, robot, 4)
    picture[90:110, 130:150] = [250, 20, 20]
    lifted = lift.lift(picture, 4, range(4, 5))
    assert lifted.unplaced[91:109, 131:149].all()
    assert np.isnan(lifted.points[91:109, 131:149]).all()
    assert not lifted.unplaced[:80, 110:].any()
    assert lifted.following == pytest.approx(0.0, abs=0.02)       # the robot is where it should be


def test_what_comes_to_light_may_look_as_the_model_likes(scene):
    """Nobody has seen the wall behind the robot's first place."""
    observation, robot, lift = scene
    picture = picture_of(observation, robot, 4)
    picture[(robot.link_id[0] >= 0) & (robot.link_id[4] < 0)] = [20, 250, 20]
    lifted = lift.lift(picture, 4, range(4, 5))
    assert lifted.following == pytest.approx(0.0, abs=0.02)
    assert not lifted.unplaced.any()


@pytest.mark.parametrize('index', [2, 3, 4])
def test_a_robot_that_stays_where_it_was_does_not_follow(scene, index):
    observation, robot, lift = scene
    lifted = lift.lift(observation.view.image, index, range(index, index + 1))
    moved = robot.T_base_link[index, 1, 0, 3] - robot.T_base_link[0, 1, 0, 3]
    assert lifted.following > 0.4 * moved


def test_another_brightness_is_no_change(scene):
    observation, robot, lift = scene
    brighter = (picture_of(observation, robot, 2).astype(int) + 25).clip(0, 255).astype(np.uint8)
    assert not lift.lift(brighter, 2, range(2, 3)).unplaced[robot.link_id[0] < 0].any()


def test_where_the_robot_may_have_been_meanwhile_is_no_change(scene):
    observation, robot, lift = scene
    before = picture_of(observation, robot, 2)        # shown for a frame that is later
    assert lift.lift(before, 4, range(4, 5)).unplaced[robot.link_id[0] < 0].any()
    assert not lift.lift(before, 4, range(2, 5)).unplaced[robot.link_id[0] < 0].any()


def test_a_robot_of_the_colour_of_the_wall_cannot_be_followed():
    observation, robot = make_scene(3, **SIZE)
    image = np.full_like(observation.view.image, COLOUR)
    view = Scene(observation.with_view(image=image), (robot.link_id[0] >= 0,)).view
    lift = PictureLift(view, robot, 30.0)
    assert not lift.can_be_followed(1)
    lifted = lift.lift(image, 1, range(1, 2))
    assert lifted.following is None and np.isnan(lifted.points[lifted.robot_mask]).all()


def test_without_depth_only_the_robot_has_points():
    observation, robot = make_scene(3, **SIZE, depth=False)
    lift = PictureLift(Scene(observation, (robot.link_id[0] >= 0,)).view, robot, 30.0)
    assert lift.can_be_followed(1)
    lifted = lift.lift(picture_of(observation, robot, 1), 1, range(1, 2))
    assert np.array_equal(np.isfinite(lifted.points[..., 2]), robot.link_id[1] >= 0)
