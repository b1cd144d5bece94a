# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fingers that let something go push what stands where they open."""
import numpy as np
import pytest
from gantry import GRIPPER, motion, observe, ROBOT
from scenes import BLUE, box, pick_and_place, RED, World

from kinema4d_ros.precheck import RobotChecker
from kinema4d_ros.robot import load_meshes
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import FindingCode, Severity

AT, TO = (0.0, -0.25), (0.0, 0.1)       # [m] where the fingers take a thing, and let it go


@pytest.fixture(scope='module')
def checker():
    """Return a checker of the gantry robot."""
    meshes = load_meshes(ROBOT)
    return RobotChecker(ROBOT, meshes, with_finger_boxes(GRIPPER, meshes))


def opens_against(checker, world, release_height):
    """Return the findings about fingers that open against something."""
    world.add(RED, box((0.03, 0.03, 0.06), (*AT, 0)))
    path = pick_and_place(AT, TO, release_height=release_height, frames=151)
    found = checker.tier1(observe(world, path), motion(path)).findings
    return [each for each in found if 'opens against' in each.message]


@pytest.mark.parametrize('aside, height, meets', [
    (0.04, 0.08, True),       # its near side is where the finger ends up
    (0.09, 0.08, False),      # the finger ends before it
    (0.04, 0.02, False)])     # the finger passes over it
def test_a_finger_opens_against_what_stands_beside(checker, aside, height, meets):
    board = box((0.2, 0.01, height), (TO[0], TO[1] + aside, 0))
    found = opens_against(checker, World().add(BLUE, board), 0.045)
    assert [(each.code, each.severity, each.link) for each in found] == [
        (FindingCode.CONTACT, Severity.UNSURE, 'left')] * meets
    for each in found:
        assert each.time == pytest.approx(6.3, abs=0.2)      # it opens from 6.2 to 6.6 s
        assert np.linalg.norm(np.subtract(each.point_base[1], TO[1] + aside)) < 0.02
        assert 'mm left to open' in each.message


@pytest.mark.parametrize('height', [0.001, 0.004])
def test_a_finger_may_slide_along_a_table(checker, height):
    assert not opens_against(checker, World(), height)
