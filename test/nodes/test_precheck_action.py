# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The action of shadow_sim, with requests that are judged by the test."""
import threading
import types

import pytest
import rclpy
from graph import LIMIT, made
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Verdict
from rclpy.action import ActionClient
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.nodes.shadow_sim.action import PrecheckAction


@pytest.fixture
def asked(module_ros_domain):
    """Give a node with a client of an action, and the queue of requests that it makes."""
    settings = types.SimpleNamespace(values={'deadline': LIMIT}, goal_of=lambda rubric: None)
    requests, came = [], threading.Event()

    def submit(request):
        requests.append(request)
        came.set()

    with rclpy.Context() as context:
        node = rclpy.create_node('judge', context=context)
        action = PrecheckAction(node, types.SimpleNamespace(submit=submit), lambda: settings,
                                lambda: True)
        with made() as tester:
            client = ActionClient(tester.node, Precheck, '/judge/precheck')
            assert client.wait_for_server(LIMIT)
            yield tester, client, requests, came
            client.destroy()
        action.close()
        node.destroy_node()


def test_no_feedback_says_anything_of_a_motion_that_nobody_has_looked_at(asked):
    """An empty verdict would say PASS, and the worker may begin before there is another."""
    tester, client, requests, came = asked
    heard = []
    handle = tester.ask(lambda: client.send_goal_async(
        Precheck.Goal(candidates=[JointTrajectory()]),
        feedback_callback=lambda message: heard.append(message.feedback)))
    assert came.wait(LIMIT)
    (request,) = requests
    request.on_progress(request, 'self-collision', 1, 2)
    request.provisional = Verdict(status=Verdict.UNSURE)
    request.on_progress(request, 'tier 0', 1, 1)
    tester.wait(lambda: heard, 'feedback')
    request.messages.append(Verdict(status=Verdict.FAIL))
    request.answer([0])
    result = tester.ask(handle.get_result_async).result
    assert [verdict.status for verdict in result.verdicts] == [Verdict.FAIL]
    assert [(feedback.stage, feedback.provisional.status) for feedback in heard] == [
        ('tier 0', Verdict.UNSURE)]
