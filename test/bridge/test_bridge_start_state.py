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


class Asked(StampedBuffer):
    """Notes how far back it was asked for."""

    def __init__(self, depth):
        super().__init__(depth)
        self.within = []

    def by_distance(self, stamp_ns, within_ns):
        self.within.append(within_ns * 1e-9)
        return super().by_distance(stamp_ns, within_ns)


def test_no_more_is_looked_at_than_a_velocity_needs():
    """At 500 Hz the whole of a second is 500 messages, which cost more than tier 0."""
    buffer = Asked(600)
    for step in range(400, -1, -1):
        buffer.put(NOW - step * 2_000_000, JointStates({'arm': -0.002 * step}, {}), 0.0)
    start = start_state(JointStates({'arm': 0.0}, {}), buffer, NOW)
    assert start.velocities == pytest.approx({'arm': 1.0})
    assert max(buffer.within) <= 0.2


@pytest.mark.parametrize('late', [0.05, 0.15, 0.25, 0.45])
def test_a_joint_that_is_late_has_the_velocity_it_had(late):
    """Its positions of the tenth of a second before its newest count, whenever that was."""
    buffer = StampedBuffer(600)
    for step in range(80, -1, -1):
        ago = late + 0.01 * step
        buffer.put(NOW - round(ago * 1e9), JointStates({'arm': math.sin(10 * ago)}, {}), 0.0)
    buffer.put(NOW, JointStates({'hand': 0.0}, {}), 0.0)
    start = start_state(JointStates({'arm': math.sin(10 * late), 'hand': 0.0}, {}), buffer, NOW)
    assert start.velocities['arm'] == pytest.approx(
        (math.sin(10 * late) - math.sin(10 * (late + 0.1))) / 0.1)
