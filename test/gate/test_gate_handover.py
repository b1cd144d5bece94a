# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core of the gate with a motion that continues another: asked about with it, held, sent."""
import numpy as np
import pytest
from gate_ports import Ports, RESULT, ROBOT
from graph import ahead, READY, swing
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.gate.handover import find_handover
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.rules import Answer
from kinema4d_ros.precheck import check_tier0
from kinema4d_ros.types import Severity, Status, Verdict


def follow(ports, seconds):
    """Have time go on and the joints follow 0.1 rad/s."""
    ports.now += seconds
    ports.joints['shoulder_pan_joint'] += 0.1 * seconds
    ports.gate.joints_changed()


def test_what_continues_a_motion_is_held_until_the_robot_is_there():
    ports = Ports(path_tolerance=3.0)
    ports.moving(swing(0.4, seconds=4.0))
    follow(ports, 1.0)
    ticket = ports.ticket(swing(-0.1, start=ahead(0.3)))
    assert ticket.request.asked_hash != ticket.request.trajectory_hash
    asked = trajectory_from_message(ticket.question)
    assert asked.times[0] >= 0.25 and asked.times[-2:] == pytest.approx([2.0, 3.0], abs=1e-2)
    rest = asked.times[:-2]
    assert asked.positions[:-2, 0] == pytest.approx(0.1 + 0.1 * rest, abs=1e-6)
    assert np.array_equal(asked.positions[-2:], ticket.trajectory.positions)
    ports.log.clear()
    ports.pass_(ticket, seconds=10)
    for _ in range(9):
        follow(ports, 0.2)
    assert 'hold' in ports.log and 'send' not in ports.log
    follow(ports, 0.2)
    assert ports.log[-1] == 'send'


def test_what_continues_at_the_end_goes_out_when_the_motion_is_over():
    ports = Ports(path_tolerance=3.0)
    older = ports.moving(swing(0.4, seconds=4.0))
    ticket = ports.ticket(swing(0.1, start=ahead(0.4)))
    assert ticket.handover.time == 4.0
    ports.pass_(ticket, seconds=10)
    follow(ports, 3.7)
    assert ports.log[-1] != 'send'
    ports.now += 0.3                                   # the joints lag behind
    ports.gate.execution.finished(older, True, False, RESULT())
    ports.gate.tick()
    assert 'refuse' not in ports.log and 'send' not in ports.log[-2:]
    ports.joints = ahead(0.4)
    ports.gate.joints_changed()
    assert ports.log[-1] == 'send'


@pytest.mark.parametrize('what, words', [
    ('verdict on the chunk alone', 'another trajectory'), ('expiry', 'expired'),
    ('stopped on the way', 'moved by 0.'), ('motion fails', 'moved by 0.'),
    ('motion cancelled', 'the motion that it continues is cancelled: cancelled by'),
    ('doubt about the motion', 'the motion that it continues is cancelled: late evidence')])
def test_what_continues_a_motion_is_refused_when(what, words):
    ports = Ports(path_tolerance=3.0)
    older = ports.moving(swing(0.4, seconds=4.0))
    ticket = ports.ticket(swing(-0.1, start=ahead(0.3)))
    if what == 'verdict on the chunk alone':
        ports.pass_(ticket, trajectory_hash=ticket.request.trajectory_hash)
    else:
        ports.pass_(ticket, seconds=1 if what == 'expiry' else 100)
        follow(ports, 0.5)
        assert not ticket.ended and ports.log[-1] != 'send'
    if what == 'expiry':
        ports.now += 1.0
    elif what == 'stopped on the way':
        ports.now += 3.0
    elif what == 'motion fails':
        ports.gate.execution.finished(older, False, False, RESULT())
    elif what == 'motion cancelled':
        ports.gate.cancel(older)
    elif what == 'doubt about the motion':
        ports.gate.evidence(Answer(Verdict(Status.FAIL, 'it spills',
                                           trajectory_hash=older.request.trajectory_hash)))
    ports.log.clear()
    ports.gate.tick()
    assert 'send' not in ports.log
    assert any(words in result.error_string for _, result in ports.ends), ports.ends


def test_what_does_not_begin_ahead_is_asked_about_by_itself():
    ports = Ports()
    late, other = swing(0.1, start=ahead(0.3)), swing(0.1, start=ahead(0.3))
    late.points[0].time_from_start.nanosec = 1
    other.points[0].positions[2] += 0.1
    for trajectory in (swing(0.1), swing(0.1, start=ahead(0.1)), late, other):
        ports.moving(swing(0.4, seconds=4.0))
        follow(ports, 1.0)
        ticket = ports.ticket(trajectory)
        assert ticket.handover is None and ticket.question is ticket.goal.trajectory
        ports.joints = dict(READY)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 3.0), st.floats(0.6, 3.9), st.floats(-0.1, 0.1))
def test_the_motion_that_is_asked_about_is_one_that_the_rules_accept(now, at, later):
    path = PathMonitor(trajectory_from_message(swing(0.4, seconds=4.0)), ROBOT, READY, 0.3)
    handover = find_handover(path, trajectory_from_message(swing(0.1, start=ahead(0.1 * at))),
                             now, 0.02)
    assert (handover is None) == (path.nearest(ahead(0.1 * at), now)[0] < now + 0.25)
    if handover is not None:       # where shadow_sim, a little later or earlier, sees the robot
        live = ahead(0.1 * (now + later))
        assert not [finding for finding in check_tier0(handover.motion, ROBOT, live)
                    if finding.severity > Severity.INFO]
