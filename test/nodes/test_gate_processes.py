# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate among processes that die, stop, come twice or are not there at all."""
import signal
import subprocess

import pytest
from control_msgs.action import FollowJointTrajectory
from gate_bench import Gate
from gate_world import ABORTED, Arm, Controller, Nodes, OtherProcess, RESULT, ShadowSim, SUCCEEDED
from graph import FakeRobot, made, start_shadow_sim, swing
from kinema4d_ros.msg import Verdict
from std_msgs.msg import String
from stub_models import GOOD

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def world(ros_domain, request):
    """Give a gate with an arm and a controller, and a shadow_sim unless the test brings its own."""
    graph = Nodes()
    launcher = subprocess.Popen(['sleep', '1000'])
    try:
        Arm(graph.node)
        controller = Controller(graph.node, '/arm_controller')
        if getattr(request, 'param', True):
            ShadowSim(graph.node)
        with made() as tester:
            gate = Gate(tester, '/arm_controller', max_joint_age=20.0, path_tolerance=3.0,
                        launcher_pid=launcher.pid)
            gate.fake, gate.launcher = controller, launcher
            try:
                yield gate.ready('there is no shadow_sim')
            finally:
                controller.let_go.set()
                if gate.process.process.poll() is None:
                    gate.stop()
    finally:
        launcher.kill()
        launcher.wait()
        graph.close()


def refused(gate, words):
    """Insist that a goal is refused with these words and nothing reaches the controller."""
    before = len(gate.fake.goals)
    status, result = gate.run(swing())
    assert (status, result.error_code) == (ABORTED, RESULT.INVALID_GOAL)
    assert words in result.error_string
    assert len(gate.fake.goals) == before


def settle(gate):
    """Wait until what the graph shows is what there is."""
    gate.wait(lambda: gate.status()[1] == 'ready')


@pytest.mark.parametrize('world', [False], indirect=True, ids=['no shadow_sim'])
def test_shadow_sim_absent_killed_stopped_and_doubled(world):
    refused(world, 'there is no shadow_sim')
    first = OtherProcess('shadow_sim')
    second = None
    try:
        settle(world)
        assert world.run(swing())[0] == SUCCEEDED
        world.set(verdict_timeout=0.5)
        first.process.send_signal(signal.SIGSTOP)
        refused(world, 'no verdict within 0.5 s')
        first.process.send_signal(signal.SIGCONT)
        world.set(verdict_timeout=20.0)
        assert world.run(swing())[0] == SUCCEEDED
        second = OtherProcess('shadow_sim')
        world.wait(lambda: '2 nodes offer' in world.status()[1])
        refused(world, '2 nodes offer /shadow_sim/precheck')
        world.set(verdict_timeout=0.5)
        first.kill()
        second.kill()
        before = len(world.fake.goals)
        status, result = world.run(swing())     # the graph may still show one, or both
        assert status == ABORTED and len(world.fake.goals) == before
    finally:
        for process in (first, second):
            if process is not None and process.process.poll() is None:
                process.kill()


def test_a_second_gate_of_the_same_name(world):
    settle(world)
    double = Gate(world.graph, '/arm_controller', mode='advise')
    try:
        for mode in ('enforce', 'advise'):           # each has found the other
            world.wait(lambda m=mode: 'more than one' in (world.status(m) or ('', ''))[1])
        before = len(world.fake.goals)
        assert world.run(swing())[0] == ABORTED       # one of the two answers first
        world.graph.wait(lambda: any(
            decision.sentence.startswith('there is more than one /trajectory_gate')
            for decision in world.decisions), 'the reason')
        assert len(world.fake.goals) == before
    finally:
        double.stop()


@pytest.mark.parametrize('how', ['told', 'left alone'])
def test_a_gate_that_is_ended_cancels_first_and_says_so(world, how):
    settle(world)
    world.fake.hold = True
    handle = world.send(swing())
    world.graph.wait(lambda: world.fake.ids, 'the controller to execute')
    world.decided('forward')
    reply = handle.get_result_async()
    if how == 'told':
        assert world.process.stop(signal.SIGTERM) == 0
    else:
        world.launcher.kill()      # and nobody has reaped it yet
        assert world.process.process.wait(20.0) == 0
    reply = world.graph.result(reply)
    assert reply.status == ABORTED
    assert reply.result.error_string == 'the gate is shutting down'
    assert len(world.fake.cancels) == 1
    assert 'Traceback' not in world.process.output()


@pytest.mark.parametrize('broken, goals', [
    ('GateMachine._answered', 0), ('Execution.take_late_fail', 1), ('GoalServer._cancel', 1),
    ('GateMachine._operator_decided', 1), ('GoalServer.publish_feedback', 1)])
def test_a_gate_with_a_bug_cancels_what_moves_and_ends(ros_domain, broken, goals):
    graph = Nodes()
    try:
        Arm(graph.node)
        controller, shadow = Controller(graph.node, '/arm_controller'), ShadowSim(graph.node)
        controller.hold = True
        if broken == 'GoalServer.publish_feedback':
            controller.feedback = [FollowJointTrajectory.Feedback()]
        with made() as tester:
            gate = Gate(tester, '/arm_controller', broken=broken, path_tolerance=3.0,
                        max_joint_age=20.0).ready()
            settle(gate)
            handle = gate.send(swing())
            if goals:
                gate.decided('forward')
                tester.wait(lambda: controller.ids, 'the controller to execute')
                fail = shadow.pass_of(swing())
                fail.status, fail.rollout_id = Verdict.FAIL, 'late'
                if broken == 'GoalServer._cancel':
                    handle.cancel_goal_async()
                elif broken == 'GateMachine._operator_decided':
                    done, text = gate.call('approve', swing())
                    assert not done and text == 'the gate failed; its log says why'
                else:
                    shadow.verdict.publish(fail)
            status, result = gate.outcome(handle)
            assert status == ABORTED
            assert result.error_string == 'the gate failed (ZeroDivisionError: a bug)'
            assert gate.process.process.wait(20.0) == 1
            assert len(controller.cancels) == len(controller.goals) == goals
            assert 'the gate failed and ends' in gate.process.output()
    finally:
        graph.close()


def test_a_gate_with_a_bug_in_reading_joints_ends(ros_domain):
    graph = Nodes()
    try:
        Arm(graph.node)
        with made() as tester:
            gate = Gate(tester, '/arm_controller', broken='LiveState._take_joints')
            assert gate.process.process.wait(20.0) == 1
            assert 'the gate failed and ends' in gate.process.output()
    finally:
        graph.close()


def test_publishers_that_the_gate_cannot_hear_are_named(ros_domain):
    with made() as tester:
        gate = Gate(tester, '/arm_controller')
        tester.node.create_publisher(String, 'robot_description', 1)     # not latched
        gate.wait(lambda: 'no robot description: a publisher of /tester is not heard: its QoS '
                  'does not fit' in (gate.status() or ('', ''))[1])
        gate.wait(lambda: '/robot_description: a publisher of /tester is not heard'
                  in gate.process.output())
        gate.stop()


def test_a_controller_that_is_not_there_stops_or_dies(ros_domain):
    graph = Nodes()
    controller = None
    try:
        Arm(graph.node)
        ShadowSim(graph.node)
        with made() as tester:
            gate = Gate(tester, '/far_controller', path_tolerance=3.0)
            try:
                gate.ready('the controller is not there')
                status, result = gate.run(swing())
                assert status == ABORTED and 'nobody offers /far_controller' in result.error_string
                controller = OtherProcess('controller')
                settle(gate)
                handle = gate.send(swing(seconds=20.0))
                gate.executes(gate.decided('forward').trajectory)
                since = len(gate.decisions)
                controller.process.send_signal(signal.SIGSTOP)
                gate.graph.ask(handle.cancel_goal_async)
                controller.process.send_signal(signal.SIGCONT)
                text = gate.outcome(handle)[1].error_string     # on a busy machine it hears sooner
                assert text == 'stopped' or 'the joints stand still since' in text
                gate.decided('done', since)
                controller.process.send_signal(signal.SIGSTOP)
                status, result = gate.run(swing())
                assert status == ABORTED and 'controller does not answer' in result.error_string
                since = len(gate.decisions)
                controller.process.send_signal(signal.SIGCONT)   # it takes the goal: cancelled
                gate.decided('done', since)
                controller.kill()
                status, result = gate.run(swing())      # the graph may show it for a while
                assert status == ABORTED and ('does not answer' in result.error_string
                                              or 'is not there' in result.error_string)
            finally:
                gate.stop()
    finally:
        if controller is not None:
            controller.kill()
        graph.close()


def is_idle(gate):
    """Tell whether the newest diagnostics of shadow_sim have its world model ready."""
    return next((status.message.startswith('idle') for array in reversed(gate.diagnostics)
                 for status in array.status if status.name == 'shadow_sim: world model'), False)


def test_with_the_real_shadow_sim_and_the_demo_arm(ros_domain):
    graph, process = Nodes(), start_shadow_sim()
    try:
        fake = Controller(graph.node, '/arm_controller')
        with made() as tester:
            robot = FakeRobot(tester)
            gate = Gate(tester, '/arm_controller', max_joint_age=20.0, verdict_timeout=60.0,
                        max_scene_age=60.0, path_tolerance=3.0, required_tiers=[0])
            try:
                gate.ready()
                tester.wait(lambda: is_idle(gate), 'the world model')
                assert tester.set_parameter('shadow_sim', seed=GOOD) == ''
                robot.wait_shown()
                status, result = gate.run(swing())
                assert (status, result.error_string) == (SUCCEEDED, 'there'), process.output()
                refused_text = gate.run(swing(angle=9.0))[1].error_string
                assert 'FAIL' in refused_text and 'shoulder_pan_joint' in refused_text
                start = swing()
                start.points[0].positions[2] += 0.3
                assert 'FAIL' in gate.run(start)[1].error_string
                unknown = swing()
                unknown.joint_names[0] = 'nose'
                status, result = gate.run(unknown)
                assert (status, result.error_code) == (ABORTED, RESULT.INVALID_JOINTS)
                gate.set(verdict_timeout=1.0)
                process.process.send_signal(signal.SIGSTOP)
                assert 'no verdict within 1.0 s' in gate.run(swing())[1].error_string
                process.kill()
                assert gate.run(swing())[0] == ABORTED
                assert len(fake.goals) == 1
            finally:
                gate.stop()
    finally:
        process.kill()
        graph.close()


def test_a_stream_of_chunks_through_the_real_shadow_sim(ros_domain):
    graph, process = Nodes(), start_shadow_sim(required_tiers=[0], verdict_lifetime=30.0)
    try:
        arm = Arm(graph.node)
        fake = Controller(graph.node, '/arm_controller', arm)
        fake.hold = True
        with made() as tester:
            robot = FakeRobot(tester)
            robot.joints_on = False          # the arm tells them
            gate = Gate(tester, '/arm_controller', max_joint_age=20.0, verdict_timeout=60.0,
                        path_tolerance=3.0, max_scene_age=60.0, required_tiers=[0])
            try:
                gate.ready()
                tester.wait(lambda: is_idle(gate), 'the world model')
                assert gate.run(swing(angle=9.0))[0] == ABORTED         # all know each other
                first = swing(0.1, seconds=4.0)     # slow: a busy machine's arm lags behind
                end = dict(zip(first.joint_names, first.points[-1].positions))
                second, since = swing(0.2, start=end), len(gate.decisions)
                gate.send(first)
                gate.decided('forward', since)
                tester.wait(lambda: arm.joints['shoulder_pan_joint'] > 0.01, 'the arm')
                since, handle = len(gate.decisions), gate.send(second)
                gate.decided('hold', since)
                assert len(fake.goals) == 1
                gate.decided('forward', since)
                assert arm.joints['shoulder_pan_joint'] > 0.07
                tester.wait(lambda: len(fake.goals) == 2, 'the controller')
                assert [goal.trajectory for goal in fake.goals] == [first, second]
                fake.let_go.set()
                assert gate.outcome(handle)[0] == SUCCEEDED
            finally:
                fake.let_go.set()
                gate.stop()
    finally:
        process.stop()
        graph.close()
