# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate's watch over a motion: how far the joints are from where the trajectory has them."""
import math

import numpy as np
import pytest
from gate_driver import READY, ROBOT, swing
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.robot import sample_trajectory


def watch(window=0.3):
    return PathMonitor(swing(), ROBOT, READY, window)


def test_deviation_by_hand():
    path = watch()
    assert path.duration == 1.0
    halfway = {**READY, 'shoulder_pan_joint': 0.15}
    assert path.deviation(halfway, 0.5, 0.5)[1] < 1e-9
    assert path.deviation({'elbow_joint': READY['elbow_joint'] + 0.2}, 0.5, 0.5) == (
        'elbow_joint', pytest.approx(0.2))
    # 0.3 rad/s: half a second early is 0.06 rad beyond a window of 0.3 s
    name, value = path.deviation({'shoulder_pan_joint': 0.0}, 0.5, 0.5)
    assert (name, value) == ('shoulder_pan_joint', pytest.approx(0.06, abs=0.003))
    assert path.deviation({'shoulder_pan_joint': 0.3}, 7.0, 9.0)[1] < 1e-9     # held
    assert path.deviation({'nose': 3.0}, 0.5, 0.5) == ('', 0.0)
    assert path.deviation({'elbow_joint': math.nan}, 0.5, 0.5)[1] == math.inf


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 1.5), st.floats(-0.2, 0.2), st.integers(0, 7), st.floats(-0.5, 0.5))
def test_deviation_is_at_most_the_distance_to_any_sample_in_the_window(time, off, joint, by):
    motion = sample_trajectory(swing(), ROBOT,
                               np.array([max(0.0, time + off)]), READY)
    live = dict(zip(motion.joint_names, motion.positions[0]))
    name = motion.joint_names[joint % len(motion.joint_names)]
    live[name] += by
    assert watch().deviation(live, time, time)[1] <= abs(by) + 0.3 * 0.005 + 1e-9


def test_a_wider_window_never_finds_more():
    live = {'shoulder_pan_joint': 0.0}
    values = [watch(window).deviation(live, 0.8, 0.8)[1] for window in (0.0, 0.1, 0.3, 1.0)]
    assert values == sorted(values, reverse=True)
