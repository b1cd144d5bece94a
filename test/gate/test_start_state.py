# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A difference of the start counts by how far it leads the joints away."""
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robots import one_joint

from kinema4d_ros.gate.start_state import why_start_differs
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, StartState

ROBOT = Robot.from_urdf(one_joint('<limit lower="-9" upper="9"/>'))
REST = StartState({'j': 0.0, 'other': 1.0})


def motion(first, fields):
    """Return a trajectory of joint j with so many fields whose first point is at `first`."""
    return JointTrajectory(('j',), np.array([first, first + 1]),
                           *[np.zeros((2, 1)) for _ in range(fields)])


def live(position=0.0, velocity=0.0, **others):
    """Return a state of both joints."""
    return StartState({'j': position, 'other': 1.0} | others, {'j': velocity})


@given(st.floats(0.1, 4), st.floats(-2, 2), st.floats(-0.2, 0.2), st.sampled_from([1, 2, 3]))
def test_what_is_let_through_stays_as_near_as_the_tolerance(first, velocity, position, fields):
    trajectory = motion(first, fields)
    at = np.linspace(0, first, 300)
    ways = [sample_trajectory(trajectory, ROBOT, at, start).positions
            for start in (REST, live(position, velocity))]
    off = float(np.abs(ways[1] - ways[0]).max())
    assert why_start_differs(trajectory, REST, live(position, velocity), off * 0.999 - 1e-6)
    if not position:        # the bound is then what it leads to, and no more
        assert not why_start_differs(trajectory, REST, live(0.0, velocity), off * 1.001 + 1e-6)


@pytest.mark.parametrize('state, words', [
    (live(0.03), r'^j is 0.0300 from where the motion was judged to start'),
    (live(velocity=0.3), 'leads it 0.0444 away, limit 0.02'),
    (live(other=1.03), 'other is 0.0300'), (live(velocity=math.nan), 'how fast j moves'),
    (StartState({'j': 0.0}), 'where other is'), (live(math.nan), 'j is nan')])
def test_reasons(state, words):
    reason = why_start_differs(motion(1.0, 2), REST, state, 0.02)
    assert reason is not None
    assert re.search(words, reason), reason


@pytest.mark.parametrize('trajectory', [motion(1.0, 1), motion(0.0, 2)])
def test_where_no_velocity_is_taken_none_counts(trajectory):
    assert why_start_differs(trajectory, REST, live(velocity=math.nan), 0.02) is None
    assert why_start_differs(trajectory, REST, live(0.01, 5.0), 0.02) is None


def test_a_verdict_without_a_start_is_none_to_rely_on():
    assert 'does not tell' in why_start_differs(motion(1.0, 1), StartState(), REST, 0.02)
