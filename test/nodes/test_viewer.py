# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node viewer over DDS: what is published is on its page."""
import re
import time
import urllib.request

import browser
import numpy as np
import pytest
from graph import (CAMERA_FRAME, FakeRobot, HEIGHT, LIMIT, made, parameters, Process, READY, ROOT,
                   start_shadow_sim, swing, WIDTH)
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Decision, PredictedFrame
from kinema4d_ros.msg import Verdict as VerdictMessage
from lacking import needs
from rclpy.time import Time
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import duration_message, joint_state_message
from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.nodes.shadow_sim.markers import verdict_markers
from kinema4d_ros.nodes.viewer import TABLE
from kinema4d_ros.types import Status, Verdict

pytestmark = [pytest.mark.timeout(180), needs('viser')]


def start(graph, **values):
    """Start the node; return it and the address it prints."""
    node = Process('viewer', *parameters(port=8850, **values))
    told = graph.wait(lambda: re.search(r'open (http\S+) in a browser', node.output()),
                      'the address')
    return node, told[1]


def predicted_frame(index, count=2, color=90):
    """Return a frame as shadow_sim publishes it, its cloud in the camera's frame."""
    header = Header(stamp=Time(nanoseconds=10**9).to_msg(), frame_id=CAMERA_FRAME)
    image = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
    points = np.full((HEIGHT, WIDTH, 3), (0.0, 0.0, 1.0), np.float32)
    return PredictedFrame(
        header=header, rollout_id='r', index=index, count=count,
        time_from_start=duration_message(index),
        image=array_to_image(image, header), points=cloud_message(points, image, header, stride=2),
        mask=array_to_image(np.zeros((HEIGHT, WIDTH), bool), header, 'mono8'),
        joints=joint_state_message(READY, header))


def test_parameter_file_is_complete_and_holds_the_defaults():
    text = (ROOT / 'config' / 'viewer.yaml').read_text()
    assert TABLE.check_yaml(text, 'viewer', complete=True) == TABLE.validate({})


def test_page_is_served_from_loopback_and_the_node_ends(ros_domain):
    with made() as graph:
        node, address = start(graph)
        assert address.startswith('http://127.0.0.1:')
        assert 'reached by programs and users of this machine, no others' in node.output()
        with urllib.request.urlopen(address, timeout=30.0) as reply:
            assert reply.status == 200 and b'<script' in reply.read()
        assert node.stop() == 0, node.output()
    assert 'Traceback' not in node.output()


def test_an_address_of_another_machine_ends_the_node(ros_domain, monkeypatch):
    for token, words in (('', 'needs a token'), ('0123456789abcdef', 'cannot listen on')):
        monkeypatch.setenv('KINEMA4D_VIEWER_TOKEN', token)
        node = Process('viewer', *parameters(host='203.0.113.7'))
        assert node.process.wait(60.0) == 1
        assert words in node.output() and 'Traceback' not in node.output()


def pixels(page, color):
    """Return how many pixels have about a colour."""
    return (np.abs(page.picture().astype(int) - color).max(axis=2) < 40).sum()


GREEN, VIOLET = (26, 127, 55), (160, 0, 240)     # of what passed; of a predicted picture here


@pytest.mark.skipif(browser.CHROMIUM is None,
                    reason='there is no browser: apt-get install chromium')
def test_what_is_published_is_on_the_page(ros_domain):
    with made() as graph:
        frames = graph.node.create_publisher(PredictedFrame, 'predicted/frame',
                                             qos.PREDICTED_FRAMES)
        verdicts = graph.node.create_publisher(VerdictMessage, 'verdict', qos.VERDICT)
        chunks = graph.node.create_publisher(MarkerArray, 'verdict_markers', qos.MARKERS)
        decisions = graph.node.create_publisher(Decision, 'trajectory_gate/decision',
                                                qos.DECISIONS)
        other = graph.node.create_publisher(PredictedFrame, 'predicted/side/frame',
                                            qos.PREDICTED_FRAMES)
        node, address = start(graph, cameras='[front,side]')
        chromium = browser.Browser(1280, 800)     # what a smaller one shows, the page covers
        try:
            page = chromium.page(address)
            page.wait_text('nothing has come on robot_description yet')
            robot, side = FakeRobot(graph, camera='front'), FakeRobot(graph, camera='side')
            side.joints_on = False
            page.wait_text('live cameras')
            page.wait_text('side')
            graph.wait(lambda: frames.get_subscription_count() == 1
                       and other.get_subscription_count() == 1, 'the viewer')
            for index in range(2):
                frames.publish(predicted_frame(index))
                other.publish(predicted_frame(index, color=VIOLET))
            message = verdict_message(Verdict(Status.UNSURE, 'told by the test'),
                                      Header(frame_id='base_link'))
            message.rollout_id = 'r'
            verdicts.publish(message)
            page.wait_text('frame 1 of 2')
            page.wait_text('told by the test')
            page.wait_text('predicted, below it: live cameras')
            page.wait(lambda: pixels(page, VIOLET) > 100, 'the picture of the second camera')
            least = pixels(page, GREEN) + 15
            graph.wait(lambda: chunks.get_subscription_count() and
                       decisions.get_subscription_count(), 'the viewer')
            decisions.publish(Decision(kind=Decision.FORWARD, rollout_id='r'))
            chunks.publish(verdict_markers(message, np.array(
                [[0.3, 0.0, 0.5], [0.5, 0.0, 0.6], [0.7, 0.0, 0.5]])))
            page.wait(lambda: pixels(page, GREEN) > least, 'the chunk that passed')
            robot.camera_on = side.camera_on = False
            page.wait_text('the newest camera image on')
            assert page.problems == []
        finally:
            chromium.close()
        assert node.stop() == 0, node.output()
    assert 'Traceback' not in node.output()


@pytest.mark.skipif(browser.CHROMIUM is None,
                    reason='there is no browser: apt-get install chromium')
def test_two_shadow_sims_are_compared_and_candidates_listed(ros_domain):
    inputs = ('robot_description', 'joint_states', 'camera/image_raw', 'camera/camera_info',
              'camera/depth/image_raw', 'joint_trajectory')
    shared = [part for topic in inputs for part in ('-r', f'{topic}:=/{topic}')]
    models = {'left': 'kinematic', 'right': 'frozen'}
    with made() as graph:
        robot = FakeRobot(graph)
        sims = [start_shadow_sim('-r', f'__ns:=/{name}', *shared, world_model=model,
                                 sync_tolerance=5.0, max_input_age=30.0)     # busy machines
                for name, model in models.items()]
        node, address = start(graph, shadow_sims=list(models))
        chromium = browser.Browser(640, 480)
        try:
            page = chromium.page(address)
            goals = graph.action('/left/shadow_sim')
            told = [graph.listen(f'/{name}/verdict', VerdictMessage, qos.VERDICT)
                    for name in models]
            graph.wait(lambda: robot.trajectory.get_subscription_count() == 2, 'both')

            def both_predict():
                robot.wait_shown()
                before = [len(heard) for heard in told]
                robot.trajectory.publish(swing())
                graph.wait(lambda: all(any(verdict.final for verdict in heard[count:])
                                       for heard, count in zip(told, before, strict=True)), 'both')
                return all(heard[-1].world_model for heard in told)

            end = time.monotonic() + LIMIT
            while not both_predict():       # not before they have seen the robot
                assert time.monotonic() < end
            for name, model in reversed(models.items()):     # what left says next is followed
                page.choose('world model', f'{model} ({name})', limit=60.0)
                page.wait_text(f'model: {model}')
            goal = Precheck.Goal(candidates=[swing(9.0), swing(0.2)])
            handle = graph.ask(lambda: goals.send_goal_async(goal))
            result = graph.result(handle.get_result_async()).result
            assert list(result.ranking) == [1, 0]
            page.wait_text('2. FAIL')
            page.click('1. PASS')
            page.wait_text('1. PASS (shown)')
            assert page.problems == []
        finally:
            chromium.close()
        assert [process.stop() for process in (node, *sims)] == [0, 0, 0], node.output()
    assert 'Traceback' not in node.output()
