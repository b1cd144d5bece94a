# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""shadow_sim from start to end: order of starting, lifecycle, Ctrl-C, namespaces, time."""
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import FakeRobot, FRAMES, made, parameters, Process, READY, start_shadow_sim, swing, URDF
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, PredictedFrame, Verdict
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Header, String
from stub_models import SHOW, STUCK, UNRESPONSIVE
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import (compressed_depth_message, compressed_message,
                                        image_to_array)
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.robot import ForwardKinematics, Robot

pytestmark = pytest.mark.timeout(180)


def ears(graph):
    """Listen to final verdicts and to frames."""
    final = []

    def take(message) -> None:
        if message.final:
            with graph.changed:
                final.append(message)
                graph.changed.notify_all()

    graph.node.create_subscription(Verdict, 'verdict', take, qos.VERDICT)
    return final, graph.listen('predicted/frame', PredictedFrame, qos.PREDICTED_FRAMES)


def stopped(process, number=signal.SIGINT):
    """End a process and insist on a clean end."""
    code = process.stop(number)
    output = process.output()
    assert code == 0, output
    assert 'Traceback' not in output, output


def worker_pid(graph):
    """Return the process id of the worker, as the diagnostics tell it."""
    arrays = graph.listen('/diagnostics', DiagnosticArray, 10)

    def pid():
        values = {value.key: value.value for array in arrays[-1:] for status in array.status
                  for value in status.values}
        return values.get('pid', '')

    return int(graph.wait(lambda: pid().isdigit() and pid(), 'a worker'))


def is_alive(pid):
    """Return whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_robot_and_request_are_there_before_the_node(ros_domain):
    with made() as graph:
        verdicts, frames = ears(graph)
        robot = FakeRobot(graph)
        process = start_shadow_sim()
        graph.wait(lambda: robot.trajectory.get_subscription_count(), 'the node')
        robot.trajectory.publish(swing())         # in its first moment, before a camera image
        graph.wait(lambda: verdicts, 'a verdict')
        assert verdicts[0].status == Verdict.PASS, verdicts[0].summary
        graph.wait(lambda: len(frames) == FRAMES, 'the frames')
        stopped(process)


def test_without_robot_or_camera_the_verdict_names_what_is_missing(ros_domain):
    with made() as graph:
        verdicts, _ = ears(graph)
        process = start_shadow_sim(input_wait=0.1)
        publisher = graph.node.create_publisher(type(swing()), 'joint_trajectory', qos.TRAJECTORY)
        graph.wait(publisher.get_subscription_count, 'the node')
        publisher.publish(swing())
        graph.wait(lambda: verdicts, 'a verdict')
        assert verdicts[0].status == Verdict.UNSURE
        assert 'robot_state_publisher' in verdicts[0].summary
        client = graph.action()

        def ask():
            handle = graph.ask(
            lambda: client.send_goal_async(Precheck.Goal(candidates=[swing()])))
            reply = graph.ask(handle.get_result_async)
            assert reply.status == GoalStatus.STATUS_ABORTED
            assert reply.result.error_code == Precheck.Result.NOT_READY
            assert [verdict.status for verdict in reply.result.verdicts] == [Verdict.UNSURE]
            return reply.result.error_msg

        assert 'robot_state_publisher' in ask()
        graph.wait(lambda: len(verdicts) == 2, 'its verdict')
        del verdicts[1]
        fleeting = graph.node.create_publisher(String, 'robot_description', 1)
        graph.wait(lambda: 'is not heard: its QoS does not fit' in process.output(), 'a warning')
        assert 'Volatile publisher and transient local subscription' in ask()
        graph.wait(lambda: len(verdicts) == 2, 'its verdict')
        del verdicts[1]
        graph.node.destroy_publisher(fleeting)
        robot = FakeRobot(graph)
        robot.camera_on = False
        graph.wait(lambda: 'idle' in process.output() and "robot 'demo_arm'" in process.output(),
                   'the robot')
        robot.wait_shown()
        publisher.publish(swing())
        graph.wait(lambda: len(verdicts) == 2, 'a verdict')
        assert verdicts[1].status == Verdict.UNSURE
        assert [finding.code for finding in verdicts[1].findings] == [Finding.MISSING_INPUT]
        assert '/camera/image_raw, which has 1 publisher' in verdicts[1].summary
        publisher.publish(swing(9.0))             # the rules need no camera to say FAIL
        graph.wait(lambda: len(verdicts) == 3, 'a verdict')
        assert verdicts[2].status == Verdict.FAIL
        stopped(process, signal.SIGTERM)


def prediction(graph, robot, frames):
    """Publish a trajectory until its frames come, which is once the node sees the robot."""
    graph.wait(robot.trajectory.get_subscription_count, 'the node')
    robot.wait_shown()
    robot.trajectory.publish(swing(0.5))
    graph.wait(lambda: len(frames) == FRAMES, 'the frames')
    return frames


def test_compressed_image_and_depth_are_what_is_seen(ros_domain):
    with made() as graph:
        _, frames = ears(graph)
        robot = FakeRobot(graph)
        robot.make_image, robot.make_depth = compressed_message, compressed_depth_message
        robot.image[:, :40], robot.depth[:, :40] = (200, 30, 60), 1.25
        robot.depth[:10] = np.nan
        process = start_shadow_sim(image_transport='compressed',
                                   depth_transport='compressedDepth', seed=SHOW)
        frame = prediction(graph, robot, frames)[0]
        image, (points, _) = image_to_array(frame.image), cloud_to_arrays(frame.points)
        for columns in (slice(0, 32), slice(48, None)):       # JPEG blurs what is between
            np.testing.assert_allclose(image[:, columns].astype(int),
                                       robot.image[:, columns].astype(int), atol=6)
        np.testing.assert_allclose(points[..., 2], robot.depth, atol=1e-5)
        stopped(process)


def test_remapped_topics_of_a_camera_on_the_arm_that_tf_knows(ros_domain):
    with made() as graph:
        _, frames = ears(graph)
        robot = FakeRobot(graph, camera='eye', image_qos=qos_profile_sensor_data)
        robot.frame = robot.depth_frame = 'eye_optical_frame'
        T_flange_eye = np.eye(4)
        T_flange_eye[:3, 3] = 0.05, 0.0, 0.1
        for topic, profile, parent, child, T in (
                ('/tf', qos.TF, 'base_link', 'flange_link', np.eye(4)),      # as of long ago
                ('/tf_static', qos.TF_STATIC, 'flange_link', robot.frame, T_flange_eye)):
            publisher = graph.node.create_publisher(TFMessage, topic, profile)
            message = TFMessage(transforms=[transform_message(T, Header(frame_id=parent), child)])
            graph.node.create_timer(0.1, lambda p=publisher, m=message: p.publish(m))
        process = start_shadow_sim(*(part for topic in ('image_raw', 'depth/image_raw',
                                                        'camera_info')
                                     for part in ('-r', f'camera/{topic}:=eye/{topic}')),
                                   seed=SHOW)
        first, *_, last = prediction(graph, robot, frames)
        model = Robot.from_urdf(URDF)
        at = model.link_names.index('flange_link')
        seen = pointmap_from_depth(robot.depth, robot.camera)
        for frame, turned in ((first, 0.0), (last, 0.5)):
            joints = model.configuration({**READY, 'shoulder_pan_joint': turned}, strict=False)
            T_base_eye = ForwardKinematics(model)(joints[None])[0, at] @ T_flange_eye
            points, _ = cloud_to_arrays(frame.points)
            assert frame.points.header.frame_id == 'base_link'
            np.testing.assert_allclose(
                points, seen @ T_base_eye[:3, :3].T + T_base_eye[:3, 3], atol=1e-4)
        stopped(process)


def test_two_instances_in_two_namespaces(ros_domain):
    with made('left') as left, made('right') as right:
        heard = ears(left)[0], ears(right)[0]
        robots = FakeRobot(left), FakeRobot(right)
        robots[1].make_image, robots[1].make_depth = compressed_message, compressed_depth_message
        processes = (
            start_shadow_sim('-r', '__ns:=/left'),
            start_shadow_sim('-r', '__ns:=/right', image_transport='compressed',
                             depth_transport='none', camera_reliability='best_effort'))
        robots[1].depth_on = False
        for graph, robot in zip((left, right), robots):
            graph.wait(robot.trajectory.get_subscription_count, 'the node')
            robot.wait_shown()
        robots[0].trajectory.publish(swing())
        left.wait(lambda: heard[0], 'the left verdict')
        assert heard[0][0].status == Verdict.PASS, heard[0][0].summary
        assert not heard[1]
        robots[1].trajectory.publish(swing(9.0))
        right.wait(lambda: heard[1], 'the right verdict')
        assert heard[1][0].status == Verdict.FAIL
        assert Finding.POSITION_LIMIT in [finding.code for finding in heard[1][0].findings]
        assert len(heard[0]) == 1
        for process in processes:
            stopped(process)


@pytest.mark.parametrize('reliability', ['reliable', 'auto'])
def test_a_camera_that_offers_less_than_is_asked_for(ros_domain, reliability):
    with made() as graph:
        verdicts, _ = ears(graph)
        robot = FakeRobot(graph, image_qos=qos_profile_sensor_data)
        process = start_shadow_sim(camera_reliability=reliability, input_wait=0.5)
        graph.wait(robot.trajectory.get_subscription_count, 'the node')
        robot.wait_shown(6)
        robot.trajectory.publish(swing())
        graph.wait(lambda: verdicts, 'a verdict')
        if reliability == 'auto':
            assert verdicts[0].status == Verdict.PASS, verdicts[0].summary
        else:
            assert verdicts[0].status == Verdict.UNSURE
            assert 'its QoS does not fit' in verdicts[0].summary
        stopped(process)


def test_lifecycle_by_a_manager(ros_domain):
    with made() as graph:
        process = start_shadow_sim(autostart='false')
        change = graph.node.create_client(ChangeState, 'shadow_sim/change_state')
        get = graph.node.create_client(GetState, 'shadow_sim/get_state')
        assert change.wait_for_service(30.0) and get.wait_for_service(30.0)

        def make(transition):
            request = ChangeState.Request(transition=Transition(id=transition))
            return graph.result(change.call_async(request)).success

        def state():
            return graph.result(get.call_async(GetState.Request())).current_state.label

        assert state() == 'unconfigured'
        assert make(Transition.TRANSITION_CONFIGURE)
        client = graph.action()
        handle = graph.ask(
            lambda: client.send_goal_async(Precheck.Goal(candidates=[swing()])))
        result = graph.ask(handle.get_result_async).result
        assert result.error_code == Precheck.Result.NOT_ACTIVE
        verdicts, frames = ears(graph)
        robot = FakeRobot(graph)
        for _ in range(2):
            assert make(Transition.TRANSITION_ACTIVATE)
            graph.wait(robot.trajectory.get_subscription_count, 'the subscription')
            robot.wait_shown()
            count = len(verdicts)
            robot.trajectory.publish(swing())
            graph.wait(lambda c=count: len(verdicts) > c, 'a verdict')
            assert verdicts[-1].status == Verdict.PASS, verdicts[-1].summary
            assert make(Transition.TRANSITION_DEACTIVATE)
            graph.wait(lambda: not robot.trajectory.get_subscription_count(), 'deactivation')
        pid = worker_pid(graph)
        assert make(Transition.TRANSITION_CLEANUP)
        assert not is_alive(pid)
        assert make(Transition.TRANSITION_CONFIGURE)
        assert make(Transition.TRANSITION_ACTIVATE)
        told = graph.listen('shadow_sim/readiness', DiagnosticStatus, qos.READINESS)
        graph.wait(lambda: told and told[-1].level == DiagnosticStatus.OK, 'readiness')
        assert make(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        graph.wait(lambda: told[-1].message == 'the node is not configured', 'the last word')
        assert state() == 'finalized'
        stopped(process)


@pytest.mark.parametrize('values, words', [
    ({'world_model': 'crystal_ball'}, 'crystal_ball'),
    ({'tier0.start_tolerence': 0.1}, 'did you mean tier0.start_tolerance'),
    ({'joint_limits': "['a.jerk=1']"}, 'joint_limits.<joint>.min_position')])
def test_a_bad_configuration_ends_the_node_with_the_reason(ros_domain, values, words):
    process = start_shadow_sim(**values)
    assert process.process.wait(60.0) == 1
    assert words in process.output()
    assert 'Traceback' not in process.output()


@pytest.mark.parametrize('when', ['importing', 'loading', 'idle', 'stuck', 'unresponsive'])
def test_ctrl_c(ros_domain, when):
    """Whatever the node does, it ends at once and takes its worker with it."""
    with made() as graph:
        verdicts, frames = ears(graph)
        robot = FakeRobot(graph)
        seed = {'stuck': STUCK, 'unresponsive': UNRESPONSIVE}.get(when, 0)
        process = start_shadow_sim(seed=seed)
        pid = None
        if when == 'loading':
            graph.wait(lambda: 'loading the world model' in process.output(), 'the node')
        elif when != 'importing':
            graph.wait(lambda: 'is ready' in process.output(), 'the worker')
            pid = worker_pid(graph)
        else:
            # the handler is set before anything heavy is imported
            graph.wait(lambda: handles_signals(process), 'the interpreter')
        if when in ('stuck', 'unresponsive'):
            robot.trajectory.publish(swing())
            graph.wait(lambda: len(frames) >= 2, 'the first frames')
        stopped(process)
        if pid is not None:
            assert not is_alive(pid)


def test_the_worker_ends_when_the_node_is_killed(ros_domain):
    with made() as graph:
        process = start_shadow_sim()
        pid = worker_pid(graph)
        process.kill()
        graph.wait(lambda: not is_running(pid), 'the end of the worker')


def is_running(pid):
    """Return whether a process exists and is no zombie (its parent may not wait for it)."""
    try:
        return Path('/proc', str(pid), 'stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def handles_signals(process):
    """Return whether a process catches SIGTERM by now, as the kernel tells."""
    status = Path('/proc', str(process.process.pid), 'status').read_text()
    caught = next(line for line in status.splitlines() if line.startswith('SigCgt'))
    return int(caught.split()[1], 16) & (1 << (signal.SIGTERM - 1))


def test_another_world_model_of_the_package(ros_domain):
    with made() as graph:
        verdicts, frames = ears(graph)
        robot = FakeRobot(graph)
        process = Process('shadow_sim', *parameters(
            world_model='frozen', device='cpu', frames=4, memory_rate=10.0,
            **{'world_model_settings.robot_depth_tolerance': 0.02}))
        graph.wait(robot.trajectory.get_subscription_count, 'the node')
        robot.trajectory.publish(swing())
        graph.wait(lambda: len(frames) == 4, 'the frames')
        graph.wait(lambda: verdicts, 'a verdict')
        assert verdicts[0].world_model == 'frozen'
        assert "it runs on no device, so 'cpu' is ignored" in process.output()
        stopped(process)
