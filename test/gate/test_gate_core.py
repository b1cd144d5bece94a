# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core of the gate without a graph: what happens when its own parts fail, and by the clock."""
import dataclasses
import math

import numpy as np
import pytest
from control_msgs.action import FollowJointTrajectory
from gate_ports import NS, Ports, RESULT
from graph import ahead, READY, swing

from kinema4d_ros.gate.rules import Answer
from kinema4d_ros.nodes.trajectory_gate.ticket import End, Ticket, ticket_from_topic
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict


def test_the_way_of_a_good_trajectory():
    ports = Ports()
    ticket = ports.moving()
    assert [what for what in ports.log if what != 'situation'] == ['ask', 'forward', 'send']
    ports.gate.execution.finished(ticket, True, False, RESULT(error_string='there'))
    assert ports.ends == [(End.SUCCEED, RESULT(error_string='there'))]
    assert ports.gate.is_idle


@pytest.mark.parametrize('part', ['ask', 'situation', 'send'])
def test_a_part_that_raises_lets_nothing_pass(part):
    ports = Ports()
    ports.raising = {part}
    ticket = ports.ticket()
    if part != 'ask':
        ports.pass_(ticket)
    (how, result), = ports.ends
    assert how == End.ABORT and f'internal error: RuntimeError: {part} is broken' in \
        result.error_string
    assert 'failure' in ports.log
    if part == 'send':      # it may have gone out: cancelled before anything is said
        assert ports.log.index('cancel') < ports.log.index('failure')
    else:
        assert 'send' not in ports.log


def test_on_a_failure_every_motion_is_cancelled_even_if_one_cancel_raises():
    ports = Ports()
    ports.moving()
    ports.moving()
    waiting = ports.ticket()
    ports.raising, ports.log = {'cancel'}, []
    ports.gate.close('the gate failed')
    assert ports.log[0] == 'cancel' and ports.log.count('cancel') == 2
    assert waiting.ended and ports.ends[-1][1].error_string == 'the gate failed'
    ports.ticket()
    assert ports.ends[-1][1].error_string == 'the gate failed'
    assert 'send' not in ports.log


def test_a_cancel_is_repeated_until_the_controller_obeys_and_given_up_in_the_end():
    ports = Ports()
    ticket = ports.moving()
    ports.gate.cancel(ticket)
    for _ in range(10):
        ports.now += 0.3
        ports.gate.tick()
    assert ports.log.count('cancel') > 8
    ports.now += 60.0
    ports.gate.tick()
    assert 'whether the robot moves is unknown' in ports.ends[-1][1].error_string
    ports.log.clear()
    ports.gate.execution.accepted(ticket, 'handle')      # it comes back to life
    assert ports.log == ['cancel']


def test_a_goal_that_the_controller_takes_too_late_is_cancelled():
    ports = Ports()
    ticket = ports.ticket()
    ports.pass_(ticket)
    ports.now += 2.5
    ports.gate.tick()
    assert 'controller does not answer' in ports.ends[-1][1].error_string
    ports.log.clear()
    ports.gate.execution.accepted(ticket, 'handle')
    assert ports.log == ['cancel']


def test_a_motion_that_never_ends_is_cancelled():
    ports = Ports(overtime=5.0)
    ports.moving()
    ports.now += 5.9
    ports.gate.tick()
    assert 'cancel' not in ports.log
    ports.now += 0.2
    ports.gate.tick()
    assert 'cancel' in ports.log


def test_monitor_never_cancels_by_itself():
    ports = Ports(mode='monitor', overtime=5.0)
    ticket = ports.ticket()
    ports.now += 3.0
    ports.gate.tick()
    ports.gate.execution.accepted(ticket, 'handle')
    ports.joints['elbow_joint'] += 1.0
    ports.gate.execution.joints_changed()
    ports.stale = 'silent'
    ports.now += 60.0
    ports.gate.tick()
    assert 'cancel' not in ports.log and 'doubt' in ports.log


def test_an_absent_shadow_sim_is_waited_for_only_at_the_start():
    ports = Ports()
    ports.missing, ports.is_settled = 'none there', False
    ports.ticket()
    ports.gate.tick()
    assert ports.ends == []
    ports.missing = ''
    ports.gate.tick()
    assert ports.log[-1] == 'ask'
    ports.missing, ports.is_settled = 'none there', True
    ports.ticket()
    assert 'none there' in ports.ends[-1][1].error_string


def test_joints_that_have_not_been_heard_are_waited_for_only_at_the_start():
    ports = Ports()
    ports.joints, ports.is_settled = {}, False
    ticket = ports.ticket()
    ports.gate.tick()
    assert 'ask' not in ports.log
    ports.joints = dict(READY)
    ports.gate.tick()
    assert ports.log[-1] == 'ask' and ticket.start == READY
    ports.joints, ports.is_settled = {}, True
    ports.ticket()
    assert ports.log[-1] == 'ask'


def test_bytes_that_are_no_message_and_things_that_are_no_trajectory():
    ticket = ticket_from_topic(b'\x00\x01\x00\x00nonsense')
    assert 'cannot be read' in ticket.request.problem
    ports = Ports(mode='monitor')
    ports.gate.submit(ticket)
    assert ports.log == ['refuse'] and 'unreadable' in ticket.name
    short = swing()
    short.points[0].positions.pop()
    ticket = ports.ticket(short)
    assert 'has 7 positions' in ticket.request.problem
    assert 'send' in ports.log            # monitor leaves it to the controller


def test_an_override_of_what_was_only_just_refused_after_another():
    ports = Ports()
    assert ports.gate.override() == (False, 'no trajectory that could be forwarded has been '
                                     'refused')
    for angle in (0.1, 0.2):
        ports.gate.answered(ports.ticket(swing(angle)), Answer(problem='no'))
    assert 'only just been refused' in ports.gate.override()[1]
    ports.now += 2.0
    assert ports.gate.override()[0]
    ports.now += 61.0                     # too late
    ports.ticket(swing(0.2))
    assert 'send' not in ports.log and ports.log[-1] == 'ask'


@pytest.mark.parametrize('status', [Status.FAIL, Status.UNSURE])
@pytest.mark.parametrize('mode', ['enforce', 'advise'])
def test_a_worse_verdict_before_it_is_forwarded(mode, status):
    ports = Ports(mode=mode)
    if mode == 'enforce':
        ports.moving(swing(0.4, seconds=4.0))
        ticket = ports.ticket(swing(0.1, start=ahead(0.3)))
    else:
        ticket = ports.ticket()
    ports.pass_(ticket, seconds=10, rollout_id='r', final=False)
    assert ports.log[-1] == {'enforce': 'hold', 'advise': 'ask'}[mode]
    worse = Verdict(status, 'it spills', trajectory_hash=ticket.request.asked_hash)
    ports.now += 2.0
    ports.gate.evidence(Answer(worse, rollout_id='r'))
    if mode == 'enforce':
        assert ports.ends[-1][1].error_string == f'{status.name}: it spills'
    else:
        assert f'{status.name}: it spills' in ports.sentence
        assert 'look at it first' in ports.gate.decide(True)[1]
        softer = dataclasses.replace(worse, status=Status.UNSURE)
        ports.gate.evidence(Answer(softer, rollout_id='of somebody else'))
        assert f'{status.name}: it spills' in ports.sentence
    ports.log.clear()
    ports.gate.evidence(Answer(worse, rollout_id='r'))      # known by now
    assert ports.log == []
    assert 'send' not in ports.log


@pytest.mark.parametrize('status', [Status.FAIL, Status.UNSURE])
def test_a_pass_that_was_already_taken_back(status):
    for mode in ('enforce', 'advise'):
        ports = Ports(mode=mode)
        ticket = ports.ticket()
        worse = Verdict(status, 'it spills', trajectory_hash=ticket.request.asked_hash)
        ports.gate.evidence(Answer(worse, rollout_id='r'))
        assert not ticket.ended                     # the answer to its question is still to come
        ports.pass_(ticket, rollout_id='r', final=False)
        assert 'send' not in ports.log
        assert f'{status.name}: it spills' in ports.sentence
    ports.pass_(ports.ticket(), rollout_id='r2')    # another look at the world
    assert 'PASS' in ports.sentence


def test_only_a_fail_stops_what_is_executed():
    ports = Ports()
    ticket = ports.moving()
    for status, stopped in ((Status.UNSURE, False), (Status.FAIL, True)):
        ports.gate.evidence(Answer(Verdict(status, 'it spills', trajectory_hash=ticket.request
                                           .asked_hash), rollout_id='r'))
        assert ('cancel' in ports.log) == stopped


def test_an_override_is_for_all_that_the_goal_commands():
    def efforts(value):
        trajectory = swing()
        trajectory.points[0].effort = [value] * len(trajectory.joint_names)
        return trajectory

    ports = Ports()
    ports.gate.answered(ports.ticket(efforts(1.0)), Answer(problem='no'))
    assert ports.gate.override()[0]
    other = ports.ticket(efforts(50.0))
    assert other.request.trajectory_hash == swing_hash() and not other.overridden
    multi = FollowJointTrajectory.Goal(trajectory=efforts(1.0))
    multi.multi_dof_trajectory.joint_names = ['base']
    same = FollowJointTrajectory.Goal(trajectory=efforts(1.0))
    same.trajectory.header.stamp.sec = 200
    assert Ticket('action', multi).goal_digest != Ticket('action', same).goal_digest
    assert 'send' not in ports.log
    ports.gate.submit(Ticket('topic', same))
    assert ports.log[-1] == 'send'


def swing_hash():
    return Ticket('action', FollowJointTrajectory.Goal(trajectory=swing())).request.trajectory_hash


def test_what_cannot_be_watched_goes_out_only_by_an_override():
    ports = Ports()
    ports.robot = None
    ports.pass_(ports.ticket())
    assert 'cannot be watched: the gate has no robot' in ports.ends[-1][1].error_string
    assert 'send' not in ports.log
    assert ports.gate.override()[0]
    ports.ticket()
    assert ports.log[-2:] == ['unwatched', 'send']


@pytest.mark.parametrize('cancelled, text, words', [
    (False, 'joint 3 is stuck', 'joint 3 is stuck'), (False, '', 'aborted'),
    (True, '', 'cancelled'), (True, 'stopped', 'stopped')])
def test_how_a_motion_ended_is_said(cancelled, text, words):
    ports = Ports()
    ports.gate.execution.finished(ports.moving(), False, cancelled, RESULT(error_string=text))
    assert ports.sentence.endswith(f'ended: {words}')


def test_ten_thousand_trajectories_of_which_only_a_fresh_full_pass_goes_out():
    random = np.random.default_rng(0)
    ports, sent = Ports(required_tiers=[0, 1]), 0
    bad = {
        'status': (Status.FAIL, Status.UNSURE), 'tiers_passed': ((), (0,), (1,), (0, 2)),
        'trajectory_hash': ('', '00', 'f' * 64), 'robot_hash': ('', '00'),
        'scene_stamp_ns': (0, 1, ports.now_ns() + 100 * NS, ports.now_ns() - 11 * NS),
        'findings': ((Finding(FindingCode.CONTACT, Severity.FAIL, ''),),
                     (Finding(FindingCode.NOT_CHECKED, Severity.UNSURE, ''),)),
        'seconds': (0, -1, -100), 'problem': ('it restarts',),
        'controller_problem': ('gone',), 'gate_problem': ('two',), 'joints_problem': ('silent',),
        'shadow_sim_problem': ('two',), 'moved': (0.1, math.nan, math.inf),
        'numbers': ('short', 'effort', 'twice', 'nan', 'inf')}
    for _ in range(10_000):
        wrong = set(random.choice(list(bad), random.integers(0, 3), replace=False))
        chosen = {name: bad[name][random.integers(len(bad[name]))] for name in wrong}
        message = swing(float(random.uniform(-3, 3)))
        if 'numbers' in wrong:
            {'short': message.points[1].positions.pop, 'twice': lambda m=message:
             m.joint_names.__setitem__(1, m.joint_names[0]), 'effort': lambda m=message:
             m.points[0].effort.append(1.0), 'nan': lambda m=message:
             m.points[1].positions.__setitem__(2, np.nan), 'inf': lambda m=message:
             m.points[1].positions.__setitem__(2, np.inf)}[chosen['numbers']]()
        elif random.random() < 0.5:     # numbers of any size are judged by shadow_sim
            message.points[1].positions[2] = float(random.choice([-1e308, 1e-320]))
        ports.log.clear()
        ticket = ports.ticket(message)
        ports.problems = {name: value for name, value in chosen.items()
                          if name.endswith('_problem')}
        ports.joints = {name: value + chosen.get('moved', 0.0) for name, value in READY.items()}
        fields = {name: chosen[name] for name in wrong & {
            'status', 'tiers_passed', 'trajectory_hash', 'robot_hash', 'scene_stamp_ns',
            'findings'}}
        if 'problem' in wrong:
            ports.gate.answered(ticket, Answer(problem='it restarts'))
        else:
            ports.pass_(ticket, **{'tiers_passed': (0, 1), **fields,
                                   'seconds': chosen.get('seconds', 1)})
        assert ('send' in ports.log) == (not wrong), (wrong, ports.ends[-1:])
        ports.joints, ports.problems, sent = dict(READY), {}, sent + (not wrong)
        if not wrong:
            ports.gate.execution.finished(ticket, True, False, RESULT())
        assert ports.gate.is_idle
    assert 1000 < sent < 9000
