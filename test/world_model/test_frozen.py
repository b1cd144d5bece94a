# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frozen baseline, and the scene without robot that all models start from."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scenes import box, looking_at, Path, pick_and_place, RED, STEEL, T_BASE_CAMERA, World

from kinema4d_ros.errors import PredictionCancelled, WorldModelError
from kinema4d_ros.scene.mask import in_paint
from kinema4d_ros.types import EventKind, PinholeCamera
from kinema4d_ros.world_model import load_world_model

PATH = pick_and_place((0.1, 0.15), (-0.05, -0.2), frames=9)
WORLD = World().add(RED, box((0.06, 0.05, 0.07), (0.1, 0.15, 0)))


@pytest.fixture(scope='module')
def robot():
    """Return the rendered robot."""
    return PATH.rollout()


def test_the_robot_moves_and_the_world_stays(robot):
    observation = WORLD.observe(PATH)
    _, behind, _ = WORLD.render()
    for index, frame in enumerate(load_world_model('frozen').predict(observation, robot)):
        assert (frame.index, frame.count, frame.time) == (index, 9, robot.times[index])
        shown = frame.robot_mask
        np.testing.assert_array_equal(frame.image[shown], robot.image[index][shown])
        np.testing.assert_allclose(frame.pointmap[shown], robot.pointmap[index][shown], atol=1e-6)
        # What the box hides of the robot is not shown; all else of it is.
        front = robot.pointmap[index, ..., 2] <= np.where(np.isnan(behind), 9, behind) + 0.01
        assert shown[robot.mask[index] & front].mean() > 0.98
        world = ~shown & np.isfinite(frame.pointmap[..., 2])
        np.testing.assert_allclose(frame.pointmap[..., 2][world], behind[world], atol=1e-5)
        assert not (frame.image[~shown] == STEEL).all(-1).any()


def test_a_moving_camera_sees_the_scene_from_where_it_is(robot):
    elsewhere = looking_at((0.8, 0.3, 0.7), (0.0, 0.0, 0.05))
    moved = PATH.rollout(T_base_camera=elsewhere)
    link_id, pointmap = moved.link_id.copy(), moved.pointmap.copy()
    link_id[0], pointmap[0] = robot.link_id[0], robot.pointmap[0]
    poses = moved.T_base_camera.copy()
    poses[0] = T_BASE_CAMERA
    moved = dataclasses.replace(moved, link_id=link_id, pointmap=pointmap, T_base_camera=poses)
    frame = list(load_world_model('frozen').predict(WORLD.observe(PATH), moved))[-1]
    _, true, _ = WORLD.render(T_base_camera=elsewhere)
    use = ~frame.robot_mask & np.isfinite(frame.pointmap[..., 2]) & np.isfinite(true)
    assert use.mean() > 0.6
    assert np.quantile(np.abs(frame.pointmap[..., 2] - true)[use], 0.97) < 0.004


def test_the_scene_is_made_once_for_all_candidates(robot):
    model, observation = load_world_model('frozen'), WORLD.observe(PATH)
    first = next(model.predict(observation, robot))
    scene = model._scene
    again = next(model.predict(observation, robot))
    assert model._scene is scene
    np.testing.assert_array_equal(first.image, again.image)
    next(model.predict(WORLD.observe(PATH), robot))
    assert model._scene is not scene
    model.close()
    assert model._scene is None


def test_without_depth_the_first_frame_says_so(robot):
    frames = list(load_world_model('frozen').predict(WORLD.observe(PATH, depth=False), robot))
    assert [event.kind for event in frames[0].events] == [EventKind.NO_DEPTH]
    assert not any(frame.events for frame in frames[1:])
    np.testing.assert_array_equal(frames[4].robot_mask, robot.mask[4])


def test_a_report_that_cancels_stops_the_prediction(robot):
    def report(stage, step, total):
        if step == 2:
            raise PredictionCancelled('newer request')
    frames = []
    with pytest.raises(PredictionCancelled, match='newer request'):
        frames.extend(load_world_model('frozen').predict(WORLD.observe(PATH), robot, report=report))


def test_a_rollout_for_another_camera_or_without_frames_is_refused(robot):
    observation = WORLD.observe(PATH)
    other = dataclasses.replace(robot, camera=PinholeCamera(100, 80, 110, 110, 49.5, 39.5))
    with pytest.raises(WorldModelError, match='rendered for .*width=100.*width=200'):
        next(load_world_model('frozen').predict(observation, other))
    empty = dataclasses.replace(robot, times=np.zeros(0))
    with pytest.raises(WorldModelError, match='has no frame'):
        next(load_world_model('kinematic').predict(observation, empty))


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, (13, 17, 3)), arrays(bool, (13, 17)))
def test_in_painting_changes_nothing_but_the_hole(image, hole):
    np.testing.assert_array_equal(in_paint(image, hole)[~hole], image[~hole])


def test_in_painting_takes_its_colours_from_the_source():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = RED
    hole = np.zeros((20, 30), bool)
    hole[8:12, 12:15] = True
    red = np.zeros((20, 30), bool)
    red[:, 15:] = True
    assert np.abs(in_paint(image, hole, red)[hole].astype(int) - RED).max() < 5
    assert np.abs(in_paint(image, hole)[hole].astype(int) - RED).max() > 50
    assert (in_paint(image, ~red | red) == 127).all()


def test_a_path_through_no_grasp_has_no_event():
    path = Path.through((0, 0, 0, 0.2, 0.08), (1, 0.1, 0.1, 0.25, 0.08), frames=5)
    frames = list(load_world_model('kinematic').predict(WORLD.observe(path), path.rollout()))
    assert not any(frame.events for frame in frames)
