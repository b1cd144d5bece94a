# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gate of set points knows of its controller, and since when."""
from types import SimpleNamespace

import pytest
from rclpy.task import Future

from kinema4d_ros.nodes.set_point_gate.controller import ControllerWatch

JOINTS = ['pan', 'lift']


class Graph:
    """A node whose controller is there or not, and answers when the test says."""

    def __init__(self):
        self.listeners, self.questions = 1, []

    def create_client(self, *_, **__):
        return SimpleNamespace(service_is_ready=lambda: True, call_async=self._ask,
                               remove_pending_request=lambda future: None)

    def _ask(self, request):
        self.questions.append(Future())
        return self.questions[-1]

    def count_subscribers(self, topic):
        return self.listeners

    def get_publishers_info_by_topic(self, topic):
        return []

    def answer(self, joints):
        """Answer the newest question."""
        self.questions[-1].set_result(SimpleNamespace(
            values=[SimpleNamespace(string_array_value=joints)]))


@pytest.fixture
def graph():
    return Graph()


@pytest.fixture
def watch(graph):
    return ControllerWatch(graph, '/arm', '', (), '/arm/commands', None, asks_joints=True)


def test_a_controller_is_used_once_it_has_told_its_joints(graph, watch):
    watch.look()
    assert 'has not told its joints' in watch.why_not()
    graph.answer(JOINTS)
    assert watch.why_not() is None and watch.joints == ('pan', 'lift')


def test_an_answer_from_before_a_controller_was_away_says_nothing_of_it_now(graph, watch):
    """It has waited in this process; the controller that is there now may have another order."""
    watch.look()
    graph.listeners = 0
    watch.look()
    graph.listeners = 1
    graph.answer(JOINTS)
    assert 'has not said since which joints it has' in watch.why_not()
    watch.look()
    graph.answer(JOINTS[::-1])
    assert watch.why_not() is None and watch.joints == ('lift', 'pan')
