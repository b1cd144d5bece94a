# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Near misses in a predicted scene: a block that appears beside a box, distances by hand."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.precheck import FutureCheck, Tier2Settings
from kinema4d_ros.robot import DistanceFields, ForwardKinematics, load_meshes, Robot
from kinema4d_ros.types import (Finding, FindingCode, PinholeCamera, PredictedFrame, RobotRollout,
                                Severity)

ROBOT = Robot.from_urdf(
    '<robot name="lift"><link name="base"/><link name="arm"><visual><geometry>'
    '<box size="0.1 0.1 0.1"/></geometry></visual></link>'
    '<joint name="down" type="prismatic"><parent link="base"/><child link="arm"/>'
    '<axis xyz="0 0 1"/><limit lower="-1" upper="1" velocity="9" effort="1"/></joint></robot>')
MESHES = load_meshes(ROBOT)
FIELDS = DistanceFields(MESHES)
CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
# 1.5 m above the table z = 0, looking straight down; at z = 0.3 a pixel is 8 mm wide.
T_BASE_CAMERA = np.array([[1, 0, 0, 0.0], [0, -1, 0, 0.0], [0, 0, -1, 1.5], [0, 0, 0, 1]], float)
PIXEL = 1.2 / 150
SURFACE = np.stack(np.meshgrid(*[np.linspace(-0.05, 0.05, 6)] * 3), -1).reshape(-1, 3)


def future(gap: float, doubts=(), **options):
    """Return what is found when a block appears `gap` [m] beside the arm, and that gap exactly."""
    positions = np.full((3, 1), 0.3)
    robot = RobotRollout(
        np.array([0.0, 1.0, 2.0]), ROBOT.joint_names, positions, ROBOT.link_names,
        ForwardKinematics(ROBOT)(positions), CAMERA, np.repeat(T_BASE_CAMERA[None], 3, axis=0),
        np.full((3, 120, 160, 3), np.nan, np.float32), np.full((3, 120, 160), -1, np.int16),
        np.zeros((3, 120, 160, 3), np.uint8))
    check = FutureCheck(robot, {'arm': SURFACE}, FIELDS, Tier2Settings(**options))
    x = (np.arange(160) - CAMERA.cx) * PIXEL       # of each column at the height of the block
    block = (x >= 0.05 + gap) & (x <= 0.05 + gap + 0.15)
    for index in range(3):
        depth = np.full((120, 160), 1.5, np.float32)
        if index:
            depth[50:70, block] = 1.2
        check.add(PredictedFrame(
            index, 3, float(index), np.zeros((120, 160, 3), np.uint8),
            pointmap_from_depth(depth, CAMERA), np.zeros((120, 160), bool)))
    found = [f for f in check.finish(doubts=doubts) if f.severity > Severity.INFO]
    return found, float(x[block].min()) - 0.05


def test_far_enough():
    assert future(0.03)[0] == []      # 2 sigma are 2 cm


def test_near_miss_by_hand():
    (found,), gap = future(0.008)
    assert (found.code, found.severity) == (FindingCode.NEAR_MISS, Severity.UNSURE)
    assert found.value == pytest.approx(gap, abs=1e-3) and found.link == 'arm'
    assert (found.time, found.limit, found.sigma, found.unit) == (1.0, 0.0, 0.01, 'm')
    assert found.point_base[2] == pytest.approx(0.3, abs=1e-3)


def test_contact_that_is_believed_fails():
    (found,), gap = future(-0.03)
    assert (found.code, found.severity) == (FindingCode.CONTACT, Severity.FAIL)
    # in the middle of a cube's height, the deepest of the points is `gap` behind its side
    assert found.value == pytest.approx(gap, abs=1e-3) and gap < -0.02


def test_contact_of_a_model_that_follows_nothing_is_no_fail():
    doubt = Finding(FindingCode.ACTION_FOLLOWING, Severity.UNSURE, 'it was told what to do')
    first, found = future(-0.03, (doubt,))[0]
    assert first is doubt
    assert (found.code, found.severity) == (FindingCode.NEAR_MISS, Severity.UNSURE)


@hypothesis_settings(max_examples=8, deadline=None)
@given(st.floats(-0.03, 0.04), st.floats(0.0, 0.02), st.floats(0.0, 0.02), st.floats(0.0, 3.0))
def test_less_certainty_never_turns_doubt_into_a_pass(gap, sigma, more, confidence):
    loose = bool(future(gap, sigma=sigma, confidence=confidence)[0])
    assert not loose or future(gap, sigma=sigma + more, confidence=confidence)[0]
