# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers of joint states told apart: a time line for each, and where they differ."""
import math

import pytest

from kinema4d_ros.bridge.joint_sources import JointSources
from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.sources import Sources

S = 1_000_000_000
STEP = 0.02       # [s] between two messages of one publisher


class Publisher:
    """Sends positions into sources, with stamps by a clock of its own."""

    def __init__(self, into, *, numbered=True, clock=0.0, first=1):
        self.into, self.clock = into, clock
        self.number = first - 1 if numbered else None

    def send(self, at, velocity=None, **positions):
        """Send one message at a time [s]."""
        if self.number is not None:
            self.number += 1
        stamp = 0 if self.clock is None else round((at + self.clock) * S)
        self.into.put(JointStates(positions, {} if velocity is None
                                  else dict.fromkeys(positions, velocity)),
                      stamp, at, round(at * S), self.number)


@pytest.fixture
def sources():
    """Return sources that nothing was sent to."""
    return JointSources(0.01)


def test_joints_of_two_publishers_are_merged_nearest_first(sources):
    arm, hand = Publisher(sources), Publisher(sources)
    arm.send(1.0, 0.5, arm=1.0)
    hand.send(1.1, finger=0.01)
    arm.send(1.2, arm=2.0)

    def at(seconds, within):
        return sources.at(['arm', 'finger'], round(seconds * S), round(within * S))

    assert at(1.2, 1.0).positions == {'arm': 2.0, 'finger': 0.01}
    assert at(1.2, 1.0).velocities == {}              # not that of the older message
    assert at(1.0, 1.0) == JointStates({'arm': 1.0, 'finger': 0.01}, {'arm': 0.5})
    assert at(1.2, 0.05).positions == {'arm': 2.0}
    assert at(9.0, 1.0).positions == {}


def test_joints_at_a_stamp_are_between_the_messages_around_it(sources):
    arm, hand = Publisher(sources), Publisher(sources)
    arm.send(1.0, 1.0, arm=0.0, roll=3.1)
    hand.send(1.01, finger=5.0)
    arm.send(1.1, 2.0, arm=0.2, roll=-3.1)      # roll is continuous: a little further, not back
    found = sources.at(['arm', 'roll', 'finger'], round(1.025 * S), S // 10, {'roll'})
    assert found.positions == pytest.approx(
        {'arm': 0.05, 'roll': 3.1 + 0.25 * (math.tau - 6.2), 'finger': 5.0})
    assert found.velocities == pytest.approx({'arm': 1.25, 'roll': 1.25})
    # beyond the newest, the newest; a message that is too far away is no neighbour
    assert sources.at(['arm'], round(1.12 * S), S // 10).positions == {'arm': 0.2}
    assert sources.at(['arm'], round(1.02 * S), S // 20).positions == {'arm': 0.0}


@pytest.mark.parametrize('rate', [20.0, 500.0, 1000.0])
def test_an_image_of_a_second_ago_has_its_joints_at_any_rate(sources, rate):
    arm = Publisher(sources)
    for step in range(round(1.2 * rate)):
        arm.send(10.0 + step / rate, arm=step / rate)
    found = sources.at(['arm'], round(10.2 * S), round(0.05 * S))
    assert found.positions['arm'] == pytest.approx(0.2)


@pytest.mark.parametrize('numbered', [True, False])
@pytest.mark.parametrize('clock', [None, -2.0, 2.0], ids=['no stamps', 'behind', 'ahead'])
def test_a_publisher_with_another_clock_spoils_its_own_joints_only(sources, clock, numbered):
    arm, hand = (Publisher(sources, numbered=numbered, clock=at) for at in (0.0, clock))
    for step in range(200):
        at = 10.0 + step * STEP
        arm.send(at, a=0.1, b=0.2)
        hand.send(at + STEP / 2, finger=0.01)
    assert sources.at(['a', 'b'], round(at * S), S // 20).positions == {'a': 0.1, 'b': 0.2}
    assert sources.readings('a')[0].offset_ns == 0
    assert abs(sources.readings('finger')[0].offset_ns) > S
    assert sources.disagreement('finger', at) is None


def test_a_joint_that_is_nan_now_has_no_position_by_that_publisher(sources):
    arm, good = Publisher(sources), Publisher(sources)
    arm.send(1.0, a=1.0, b=1.0)
    sources.put(JointStates({'a': 1.0}, {}, {'b': 'its position is nan'}), S, 1.01, S, 2)
    assert sources.readings('b') == [] and len(sources.readings('a')) == 1
    assert sources.why_unusable('b') == 'its position is nan'
    good.send(1.02, b=2.0)
    assert [reading.position for reading in sources.readings('b')] == [2.0]


@pytest.mark.parametrize('numbered', [True, False])
@pytest.mark.parametrize('rates', [(1, 1), (1, 10), (10, 1)])
def test_two_publishers_of_one_joint_that_differ_are_noticed_whatever_their_rates(
        sources, rates, numbered):
    one, other = (Publisher(sources, numbered=numbered, first=first) for first in (7, 9))
    for step in range(100):
        at = 10.0 + step * STEP
        if step % rates[0] == 0:
            one.send(at, a=0.5, b=0.0)
        if step % rates[1] == 0:
            other.send(at + STEP / 3, a=0.0, b=0.0)
    found = sources.disagreement('a', at)
    assert found is not None and sorted(found.positions) == pytest.approx([0.0, 0.5])
    assert sources.disagreement('b', at) is None           # on that they agree
    assert sources.disagreement('a', at + 5.0) is None     # long ago
    sources.clear()
    assert sources.disagreement('a', at) is None and sources.names() == []


def test_publishers_with_different_sets_of_joints_may_differ_on_one(sources):
    arm, extra = Publisher(sources), Publisher(sources)
    for step in range(50):
        arm.send(10.0 + step * STEP, a=0.5, b=0.1)
        extra.send(10.005 + step * STEP, b=0.4, wheel=1.0)
    assert sources.disagreement('b', 11.0).difference == pytest.approx(0.3)
    assert sources.disagreement('a', 11.0) is None


@pytest.mark.parametrize('lag', [0.0, 0.02, 0.1])
def test_an_honest_second_publisher_may_lag_while_the_joint_moves(sources, lag):
    one, other = Publisher(sources), Publisher(sources)
    for step in range(200):
        at = 10.0 + step * STEP
        one.send(at, a=math.sin(3.0 * at))                  # up to 3 rad/s
        other.send(at + STEP / 3, a=math.sin(3.0 * (at + STEP / 3 - lag)))
        assert sources.disagreement('a', at) is None


def test_one_publisher_never_contradicts_itself(sources):
    only = Publisher(sources)
    for step in range(300):
        at = 10.0 + step * STEP
        only.send(at, a=0.5 * math.sin(12.0 * at))           # 6 rad/s, to and fro
        assert sources.disagreement('a', at) is None


def test_a_driver_that_was_started_again_contradicts_nobody(sources):
    before, after = Publisher(sources), Publisher(sources)
    for step in range(50):
        before.send(10.0 + step * STEP, a=0.5)
    for step in range(50):
        after.send(11.0 + step * STEP, a=0.9)
    assert sources.disagreement('a', 11.02) is None
    assert sources.disagreement('a', 12.0) is None


def test_a_whole_turn_is_no_difference_of_a_continuous_joint(sources):
    one, other = Publisher(sources), Publisher(sources)
    for step in range(50):
        one.send(10.0 + step * STEP, a=3.0)
        other.send(10.005 + step * STEP, a=3.0 - math.tau)
    assert sources.disagreement('a', 11.0, wraps=True) is None
    assert sources.disagreement('a', 11.0).difference == pytest.approx(math.tau)


def test_memory_is_bounded_whatever_is_sent(sources):
    for number in range(2000):
        sources.put(JointStates({f'joint_{number}': 0.0}, {}), number * S, float(number), 0, 2)
    assert len(sources.names()) <= 16


def test_sources_by_number_and_by_likeness():
    sources = Sources(list)
    first = sources.of(('left',), 1, 0.0)
    second = sources.of(('left',), 1, 0.1)
    assert first is not second
    assert sources.of(('left',), 2, 0.2, lambda source: source is first) is second   # nearer
    assert sources.of(('left',), 2, 0.3) is first
    assert sources.rivals(0.4) == (first, second)
    assert sources.rivals(0.4, alike=False) is None
    assert sources.rivals(9.0) is None
    third = sources.of(('right',), 3, 0.4)              # the next number: it looks another way now
    assert third is first and third.key == ('right',)
    assert sources.of(('right',), None, 0.5) is first
    assert sources.of(('behind',), None, 0.5) not in (first, second)


def test_a_successor_that_comes_to_the_number_of_one_that_has_ended_is_no_rival_of_it():
    """A player or a driver that is started again, and sends more than the one before."""
    sources = Sources(list)
    before = [sources.of(('camera',), number, 0.1 * number) for number in range(1, 40)]
    after = [sources.of(('camera',), number, 7.0 + 0.1 * number) for number in range(1, 100)]
    assert {id(source) for source in before} & {id(source) for source in after} == set()
    assert len({id(source) for source in after}) == 1
    assert sources.rivals(17.0) is None
