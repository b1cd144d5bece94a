# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""sample_trajectory against the tests' own copy of the controller, which shares no code with it."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jtc_spline import NS, Point, Spline

from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, StartState

ROBOT = Robot.from_urdf('''<robot name="two"><link name="a"/><link name="b"/><link name="c"/>
    <joint name="turns" type="continuous"><parent link="a"/><child link="b"/>
        <axis xyz="0 0 1"/><limit effort="1" velocity="9"/></joint>
    <joint name="slides" type="prismatic"><parent link="b"/><child link="c"/>
        <axis xyz="0 0 1"/><limit lower="-9" upper="9" effort="1" velocity="9"/></joint></robot>''')
NAMES = ('turns', 'slides')
small = st.floats(-3.0, 3.0)


@st.composite
def motions(draw):
    """Return a trajectory with or without speeds, and the state that it begins in."""
    count = draw(st.integers(1, 4))
    first = draw(st.sampled_from([0, NS // 4]))
    after = first + np.cumsum([0, *draw(st.lists(
        st.integers(NS // 10, NS), min_size=count - 1, max_size=count - 1))])
    fields = draw(st.integers(1, 3))
    values = [np.array(draw(st.lists(small, min_size=2 * count, max_size=2 * count))).reshape(-1, 2)
              for _ in range(fields)]
    place, speed = (np.array(draw(st.lists(small, min_size=2, max_size=2))) for _ in range(2))
    return after, values, place, speed


@settings(max_examples=60, deadline=None)
@given(motions(), st.floats(0.0, 1.2))
def test_both_have_the_joints_at_the_same_places(motion, share):
    after, values, place, speed = motion
    spline = Spline([Point(int(after[i]), *(v[i] for v in values)) for i in range(len(after))])
    spline.begin(NS, place, speed if len(values) > 1 else None, np.array([True, False]))
    trajectory = JointTrajectory(NAMES, after / NS, *values)
    start = StartState(dict(zip(NAMES, place)), dict(zip(NAMES, speed)))
    time = round(share * after[-1]) if after[-1] else round(share * NS)
    expected = spline.sample(NS + time)
    found = sample_trajectory(trajectory, ROBOT, np.array([time / NS]), start)
    order = [found.joint_names.index(name) for name in NAMES]
    for name in 'positions', 'velocities', 'accelerations':
        assert getattr(found, name)[0, order] == pytest.approx(
            getattr(expected, name), abs=1e-6, rel=1e-6), name
