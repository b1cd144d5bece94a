# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate in mode enforce while the robot moves: cancels, newer goals, late evidence."""
import time

import pytest
from control_msgs.action import FollowJointTrajectory
from diagnostic_msgs.msg import DiagnosticStatus
from gate_bench import exact, finding, spoil_field
from gate_world import ABORTED, CANCELED, RESULT, SUCCEEDED
from graph import ahead, swing
from kinema4d_ros.msg import Finding, Verdict

from kinema4d_ros.bridge import qos

pytestmark = pytest.mark.timeout(120)
GOAL = FollowJointTrajectory.Goal


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
    assert 'goes on' in world.gate.decided('doubt', since).sentence
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
