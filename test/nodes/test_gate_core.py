# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core of the gate without a graph: what happens when its own parts fail, and by the clock."""
import math

import numpy as np
import pytest
from control_msgs.action import FollowJointTrajectory
from graph import READY, swing, URDF
from hypothesis import given, settings, strategies as st

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.nodes.gate_core import Gate
from kinema4d_ros.nodes.gate_parameters import TABLE
from kinema4d_ros.nodes.gate_ticket import End, Ticket, ticket_from_topic
from kinema4d_ros.nodes.gate_watch import PathWatch
from kinema4d_ros.precheck.gate_rules import Answer, Situation
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import Status, Verdict

ROBOT = Robot.from_urdf(URDF)
NS = 1_000_000_000
RESULT = FollowJointTrajectory.Result


class Ports:
    """Everything around the core; time stands still unless a test moves it."""

    def __init__(self, **values):
        self.values = TABLE.validate({'controller': '/c', **values})
        self.now, self.log, self.raising = 100.0, [], set()
        self.robot, self.missing, self.stale, self.is_settled, self.is_ready = \
            ROBOT, '', '', True, True
        self.joints = dict(READY)
        self.gate = Gate(lambda: self.values, self, self, self, lambda: self.now)
        self.gate.execution.controller = self
        self.ends = []

    def note(self, what, ticket=None):
        self.log.append(what)
        if what in self.raising:
            raise RuntimeError(f'{what} is broken')

    # verdicts and controller
    def ask(self, ticket, deadline):
        self.note('ask')

    def abandon(self, ticket):
        self.note('abandon')

    def problem(self):
        return self.missing

    def send(self, ticket):
        self.note('send')

    def cancel(self, ticket):
        self.note('cancel')

    # state
    def now_ns(self):
        return round(self.now * NS)

    def positions(self, names):
        return self.joints

    def newest(self, names):
        return self.joints, self.now_ns()

    def joints_problem(self, names, max_age):
        return self.stale

    def controller_problem(self):
        return ''

    def situation(self, ticket):
        self.note('situation')
        return Situation(self.now_ns(), ROBOT.description_hash)

    # report
    def decision(self, what, sentence, ticket, **_):
        self.log.append(what)

    def failure(self, text):
        self.log.append('failure')

    # driving
    def ticket(self, trajectory=None):
        ticket = Ticket('action', FollowJointTrajectory.Goal(trajectory=trajectory or swing()),
                        on_end=lambda how, result: self.ends.append((how, result)))
        self.gate.submit(ticket)
        return ticket

    def pass_(self, ticket):
        self.gate.answered(ticket, Answer(Verdict(
            Status.PASS, 'fine', tiers_passed=(0,), scene_stamp_ns=self.now_ns(),
            trajectory_hash=ticket.request.trajectory_hash,
            robot_hash=ROBOT.description_hash), self.now_ns() + NS))

    def moving(self):
        ticket = self.ticket()
        self.pass_(ticket)
        self.gate.execution.accepted(ticket, 'handle')
        return ticket


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


# ---------------------------------------------------------------- the watch

def watch(window=0.3):
    return PathWatch(trajectory_from_message(swing()), ROBOT, READY, window)


def test_deviation_by_hand():
    path = watch()
    assert path.duration == 1.0
    halfway = {**READY, 'shoulder_pan_joint': 0.15}
    assert path.deviation(halfway, 0.5, 0.5)[1] < 1e-9
    assert path.deviation({'elbow_joint': READY['elbow_joint'] + 0.2}, 0.5, 0.5) == (
        'elbow_joint', pytest.approx(0.2))
    # 0.3 rad/s: half a second early is 0.06 rad beyond a window of 0.3 s
    name, value = path.deviation({'shoulder_pan_joint': 0.0}, 0.5, 0.5)
    assert (name, value) == ('shoulder_pan_joint', pytest.approx(0.06, abs=0.003))
    assert path.deviation({'shoulder_pan_joint': 0.3}, 7.0, 9.0)[1] < 1e-9     # held
    assert path.deviation({'nose': 3.0}, 0.5, 0.5) == ('', 0.0)
    assert path.deviation({'elbow_joint': math.nan}, 0.5, 0.5)[1] == math.inf


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 1.5), st.floats(-0.2, 0.2), st.integers(0, 7), st.floats(-0.5, 0.5))
def test_deviation_is_at_most_the_distance_to_any_sample_in_the_window(time, off, joint, by):
    motion = sample_trajectory(trajectory_from_message(swing()), ROBOT,
                               np.array([max(0.0, time + off)]), READY)
    live = dict(zip(motion.joint_names, motion.positions[0]))
    name = motion.joint_names[joint % len(motion.joint_names)]
    live[name] += by
    assert watch().deviation(live, time, time)[1] <= abs(by) + 0.3 * 0.005 + 1e-9


def test_a_wider_window_never_finds_more():
    live = {'shoulder_pan_joint': 0.0}
    values = [watch(window).deviation(live, 0.8, 0.8)[1] for window in (0.0, 0.1, 0.3, 1.0)]
    assert values == sorted(values, reverse=True)
