# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the robot has been it was free then, and for how long that counts."""
import dataclasses

import numpy as np
import pytest

from hand_over_table import (CAMERA, GRIPPER, NOW, pixels, ROBOT, SETTINGS, table, way)
from kinema4d_ros.precheck import PrecheckSettings, RobotChecker
from kinema4d_ros.robot import load_meshes
from kinema4d_ros.types import FindingCode, JointTrail, JointTrajectory, Severity

EDGE = 1.1 * CAMERA.cx / CAMERA.fx          # of the view, at the height of the hand
OUT = (EDGE - 0.06, 0.0, 0.4), (EDGE + 0.3, 0.0, 0.4)
STRICT = dataclasses.replace(SETTINGS, unseen_outside=0.05, camera_check='off')


@pytest.fixture(scope='module')
def checker(tmp_path_factory):
    """Return what judges by the strict settings; meshes are boxes."""
    return RobotChecker(ROBOT, load_meshes(ROBOT), GRIPPER, PrecheckSettings(tier1=STRICT))


def trail(*stops, ago=10.0, names=ROBOT.joint_names) -> JointTrail:
    """Return where the joints have been on a way, ending some seconds ago."""
    positions = way(*stops, frames=60).positions
    stamps = NOW - np.linspace(ago + 5.0, ago, len(positions)) * 1e9
    return JointTrail(names, positions, stamps.astype(np.int64))


def judge(checker, stops, been=None, observation=None, **settings):
    """Return the findings about unseen space of a motion, with where the robot has been."""
    motion = way(*stops)
    start = dict(zip(ROBOT.joint_names, motion.positions[0]))
    observation = dataclasses.replace(table() if observation is None else observation,
                                      joint_positions=start, trail=been)
    checker.settings = PrecheckSettings(tier1=dataclasses.replace(STRICT, **settings))
    found = checker.tier1(observation, JointTrajectory(
        ROBOT.joint_names, motion.times, motion.positions)).findings
    return [each for each in found if each.code is FindingCode.UNSEEN_SPACE]


def denied(found) -> bool:
    return any(each.severity is Severity.UNSURE for each in found)


def test_a_motion_that_was_executed_before_is_known_the_second_time(checker):
    assert denied(judge(checker, OUT))
    found = judge(checker, OUT, trail(*OUT))
    assert not denied(found)
    told = next(each for each in found if 'robot itself was there' in each.message)
    assert told.unit == 's' and 10.0 < told.value < 15.0


def test_a_motion_beside_it_is_known_as_far_as_the_limit_says(checker):
    near, far = (tuple((x, y + by, z) for x, y, z in OUT) for by in (0.04, 0.2))
    assert not denied(judge(checker, OUT, trail(*near)))
    assert denied(judge(checker, OUT, trail(*far)))
    short = (OUT[0], (EDGE + 0.1, 0.0, 0.4))
    assert denied(judge(checker, OUT, trail(*short)))


@pytest.mark.parametrize('age, ago, is_denied', [
    (60.0, 50.0, False), (60.0, 61.0, True), (600.0, 61.0, False), (0.0, 10.0, True),
    (60.0, -4.0, False), (60.0, -20.0, True), (600.0, -100.0, True)])
def test_it_counts_as_long_as_trail_age_says(checker, age, ago, is_denied):
    # a stamp far ahead of the look is of another time
    assert denied(judge(checker, OUT, trail(*OUT, ago=ago), trail_age=age)) is is_denied


def test_where_the_robot_has_been_does_not_answer_for_a_hole_in_the_depth(checker):
    along = (-0.3, 0.0, 0.4), (0.3, 0.0, 0.4)
    depth = table().view.depth.copy()
    depth[pixels((0.04, -0.06), (0.16, 0.06), 0.4)] = 0.0       # came since: it would be seen
    hole = table(depth)
    assert not denied(judge(checker, along))
    assert denied(judge(checker, along, trail(*along), hole))
    depth[depth == 0.0] = 0.6                                   # a board, and who knows behind it
    assert denied(judge(checker, along, trail(*along), table(depth)))


def test_what_is_measured_where_the_robot_has_been_is_an_obstacle(checker):
    along = (-0.3, 0.0, 0.4), (0.3, 0.0, 0.4)
    depth = table().view.depth.copy()
    depth[pixels((0.05, -0.05), (0.15, 0.05), 0.4)] = 1.1
    observation = dataclasses.replace(
        table(depth), trail=trail(*along),
        joint_positions=dict(zip(ROBOT.joint_names, way(*along).positions[0])))
    motion = way(*along)
    found = checker.tier1(observation, JointTrajectory(
        ROBOT.joint_names, motion.times, motion.positions)).findings
    assert any(each.severity is Severity.FAIL for each in found)


def test_a_trail_that_lacks_a_joint_says_nothing(checker):
    been = trail(*OUT)
    less = JointTrail(been.joint_names[:-1], been.positions[:, :-1], been.stamps_ns)
    more = JointTrail(('other', *been.joint_names), np.pad(been.positions, ((0, 0), (1, 0))),
                      been.stamps_ns)
    assert denied(judge(checker, OUT, less))
    assert not denied(judge(checker, OUT, more))


def test_the_message_says_what_to_declare_and_that_is_enough(checker):
    found = judge(checker, OUT)
    text = next(each.message for each in found if each.severity is Severity.UNSURE)
    assert 'drive there slowly' in text and text.endswith(']')
    box = [float(value) for value in text[text.rindex('[') + 1:-1].split(',')]
    assert not denied(judge(checker, OUT, known_free=box))
