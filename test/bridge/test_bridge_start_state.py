# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Velocities of joints whose driver tells none, from where they have been."""
import math

import pytest

from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.stamped_buffer import StampedBuffer
from kinema4d_ros.bridge.start_state import start_state

NOW = 10_000_000_000


def velocity(history, told=None):
    """Return the velocity of joint j after positions at so many seconds before now."""
    buffer = StampedBuffer(200)
    for ago, position in history:
        buffer.put(NOW - round(ago * 1e9), JointStates({'j': position}, {}), 0.0)
    newest = JointStates({'j': history[-1][1]}, {} if told is None else {'j': told})
    start = start_state(newest, buffer, NOW)
    assert start.positions == {'j': history[-1][1]}
    return start.velocities['j']


@pytest.mark.parametrize('history, expected', [
    ([(0.002 * i, 1.0 - 0.3 * 0.002 * i) for i in range(150, -1, -1)], 0.3),     # 500 Hz
    ([(0.3, 0.0), (0.08, 5.0), (0.04, 5.1), (0.0, 5.2)], 2.5),       # what was before is over
    ([(0.3, 1.0), (0.0, 1.3)], 1.0),                                  # seldom, but known
    ([(0.05, 1.0), (0.0, 1.0)], 0.0),
    ([(0.6, 1.0), (0.0, 1.3)], math.nan),                             # too seldom
    ([(0.0, 1.3)], math.nan)])
def test_velocity_from_positions(history, expected):
    assert velocity(history) == pytest.approx(expected, nan_ok=True)


def test_what_the_driver_tells_holds():
    """It is what the controller reads from the same interface, right or wrong."""
    assert velocity([(0.05, 1.0), (0.0, 1.3)], told=0.1) == 0.1


def test_joints_of_two_publishers():
    buffer = StampedBuffer()
    for step in range(6):
        buffer.put(NOW - step * 20_000_000, JointStates({'arm': -0.02 * step}, {}), 0.0)
        buffer.put(NOW - step * 30_000_000 - 1, JointStates({'hand': 0.03 * step}, {}), 0.0)
    start = start_state(JointStates({'arm': 0.0, 'hand': 0.0}, {}), buffer, NOW)
    assert start.velocities == pytest.approx({'arm': 1.0, 'hand': -1.0})
