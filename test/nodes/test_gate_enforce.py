# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate in mode enforce, as a process on a real graph: what passes and what does not."""
import signal
import threading
import time

import pytest
import rclpy
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from gate_bench import exact, finding, spoil_field
from gate_world import ABORTED, Controller, RESULT, ROBOT_HASH, SUCCEEDED
from graph import made, swing, URDF
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Decision, Finding, RobotMotion, Verdict
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectoryPoint

from kinema4d_ros.bridge import qos

pytestmark = pytest.mark.timeout(120)
GOAL = FollowJointTrajectory.Goal


def odd_goal():
    """Return a goal with every field filled that may be."""
    trajectory = swing()
    trajectory.header.frame_id = 'what\u00e4ver'
    trajectory.points[1].velocities = [0.0] * 8
    trajectory.points[0].velocities = [-0.0] * 8
    goal = GOAL(trajectory=trajectory,
                path_tolerance=[JointTolerance(name='elbow_joint', position=0.5)],
                goal_tolerance=[JointTolerance(name='elbow_joint', velocity=-1.0)])
    goal.goal_time_tolerance.sec = 3
    return goal


def test_a_pass_is_forwarded_byte_for_byte_and_everything_comes_back(world):
    goal = odd_goal()
    world.controller.feedback = [FollowJointTrajectory.Feedback(joint_names=['a', 'b'])]
    world.controller.result = (True, RESULT(error_code=0, error_string='said by the controller'))
    handle = world.gate.send(goal)
    status, result = world.gate.outcome(handle)
    assert (status, result.error_string) == (SUCCEEDED, 'said by the controller')
    assert exact(world.controller.goals[-1]) == exact(goal)
    assert world.controller.ids[-1] == bytes(handle.goal_id.uuid)
    assert exact(world.shadow.asked[-1].candidates[0]) == exact(goal.trajectory)
    world.graph.wait(lambda: world.gate.feedback, 'feedback')
    assert world.gate.feedback[0] == world.controller.feedback[0]


def test_a_trajectory_by_topic_goes_on_as_a_goal_with_the_same_bytes(world):
    trajectory, before = odd_goal().trajectory, len(world.controller.goals)
    world.gate.topic.publish(trajectory)
    world.graph.wait(lambda: len(world.controller.goals) > before, 'the goal')
    assert exact(world.controller.goals[-1]) == exact(GOAL(trajectory=trajectory))
    assert world.controller.messages == []


def spoil_stamp(verdict, result):
    verdict.header.stamp.sec -= 60


def spoil_result(**fields):
    def spoil(verdict, result):
        for name, value in fields.items():
            setattr(result, name, value)
    return spoil


@pytest.mark.parametrize('spoil, words', [
    (spoil_field(status=Verdict.FAIL, summary='it hits the table'), 'FAIL: it hits the table'),
    (spoil_field(status=Verdict.UNSURE, summary='no image'), 'UNSURE: no image'),
    (spoil_field(status=77), 'UNSURE'),
    (spoil_field(trajectory_hash='00'), 'another trajectory'),
    (spoil_field(trajectory_hash=''), 'another trajectory'),
    (spoil_field(robot_hash='00'), 'another robot description'),
    (spoil_field(valid_until=rclpy.time.Time(seconds=5).to_msg()), 'expired'),
    (spoil_field(valid_until=rclpy.time.Time().to_msg()), 'not valid at any time'),
    (spoil_stamp, 'scene that was checked is 60'),
    (spoil_field(tiers_passed=[0]), 'tier 1 did not pass'),
    (spoil_field(findings=[finding()]), 'its findings do not'),
    (spoil_field(findings=[finding(Finding.UNSURE)]), 'its findings do not'),
    (spoil_field(findings=[finding(severity=9)]), 'its findings do not'),
    (spoil_result(error_code=Precheck.Result.MODEL_FAILED, error_msg='the worker restarts'),
     'the worker restarts'),
    (spoil_result(error_code=Precheck.Result.PREEMPTED, error_msg=''), 'error 103'),
    (spoil_result(verdicts=[]), '0 verdicts'),
    (lambda verdict, result: result.verdicts.append(verdict), '2 verdicts'),
])
def test_anything_but_a_fresh_matching_pass_is_refused_with_the_reason(world, spoil, words):
    world.shadow.spoil = spoil
    world.refused(words=words)


def test_unknown_joints_have_a_code_of_their_own(world):
    world.shadow.spoil = spoil_field(status=Verdict.FAIL, summary='no joint nose',
                                     findings=[finding(code=Finding.UNKNOWN_JOINT)])
    world.refused(words='nose', code=RESULT.INVALID_JOINTS)


def test_an_answer_that_aborts_or_a_question_that_is_rejected(world):
    world.shadow.end = 'abort'
    world.refused(words='did not finish')
    world.shadow.reset()
    world.shadow.accepts = False
    world.refused(words='rejected the question')


def test_a_slow_shadow_sim_is_none_and_its_late_pass_does_not_count(world):
    world.gate.set(verdict_timeout=0.3)
    world.shadow.slow = True
    before = len(world.controller.goals)
    world.refused(words='no verdict within 0.3 s')
    world.shadow.let_go.set()
    world.shadow.slow = False
    world.gate.set(verdict_timeout=20.0)
    world.passes()                       # and only this one arrived
    assert len(world.controller.goals) == before + 1


def efforts():
    goal = GOAL(trajectory=swing())
    goal.trajectory.points[0].effort = [1.0] * 8
    return goal


def multi_dof():
    goal = GOAL(trajectory=swing())
    goal.multi_dof_trajectory.points = [MultiDOFJointTrajectoryPoint()]
    return goal


def malformed():
    goal = GOAL(trajectory=swing())
    goal.trajectory.points[1].positions.pop()
    return goal


@pytest.mark.parametrize('goal, words', [
    (efforts(), 'commands efforts'), (multi_dof(), 'multi_dof_trajectory'),
    (malformed(), 'has 7 positions for 8 joints')])
def test_what_no_verdict_covers_is_refused_even_with_a_pass(world, goal, words):
    world.refused(goal, words)


def test_a_joint_that_nobody_tells_of_is_refused_even_with_a_pass(world):
    goal = GOAL()
    goal.trajectory.joint_names = ['nose']
    world.refused(goal, 'do not tell how far nose is', RESULT.INVALID_JOINTS)


def at(world, seconds):
    goal = GOAL(trajectory=swing())
    when = world.graph.node.get_clock().now() + rclpy.duration.Duration(seconds=seconds)
    goal.trajectory.header.stamp = when.to_msg()
    return goal


def test_a_start_in_the_past_or_after_the_verdict_expires(world):
    world.refused(at(world, -1.0), 'in the past', RESULT.OLD_HEADER_TIMESTAMP)
    world.refused(at(world, 60.0), 'after its verdict expires')


def test_a_robot_that_moves_while_it_is_checked(world):
    world.shadow.slow = True
    asked = len(world.shadow.asked)
    handle = world.gate.send(swing())
    world.graph.wait(lambda: len(world.shadow.asked) > asked, 'the question')
    world.put(push={'elbow_joint': 0.1})
    world.shadow.let_go.set()
    status, result = world.gate.outcome(handle)
    assert status == ABORTED and 'elbow_joint moved by 0.1' in result.error_string


def test_joints_that_are_silent(world):
    world.gate.set(max_joint_age=0.1)
    world.arm.on = False
    stamp = time.monotonic()
    world.graph.wait(lambda: time.monotonic() > stamp + 0.3, 'the joints to be stale')
    world.refused(words='joint_states of')
    world.arm.on = True


def test_joints_that_come_late(world):
    world.arm.stamp_offset, stamp = -1000.0, world.arm.put()
    try:
        world.gate.hears(lambda heard: heard < stamp - 900 * 10**9)
        world.refused(words='joint_states of shoulder_pan_joint are 100')
    finally:
        world.arm.stamp_offset = 0.0


def test_simulated_time_that_nobody_tells(world):
    world.gate.set(use_sim_time=True)
    try:
        world.refused(words='nothing is on /clock')
    finally:
        world.gate.set(use_sim_time=False)


def test_bytes_that_are_no_trajectory(world):
    before = len(world.gate.decisions)
    world.gate.topic.publish(serialize_message(swing())[:57])
    decision = world.gate.decided('refuse', before)
    assert 'it cannot be read' in decision.sentence
    world.passes()


@pytest.mark.parametrize('topic, kind, profile', [
    ('joint_states', JointState, qos.PREDICTION), ('verdict', Verdict, qos.VERDICT),
    ('robot_description', String, qos.ROBOT_DESCRIPTION)])
def test_bytes_that_are_no_message_on_what_it_listens_to(world, topic, kind, profile):
    with made() as other:
        publisher = other.node.create_publisher(kind, topic, profile)
        other.wait(lambda: publisher.get_subscription_count() >= 1, 'the gate')
        for _ in range(3):
            publisher.publish(b'\x00\x01\x00\x00' + bytes(range(37)))
        world.passes()
    assert world.gate.process.process.poll() is None


@pytest.mark.parametrize('spoil', [
    lambda motion: motion.points.clear(),
    lambda motion: setattr(motion.points[0], 'positions', [1.0]),
    lambda motion: setattr(motion.points[1], 'positions', [float('nan')] * 8)])
def test_a_motion_of_another_gate_that_cannot_be_read(world, spoil):
    """It does not end this gate, and while it is told nothing passes."""
    motion = RobotMotion(gate='/other', robot_hash=ROBOT_HASH, joint_states='/joint_states',
                         trajectory=1, motion=swing())
    spoil(motion.motion)
    told, times = world.graph.node.create_publisher(
        RobotMotion, '/robot_motions', qos.ROBOT_MOTIONS), []
    timer = world.graph.node.create_timer(
        0.1, lambda: (told.publish(motion), times.append(told.get_subscription_count())))
    try:
        world.graph.wait(lambda: sum(times) > 5, 'the gate to hear it')
        assert 'a motion of /other is under way' in world.refused()
    finally:
        world.graph.node.destroy_timer(timer)
        world.graph.node.destroy_publisher(told)
    end = time.monotonic() + 20.0
    while world.gate.run(swing())[0] != SUCCEEDED:      # until nobody tells of it any more
        assert time.monotonic() < end


def test_a_robot_description_that_is_none(world):
    with made() as other:
        publisher = other.node.create_publisher(String, 'robot_description',
                                                qos.ROBOT_DESCRIPTION)
        publisher.publish(String(data='<robot name="half"'))
        world.gate.wait(lambda: 'no robot description' in world.gate.status()[1])
        world.refused(words='the gate has no robot description')
        publisher.publish(String(data=URDF))
        world.gate.wait(lambda: 'no robot description' not in world.gate.status()[1])
    world.passes()


def test_a_gate_that_was_stopped_while_the_answer_came(world):
    answered = threading.Event()

    def soon(verdict, _):
        verdict.valid_until = (world.graph.node.get_clock().now()
                               + rclpy.duration.Duration(seconds=0.2)).to_msg()
        answered.set()

    world.shadow.slow, world.shadow.spoil = True, soon
    goals, asked = len(world.controller.goals), len(world.shadow.asked)
    handle = world.gate.send(swing())
    world.graph.wait(lambda: len(world.shadow.asked) > asked, 'the question')
    world.gate.process.process.send_signal(signal.SIGSTOP)
    world.shadow.let_go.set()
    world.graph.wait(answered.is_set, 'the answer')
    resumed = time.monotonic() + 0.5
    world.graph.wait(lambda: time.monotonic() > resumed, 'the verdict to expire')
    world.gate.process.process.send_signal(signal.SIGCONT)
    status, result = world.gate.outcome(handle)
    assert status == ABORTED and len(world.controller.goals) == goals
    assert 'expired' in result.error_string


def test_two_controllers(world):
    with made() as other:
        double = Controller(other.node, '/arm_controller')
        world.gate.wait(lambda: '2 nodes offer /arm_controller' in world.gate.status()[1])
        world.refused(words='2 nodes offer /arm_controller/follow_joint_trajectory')
        double.close()
        assert double.goals == double.messages == []
    world.gate.ready()      # it has to get to know the one that is left anew


# ---------------------------------------------------------------- operator, other commanders

def test_an_override_is_for_one_goal_and_one_trajectory(world):
    world.shadow.spoil = spoil_field(status=Verdict.FAIL, summary='it looks bad')
    world.refused(swing(0.25), 'it looks bad')
    assert 'forwarded once' in world.gate.call('override', swing(0.25))[1]
    world.refused(swing(0.2), 'it looks bad')
    before = len(world.controller.goals)
    world.passes(swing(0.25))
    assert world.gate.decided('override').mode == Decision.MODE_ENFORCE
    assert len(world.controller.goals) == before + 1
    world.refused(swing(0.25), 'it looks bad')
    assert 'override' in world.gate.process.output()


def test_services_that_have_nothing_to_do_say_so(world):
    for service in ('approve', 'deny'):
        done, text = world.gate.call(service, swing())
        assert not done and 'no trajectory waits' in text


def test_others_that_command_the_controller_are_named(world):
    with made() as other:
        other.node.create_publisher(JointTrajectory, '/arm_controller/joint_trajectory', 10)
        _, message = world.graph.wait(
            lambda: (s := world.gate.status()) and 'tester (' in s[1] and s, 'the warning')
        assert 'tester (publishes /arm_controller/joint_trajectory)' in message
    output = world.gate.process.output()
    assert 'can be commanded past the gate' in output and 'by a remap' in output
