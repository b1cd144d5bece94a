# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The joints that the gate of set points takes, message by message; no executor."""
import math
import time

import pytest
from graph import JOINTS  # noqa: F401 - skips where the interfaces are not built
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from kinema4d_ros.nodes.set_point_gate import joint_feed
from kinema4d_ros.nodes.set_point_gate.joint_feed import JointFeed


class Waiting:
    """A subscription in which messages wait."""

    def __init__(self):
        self.messages = []

    @property
    def qos_profile(self):
        return self

    depth = 100


@pytest.fixture
def feed(monkeypatch):
    """Return a feed and the list of messages that wait for it."""
    waiting = Waiting()
    monkeypatch.setattr(joint_feed, 'take', lambda subscription: (
        subscription.messages.pop(0), None) if subscription.messages else None)

    class Node:
        def create_subscription(self, *_, **settings):
            assert settings['raw'] is True
            return waiting

    made = JointFeed(Node())
    made.put = lambda stamp=0, **fields: waiting.messages.append(serialize_message(
        told(stamp, **fields)))
    made.waiting = waiting
    return made


def told(stamp, names=('a', 'b'), positions=(0.0, 0.0), velocities=(0.0, 0.0)):
    message = JointState(name=list(names), position=list(positions), velocity=list(velocities))
    message.header.stamp.sec = stamp
    return message


def test_of_each_publisher_the_newest_counts(feed):
    for number in range(5):
        feed.put(number, positions=(number, 0.0), velocities=(0.1, 0.2))
    feed.put(1, names=('grip',), positions=(0.04,), velocities=())
    readings = feed.take()
    assert (readings['a'].position, readings['a'].velocity) == (4.0, 0.1)
    assert readings['grip'].position == 0.04 and math.isnan(readings['grip'].velocity)
    assert feed.take() == readings


def test_a_driver_without_stamps_that_stands_still_is_heard_all_the_time(feed):
    feed.put()
    first = feed.take()['a'].arrival
    feed.put()
    assert feed.take()['a'].arrival > first


def test_a_driver_that_repeats_itself_has_measured_nothing_new(feed):
    feed.put(5)
    first = feed.take()['a'].arrival
    feed.put(5)
    assert feed.take()['a'].arrival == first


def test_a_joint_that_is_no_number_is_left_out_and_others_are_not(feed):
    feed.put(1, positions=(math.nan, 0.5))
    assert set(feed.take()) == {'b'}


def test_messages_that_cannot_be_read_are_told_until_one_can(feed):
    feed.waiting.messages.append(b'\x00\x01\x00\x00nonsense')
    feed.take()
    assert 'cannot be read' in feed.problem
    feed.put(1, positions=(1.0,))
    feed.take()
    assert '2 names and 1 positions' in feed.problem
    feed.put(2)
    assert feed.take()['a'].position == 0.0 and feed.problem == ''
    assert time.monotonic() - feed.take()['a'].arrival < 60.0
