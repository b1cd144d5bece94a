# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every tier judges a motion from one start state: where the joints are, and how they move."""
import dataclasses
import math

import numpy as np
import pytest
from two_links import check, LIVE, only, ROBOT, SLOW, trajectory

from kinema4d_ros.precheck import at_speed, PrecheckSettings, speed_factor, Tier0Settings
from kinema4d_ros.precheck.start_state import controller_start
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (FindingCode, JointLimit, Observation, PinholeCamera, Severity,
                                StartState)

CAMERA = PinholeCamera(8, 6, 8.0, 8.0, 3.5, 2.5)
STAY = trajectory([3.0], positions=[1.98], velocities=[0])      # the limit of the shoulder is 2


def moving(velocity, joint='shoulder', **positions):
    """Return a start state in which one joint moves."""
    return StartState(LIVE | positions, {joint: velocity})


def look(**fields):
    """Return an observation of nothing."""
    seen = Observation.from_rgbd(np.zeros((6, 8, 3), np.uint8), None, CAMERA, np.eye(4), LIVE)
    return dataclasses.replace(seen, **fields)


@pytest.mark.parametrize('velocity, code', [(0.0, None), (0.02, None), (0.3, 'POSITION_LIMIT')])
def test_a_joint_that_moves_towards_its_limit_goes_over_it(velocity, code):
    """At 0.3 rad/s the controller took a joint 0.05 rad over, with PASS."""
    found = check(STAY, moving(velocity, shoulder=1.93))
    if code is None:
        assert found == []
    else:
        assert only(found, FindingCode[code]).value > 2.03


@pytest.mark.parametrize('motion, code', [
    (trajectory([0.2], positions=[0.0], velocities=[0]), FindingCode.POSITION_LIMIT),
    (trajectory([0.4], positions=[0.0], velocities=[0]), FindingCode.VELOCITY_LIMIT)])
def test_limits_hold_along_the_blend(motion, code):
    found = check(motion, moving(0.9), limits={'shoulder': JointLimit(lower=-0.01, upper=0.02)} if
                  code is FindingCode.POSITION_LIMIT else {'shoulder': JointLimit(velocity=0.8)})
    assert only(found, code)


@pytest.mark.parametrize('motion', [
    trajectory([1.0], positions=[0.5]), trajectory([0.0, 1.0], positions=[0, 0.5])])
def test_a_jump_of_the_velocity_where_it_starts_is_one_from_the_measured(motion):
    limits = {'shoulder': JointLimit(acceleration=10.0)}
    found = check(motion, moving(-0.5), limits=limits)    # to 0.5 rad/s within 0.01 s, and to rest
    assert only(found, FindingCode.ACCELERATION_LIMIT).value == pytest.approx(100.0)
    held = trajectory([1.0], positions=[0.09])
    assert check(held, moving(0.09), limits=limits) == []


def test_an_unknown_velocity_forbids_a_pass_where_it_matters():
    blended = trajectory([1.0], positions=[0.5], velocities=[0])
    found = only(check(blended, moving(math.nan)), FindingCode.START_STATE, Severity.UNSURE)
    assert 'how fast shoulder moves is not known' in found.message
    assert check(blended, moving(math.nan, 'elbow')) == []              # it is not named
    assert check(trajectory([1.0], positions=[0.5]), moving(math.nan)) == []     # linear
    assert check(SLOW, moving(math.nan)) == []                          # begins at a point


@pytest.mark.parametrize('taken, velocity, expected', [
    ('measured', 0.3, 0.3), ('zero', 0.3, 0.0), ('zero', math.nan, 0.0),
    ('commanded', 0.3, math.nan), ('commanded', 0.005, 0.0), ('commanded', math.nan, math.nan)])
def test_what_the_controller_takes_for_the_velocity(taken, velocity, expected):
    taken = Tier0Settings(start_velocity=taken).start_velocity
    start = controller_start(moving(velocity), taken)
    assert start.velocities.get('shoulder', 0.0) == pytest.approx(expected, nan_ok=True)
    assert start.positions == LIVE


def test_a_slower_motion_is_no_cure_while_the_robot_moves():
    """It would be blended for longer from the same velocity, so the way would be another."""
    fast = at_speed(trajectory([2.0], positions=[1.0], velocities=[0]), 2.0)
    found = check(fast, moving(0.1))
    assert speed_factor(fast, ROBOT, moving(0.1), Tier0Settings(), found) is None
    assert speed_factor(fast, ROBOT, LIVE, Tier0Settings(), check(fast)) == pytest.approx(
        0.667, abs=0.01)


def test_live_joints_are_where_every_tier_starts():
    """The observation says where the robot is in the image, and no more."""
    live = moving(0.4, elbow=0.2)
    motion = trajectory([2.0], ('shoulder', 'elbow'), positions=[0.0, 0.2], velocities=[0, 0])
    with ShadowSimulator(ROBOT, None, frames=5) as simulator:
        verdict = simulator.precheck(look(), motion, tiers=(0,), live_joints=live)
        assert verdict.start == live
        seen = simulator.precheck(look(joint_velocities={'elbow': 0.1}), motion, tiers=(0,))
        assert seen.start == StartState(LIVE, {'elbow': 0.1})
        for rollout in (simulator.roll_out(look(), motion, start=live),
                        simulator.checker().rollout_of(look(), motion, live)):
            places = dict(zip(rollout.joint_names, rollout.positions.T))
            assert places['elbow'][0] == 0.2
            assert places['shoulder'].max() == pytest.approx(0.4 * 2 * 4 / 27, abs=0.03)
        zero = PrecheckSettings(tier0=Tier0Settings(start_velocity='zero'))
        assert simulator.precheck(look(), motion, tiers=(0,), live_joints=live,
                                  settings=zero).start == StartState(live.positions)
