# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""shadow_sim when files break while it runs, or when it cannot be activated."""
import contextlib
import threading
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from action_msgs.msg import GoalStatus
from graph import LIMIT, swing
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Verdict
from shadow_bench import running

from kinema4d_ros.bridge.serialized import SerializedMessage
from kinema4d_ros.nodes.shadow_sim import node as node_module
from kinema4d_ros.nodes.shadow_sim import received
from kinema4d_ros.nodes.shadow_sim.drift import DriftWatch
from kinema4d_ros.nodes.shadow_sim.node import FAILURE, ShadowSim, SUCCESS

_LISTENED = ('joint_states', 'joint_trajectory', 'camera/image_raw')
pytestmark = pytest.mark.timeout(180)


def test_files_that_break_while_the_node_runs_change_nothing_until_a_parameter_does(
        ros_domain, tmp_path):
    rubric, srdf = tmp_path / 'mine.yaml', tmp_path / 'arm.srdf'
    rubric.write_text('moved_by: {distance: 0.1}\n')
    srdf.write_text('<robot name="demo_arm"/>')
    with running(goal_rubric='mine', rubric_dir=str(tmp_path), srdf=str(srdf),
                 memory_rate=10.0) as bench:
        bench.passes()
        rubric.write_text('moved_by: {distance\n')
        srdf.unlink()
        bench.robot.wait_shown(20)              # some of which are remembered
        verdict = bench.passes()
        assert 0.0 <= verdict.success <= 1.0
        status, result = bench.outcome(bench.goal())
        assert (status, len(result.verdicts)) == (GoalStatus.STATUS_SUCCEEDED, 1)
        # neither is a rubric that comes later read for a goal
        (tmp_path / 'other.yaml').write_text('lifted: high\n')
        refused(bench, 'other', "unknown goal rubric 'other'; known: into_basket")
        srdf.write_text('<robot name="demo_arm"/>')
        assert 'other.yaml' in bench.graph.set_parameter('shadow_sim', goal_rubric='other')
        # one that is broken refuses only what names it
        rubric.write_text('moved_by: {distance: 0.1}\n')
        bench.set(deadline=50.0)
        refused(bench, 'other', 'other.yaml')
        status, _ = bench.outcome(bench.goal(goal_rubric='lift'))
        assert status == GoalStatus.STATUS_SUCCEEDED
        assert bench.ask(swing()).status == Verdict.PASS


def refused(bench, rubric, why):
    """Ask for a verdict by a rubric, and insist on being refused with that reason."""
    status, result = bench.outcome(bench.goal(goal_rubric=rubric))
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Precheck.Result.INVALID_GOAL)
    assert why in result.error_msg


@contextlib.contextmanager
def configured():
    """Give a node in this process that is configured, with a model that needs nothing."""
    rclpy.init(args=['--ros-args', '-p', 'autostart:=false', '-p', 'world_model:=frozen',
                     '-p', 'frames:=4'])
    node = None
    try:
        node = ShadowSim(lambda: None)
        assert node.trigger_configure() == SUCCESS
        yield node
    finally:
        if node is not None:
            node.quit()
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()


def test_what_a_failed_activation_made_is_undone(ros_domain, monkeypatch):
    cleared = []

    def fail(subscription):
        raise RuntimeError('no thread to be had')

    with configured() as node:
        monkeypatch.setattr(node_module, 'SubscriptionThread', fail)
        assert node.trigger_activate() == FAILURE
        assert 'no thread to be had' in str(node.failures)
        assert [node.count_subscribers(topic) for topic in _LISTENED] == [0, 0, 0]
        monkeypatch.undo()
        assert node.trigger_activate() == SUCCESS
        assert [node.count_subscribers(topic) for topic in _LISTENED] == [1, 1, 1]
        assert node.trigger_deactivate() == SUCCESS
        assert [node.count_subscribers(topic) for topic in _LISTENED] == [0, 0, 0]
        monkeypatch.setattr(DriftWatch, 'clear', lambda watch: cleared.append(watch))
        assert node.trigger_cleanup() == SUCCESS
        assert len(cleared) == 1      # what cameras saw of the robot goes, too


@pytest.mark.parametrize('what', ['a timer', 'camera/image_raw'])
def test_a_callback_with_a_bug_is_logged_and_the_node_goes_on(ros_domain, monkeypatch, capfd, what):
    calls = threading.Semaphore(0)

    def bug(*_):
        calls.release()
        raise ZeroDivisionError('who wrote this?')

    with configured() as node:
        assert node.trigger_activate() == SUCCESS
        camera = node.create_publisher(Image, 'camera/image_raw', 1)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        monkeypatch.setattr(*((node_module, 'diagnostics', bug) if what == 'a timer'
                              else (received, 'SerializedMessage', bug)))
        for _ in range(2):                    # once more after it has failed
            end = time.monotonic() + LIMIT
            while not calls.acquire(blocking=False):
                assert time.monotonic() < end
                camera.publish(Image())
                executor.spin_once(timeout_sec=0.05)
        monkeypatch.undo()
        assert received.SerializedMessage is SerializedMessage
        assert node.trigger_deactivate() == SUCCESS
        executor.remove_node(node)
    errors = capfd.readouterr().err
    assert f'the callback of {what} failed' in errors and 'who wrote this?' in errors
