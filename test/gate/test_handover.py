# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A motion that continues another: asked about with it, held, sent."""
import gc
import tracemalloc

import numpy as np
import pytest
from gate_driver import ahead, Driver, READY, ROBOT, swing
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.gate import Phase, ShadowSimAnswer
from kinema4d_ros.gate.events import ControllerRejected, GoalEnd
from kinema4d_ros.gate.handover import find_handover
from kinema4d_ros.gate.motions import ForwardedMotion, PendingMotion
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.precheck import check_tier0
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import Severity, Status, Verdict


def test_what_continues_a_motion_is_held_until_the_robot_is_there():
    gate = Driver(path_tolerance=3.0)
    gate.moving(swing(0.4, seconds=4.0))
    gate.follow(1.0)
    request = gate.submit(swing(-0.1, start=ahead(0.3)))
    question = gate.question(request)
    asked = question.question
    assert question.request.asked_hash == trajectory_hash(asked) != request.trajectory_hash
    assert asked.times[0] >= 0.25 and asked.times[-2:] == pytest.approx([2.0, 3.0], abs=1e-2)
    rest = asked.times[:-2]
    assert asked.positions[:-2, 0] == pytest.approx(0.1 + 0.1 * rest, abs=1e-6)
    assert np.array_equal(asked.positions[-2:], request.trajectory.positions)
    gate.log.clear()
    gate.pass_(request, seconds=10)
    assert gate.machine.phase(request.number) is Phase.HELD
    for _ in range(9):
        gate.follow(0.2)
    assert 'hold' in gate.log and 'send' not in gate.log
    gate.follow(0.2)
    assert gate.log[-1] == 'send'


@pytest.mark.parametrize('accepted', [True, False])
def test_what_continues_a_motion_may_come_before_the_controller_has_accepted_that(accepted):
    gate = Driver(path_tolerance=3.0)
    older = gate.submit(swing(0.4, seconds=4.0))
    gate.pass_(older)
    request = gate.submit(swing(-0.1, start=ahead(0.3)))
    assert gate.question(request).question is not None
    if accepted:
        gate.accept(older)
    else:
        gate.handle(ControllerRejected(older.number))
    gate.pass_(request, seconds=10)
    if not accepted:
        assert 'from where the trajectory was checked to start' in gate.told(request)
        return
    assert gate.machine.phase(request.number) is Phase.HELD
    for _ in range(30):
        gate.follow(0.1)
    assert gate.log[-1] == 'send'


def test_what_continues_at_the_end_goes_out_when_the_motion_is_over():
    gate = Driver(path_tolerance=3.0)
    older = gate.moving(swing(0.4, seconds=4.0))
    request = gate.submit(swing(0.1, start=ahead(0.4)))
    gate.pass_(request, seconds=10)
    gate.follow(3.7)
    assert gate.log[-1] == 'hold'
    gate.now += 0.3                                   # the joints lag behind
    gate.finish(older)
    gate.wait()
    assert 'refuse' not in gate.log and 'send' not in gate.log[-2:]
    gate.joints = {}
    gate.move(**ahead(0.4))
    assert gate.log[-1] == 'send'


@pytest.mark.parametrize('what, words', [
    ('verdict on the chunk alone', 'another trajectory'), ('expiry', 'expired'),
    ('stopped on the way', 'expired'), ('motion fails', 'moved by 0.'),
    ('motion cancelled', 'the motion that it continues is cancelled: cancelled by'),
    ('doubt about the motion', 'the motion that it continues is cancelled: late evidence')])
def test_what_continues_a_motion_is_refused_when(what, words):
    gate = Driver(path_tolerance=3.0)
    older = gate.moving(swing(0.4, seconds=4.0))
    request = gate.submit(swing(-0.1, start=ahead(0.3)))
    if what == 'verdict on the chunk alone':
        gate.pass_(request, trajectory_hash=request.trajectory_hash)
    else:
        gate.pass_(request, seconds={'expiry': 1, 'stopped on the way': 3}.get(what, 100))
        gate.follow(0.5)
        assert gate.told(request) is None and gate.log[-1] == 'hold'
    gate.log.clear()
    if what == 'expiry':
        gate.now += 1.0
    elif what == 'stopped on the way':
        gate.now += 3.0
    elif what == 'motion fails':
        gate.finish(older, GoalEnd.ABORT)
    elif what == 'motion cancelled':
        gate.cancel(older)
    elif what == 'doubt about the motion':
        gate.hear(Verdict(Status.FAIL, 'it spills', trajectory_hash=older.trajectory_hash))
    gate.wait()
    assert 'send' not in gate.log
    assert words in gate.told(request), gate.ends


def test_what_does_not_begin_ahead_is_asked_about_by_itself():
    gate = Driver()
    late, other = swing(0.1, start=ahead(0.3), first=1e-9), swing(0.1, start=ahead(0.3) | {
        'elbow_joint': READY['elbow_joint'] + 0.1})
    for trajectory in (swing(0.1), swing(0.1, start=ahead(0.1)), late, other):
        gate.moving(swing(0.4, seconds=4.0))
        gate.follow(1.0)
        question = gate.question(gate.submit(trajectory))
        assert question.question is None and not question.request.motion_hash
        gate.joints = dict(READY)


def test_what_has_a_start_time_or_follows_a_cancelled_motion_continues_nothing():
    gate = Driver(path_tolerance=3.0)
    older = gate.moving(swing(0.4, seconds=4.0))
    chunk = swing(0.1, start=ahead(0.3))
    stamped = gate.submit(chunk, start_ns=gate.now_ns + 10**9)
    assert gate.question(stamped).question is None
    gate.cancel(older)
    assert gate.question(gate.submit(chunk)).question is None


def test_a_thousand_chunks_that_continue_each_other_leave_nothing_behind():
    gate = Driver(path_tolerance=3.0)
    older = gate.moving(swing(0.1))

    def alive():
        gc.collect()
        return sum(isinstance(thing, (ForwardedMotion, PendingMotion, PathMonitor))
                   for thing in gc.get_objects())

    kept = []
    for chunk in range(1000):
        at = gate.joints['shoulder_pan_joint'] + 0.1
        request = gate.submit(swing(0.1, start=ahead(at)))
        assert gate.question(request).question is not None, chunk
        gate.pass_(request, seconds=10)
        assert gate.log[-1] == 'hold'
        gate.follow(1.0)
        assert gate.log[-1] == 'send'
        gate.accept(request)
        gate.finish(older, GoalEnd.ABORT, text='a newer goal came')
        older = request
        gate.commands.clear()
        gate.log.clear()
        if chunk in (10, 999):
            kept.append(alive())
    assert kept[0] == kept[1] <= 4


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 3.0), st.floats(0.6, 3.9), st.floats(-0.1, 0.1))
def test_the_motion_that_is_asked_about_is_one_that_the_rules_accept(now, at, later):
    path = PathMonitor(swing(0.4, seconds=4.0), ROBOT, READY)
    handover = find_handover(path, swing(0.1, start=ahead(0.1 * at)), now, 0.02)
    assert (handover is None) == (path.nearest(ahead(0.1 * at), now)[0] < now + 0.05)
    if handover is not None:       # where shadow_sim, a little later or earlier, sees the robot
        live = ahead(0.1 * (now + later))
        assert not [finding for finding in check_tier0(handover.motion, ROBOT, live)
                    if finding.severity > Severity.INFO]


@pytest.mark.parametrize('late', [0.0, 0.2])
def test_a_stream_leaves_memory_flat(late):
    """Chunks that continue each other; one in ten comes too late, and the next goes on."""
    gate = Driver(path_tolerance=3.0)
    older, passed, sizes = gate.moving(swing(0.1)), 0, []
    tracemalloc.start()
    try:
        for chunk in range(400):
            at = gate.joints['shoulder_pan_joint'] + 0.1
            if late and chunk % 10 == 9:
                request = gate.submit(swing(0.1, start=ahead(at - 0.15)))     # behind the robot
                gate.answer(request, ShadowSimAnswer(problem='it does not start there'))
                gate.follow(0.3)
                assert gate.told(request) is not None
                at = gate.joints['shoulder_pan_joint'] + 0.07
            request = gate.submit(swing(0.1, start=ahead(at)))
            gate.pass_(request, seconds=10)
            gate.follow(1.0 if chunk % 10 != 9 or not late else 0.7)
            assert gate.log[-1] == 'send', (chunk, gate.log, gate.ends[-1:])
            passed += 1
            gate.accept(request)
            gate.finish(older, GoalEnd.ABORT, text='a newer goal came')
            older = request
            gate.commands.clear()
            gate.log.clear()
            if chunk in (200, 399):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert passed == 400
    assert abs(sizes[1] - sizes[0]) < 100_000      # [bytes] for 200 chunks
