# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Futures of several cameras: each view shows the same world."""
import dataclasses

import cameras
import gantry
import numpy as np
import pytest
from cameras import FRONT, observation, SIDE, UP, view, whole
from scenes import BLUE, box, RED, World

from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import EventKind, FindingCode
from kinema4d_ros.worker.frame_memory import frame_bytes, FrameMemory
from kinema4d_ros.worker.rollout_frame import RolloutFrame
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.physics import why_not_available

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))
THING = [(RED, [box((0.05, 0.04, 0.06), (0, 0, 0))])]
WALL = World().add(BLUE, box((0.02, 0.6, 0.22), (0.12, 0.0, 0.0)))    # hides it from the front
PICK = whole((*UP, 0.08), (0, 0, 0.01, 0.08), (0, 0, 0.01, 0.0), (0, 0, 0.2, 0.0),
             (-0.15, 0, 0.2, 0.0), seconds=8)


def red(image):
    return (image[..., 0] > 150) & (image[..., 1] < 90)


def predicted(model, world, **changes):
    """Return the frames of a pick seen from the front and from the side."""
    front, side = (view(world, name, T, things=THING)
                   for name, T in (('front', FRONT), ('side', SIDE)))
    shadow = ShadowSimulator(cameras.ROBOT, load_world_model(model), frames=9,
                             gripper=gantry.GRIPPER)
    seen = observation(front, dataclasses.replace(side, **changes))
    return seen, *shadow.future(seen, PICK)


@pytest.mark.parametrize('model', ['kinematic', pytest.param('physics', marks=needs_mujoco)])
@pytest.mark.parametrize('world', [World(), WALL], ids=['both see it', 'the second sees it'])
def test_what_is_grasped_moves_in_every_view(model, world):
    seen, _, frames = predicted(model, world)
    frames = list(frames)
    assert [event.kind for frame in frames for event in frame.events] == [EventKind.GRASP]
    assert len(frames[-1].things) == 1                # one thing, not one for each camera
    for frame in frames:
        (other,) = frame.others
        assert other.name == 'side' and other.image.shape == seen.views[1].image.shape
    before, after = frames[0].others[0], frames[-1].others[0]
    at = red(before.image)
    assert at.sum() > 50 and not red(after.image)[at].any()      # it has gone from there
    assert red(after.image).sum() > 10 and after.robot_mask.any()
    # What both show of it is at one place in space.
    moved = frames[-1].things[0].T_base_thing @ np.r_[frames[-1].things[0].center_base, 1.0]
    for view_, image, points in ((seen.views[0], frames[-1].image, frames[-1].pointmap),
                                 (seen.views[1], after.image, after.pointmap)):
        T = view_.T_base_camera
        places = points[red(image)] @ T[:3, :3].T + T[:3, 3]
        if len(places):
            assert np.linalg.norm(places.mean(0) - moved[:3]) < 0.04


def test_a_camera_without_depth_takes_it_from_the_others():
    _, _, frames = predicted('frozen', World(), depth=None)
    (frame, *_) = frames
    (other,) = frame.others
    assert np.isfinite(other.pointmap[..., 2]).mean() > 0.5
    assert not [event for event in frame.events if event.kind is EventKind.NO_DEPTH]


def test_a_camera_on_the_hand_moves_with_it():
    wrist = np.array([[0, -1, 0, -0.08], [-1, 0, 0, 0], [0, 0, -1, 0.45], [0, 0, 0, 1]], float)
    front, seen = view(World(), 'front', FRONT, things=THING), view(
        World(), 'wrist', wrist, things=THING, mount_link='palm')
    shadow = ShadowSimulator(cameras.ROBOT, load_world_model('frozen'), frames=3,
                             gripper=gantry.GRIPPER)
    rollout, _ = shadow.future(observation(front, seen), PICK)
    (other,) = rollout.others
    way = other.T_base_camera[:, :3, 3] - wrist[:3, 3]
    palm = rollout.T_base_link[:, rollout.link_names.index('palm'), :3, 3]
    np.testing.assert_allclose(way, palm - palm[0], atol=1e-9)
    assert (rollout.T_base_camera == rollout.T_base_camera[0]).all()


def test_a_model_of_one_camera_predicts_the_first_and_the_verdict_says_so():
    front, side = (view(World(), name, T, things=THING)
                   for name, T in (('front', FRONT), ('side', SIDE)))

    class One(type(load_world_model('frozen'))):
        name, predicts_every_view = 'one', False

        def predict(self, seen, robot, **more):
            assert [each.name for each in seen.views] == ['front'] and not robot.others
            return super().predict(seen, robot, **more)

    shadow = ShadowSimulator(cameras.ROBOT, One(), frames=3, gripper=gantry.GRIPPER)
    verdict = shadow.precheck(observation(front, side), PICK, tiers=(0, 1, 2))
    (said,) = [f for f in verdict.findings
               if f.code is FindingCode.NOT_CHECKED and 'world model' in f.message]
    assert "'front'" in said.message and "'side'" in said.message


def test_frames_of_every_view_cross_the_shared_memory():
    _, rollout, frames = predicted('frozen', World())
    frame = RolloutFrame.of(next(iter(frames)), rollout)
    memory = FrameMemory()
    memory.reserve(1, frame_bytes(200, 160, [(200, 160)]))
    there = memory.read(0, memory.write(0, frame))
    np.testing.assert_array_equal(there.predicted.others[0].image, frame.predicted.others[0].image)
    np.testing.assert_array_equal(there.predicted.others[0].pointmap,
                                  frame.predicted.others[0].pointmap)
    memory.close()
