# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the joints have been: a robot that repeats itself needs no more memory for it."""
import pickle

import numpy as np
import pytest

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.robot import TrailMemory
from kinema4d_ros.robot.trail_memory import MOST, STEP
from kinema4d_ros.types import JointTrail

SECOND = 10 ** 9


def followed(*places, stamps=None) -> TrailMemory:
    """Return the memory of joints a and b at places, one a second."""
    memory = TrailMemory(('a', 'b'))
    for number, (a, b) in enumerate(places):
        memory.add(SECOND * (number if stamps is None else stamps[number]), {'a': a, 'b': b})
    return memory


def test_a_motion_that_is_repeated_needs_no_more_memory():
    way = [(0.1 * n, -0.05 * n) for n in range(20)]
    once, twice = followed(*way), followed(*way, *way[::-1])
    assert len(once) == len(twice) == 20
    assert twice.since(20 * SECOND).stamps_ns.min() == 20 * SECOND      # all were there again
    assert len(twice.since(30 * SECOND)) == 10


def test_what_is_remembered_is_where_the_joints_were_last():
    memory = followed((0.0, 0.0), (0.9 * STEP, 0.0))
    trail = memory.since(0)
    assert trail.positions.tolist() == [[0.9 * STEP, 0.0]]
    assert trail.stamps_ns.tolist() == [SECOND]


def test_it_is_bounded_and_the_oldest_goes():
    memory = followed(*((0.1 * n, 0.0) for n in range(MOST + 5)))
    trail = memory.since(0)
    assert len(memory) == len(trail) == MOST
    assert trail.stamps_ns.min() == 5 * SECOND


@pytest.mark.parametrize('positions', [{}, {'a': 0.0}, {'a': 0.0, 'b': np.nan},
                                       {'a': np.inf, 'b': 0.0}], ids=str)
def test_what_nobody_measured_is_no_place(positions):
    memory = TrailMemory(('a', 'b'))
    memory.add(SECOND, positions)
    assert memory.since(0) is None


def test_nothing_is_left_of_what_is_forgotten_or_too_old():
    memory = followed((0.0, 0.0), (1.0, 0.0))
    assert memory.since(2 * SECOND) is None
    memory.clear()
    assert memory.since(0) is None


def test_a_trail_travels_and_stays_read_only():
    trail = pickle.loads(pickle.dumps(followed((0.0, 1.0)).since(0)))
    assert trail.joint_names == ('a', 'b') and trail.positions.tolist() == [[0.0, 1.0]]
    with pytest.raises(ValueError):
        trail.positions[0, 0] = 1.0


@pytest.mark.parametrize('names, positions, stamps', [
    (('a', 'a'), [[0.0, 0.0]], [1]), (('a',), [[np.nan]], [1]), (('a',), [[0.0]], [1, 2]),
    (('a', 'b'), [[0.0]], [1])], ids=['twice', 'nan', 'stamps', 'joints'])
def test_a_trail_that_makes_no_sense_is_refused(names, positions, stamps):
    with pytest.raises(ObservationError):
        JointTrail(names, np.array(positions), np.array(stamps))
