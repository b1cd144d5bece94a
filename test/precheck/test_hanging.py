# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A long thing that is held beside its middle hangs down, and strikes what it would pass level."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gantry import GRIPPER, motion, observe, ROBOT
from scenes import BLUE, box, pick_and_place, RED, World
from scipy.spatial.transform import Rotation

from kinema4d_ros.foresight import Body, Story
from kinema4d_ros.precheck import RobotChecker
from kinema4d_ros.precheck.tier1.carried import check_carried
from kinema4d_ros.precheck.tier1.reach import boxes_in_reach
from kinema4d_ros.robot import load_meshes
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import FindingCode, Severity

AT, TO = (0.05, 0.25), (0.05, -0.25)     # [m] the hand carries at 0.25 m from one to the other
POST = (-0.08, 0.0)                      # [m] half way, 13 cm beside the way of the fingers


@pytest.fixture(scope='module')
def checker():
    """Return a checker of the gantry robot."""
    meshes = load_meshes(ROBOT)
    return RobotChecker(ROBOT, meshes, with_finger_boxes(GRIPPER, meshes))


@pytest.mark.parametrize('aside, height, strikes', [
    (-0.06, 0.2, True),       # there it hangs 6 cm lower than it is held
    (-0.06, 0.05, False),     # low enough for that, too
    (0.0, 0.2, False)])       # held by its middle it stays level
def test_what_is_held_beside_its_middle_hangs_down(checker, aside, height, strikes):
    bar = box((0.24, 0.03, 0.03), (AT[0] + aside, AT[1], 0))
    world = World().add(RED, bar).add(BLUE, box((0.05, 0.05, height), (*POST, 0)))
    path = pick_and_place(AT, TO, grip_height=0.012, release_height=0.03, frames=76)
    observation = observe(world, path)
    scene, robot = checker.scene_of(observation), checker.rollout_of(observation, motion(path))
    story = Story(scene.view, robot)
    (moving,) = story.bodies
    assert np.linalg.norm(moving.center(0) - [AT[0] + aside, AT[1], 0.015]) < 0.01
    found = [each for each in check_carried(scene.points, robot, story, checker.settings.tier1)
             if 'hangs down' in each.message]
    assert [(each.code, each.severity) for each in found] == [
        (FindingCode.CONTACT, Severity.UNSURE)] * strikes
    if strikes:
        assert np.linalg.norm(np.subtract(found[0].point_base[:2], POST)) < 0.05


def test_tier_1_looks_wherever_it_may_hang(checker):
    """A tall box that is held by the upper edge of one end swings out of the ball around it."""
    world = World().add(RED, box((0.24, 0.03, 0.03), (*AT, 0)))
    path = pick_and_place(AT, TO, grip_height=0.012, release_height=0.03, frames=76)
    observation = observe(world, path)
    scene, robot = checker.scene_of(observation), checker.rollout_of(observation, motion(path))
    story = Story(scene.view, robot)
    corners = np.stack(np.meshgrid([-0.15, 0.15], [-0.02, 0.02], [-0.1, 0.1]), -1).reshape(-1, 3)
    tall = Body(corners + [AT[0] - 0.14, AT[1], 0.1], np.empty((0, 3), np.int32),
                np.zeros((8, 3), np.uint8))
    story.bodies[0] = dataclasses.replace(story.bodies[0], body=tall)
    boxes = boxes_in_reach(robot, checker.fields, story)
    (moving,) = story.bodies
    hangs = Rotation.from_rotvec([0.0, -0.5, 0.0]).as_matrix()
    level = moving.vertices(38)
    edge = level[level[:, 2] > level[:, 2].mean()]
    grip = edge[edge[:, 0].argmax()]
    for places in ((level - grip) @ hangs.T + grip, (level - grip) @ hangs + grip):
        inside = (places[:, None] >= boxes[:, 0]) & (places[:, None] <= boxes[:, 1])
        assert inside.all(axis=2).any(axis=1).all()
