# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate in mode enforce, as a process on a real graph: what passes and what does not."""
import signal
import time

import pytest
import rclpy
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from diagnostic_msgs.msg import DiagnosticStatus
from gate_world import (
    ABORTED,
    Arm,
    CANCELED,
    Controller,
    exact,
    finding,
    Gate,
    Nodes,
    of,
    RESULT,
    ShadowSim,
    SUCCEEDED,
)
from graph import made, READY, swing, URDF
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectoryPoint

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge import qos
from kinema4d_ros.msg import Finding, Verdict

pytestmark = pytest.mark.timeout(120)
GOAL = FollowJointTrajectory.Goal


class World:
    """A gate between the test and a controller, with a shadow_sim that obeys the test."""

    def __init__(self, graph):
        self.graph = graph
        self.arm = Arm(graph.node)
        self.controller = Controller(graph.node, '/arm_controller', self.arm)
        self.shadow = ShadowSim(graph.node)

    def reset(self):
        self.controller.let_go.set()
        self.shadow.let_go.set()
        self.controller.reset()
        self.shadow.reset()
        self.put(READY)
        self.gate.set(verdict_timeout=20.0, late_evidence='cancel', max_joint_age=10.0,
                      path_tolerance=3.0, path_window=0.3)
        self.gate.feedback.clear()

    def put(self, joints=None, push=None):
        """Have the arm somewhere, and the gate know it."""
        stamp = self.arm.put(joints, push)
        self.gate.hears(lambda heard: heard > stamp)

    def refused(self, goal=None, words='', code=RESULT.INVALID_GOAL):
        """Send a goal that must not pass, and return what the client is told."""
        before = len(self.controller.goals), len(self.controller.messages)
        status, result = self.gate.run(goal or swing())
        assert status == ABORTED
        assert result.error_code == code, result.error_string
        assert words in result.error_string
        assert (len(self.controller.goals), len(self.controller.messages)) == before
        return result.error_string

    def passes(self, goal=None):
        status, result = self.gate.run(goal or swing())
        assert status == SUCCEEDED, result.error_string

    def moving(self, goal=None):
        """Return the handle of a goal that the controller is executing."""
        self.controller.hold = True
        before, since = len(self.controller.ids), len(self.gate.decisions)
        handle = self.gate.send(goal or swing())
        self.gate.decided('forward', since)
        self.graph.wait(lambda: len(self.controller.ids) > before, 'the controller to execute')
        return handle


@pytest.fixture(scope='module')
def shared(module_ros_domain):
    graph = Nodes()
    try:
        world = World(graph)
        with made() as tester:
            world.gate = Gate(tester, '/arm_controller')
            world.graph = tester
            try:
                world.gate.ready()
                world.reset()
                yield world
            finally:
                world.controller.let_go.set()
                world.shadow.let_go.set()
                world.gate.stop()
    finally:
        graph.close()


@pytest.fixture
def world(shared):
    yield shared
    shared.reset()


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


def spoil_field(**fields):
    def spoil(verdict, result):
        for name, value in fields.items():
            setattr(verdict, name, value)
    return spoil


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
    assert 'it cannot be read' in decision.message
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
    def soon(verdict, _):
        verdict.valid_until = (world.graph.node.get_clock().now()
                               + rclpy.duration.Duration(seconds=0.2)).to_msg()

    world.shadow.slow, world.shadow.spoil = True, soon
    goals, asked = len(world.controller.goals), len(world.shadow.asked)
    handle = world.gate.send(swing())
    world.graph.wait(lambda: len(world.shadow.asked) > asked, 'the question')
    world.gate.process.process.send_signal(signal.SIGSTOP)
    world.shadow.let_go.set()
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
    world.gate.wait(lambda: '2 nodes' not in world.gate.status()[1])


# ---------------------------------------------------------------- while it moves

def test_cancel_reaches_the_controller_and_the_client_gets_its_result(world, record_property):
    times = []
    for _ in range(5):
        handle = world.moving()
        sent, before = time.monotonic(), len(world.controller.cancels)
        reply = handle.cancel_goal_async()
        world.graph.wait(lambda n=before: len(world.controller.cancels) > n, 'the cancel')
        times.append(world.controller.cancels[before] - sent)
        assert len(world.graph.result(reply).goals_canceling) == 1
        status, result = world.gate.outcome(handle)
        assert (status, result.error_string) == (CANCELED, 'stopped')
    record_property('cancel_ms', [round(1000 * t, 1) for t in sorted(times)])
    print('cancel reached the controller after [ms]:', [round(1000 * t, 1) for t in times])


def test_cancel_before_it_is_forwarded(world):
    world.shadow.slow = True
    before = len(world.controller.goals)
    handle = world.gate.send(swing())
    asked = world.shadow.cancels
    world.graph.ask(handle.cancel_goal_async)
    status, result = world.gate.outcome(handle)
    assert status == CANCELED and 'before it was forwarded' in result.error_string
    world.shadow.slow = False
    world.passes()
    assert len(world.controller.goals) == before + 1
    assert world.shadow.cancels >= asked


def test_a_newer_goal_preempts_at_the_controller(world):
    older = world.moving(swing(0.001))       # where it is when the newer one comes is the same
    newer = world.moving(swing(0.1))
    status, result = world.gate.outcome(older)
    assert (status, result.error_string) == (ABORTED, 'a newer goal came')
    world.controller.let_go.set()
    assert world.gate.outcome(newer)[0] == SUCCEEDED


def ahead(angle):
    """Return where the shoulder is `angle` further than at the start."""
    return READY | {'shoulder_pan_joint': READY['shoulder_pan_joint'] + angle}


def test_what_continues_a_motion_is_checked_with_it_and_held_until_the_robot_is_there(world):
    older = world.moving(swing(0.4, seconds=4.0))
    chunk, since = swing(0.1, start=ahead(0.3)), len(world.gate.decisions)
    newer = world.gate.send(chunk)
    world.gate.decided('hold', since)
    asked = world.shadow.asked[-1].candidates[0]       # the way to 0.3, and then the chunk
    assert [list(point.positions) for point in asked.points[-2:]] == [
        list(point.positions) for point in chunk.points]
    assert len(asked.points) > 50 and asked.header.stamp.sec == 0
    angles = [point.positions[0] for point in asked.points[:-1]]
    assert angles == sorted(angles) and angles[-1] == pytest.approx(0.3)
    before = len(world.controller.ids)
    world.gate.decided('forward', since)
    assert world.arm.joints['shoulder_pan_joint'] > 0.27
    world.graph.wait(lambda: len(world.controller.ids) > before, 'the controller')
    assert exact(world.controller.goals[-1]) == exact(GOAL(trajectory=chunk))
    assert world.gate.outcome(older)[1].error_string == 'a newer goal came'
    world.controller.let_go.set()
    assert world.gate.outcome(newer)[0] == SUCCEEDED


def test_what_continues_a_motion_goes_down_with_it(world):
    older, since = world.moving(swing(0.4, seconds=20.0)), len(world.gate.decisions)
    goals, newer = len(world.controller.goals), world.gate.send(swing(0.1, start=ahead(0.3)))
    world.gate.decided('hold', since)
    world.graph.ask(older.cancel_goal_async)
    assert 'the motion that it continues is cancelled: cancelled by the client' in \
        world.gate.outcome(newer)[1].error_string
    assert world.gate.outcome(older)[0] == CANCELED
    assert len(world.controller.goals) == goals


def test_a_fail_that_comes_while_it_is_held(world):
    world.moving(swing(0.4, seconds=20.0))
    goals, since = len(world.controller.goals), len(world.gate.decisions)
    newer = world.gate.send(swing(0.1, start=ahead(0.3)))
    world.gate.decided('hold', since)
    asked = world.shadow.asked[-1].candidates[0]
    world.shadow.verdict.publish(late(world, asked))
    status, result = world.gate.outcome(newer)
    assert (status, result.error_string) == (ABORTED, 'FAIL: it will spill')
    assert len(world.controller.goals) == goals


def test_a_later_verdict_on_the_same_rollout_counts(world):
    rollout = []
    world.shadow.spoil = lambda verdict, _: (
        setattr(verdict, 'final', False), rollout.append(verdict.rollout_id))
    handle = world.moving()                  # what was required has passed: it goes on
    world.shadow.verdict.publish(late(world, swing(), rollout_id=rollout[0], final=True))
    status, result = world.gate.outcome(handle)
    assert (status, result.error_string) == (ABORTED, 'late evidence: FAIL: it will spill')


def test_a_newer_goal_takes_the_place_of_one_that_waits(world):
    world.shadow.slow = True
    older, newer = world.gate.send(swing()), world.gate.send(swing(0.1))
    status, result = world.gate.outcome(older)
    assert status == ABORTED and 'replaced by a newer' in result.error_string
    world.shadow.let_go.set()
    assert world.gate.outcome(newer)[0] == SUCCEEDED
    assert exact(world.controller.goals[-1]) == exact(GOAL(trajectory=swing(0.1)))


def test_a_refused_newer_goal_leaves_the_motion_alone(world):
    older = world.moving()
    world.shadow.spoil = spoil_field(status=Verdict.FAIL)
    world.refused(swing(0.1))
    world.controller.let_go.set()
    assert world.gate.outcome(older)[0] == SUCCEEDED


def test_what_the_controller_says_is_relayed(world):
    world.controller.result = (False, RESULT(error_code=-5, error_string='not there'))
    status, result = world.gate.run(swing())
    assert (status, result.error_code, result.error_string) == (ABORTED, -5, 'not there')
    world.controller.accepts = False
    status, result = world.gate.run(swing())
    assert status == ABORTED and 'controller rejected' in result.error_string


def late(world, trajectory, **fields):
    """Return a FAIL that shadow_sim publishes."""
    verdict = world.shadow.pass_of(trajectory)
    verdict.status, verdict.rollout_id, verdict.summary = Verdict.FAIL, 'late', 'it will spill'
    for name, value in fields.items():
        setattr(verdict, name, value)
    return verdict


def test_late_evidence_is_not_lost_in_a_burst(world):
    handle = world.moving()
    world.shadow.verdict.publish(late(world, swing(), rollout_id='first of many'))
    for number in range(15):
        world.shadow.verdict.publish(late(world, swing(2.0), rollout_id=f'other {number}'))
    assert world.gate.outcome(handle)[1].error_string == 'late evidence: FAIL: it will spill'


def test_a_shadow_sim_whose_late_evidence_nobody_would_hear(world):
    node = world.arm._node
    node.destroy_publisher(world.shadow.verdict)
    try:
        world.gate.wait(lambda: 'there is no late evidence' in world.gate.status()[1])
        assert world.gate.status()[0] == DiagnosticStatus.WARN
        world.passes()
    finally:
        world.shadow.verdict = node.create_publisher(Verdict, 'verdict', qos.VERDICT)
    world.gate.wait(lambda: 'there is no late evidence' not in world.gate.status()[1])


def test_late_evidence_cancels(world):
    handle = world.moving()
    world.shadow.verdict.publish(late(world, swing(), trajectory_hash='00', rollout_id='a'))
    world.shadow.verdict.publish(late(world, swing(), status=Verdict.UNSURE, rollout_id='b'))
    world.shadow.verdict.publish(late(world, swing(), rollout_id='c', findings=[
        finding(code=Finding.START_STATE)]))
    world.shadow.verdict.publish(late(world, swing(), rollout_id='d', findings=[finding()]))
    status, result = world.gate.outcome(handle)
    assert status == ABORTED
    assert result.error_string == 'late evidence: FAIL: it will spill'


def test_late_evidence_that_is_only_reported(world):
    world.gate.set(late_evidence='report')
    handle, since = world.moving(), len(world.gate.decisions)
    world.shadow.verdict.publish(late(world, swing(), rollout_id='e'))
    assert 'goes on' in world.gate.decided('doubt', since).message
    world.controller.let_go.set()
    assert world.gate.outcome(handle)[0] == SUCCEEDED


def test_joints_that_follow_the_trajectory_are_left_alone(world):
    world.gate.set(path_tolerance=0.1, path_window=5.0)
    handle = world.moving()
    world.graph.wait(lambda: world.arm.joints['shoulder_pan_joint'] == 0.3, 'the end of the path')
    world.controller.let_go.set()
    assert world.gate.outcome(handle)[0] == SUCCEEDED


def test_joints_that_leave_the_trajectory_cancel_it(world):
    world.gate.set(path_tolerance=0.1, path_window=5.0)
    handle = world.moving()
    world.arm.push = {'elbow_joint': 0.25}
    status, result = world.gate.outcome(handle)
    assert status == ABORTED
    assert result.error_code == RESULT.PATH_TOLERANCE_VIOLATED
    assert 'elbow_joint is 0.25' in result.error_string


def test_joints_that_fall_silent_in_motion_cancel_it(world):
    world.gate.set(max_joint_age=0.4)
    handle = world.moving()
    world.arm.on = False
    status, result = world.gate.outcome(handle)
    assert status == ABORTED and 'cannot be watched' in result.error_string


# ---------------------------------------------------------------- operator, side doors

def test_an_override_is_for_one_goal_and_one_trajectory(world):
    world.shadow.spoil = spoil_field(status=Verdict.FAIL, summary='it looks bad')
    world.refused(swing(0.25), 'it looks bad')
    assert 'forwarded once' in world.gate.insist('override')
    world.refused(swing(0.2), 'it looks bad')
    before = len(world.controller.goals)
    world.passes(swing(0.25))
    assert of(world.gate.decided('override'))['mode'] == 'enforce'
    assert len(world.controller.goals) == before + 1
    world.refused(swing(0.25), 'it looks bad')
    assert 'override' in world.gate.process.output()


def test_services_that_have_nothing_to_do_say_so(world):
    for service in ('approve', 'deny'):
        done, text = world.gate.call(service)
        assert not done and 'no trajectory waits' in text


def test_side_doors_are_named(world):
    with made() as other:
        other.node.create_publisher(JointTrajectory, '/arm_controller/joint_trajectory', 10)
        _, message = world.graph.wait(
            lambda: (s := world.gate.status()) and 'tester (' in s[1] and s, 'the warning')
        assert 'tester (publishes /arm_controller/joint_trajectory)' in message
    output = world.gate.process.output()
    assert 'can be commanded past the gate' in output and 'by a remap' in output


def test_nothing_has_reached_the_controller_but_what_was_forwarded(world):
    """Of all that the tests above have tried; the gate's own words against the controller's."""
    world.passes()
    forwarded = {of(decision)['goal_id'] for decision in world.gate.decisions
                 if of(decision)['decision'] == 'forward' and of(decision)['source'] == 'action'}
    by_topic = [decision for decision in world.gate.decisions if
                of(decision)['decision'] == 'forward' and of(decision)['source'] == 'topic']
    assert len(world.controller.goals) <= len(forwarded) + len(by_topic)
    assert len({goal.hex() for goal in world.controller.ids} - forwarded) <= len(by_topic)
    assert world.controller.messages == []
