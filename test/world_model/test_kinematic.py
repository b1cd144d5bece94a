# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kinematic model on ray-cast worlds, whose true future is known exactly."""
from __future__ import annotations

import numpy as np
import pytest
from scenes import BLUE, bowl, box, can, container, hand, Path, pick_and_place, RED, STEEL, World

from kinema4d_ros.types import Background, EventKind
from kinema4d_ros.world_model import load_world_model

STILL = (0.1, 0.15)


def foresee(world, path, **rollout):
    """Return the predicted frames and their events."""
    model = load_world_model('kinematic')
    frames = list(model.predict(world.observe(path), path.rollout(**rollout)))
    return frames, [event for frame in frames for event in frame.events]


def kinds(events):
    """Return what happened, in order."""
    return [event.kind for event in events]


CARRY = [EventKind.GRASP, EventKind.RELEASE, EventKind.REST]


@pytest.mark.parametrize('thing, height', [
    (box((0.06, 0.05, 0.07), (*STILL, 0)), 0.07),
    (can(0.03, 0.1, (*STILL, 0)), 0.1),
])
def test_an_object_is_carried_and_comes_to_rest_on_the_table(thing, height):
    path = pick_and_place(STILL, (-0.05, -0.2), release_height=0.15)
    frames, events = foresee(World().add(RED, thing).add(BLUE, box((.1, .1, .1), (.1, -.1, 0))),
                             path)
    assert kinds(events) == CARRY
    np.testing.assert_allclose(frames[0].carried_point_base, (*STILL, height / 2), atol=0.01)
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.05, -0.2, height / 2),
                               atol=0.012)


def test_an_object_falls_into_a_container_whose_rim_is_above_its_rest():
    bin_at = (-0.05, -0.2, 0)
    world = World().add(RED, can(0.03, 0.08, (*STILL, 0))).add(
        BLUE, *container((0.2, 0.2, 0.08), 0.006, bin_at))
    frames, events = foresee(world, pick_and_place(STILL, bin_at[:2], release_height=0.14))
    assert kinds(events) == CARRY
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.05, -0.2, 0.046), atol=0.015)


def test_what_is_grasped_is_the_bowl_and_not_the_box_that_it_stands_on():
    world = World().add(BLUE, box((0.16, 0.16, 0.04), (*STILL, 0))).add(
        RED, bowl(0.065, 0.05, (*STILL, 0.04)))
    rim = (STILL[0], STILL[1] + 0.06)
    frames, events = foresee(world, pick_and_place(rim, (-0.1, -0.2), 0.065, 0.08))
    assert kinds(events) == CARRY
    np.testing.assert_allclose(frames[0].carried_point_base, (*STILL, 0.065), atol=0.012)
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.1, -0.26, 0.025), atol=0.015)


def test_a_neighbour_close_by_stays():
    world = World().add(RED, can(0.03, 0.08, (*STILL, 0))).add(
        BLUE, can(0.03, 0.08, (STILL[0] + 0.075, STILL[1], 0)))
    path = pick_and_place(STILL, (-0.1, -0.2))
    frames, events = foresee(world, path)
    assert kinds(events) == CARRY
    _, _, thing = world.render()
    neighbour = (thing == 2) & ~frames[-1].robot_mask
    assert (frames[-1].image[neighbour] == BLUE).all(-1).mean() > 0.9
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.1, -0.2, 0.04), atol=0.012)


@pytest.mark.parametrize('at, kind', [
    ((0.1, -0.15), EventKind.CLOSED_ON_NOTHING),
    ((STILL[0], STILL[1] + 0.08), EventKind.CLOSED_ON_NOTHING),    # beside the object
    ((-0.1, 0.0), EventKind.UNSEEN_SPACE),                         # behind the wall
])
def test_fingers_that_miss_move_nothing_and_say_so(at, kind):
    world = World().add(RED, can(0.03, 0.08, (*STILL, 0))).add(
        BLUE, box((0.02, 0.3, 0.2), (0.0, 0.0, 0)))
    frames, events = foresee(world, pick_and_place(at, (0.2, -0.3)))
    assert kinds(events) == [kind]
    assert all(frame.carried_point_base is None for frame in frames)
    assert events[0].message.startswith('fingers close') and ' m' in events[0].message
    assert events[0].message.endswith(f'at {events[0].time:.1f} s')


def test_what_is_let_go_high_up_falls_as_long_as_gravity_says():
    path = pick_and_place(STILL, (-0.05, -0.2), release_height=0.25, frames=241)
    _, events = foresee(World().add(RED, can(0.03, 0.08, (*STILL, 0))), path)
    assert kinds(events) == CARRY
    drop = events[1].point_base[2] - events[2].point_base[2]
    assert drop == pytest.approx(0.22, abs=0.01)
    assert events[2].time - events[1].time == pytest.approx(np.sqrt(2 * drop / 9.81), abs=0.04)


def test_the_same_object_can_be_grasped_again_where_it_was_put():
    first = pick_and_place(STILL, (0.05, -0.2), release_height=0.03)
    second = pick_and_place((0.05, -0.2), (-0.15, 0.1), release_height=0.03)
    path = Path(np.concatenate([first.times, second.times[1:] + first.times[-1]]),
                np.concatenate([first.positions, second.positions[1:]]),
                np.concatenate([first.gaps, second.gaps[1:]]))
    frames, events = foresee(World().add(RED, box((0.06, 0.05, 0.07), (*STILL, 0))), path)
    assert kinds(events) == CARRY + CARRY
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.15, 0.1, 0.035), atol=0.015)


def test_the_prediction_looks_like_the_future():
    world = World().add(RED, box((0.06, 0.05, 0.07), (*STILL, 0)))
    goal = (-0.05, -0.2)
    path = pick_and_place(STILL, goal, release_height=0.03)
    robot = path.rollout()
    empty, behind, _ = world.render()
    start = world.observe(path).with_view(background=Background(
        empty, behind, np.ones(behind.shape, bool)))
    true = World().add(RED, box((0.06, 0.05, 0.07), (*goal, 0)))
    image, depth, _ = true.render([(STEEL, hand(path.positions[-1], path.gaps[-1]))])
    first, last = {}, {}
    for name in ('frozen', 'kinematic'):
        frames = list(load_world_model(name).predict(start, robot))
        first[name] = frames[0]
        last[name] = np.abs(frames[-1].image.astype(int) - image).max(-1) > 40
    for frame in first.values():
        assert (np.abs(frame.image.astype(int) - start.view.image).max(-1) > 40).mean() < 0.002
    assert last['kinematic'].sum() < 0.35 * last['frozen'].sum()
    predicted = frames[-1].pointmap[..., 2]
    known = np.isfinite(predicted) & np.isfinite(depth)
    assert np.quantile(np.abs(predicted - depth)[known], 0.98) < 0.005
    assert known.mean() > 0.9 * np.isfinite(depth).mean()


def test_without_depth_only_the_robot_is_predicted_and_the_first_frame_says_so():
    path = pick_and_place(STILL, (-0.05, -0.2))
    world = World().add(RED, box((0.06, 0.05, 0.07), (*STILL, 0)))
    robot = path.rollout()
    frames = list(load_world_model('kinematic').predict(world.observe(path, depth=False), robot))
    events = [event for frame in frames for event in frame.events]
    assert kinds(events) == [EventKind.NO_DEPTH] and 'no depth image' in events[0].message
    np.testing.assert_array_equal(frames[20].robot_mask, robot.mask[20])
    np.testing.assert_array_equal(np.isfinite(frames[20].pointmap[..., 2]), robot.mask[20])


def test_a_robot_without_known_fingers_moves_alone():
    path = pick_and_place(STILL, (-0.05, -0.2), frames=5)
    world = World().add(RED, box((0.06, 0.05, 0.07), (*STILL, 0)))
    frames, events = foresee(world, path, boxes=False)
    assert len(frames) == 5 and not events
