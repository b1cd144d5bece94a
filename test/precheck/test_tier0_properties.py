# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: what holds of every motion, tight or loose, slow or fast, and in any order of joints."""
import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from two_links import LIVE, ROBOT, trajectory

from kinema4d_ros.precheck import check_tier0, decide, Tier0Settings
from kinema4d_ros.robot import sample_trajectory
from kinema4d_ros.types import FindingCode, JointLimit, JointTrajectory, Status


@st.composite
def motions(draw):
    """Draw a motion of two joints, smooth or rough, inside or outside of the limits."""
    points = draw(st.integers(1, 5))
    value = st.floats(-2.5, 2.5).map(lambda x: round(x, 3))
    array = st.lists(value, min_size=2 * points, max_size=2 * points)
    gaps = draw(st.lists(st.floats(0.05, 3.0), min_size=points, max_size=points))
    kind = draw(st.integers(1, 3))
    fields = dict(zip(('positions', 'velocities', 'accelerations'),
                      [draw(array) for _ in range(kind)]))
    times = np.cumsum(gaps) - (gaps[0] if draw(st.booleans()) else 0)
    return trajectory(times, ('shoulder', 'elbow'), **fields)


def at_start(motion):
    """Return live joints from which a motion begins: its first point where that is at time 0."""
    return LIVE if motion.times[0] > 0 else LIVE | dict(zip(motion.joint_names,
                                                            motion.positions[0]))


def status(motion, options):
    """Return the verdict's status of tier 0 alone."""
    return decide({0: check_tier0(motion, ROBOT, LIVE, options)}, required=(0,)).status


@settings(max_examples=60, deadline=None)
@given(motions(), st.floats(0.1, 4), st.floats(0.1, 4), st.floats(1, 50), st.floats(0.1, 1))
def test_a_tighter_limit_never_turns_fail_into_pass(motion, upper, velocity, acceleration, share):
    loose = JointLimit(upper=upper, lower=-upper, velocity=velocity, acceleration=acceleration,
                       jerk=20 * acceleration)
    tight = JointLimit(*(None if value is None else value * share
                         for value in dataclasses.astuple(loose)))
    box = (-2.0, -2.0, -1.0, 2.5, 1.5, 1.0)
    wide = Tier0Settings(limits={'shoulder': loose, 'elbow': loose}, workspace=box,
                         allow_end_velocity=True, start_tolerance=1.0)
    narrow = Tier0Settings(limits={'shoulder': tight, 'elbow': tight}, velocity_scale=share,
                           workspace=tuple(share * x for x in box),
                           start_tolerance=share, position_tolerance=1e-3 * share,
                           step_time=0.01 * share)
    if status(motion, wide) == Status.FAIL:
        assert status(motion, narrow) == Status.FAIL


@settings(max_examples=40, deadline=None)
@given(motions(), st.floats(0.2, 5.0))
def test_time_scaling(motion, factor):
    # Positions stay, speeds go with 1 / factor, accelerations with its square, jerks with its cube.
    assume(len(motion.times) > 1)
    if motion.times[0] > 0:      # the way from the live joints is a part of it
        motion = dataclasses.replace(motion, times=motion.times - motion.times[0])
    slower = JointTrajectory(
        motion.joint_names, motion.times * factor, motion.positions,
        None if motion.velocities is None else motion.velocities / factor,
        None if motion.accelerations is None else motion.accelerations / factor ** 2)
    tight = JointLimit(lower=-1e-3, upper=1e-3, velocity=1e-9, acceleration=1e-9, jerk=1e-9)

    def worst(moved, step):
        options = Tier0Settings(limits={'shoulder': tight, 'elbow': tight}, step_time=step,
                                allow_end_velocity=True)
        return {(f.code, f.link): abs(f.value)
                for f in check_tier0(moved, ROBOT, at_start(moved), options)
                if f.value is not None}
    one, other = worst(motion, 0.01), worst(slower, 0.01 * factor)
    power = {FindingCode.VELOCITY_LIMIT: 1, FindingCode.ACCELERATION_LIMIT: 2,
             FindingCode.JERK_LIMIT: 3}
    for key, value in one.items():
        scaled = value / factor ** power.get(key[0], 0)
        assert other.get(key, 0.0) == pytest.approx(scaled, rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(motions())
def test_findings_agree_with_dense_sampling(motion):
    start = at_start(motion)
    found = check_tier0(motion, ROBOT, start, Tier0Settings())
    times = np.linspace(0, max(motion.duration, 1e-3), 4001)
    dense = sample_trajectory(motion, ROBOT, times, start)
    for name in motion.joint_names:
        column, limit = ROBOT.joint_names.index(name), ROBOT.limits[name]
        for code, values, bound in (
                (FindingCode.POSITION_LIMIT, dense.positions, limit.upper + 1e-3),
                (FindingCode.VELOCITY_LIMIT, dense.velocities, limit.velocity * (1 + 1e-6))):
            worst = np.abs(values[:, column]).max()
            mine = [f for f in found if f.code == code and f.link == name]
            if worst > bound:
                assert abs(mine[0].value) >= worst - 1e-9
            if mine and len(motion.times) > 1:
                # between two samples the motion can go a little further than at them
                assert abs(mine[0].value) <= worst * (1 + 1e-2) + 1e-2


@settings(max_examples=40, deadline=None)
@given(motions(), st.permutations([0, 1]))
def test_the_order_of_joints_does_not_matter(motion, order):
    names = tuple(motion.joint_names[i] for i in order)
    other = JointTrajectory(names, motion.times, *(
        None if x is None else x[:, order]
        for x in (motion.positions, motion.velocities, motion.accelerations)))
    key = lambda f: (f.code, f.link)  # noqa: E731
    first, second = (sorted(check_tier0(m, ROBOT, LIVE), key=key) for m in (motion, other))
    assert [f.message for f in first] == [f.message for f in second]
