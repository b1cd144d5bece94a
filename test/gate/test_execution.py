# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motions at the controller: stopped when they must be, and followed to their end."""

import pytest
from gate_driver import ahead, Driver, READY, swing

from kinema4d_ros.gate import Phase, ShadowSimAnswer
from kinema4d_ros.gate.commands import PingController
from kinema4d_ros.gate.events import (ClientCancelled, ControllerHeard, GoalEnd, JointsChanged,
                                      OperatorActed, OperatorAction, Tick, TrajectorySubmitted,
                                      VerdictAnswered)
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

CANCEL, NO = 'cancel at controller', ShadowSimAnswer(problem='no')
START = (Finding(FindingCode.START_STATE, Severity.FAIL, 'it has left its start'),)


def fail(request, status=Status.FAIL, findings=()):
    return Verdict(status, 'it spills', trajectory_hash=request.trajectory_hash,
                   findings=findings)


def test_a_cancel_is_repeated_until_the_controller_obeys():
    gate = Driver()
    request = gate.moving()
    gate.follow(0.5)
    gate.cancel(request)
    assert gate.machine.phase(request.number) is Phase.STOPPING
    for _ in range(4):
        gate.wait(0.3)
    assert gate.log.count(CANCEL) == 5
    gate.finish(request, GoalEnd.CANCEL, text='stopped')
    assert gate.machine.is_idle
    gate = Driver()
    request = gate.moving()
    gate.cancel(request)
    gate.finish(request, GoalEnd.CANCEL, text='stopped')
    assert (gate.ends[-1].how, gate.ends[-1].error_string) == (GoalEnd.CANCEL, 'stopped')


def drive(gate, seconds, speed, step=0.05):
    """Have time pass and the shoulder move, with what comes of both."""
    for _ in range(round(seconds / step)):
        gate.now += step
        gate.joints['shoulder_pan_joint'] += speed * step
        gate.handle(JointsChanged())
        gate.handle(Tick())


@pytest.mark.parametrize('by_client', [True, False])
@pytest.mark.parametrize('speed, words, how, most', [
    (0.0, 'the joints stand still since', GoalEnd.CANCEL, 1.15),
    (0.1, 'shoulder_pan_joint is still moving', GoalEnd.ABORT, 1.5)])
def test_a_client_hears_soon_of_a_cancel_that_never_ends(by_client, speed, words, how, most):
    gate = Driver(path_tolerance=3.0)
    request = gate.moving(swing(0.4, seconds=4.0))
    drive(gate, 0.5, 0.1)
    if by_client:
        gate.cancel(request)
    else:
        gate.hear(fail(request), 'r')
    stopped = gate.now
    while gate.told(request) is None:
        drive(gate, 0.05, speed)
    assert gate.now - stopped <= most
    assert gate.ends[-1].how is (how if by_client else GoalEnd.ABORT)
    assert words in gate.told(request) and 'has not ended it' in gate.told(request)
    assert ('cancelled by the client' if by_client else 'late evidence') in gate.told(request)


def test_a_client_hears_soon_that_nothing_is_known_of_the_joints():
    gate = Driver()
    request = gate.moving()
    for _ in range(60):         # joints and controller fall silent together
        gate.age += 0.05
        gate.wait(0.05)
        if gate.told(request):
            break
    assert gate.age <= 2.0
    assert 'cannot be watched' in gate.told(request)
    assert 'whether the robot moves is unknown: joint_states of' in gate.told(request)


@pytest.mark.parametrize('problem', [None, '2 nodes offer the action'])
def test_a_cancelled_motion_is_never_given_up_while_a_server_is_left_and_it_moves(problem):
    gate = Driver(path_tolerance=3.0)
    request = gate.moving()
    gate.cancel(request)
    gate.look(controller_problem=problem)
    for _ in range(3):
        drive(gate, 31.0, 0.02, step=0.1)
        assert CANCEL in gate.log[-3:]
    assert 'is still moving' in gate.told(request)      # its client knows
    assert gate.log.count('end') == 1 and not gate.machine.is_idle
    gate.finish(request, GoalEnd.CANCEL)
    assert gate.machine.is_idle and gate.log.count('end') == 1


def test_a_cancelled_motion_is_given_up_when_it_never_ends_and_nothing_moves():
    gate = Driver()
    request = gate.moving()
    gate.cancel(request)
    drive(gate, 29.0, 0.0)
    assert gate.log[-1] == CANCEL and not gate.machine.is_idle
    drive(gate, 2.0, 0.0)
    assert gate.machine.is_idle and 'the controller never ended it' in gate.sentence


def test_a_goal_that_was_left_as_being_cancelled_hinders_no_later_one():
    gate = Driver()
    first = gate.moving()
    gate.cancel(first)
    drive(gate, 1.2, 0.0)
    assert gate.ends[-1].how is GoalEnd.CANCEL
    second = gate.moving()
    assert gate.machine.executing == second.name
    chunk = gate.submit(swing(0.1, start=ahead(0.2)))       # it continues the second
    assert gate.question(chunk).question is not None
    drive(gate, 1.0, 0.3)
    gate.finish(second)
    drive(gate, 1.0, 0.0)
    assert gate.machine.phase(first.number) is Phase.ENDED


def test_what_a_newer_one_has_replaced_does_not_wait_for_ever():
    gate = Driver()
    older = gate.moving()
    newer = gate.moving(swing(-0.3))
    drive(gate, 1.9, 0.0)
    assert 'took a newer trajectory and has not ended it' in gate.told(older)
    assert gate.told(newer) is None
    drive(gate, 2.0, 0.0)
    assert gate.machine.phase(older.number) is Phase.ENDED


def test_a_cancelled_motion_is_given_up_when_no_server_is_left():
    gate = Driver()
    request = gate.moving()
    gate.cancel(request)
    gate.look(controller_problem='nobody offers it', controller_gone=True)
    gate.wait(0.4)
    assert 'nobody offers it: the joints stand still since 0.' in gate.told(request)
    assert gate.machine.is_idle
    gate.look()
    gate.log.clear()
    gate.accept(request)      # it comes back to life
    assert gate.log == [CANCEL]
    gate.wait(0.3)
    assert gate.log == [CANCEL, CANCEL]
    gate.finish(request, GoalEnd.CANCEL)
    assert gate.machine.is_idle and 'end' not in gate.log


def test_a_controller_that_falls_silent_is_noticed():
    """Killed with its process: the graph knows it for 20 s more."""
    gate = Driver()
    request = gate.moving(swing(0.3, seconds=10.0))
    drive(gate, 0.5, 0.03)
    gate.handle(ControllerHeard(request.number))
    drive(gate, 1.0, 0.03)
    assert gate.told(request) is None
    heard = gate.now
    gate.handle(ControllerHeard(request.number, {}))
    while gate.told(request) is None:
        drive(gate, 0.05, 0.0)
    assert gate.now - heard <= 1.6
    assert 'no sign of life' in gate.told(request) and 'stand still' in gate.told(request)


def test_a_controller_that_never_answers_a_ping_is_not_taken_for_dead():
    gate = Driver()
    request = gate.moving(swing(0.3, seconds=10.0))
    drive(gate, 5.0, 0.03)
    assert gate.told(request) is None
    pings = [command for command in gate.commands if isinstance(command, PingController)]
    assert 8 <= len(pings) <= 10


def test_a_goal_that_the_controller_takes_too_late_is_cancelled():
    gate = Driver()
    request = gate.submit()
    gate.pass_(request)
    gate.wait(2.5)
    assert 'controller does not answer' in gate.told(request)
    gate.log.clear()
    gate.accept(request)
    assert gate.log == [CANCEL]
    late = gate.submit()
    gate.pass_(late)
    gate.now += 2.5                      # no tick in between
    gate.log.clear()
    gate.accept(late)
    assert gate.log == [CANCEL, 'stop']


def test_a_goal_that_the_controller_does_not_answer_is_cancelled_on_and_no_other_is_sent():
    """It may have taken it, and move; and it may yet begin it."""
    gate = Driver()
    request = gate.submit()
    gate.pass_(request)
    drive(gate, 3.0, 0.0)
    assert gate.log.count(CANCEL) > 3
    other = gate.submit(swing(0.2))
    gate.pass_(other)
    assert 'has not answered to' in gate.told(other) and 'may yet begin it' in gate.told(other)
    gate.accept(request)
    gate.finish(request, GoalEnd.CANCEL)
    other = gate.submit(swing(0.2))
    gate.pass_(other)
    assert gate.machine.phase(other.number) is Phase.SENT


def test_a_motion_that_never_ends_is_cancelled():
    gate = Driver(overtime=1.0)
    request = gate.moving(time_tolerance=0.5)
    drive(gate, 1.0, 0.3)
    drive(gate, 1.4, 0.0)
    assert CANCEL not in gate.log
    drive(gate, 0.2, 0.0)
    assert CANCEL in gate.log
    drive(gate, 0.4, 0.0)
    assert 'has not ended the motion 1.0 s after its end' in gate.told(request)
    assert 'the joints stand still since 1.' in gate.told(request)


def test_a_client_hears_within_two_seconds_of_a_goal_that_never_ends():
    gate = Driver()
    request = gate.moving()             # 1 s
    drive(gate, 1.0, 0.3)
    ended = gate.now
    while gate.told(request) is None:
        drive(gate, 0.05, 0.0)
    assert gate.now - ended <= 2.0
    assert 'the joints stand still since' in gate.told(request)


@pytest.mark.parametrize('source, route, words', [
    ('topic', 'topic', 'AND CANNOT BE STOPPED'), ('topic', 'action', 'is being cancelled'),
    ('action', 'topic', 'is being cancelled')])
def test_what_went_by_topic_cannot_be_stopped(source, route, words):
    gate = Driver(topic_route=route)
    request = gate.submit(source=source)
    gate.pass_(request)
    gate.accept(request, can_be_cancelled=(source, route) != ('topic', 'topic'))
    gate.close('the end')
    assert words in gate.sentence


def test_what_went_by_topic_is_forgotten_when_it_is_over_or_replaced():
    gate = Driver(topic_route='topic')
    for angle in (0.1, 0.2):
        request = gate.submit(swing(angle), source='topic')
        gate.pass_(request)
        gate.accept(request, can_be_cancelled=False)
        assert gate.machine.executing == request.name
    gate.wait(1.1)
    assert gate.machine.is_idle and CANCEL not in gate.log


def test_monitor_never_cancels_by_itself():
    gate = Driver(mode='monitor', overtime=5.0)
    request = gate.submit()
    gate.wait(3.0)
    gate.accept(request)
    gate.move(elbow_joint=READY['elbow_joint'] + 1.0)
    assert gate.log[-1] == 'doubt'
    gate.age = 100.0
    gate.look(controller_problem='2 nodes offer the action')
    gate.wait(60.0)
    gate.wait(60.0)
    assert gate.log.count('doubt') == 2 and '2 nodes' in gate.sentence     # each said once
    gate.hear(fail(request), 'r')
    assert gate.log.count('doubt') == 3
    gate.look(controller_problem='nobody offers it', controller_gone=True)
    gate.wait()
    assert 'nobody offers it: whether the robot moves is unknown' in gate.told(request)
    assert CANCEL not in gate.log


def test_monitor_cancels_for_its_client():
    gate = Driver(mode='monitor')
    request = gate.submit()
    gate.accept(request)
    gate.cancel(request)
    assert CANCEL in gate.log


def test_a_controller_in_doubt_cancels():
    gate = Driver()
    request = gate.moving()
    gate.look(controller_problem='2 nodes offer the action')
    gate.wait(0.05)
    assert gate.log[-2:] == [CANCEL, 'stop']
    gate.finish(request, GoalEnd.CANCEL)
    assert gate.told(request) == '2 nodes offer the action'


def test_joints_that_leave_the_path_or_fall_silent_cancel():
    for silent in (False, True):
        gate = Driver()
        request = gate.moving()
        if silent:
            gate.age = 0.6
            gate.wait()
        else:
            gate.move(elbow_joint=READY['elbow_joint'] + 0.2)
        assert gate.log[-2:] == [CANCEL, 'stop']
        gate.finish(request, GoalEnd.CANCEL)
        assert ('cannot be watched' if silent else 'elbow_joint is 0.200') in gate.told(request)
        assert gate.ends[-1].error_code == (-1 if silent else -4)


def test_any_event_looks_at_joints_that_came_with_it():
    gate = Driver()
    gate.moving()
    gate.joints['elbow_joint'] += 0.2
    gate.hear(Verdict(Status.PASS, 'of another'))
    assert CANCEL in gate.log


# ---------------------------------------------------------------- late evidence

def test_only_a_fail_stops_what_is_executed():
    gate = Driver()
    request = gate.moving()
    for status, stopped in ((Status.UNSURE, False), (Status.FAIL, True)):
        gate.hear(fail(request, status), 'r')
        assert (CANCEL in gate.log) == stopped


def test_a_fail_after_one_about_the_start_alone_counts():
    gate = Driver()
    request = gate.moving()
    gate.hear(fail(request, findings=START), 'r')
    assert CANCEL not in gate.log           # of course: it has left its start
    contact = Finding(FindingCode.CONTACT, Severity.FAIL, 'it touches')
    gate.hear(fail(request, findings=(*START, contact)), 'r')
    assert CANCEL in gate.log


def test_a_late_fail_on_an_overridden_motion_is_reported():
    gate = Driver()
    gate.answer(request := gate.submit(), NO)
    assert gate.override(request.trajectory_hash)[0]
    again = gate.submit()
    gate.accept(again)
    gate.hear(fail(again), 'r')
    assert CANCEL not in gate.log
    assert gate.log[-1] == 'doubt' and "as the operator's override says" in gate.sentence


def test_late_evidence_that_is_only_reported():
    gate = Driver(late_evidence='report')
    request = gate.moving()
    gate.hear(fail(request), 'r')
    assert CANCEL not in gate.log and gate.sentence.endswith('goes on')


def test_the_graph_is_looked_at_for_decisions_and_not_for_each_joint_state():
    gate = Driver(path_tolerance=3.0)
    needs = gate.machine.needs_new_graph
    assert not needs(Tick(), gate.now) and not needs(JointsChanged(), gate.now)
    request = gate.request()
    for event in (TrajectorySubmitted(request), VerdictAnswered(1, NO),
                  OperatorActed(OperatorAction.APPROVE, '')):
        assert needs(event, gate.now)
    gate.moving(swing(0.4, seconds=4.0))
    assert needs(Tick(), gate.now) and not needs(JointsChanged(), gate.now)
    assert not needs(ClientCancelled(1), gate.now)       # a cancel must not take long
    gate.pass_(gate.submit(swing(0.1, start=ahead(0.3))), seconds=10)
    assert gate.log[-1] == 'hold'
    gate.follow(2.9)
    assert not needs(JointsChanged(), gate.now)
    gate.now += 0.1                     # it may be forwarded
    assert needs(JointsChanged(), gate.now)


def test_monitor_cancels_nothing_when_it_ends():
    gate = Driver(mode='monitor')
    request = gate.submit()
    gate.accept(request)
    gate.close('the gate is shutting down')
    assert CANCEL not in gate.log
    assert gate.told(request) == 'the gate is shutting down: the controller goes on with it'
