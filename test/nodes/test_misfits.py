# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers that are not heard, on a real graph."""
import time

import pytest
import rclpy
from graph import LIMIT
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String

from kinema4d_ros.bridge.endpoints import owner
from kinema4d_ros.nodes.misfits import Misfits, NO_EVENTS


class Log(list):
    """Stands for the logger of the node."""

    def warning(self, text):
        """Keep it."""
        self.append(text)


@pytest.fixture
def graph(module_ros_domain, monkeypatch):
    """Give a node that hears reliable words under another name, its log, and a second node."""
    with rclpy.Context() as context, rclpy.Context() as elsewhere:
        node = Node('listener', context=context,
                    cli_args=['--ros-args', '-r', 'words:=/said'])
        log = Log()
        monkeypatch.setattr(node, 'get_logger', lambda: log)
        node.create_subscription(String, 'words', lambda _: None, 10, event_callbacks=NO_EVENTS)
        other = Node('speaker', namespace='/lab', context=elsewhere)
        yield node, log, other
        other.destroy_node()
        node.destroy_node()


def seen(node, count):
    """Wait until the node knows so many publishers, and by name."""
    end = time.monotonic() + LIMIT
    while True:
        publishers = node.get_publishers_info_by_topic('/said')
        if len(publishers) == count and all(owner(each)[0] == '/' for each in publishers):
            return
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(('kind', 'profile', 'reason'), [
    (String, qos_profile_sensor_data, 'its QoS does not fit: Best effort publisher and reliable '
                                      'subscription'),
    (Image, 10, 'it publishes sensor_msgs/msg/Image, not std_msgs/msg/String')])
def test_a_publisher_that_does_not_fit_is_told_once_and_why(graph, kind, profile, reason):
    node, log, other = graph
    misfits = Misfits(node)
    assert misfits.problem('words') == ''              # nobody is there
    wrong = other.create_publisher(kind, '/said', profile)
    seen(node, 1)
    for _ in range(4):
        misfits.look()
    assert log == [f'/said: /lab/speaker is not heard: {reason}']
    assert misfits.problem('words') == f'/lab/speaker is not heard: {reason}'
    other.destroy_publisher(wrong)
    seen(node, 0)
    misfits.look()
    assert misfits.problem('words') == ''
    other.create_publisher(kind, '/said', profile)     # it comes back
    seen(node, 1)
    misfits.look()
    assert len(log) == 1
    misfits.look()
    assert len(log) == 2


def test_one_that_fits_beside_it_is_no_problem_but_the_other_is_told(graph):
    node, log, other = graph
    node.create_publisher(String, 'words', 10)
    other.create_publisher(String, '/said', qos_profile_sensor_data)
    seen(node, 2)
    misfits = Misfits(node)
    misfits.look()
    misfits.look()
    assert misfits.problem('words') == ''
    assert len(log) == 1
    assert log[0].startswith('/said: /lab/speaker is not heard: its QoS')


def test_subscriptions_that_go_meanwhile_are_left_out(graph):
    node, log, other = graph
    other.create_publisher(Image, '/said', 10)
    seen(node, 1)
    (subscription,) = [each for each in node.subscriptions if each.topic_name == '/said']
    subscription.handle.destroy_when_not_in_use()
    misfits = Misfits(node)
    misfits.look()
    misfits.look()
    assert log == []
