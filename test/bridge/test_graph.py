# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers that are not heard, on a real graph."""
import threading
import time
from importlib import import_module
from pkgutil import walk_packages

import pytest
import rclpy
from graph import LIMIT
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import String

from kinema4d_ros import nodes
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import IncompatiblePublishers, KnownServer, owner, why_silent
from kinema4d_ros.bridge.node_base import NodeBase


class NodeWithoutQosEvents(NodeBase, Node):
    """A node as those of the package."""


class Log(list):
    """Stands for the logger of the node."""

    def warning(self, text):
        """Keep it."""
        self.append(text)


@pytest.fixture
def graph(module_ros_domain, monkeypatch):
    """Give a node that hears reliable words under another name, its log, and a second node."""
    with rclpy.Context() as context, rclpy.Context() as elsewhere:
        node = NodeWithoutQosEvents('listener', context=context,
                                    cli_args=['--ros-args', '-r', 'words:=/said'])
        log = Log()
        monkeypatch.setattr(node, 'get_logger', lambda: log)
        node.create_subscription(String, 'words', lambda _: None, 10)
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
    (String, qos_profile_sensor_data,
     'its QoS does not fit (Best effort publisher and reliable subscription); '
     'have it offer what is asked for'),
    (Image, 10, 'it publishes sensor_msgs/msg/Image, not std_msgs/msg/String; '
                'remap one of the two')])
def test_a_publisher_that_does_not_fit_is_told_once_and_why(graph, kind, profile, reason):
    node, log, other = graph
    publishers = IncompatiblePublishers(node)
    assert why_silent(node, 'words') is None            # nobody is there
    wrong = other.create_publisher(kind, '/said', profile)
    seen(node, 1)
    for _ in range(4):
        publishers.look()
    assert log == [f'/said: a publisher of /lab/speaker is not heard: {reason}']
    assert why_silent(node, 'words') == f'a publisher of /lab/speaker is not heard: {reason}'
    other.destroy_publisher(wrong)
    seen(node, 0)
    publishers.look()
    assert why_silent(node, 'words') is None
    other.create_publisher(kind, '/said', profile)     # it comes back
    seen(node, 1)
    publishers.look()
    assert len(log) == 1
    publishers.look()
    assert len(log) == 2


def test_one_that_fits_beside_it_is_no_problem_but_the_other_is_told(graph):
    node, log, other = graph
    node.create_publisher(String, 'words', 10)
    other.create_publisher(String, '/said', qos_profile_sensor_data)
    seen(node, 2)
    publishers = IncompatiblePublishers(node)
    publishers.look()
    publishers.look()
    assert why_silent(node, 'words') is None
    assert len(log) == 1
    assert log[0].startswith('/said: a publisher of /lab/speaker is not heard: its QoS')


def test_every_policy_that_does_not_fit_is_named(graph):
    node, log, other = graph
    node.create_subscription(String, '/description', lambda _: None, qos.ROBOT_DESCRIPTION)
    other.create_publisher(String, '/description', qos_profile_sensor_data)
    end = time.monotonic() + LIMIT
    while not (reason := why_silent(node, '/description')):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert 'ERROR' not in reason
    assert 'Best effort publisher and reliable subscription' in reason
    assert 'Volatile publisher and transient local subscription' in reason


def test_a_publisher_that_cannot_be_listed_does_not_end_the_node(graph, monkeypatch):
    node, log, _ = graph
    monkeypatch.setattr(node, 'get_publishers_info_by_topic', lambda _: 1 / 0)
    publishers = IncompatiblePublishers(node)
    publishers.look()
    publishers.look()
    words = 'its publishers cannot be listed: ZeroDivisionError: division by zero'
    assert log == [f'/said: {words}']
    assert why_silent(node, 'words') == words


def test_one_of_two_subscriptions_that_hears_is_enough(graph):
    node, _, other = graph
    other.create_publisher(String, '/said', qos_profile_sensor_data)
    seen(node, 1)
    node.create_subscription(String, 'words', lambda _: None, 10)
    assert why_silent(node, 'words').count('its QoS does not fit') == 1      # both, told once
    node.create_subscription(String, 'words', lambda _: None, qos_profile_sensor_data)
    assert why_silent(node, 'words') is None


def test_every_node_of_the_package_has_no_qos_events():
    kinds = {kind for module in walk_packages(nodes.__path__, 'kinema4d_ros.nodes.')
             for kind in vars(import_module(module.name)).values()
             if isinstance(kind, type) and issubclass(kind, Node)
             and kind.__module__.startswith('kinema4d_ros.')}
    assert len(kinds) >= 6
    assert all(issubclass(kind, NodeBase) for kind in kinds)


class Server:
    """A server that is there and answers as the test says, and what it was asked."""

    def __init__(self):
        self.there, self.answers, self.asked = False, True, []

    def greet(self):
        future = Future()
        self.asked.append(future)
        if self.answers:
            future.set_result('unknown')
        return future


def looked(known, seconds):
    """Look again and again until it is known; return whether it is within some seconds."""
    end = time.monotonic() + seconds
    while not known.look() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return known.is_known


def test_a_server_counts_once_it_has_been_there_for_a_while_and_has_answered():
    """What it is sent in the moment in which the graph shows it can be lost."""
    server = Server()
    known = KnownServer(lambda: server.there, server.greet)
    assert not known.look() and not server.asked
    server.there = True
    assert not known.look()
    assert looked(known, 10.0) and len(server.asked) == 1
    server.there = False
    assert not known.is_known and not known.look()
    server.there, server.answers = True, False
    assert not looked(known, 0.5) and len(server.asked) > 2     # lost, and asked again
    server.answers = True
    assert looked(known, 1.0)


def test_an_answer_that_takes_longer_than_the_next_question_is_one():
    server = Server()
    server.there, server.answers = True, False
    known = KnownServer(lambda: server.there, server.greet)
    while len(server.asked) < 3:        # the test's time limit ends it
        known.look()
    server.asked[0].set_result('unknown')
    assert looked(known, 1.0) and len(server.asked) == 3


def test_a_server_that_never_answers_counts_after_a_while():
    server = Server()
    server.there, server.answers = True, False
    known = KnownServer(lambda: True, server.greet)
    assert looked(known, 10.0)
    asked = len(server.asked)
    assert known.look() and len(server.asked) == asked
