# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""shadow_sim by the clock of a simulation: none at first, then one that jumps back."""
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from graph import FakeRobot, FRAMES, made, start_shadow_sim, swing
from kinema4d_ros.msg import PredictedFrame, Verdict
from rosgraph_msgs.msg import Clock
from stub_models import STUCK

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import joint_state_message, time_message

pytestmark = pytest.mark.timeout(180)


def why_not_ready(arrays):
    """Return what the diagnostics that came last say of readiness."""
    return next((status.message for array in reversed(arrays) for status in array.status
                 if status.name == 'shadow_sim: readiness'), '')


def test_simulated_time_that_jumps_back_as_a_looping_bag_makes_it(ros_domain):
    with made() as graph:
        heard = graph.listen('verdict', Verdict, qos.VERDICT)
        frames = graph.listen('predicted/frame', PredictedFrame, qos.PREDICTED_FRAMES)
        robot = FakeRobot(graph)
        clock = graph.node.create_publisher(Clock, '/clock', 10)
        arrays = graph.listen('/diagnostics', DiagnosticArray, 10)
        process = start_shadow_sim(use_sim_time='true')
        now = {'ns': 0}       # of all stamps: those who send them have no time either
        robot.make_joints = lambda positions, header: joint_state_message(
            positions, with_stamp(header))
        plain_image, plain_depth = robot.make_image, robot.make_depth
        robot.make_image = lambda image, header: plain_image(image, with_stamp(header))
        robot.make_depth = lambda depth, header: plain_depth(depth, with_stamp(header))

        def final():
            return [verdict for verdict in heard if verdict.final]

        def with_stamp(header):
            header.stamp = time_message(now['ns'])
            return header

        def tick():
            if 'stands' in now:
                return
            now['ns'] += 50_000_000
            clock.publish(Clock(clock=time_message(now['ns'])))

        graph.wait(robot.trajectory.get_subscription_count, 'the node')
        robot.trajectory.publish(swing())
        graph.wait(final, 'a verdict')
        assert final()[0].status == Verdict.UNSURE
        assert 'use_sim_time is set, and nothing has come on /clock' in final()[0].summary
        graph.wait(lambda: 'nothing has come on /clock' in why_not_ready(arrays),
                   'diagnostics, which need no /clock')
        now['ns'] = 100_000_000_000
        graph.node.create_timer(0.05, tick)
        graph.wait(lambda: now['ns'] > 101e9, 'time to pass')
        robot.trajectory.publish(swing())
        graph.wait(lambda: len(final()) == 2, 'a verdict')
        assert final()[1].status == Verdict.PASS, final()[1].summary
        assert 100 <= final()[1].header.stamp.sec < 110
        assert graph.set_parameter('shadow_sim', seed=STUCK) == ''
        robot.trajectory.publish(swing())
        graph.wait(lambda: len(frames) >= FRAMES + 2, 'the first frames')
        now['ns'] = 50_000_000_000                   # the bag starts again
        graph.wait(lambda: len(final()) == 3, 'a verdict')
        assert final()[2].status == Verdict.UNSURE
        assert 'jumped back' in final()[2].summary
        assert graph.set_parameter('shadow_sim', seed=0) == ''
        graph.wait(lambda: now['ns'] > 51e9, 'time to pass')
        robot.trajectory.publish(swing())
        graph.wait(lambda: len(final()) == 4, 'a verdict')
        assert final()[3].status == Verdict.PASS, final()[3].summary
        assert 50 <= final()[3].header.stamp.sec < 60
        assert graph.set_parameter('shadow_sim', max_input_age=0.5, input_wait=0.2) == ''
        now['stands'] = robot.joints_on = robot.camera_on = None     # the bag is over
        graph.wait(lambda: 'does /clock stand still' in why_not_ready(arrays), 'the diagnostics')
        robot.trajectory.publish(swing())
        graph.wait(lambda: len(final()) == 5, 'a verdict')
        assert final()[4].status == Verdict.UNSURE, final()[4].summary
        assert 'nothing has come of joint_states' in final()[4].summary
        robot.joints_on = True       # joints alone are heard: the camera is not
        graph.wait(lambda: 'camera images' in why_not_ready(arrays), 'the diagnostics')
        assert process.stop() == 0 and 'Traceback' not in process.output(), process.output()
