# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where on the path of a trajectory the joints are, and how far off it."""
import math

import numpy as np
import pytest
from gate_driver import READY, ROBOT, swing
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.progress import PathProgress
from kinema4d_ros.robot import sample_trajectory
from kinema4d_ros.types import JointTrajectory

PAN = 'shoulder_pan_joint'


def path_of(trajectory=None):
    return PathMonitor(swing() if trajectory is None else trajectory, ROBOT, READY)


def through(*angles, seconds=1.0):
    """Return a trajectory of the shoulder through these angles, `seconds` apart."""
    places = np.tile(list(READY.values()), (len(angles), 1))
    places[:, 0] = angles
    return JointTrajectory(tuple(READY), np.arange(len(angles)) * seconds, places)


def off(path, live, low=0.0, high=9.0):
    return path.best(live, low, high, high, 0.0).worst


def test_distances_by_hand():
    path = path_of()
    assert path.duration == 1.0
    halfway = {**READY, PAN: 0.15}
    assert off(path, halfway)[1] < 1e-9
    assert path.best(halfway, 0.0, 1.0, 1.0, 0.0).time == pytest.approx(0.5, abs=0.01)
    assert off(path, {'elbow_joint': READY['elbow_joint'] + 0.2}) == (
        'elbow_joint', pytest.approx(0.2))
    # 0.3 rad/s: half a second early is 0.06 rad beyond a window of 0.3 s
    name, value = off(path, {PAN: 0.0}, 0.2, 0.8)
    assert (name, value) == (PAN, pytest.approx(0.06, abs=0.003))
    assert off(path, {PAN: 0.3}, 6.7, 9.3)[1] < 1e-9     # held
    assert off(path, {'nose': 3.0}) == ('', 0.0)
    assert off(path, {'elbow_joint': math.nan})[1] == math.inf


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 1.5), st.floats(-0.2, 0.2), st.integers(0, 7), st.floats(-0.5, 0.5))
def test_the_distance_is_at_most_that_to_any_sample_in_the_window(time, around, joint, by):
    motion = sample_trajectory(swing(), ROBOT, np.array([max(0.0, time + around)]), READY)
    live = dict(zip(motion.joint_names, motion.positions[0]))
    name = motion.joint_names[joint % len(motion.joint_names)]
    live[name] += by
    found = path_of().best(live, max(time - 0.3, 0.0), time + 0.3, time + 0.3, time)
    assert found.worst[1] <= abs(by) + 0.3 * 0.005 + 1e-9


def test_a_wider_window_never_finds_more():
    values = [off(path_of(), {PAN: 0.0}, 0.8 - window, 0.8 + window)[1]
              for window in (0.0, 0.1, 0.3, 0.8)]
    assert values == sorted(values, reverse=True)


# ---------------------------------------------------------------- progress

def run(progress, where, seconds, step=0.01, start=0.0, age=0.0):
    """Follow an arm that is at `where(t)` of its path's clock; return what was found last."""
    most = 0.0
    for elapsed in np.arange(start + step, start + seconds + 1e-9, step):
        angle = float(np.interp(where(elapsed), progress.path._times, progress.path._path[:, 0]))
        found = progress.update({**READY, PAN: angle}, float(elapsed), age)
        most = max(most, found.worst[1])
    return most


SCALINGS = {'as it should': lambda t: t, 'at half speed': lambda t: t / 2,
            'at a fifth': lambda t: t / 5, 'late': lambda t: max(0.0, t - 0.6),
            'paused': lambda t: t if t < 0.8 else max(0.8, t - 2.0),
            'lagging': lambda t: t - 0.15 * min(1.0, t), 'early': lambda t: t + 0.2 * min(1.0, t)}


@pytest.mark.parametrize('path', [(0.0, 0.3), (0.0, 0.5, 0.0), (0.0, 0.3, 0.3, 0.6),
                                  (0.0, 0.5, 0.0, 0.5, 0.0)])
@pytest.mark.parametrize('how', SCALINGS)
@pytest.mark.parametrize('step', [0.002, 0.01, 0.1])
def test_an_arm_that_is_only_late_stays_on_its_path(path, how, step):
    progress = PathProgress(path_of(through(*path)), 0.3)
    where = SCALINGS[how]
    assert run(progress, where, 2.5, step) < 0.03
    expected = min(max(where(2.5), 0.0), progress.path.duration)
    if len(path) == 4 and 1.0 < expected < 2.0:     # where it stands still, nobody can tell
        assert 1.0 <= progress.at <= 2.0
        return
    assert progress.at == pytest.approx(expected, abs=0.12)
    assert progress.late_at(2.5) == pytest.approx(max(0.0, 2.5 - expected), abs=0.12)


@pytest.mark.parametrize('seed', range(3))
def test_noise_takes_an_arm_nowhere(seed):
    noise = np.random.default_rng(seed).normal(0.0, 0.0005, 400)
    progress = PathProgress(path_of(through(0.0, 0.5, 0.0, 0.5)), 0.3)
    for i, elapsed in enumerate(np.arange(0.01, 4.0, 0.01)):     # paused at 0.25 on the way out
        angle = 0.5 * min(elapsed, 0.5) + noise[i]
        assert progress.update({**READY, PAN: angle}, elapsed).worst[1] < 0.02
        assert progress.at <= min(elapsed, 0.5) + 0.1
    assert progress.late_at(4.0) == pytest.approx(3.5, abs=0.1)


def test_progress_does_not_jump_where_the_path_meets_itself():
    progress = PathProgress(path_of(through(0.0, 0.5, 0.0, 0.5, 0.0)), 0.3)
    run(progress, lambda t: min(t, 0.5), 3.4)       # 0.25, which the path meets four times
    assert progress.at == pytest.approx(0.5, abs=0.05)
    # on its way back, though the clock has the joints there on the way out too
    angles = np.arange(0.25, 0.0, -0.01)
    worst = [progress.update({**READY, PAN: angle}, 3.4 + 0.02 * i).worst[1]
             for i, angle in enumerate(angles)]
    assert max(worst) > 0.15
    assert progress.at < 1.2


def test_an_arm_cannot_be_ahead_of_the_clock():
    progress = PathProgress(path_of(), 0.3)
    assert progress.update({**READY, PAN: 0.3}, 0.1).worst[1] == pytest.approx(0.18, abs=0.01)


@pytest.mark.parametrize('age', [0.0, 0.3])
def test_readings_that_come_late_in_a_burst(age):
    progress = PathProgress(path_of(through(0.0, 1.0, 2.0)), 0.3)
    run(progress, lambda t: t, 0.5)
    # nothing for 0.4 s, then what was measured long ago, then what is
    assert progress.update({**READY, PAN: 0.9 - age}, 0.9, age).worst[1] < 0.02
    assert progress.update({**READY, PAN: 0.91}, 0.91).worst[1] < 0.02


def test_joints_wait_at_the_start_for_a_stamp_that_is_ahead():
    progress = PathProgress(path_of(), 0.3, wait=1.0)
    assert run(progress, lambda t: max(0.0, t - 1.0), 1.5) < 0.01
    assert progress.at == pytest.approx(0.5, abs=0.02) and progress.late_at(1.5) < 0.02
    early = PathProgress(path_of(), 0.3, wait=1.0)
    assert early.update({**READY, PAN: 0.2}, 0.5).worst[1] == pytest.approx(0.2, abs=0.01)
