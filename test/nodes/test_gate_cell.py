# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate before a controller that behaves as the real one does, in a cell that stops."""
import os
import signal
import time

import pytest
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from gate_bench import Gate, spoil_field
from gate_cell import ARM, FINGERS, part, started
from gate_world import ABORTED, Arm, CANCELED, Nodes, OtherProcess, RESULT, ShadowSim, SUCCEEDED
from graph import ahead, made, READY, swing
from jtc_tolerances import Tolerances
from kinema4d_ros.msg import Finding, Verdict
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope='module')
def shared_cell(module_ros_domain):
    with started() as cell:
        yield cell


@pytest.fixture
def cell(shared_cell):
    shared_cell.reset()
    return shared_cell


# ---------------------------------------------------------------- late

@pytest.mark.parametrize('scaling, late', [(0.5, 0.0), (0.2, 0.0), (1.0, 0.6)])
def test_a_robot_that_is_only_late_is_left_alone(cell, scaling, late):
    cell.jtc.scaling, cell.jtc.starts_late = scaling, late
    cell.passes(swing(0.3, seconds=0.5))


def test_a_pause_is_waited_out_and_reported(cell):
    cell.jtc.pauses_at = 0.4
    handle = cell.sent(cell.gate, swing(0.3))
    assert 'late, nobody says why; it has come to 0.' in cell.gate.decided(
        'doubt', cell.since).sentence
    cell.jtc.pauses_at = None
    status, result = cell.gate.outcome(handle)
    assert status == SUCCEEDED, result.error_string


@pytest.mark.parametrize('scaling', [1.0, 0.4])
def test_a_robot_that_leaves_its_path_is_stopped_at_any_speed(cell, scaling):
    cell.jtc.scaling = scaling
    handle = cell.sent(cell.gate, swing(0.3, seconds=2.0))
    cell.graph.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > 0.03, 'the arm')
    cell.jtc.off = {'elbow_joint': 0.15}
    status, result = cell.gate.outcome(handle)
    assert (status, result.error_code) == (ABORTED, RESULT.PATH_TOLERANCE_VIOLATED)
    assert 'elbow_joint is 0.150 away' in result.error_string


def test_a_robot_that_is_held_fast_is_stopped(cell):
    cell.jtc.held_at = 0.4
    status, result = cell.gate.run(swing(0.6, seconds=1.5))
    assert status == ABORTED and 'does something hold them?' in result.error_string


def test_speed_scaling_is_heard(cell):
    cell.jtc.slide(0.2)
    handle = cell.sent(cell.gate, swing(0.3, seconds=0.6))
    assert 'late, speed_scaling is 0.20' in cell.gate.decided('doubt', cell.since).sentence
    assert cell.gate.outcome(handle)[0] == SUCCEEDED


# ---------------------------------------------------------------- ends

def test_a_cancel_that_meets_the_ending(cell):
    cell.jtc.leaves_cancelled = True
    handle = cell.sent(cell.gate, swing(0.3, seconds=3.0))
    cell.graph.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > 0.03, 'the arm')
    began = time.monotonic()
    cell.graph.ask(handle.cancel_goal_async)
    status, result = cell.gate.outcome(handle)
    assert time.monotonic() - began < 2.0
    assert status == CANCELED and 'the joints stand still since' in result.error_string
    cell.jtc.leaves_cancelled = False
    cell.stands()
    cell.passes(swing(0.1, cell.arm.joints))


def test_a_goal_that_the_controller_never_ends(cell):
    cell.jtc.never_ends = True
    began = time.monotonic()
    status, result = cell.gate.run(swing(0.1, seconds=0.5))
    assert time.monotonic() - began < 0.5 + 2.0 + 1.0    # to ask, and a slow machine
    assert status == ABORTED
    assert 'has not ended the motion 1.5 s after its end was reached' in result.error_string
    assert 'the joints stand still since' in result.error_string


def test_a_chunk_that_comes_late_spoils_no_later_one(cell):
    """The robot has passed where it begins; the next begins where the robot is, or will be."""
    cell.jtc.leaves_cancelled = True
    first = cell.sent(cell.gate, swing(0.3, seconds=1.0))
    cell.graph.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > 0.2, 'the arm')
    cell.shadow.spoil = spoil_field(status=Verdict.FAIL, summary='it does not start there')
    status, result = cell.gate.run(swing(0.2, ahead(0.05)))
    assert status == ABORTED
    assert 'it does not start there' in result.error_string or 'moved by' in result.error_string
    cell.shadow.reset()
    assert cell.gate.outcome(first)[0] == SUCCEEDED
    status, tries = None, 0
    while status != SUCCEEDED:      # a controller that a busy machine keeps for 1.1 s is stopped
        cell.stands()
        here = dict(cell.arm.joints)
        there = here | {'shoulder_pan_joint': here['shoulder_pan_joint'] + 0.1}
        cell.sent(cell.gate, swing(0.1, here, seconds=3.0))     # time to ask about the next
        status, result = cell.gate.run(swing(0.1, there, seconds=0.5))
        tries += 1
        assert status == SUCCEEDED or tries < 5, result.error_string


def test_a_controller_whose_answer_is_lost(cell):
    """It moves, and nobody has heard that it accepted: its feedback tells."""
    cell.jtc.loses_answers = True
    cell.passes(swing(0.2, seconds=0.5))


def test_a_controller_whose_answer_is_lost_and_that_tells_no_feedback(cell):
    cell.jtc.loses_answers, cell.jtc.tells_feedback = True, False
    handle = cell.sent(cell.gate, swing(0.6, seconds=6.0))
    is_beyond(cell, 0.02)
    status, result = cell.gate.outcome(handle)
    assert status == ABORTED and 'the controller does not answer' in result.error_string
    cell.gate.decided('done', cell.since)
    cell.stands()
    assert cell.arm.joints['shoulder_pan_joint'] < 0.4
    cell.jtc.loses_answers = False
    cell.passes(swing(0.1, cell.arm.joints))


def test_a_controller_that_is_killed_in_motion(ros_domain):
    graph = Nodes()
    process = None
    try:
        Arm(graph.node)
        ShadowSim(graph.node)
        process = OtherProcess('controller')
        with made() as tester:
            gate = Gate(tester, '/far_controller', path_tolerance=3.0)
            try:
                gate.ready()
                gate.wait(lambda: gate.status()[1] == 'ready')
                handle, since = gate.send(swing(0.3, seconds=20.0)), len(gate.decisions)
                gate.decided('forward', since)
                gate.executes(gate.decided('forward').trajectory)
                reply = handle.get_result_async()
                gate.hears_the_controller()
                os.kill(process.process.pid, signal.SIGKILL)
                killed = time.monotonic()
                reply = tester.result(reply)
                assert time.monotonic() - killed < 2.5
                assert reply.status == ABORTED
                assert 'no sign of life' in reply.result.error_string
                assert 'the joints stand still since' in reply.result.error_string
            finally:
                gate.stop()
    finally:
        if process is not None:
            process.kill()
        graph.close()


# ---------------------------------------------------------------- the robot's state

def test_a_robot_that_is_not_ready_gets_nothing(cell):
    cell.is_ready(False)
    cell.gate.wait(lambda: 'the robot is not ready: /ready: it is false' in cell.gate.status()[1])
    goals = len(cell.jtc.goals)
    status, result = cell.gate.run(swing())
    assert status == ABORTED and '/ready: it is false' in result.error_string
    assert cell.gate.decided('refuse', cell.since).code == Finding.ROBOT_STATE
    assert len(cell.jtc.goals) == goals


def test_a_robot_that_stops_on_its_way_is_reported_as_not_moving(cell):
    cell.jtc.pauses_at = 0.1
    handle = cell.sent(cell.gate, swing(0.3))
    cell.is_ready(False)
    doubt = cell.gate.decided('doubt', cell.since)
    assert '/ready: it is false' in doubt.sentence and doubt.code == Finding.ROBOT_STATE
    assert 'the joints stand still since' in doubt.sentence
    cell.is_ready(True)
    cell.jtc.pauses_at = None
    assert cell.gate.outcome(handle)[0] == SUCCEEDED


# ---------------------------------------------------------------- two motions at once

def test_a_gripper_goal_during_an_arm_motion_is_judged_with_it(cell):
    arm = cell.sent(cell.gate, part(ARM, 0.4, 2.5))
    cell.graph.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > 0.05, 'the arm')
    status, result = cell.hand_gate.run(part(FINGERS, -0.015, 0.3))
    assert status == SUCCEEDED, result.error_string
    asked = cell.shadow.asked[-1].candidates[0]
    assert set(asked.joint_names) == set(READY) - {'right_finger_joint'}
    pan = asked.joint_names.index('shoulder_pan_joint')
    finger = asked.joint_names.index('finger_joint')
    assert asked.points[0].positions[pan] > 0.08
    assert asked.points[-1].positions[pan] == pytest.approx(0.4)
    assert asked.points[0].positions[finger] == pytest.approx(0.044)
    assert asked.points[-1].positions[finger] == pytest.approx(0.029)
    assert cell.gate.outcome(arm)[0] == SUCCEEDED


def test_an_arm_goal_during_a_gripper_motion_is_judged_with_it(cell):
    hand = cell.sent(cell.hand_gate, part(FINGERS, -0.015, 2.0))
    status, result = cell.gate.run(part(ARM, 0.2, 0.5))
    assert status == SUCCEEDED, result.error_string
    assert {'finger_joint', 'shoulder_pan_joint'} <= set(
        cell.shadow.asked[-1].candidates[0].joint_names)
    status, result = cell.hand_gate.outcome(hand)
    assert status == SUCCEEDED, result.error_string


@pytest.mark.parametrize('speed', [0.02, 0.5])
def test_a_second_arm_motion_is_refused_while_one_lasts(cell, speed):
    """The hand's controller stands for that of a second arm: it moves the wrist."""
    first = cell.sent(cell.gate, part(ARM[:4], speed, 1.0))
    since, asked = len(cell.hand_gate.decisions), len(cell.shadow.asked)
    status, result = cell.hand_gate.run(part(ARM[4:], 0.1))
    assert status == ABORTED
    assert 'a motion of /trajectory_gate is under way' in result.error_string
    assert cell.hand_gate.decided('refuse', since).code == Finding.OTHER_MOTION
    assert len(cell.shadow.asked) == asked
    assert cell.gate.outcome(first)[0] == SUCCEEDED
    cell.stands()
    status, result = cell.hand_gate.run(part(ARM[4:], 0.1, 0.4, cell.arm.joints))
    assert status == SUCCEEDED, result.error_string


def test_two_motions_that_pass_at_once(cell):
    """Each is judged before the other is forwarded; the later one, or both, must not go on."""
    cell.shadow.slow = True
    since = len(cell.shadow.asked)
    handles = [cell.gate.send(part(ARM[:4], 0.2, 2.0)),
               cell.hand_gate.send(part(ARM[4:], 0.2, 2.0))]
    cell.graph.wait(lambda: len(cell.shadow.asked) == since + 2, 'both questions')
    cell.shadow.let_go.set()
    ends = [cell.graph.ask(handle.get_result_async) for handle in handles]
    statuses = [end.status for end in ends]
    assert ABORTED in statuses and set(statuses) <= {SUCCEEDED, ABORTED}
    text = next(end.result.error_string for end in ends if end.status == ABORTED)
    assert 'nobody judged the two together' in text or 'is under way' in text \
        or 'has begun since' in text


def test_a_joint_that_moves_without_a_gate(cell):
    """Slowly: 0.05 rad/s."""
    since = len(cell.gate.decisions)
    stop = False

    def creep():
        if not stop:
            cell.arm.set_moving({'wrist_roll_joint': cell.arm.joints['wrist_roll_joint'] + 0.001})

    timer = cell.node.create_timer(0.02, creep)
    try:
        cell.stands()
        status, result = cell.gate.run(part(ARM[:5]))
        assert status == ABORTED
        assert 'wrist_roll_joint moves meanwhile' in result.error_string
        assert cell.gate.decided('refuse', since).code == Finding.OTHER_MOTION
    finally:
        stop = True
        cell.node.destroy_timer(timer)


# ---------------------------------------------------------------- otherwise than one would think

def is_beyond(cell, pan):
    cell.graph.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > pan, 'the arm')


def test_a_goal_that_is_counted_as_cancelled_since_a_newer_one_came_at_its_end(cell):
    """It was reached, and its result was not told yet."""
    cell.jtc.monitor = 5.0
    older = cell.sent(cell.gate, swing(0.2, seconds=0.5))
    reply = older.get_result_async()
    is_beyond(cell, 0.2 - 1e-6)
    newer = cell.sent(cell.gate, swing(0.2, ahead(0.2), seconds=0.5))
    is_beyond(cell, 0.21)
    cell.jtc.monitor = 0.05
    assert cell.gate.outcome(newer)[0] == SUCCEEDED
    assert cell.graph.result(reply, limit=6.0).status in (CANCELED, ABORTED)


def test_a_stall_of_the_controller_is_no_fault_of_the_path(cell):
    """Its time jumps, and the joints with it: 0.1 rad in one cycle, along what was checked."""
    handle = cell.sent(cell.gate, swing(0.4, seconds=2.0))
    is_beyond(cell, 0.1)
    cell.jtc.stalls = True
    began = time.monotonic()
    cell.graph.wait(lambda: time.monotonic() > began + 0.5, 'the stall')
    cell.jtc.stalls = False
    status, result = cell.gate.outcome(handle)
    assert status == SUCCEEDED, result.error_string


def test_a_message_past_the_gate_is_seen_in_the_joints(cell):
    """The controller goes over to it, and keeps the goal of the gate's client."""
    publisher = cell.node.create_publisher(JointTrajectory, '/arm_controller/joint_trajectory',
                                           qos.TRAJECTORY)
    try:
        handle = cell.sent(cell.gate, swing(0.4, seconds=2.0))
        is_beyond(cell, 0.05)
        cell.graph.wait(publisher.get_subscription_count, 'the controller')
        foreign = swing(0.0, ahead(-0.5), seconds=1.0)
        del foreign.points[0]
        publisher.publish(foreign)
        status, result = cell.gate.outcome(handle)
        assert (status, result.error_code) == (ABORTED, RESULT.PATH_TOLERANCE_VIOLATED)
        assert 'shoulder_pan_joint is' in result.error_string
    finally:
        cell.node.destroy_publisher(publisher)


def test_a_controller_that_is_deactivated(cell):
    handle = cell.sent(cell.gate, swing(0.4, seconds=2.0))
    is_beyond(cell, 0.05)
    cell.jtc.deactivate()
    status, result = cell.gate.outcome(handle)
    assert (status, result.error_code) == (ABORTED, RESULT.INVALID_GOAL)
    assert 'cancelled during deactivate transition' in result.error_string
    cell.stands()
    status, result = cell.gate.run(swing(0.1, cell.arm.joints))
    assert status == ABORTED and 'rejected' in result.error_string


def test_tolerances_that_the_controller_drops_are_no_ones_but_the_gates(cell):
    """A name that it does not have, and it watches no joint any more."""
    cell.jtc.settings.tolerances = Tolerances()
    goal = FollowJointTrajectory.Goal(trajectory=swing(0.4, seconds=2.0), path_tolerance=[
        JointTolerance(name='elbow_joint', position=0.05),
        JointTolerance(name='joint_of_another', position=0.05)])
    handle = cell.sent(cell.gate, goal)
    is_beyond(cell, 0.05)
    cell.jtc.off = {'elbow_joint': 0.15}
    status, result = cell.gate.outcome(handle)
    assert (status, result.error_code) == (ABORTED, RESULT.PATH_TOLERANCE_VIOLATED)
    assert 'elbow_joint is 0.150 away' in result.error_string


def test_a_speed_slider_at_0_is_waited_for(cell):
    """Longer than `max_stall`: the driver says that the arm is not to move."""
    cell.jtc.slide(1.0)
    handle = cell.sent(cell.gate, swing(0.3, seconds=1.0))
    is_beyond(cell, 0.05)
    cell.jtc.slide(0.0)
    began = time.monotonic()
    cell.graph.wait(lambda: time.monotonic() > began + 2.6, 'longer than max_stall')
    cell.jtc.slide(1.0)
    status, result = cell.gate.outcome(handle)
    assert status == SUCCEEDED, result.error_string
