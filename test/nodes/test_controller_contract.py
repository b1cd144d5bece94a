# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the controllers of the tests do is what those of ros2_controllers do: both are put to one test.

The real ones are put to it where ros2_control and ros2_controllers are installed or sourced.
"""
import math
import time

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from controller_bench import ARM, goal, OurBench, PAN, RealBench
from gate_world import ABORTED, CANCELED, RESULT, SUCCEEDED
from graph import made, READY
from jtc_loop import ControlLoop, Settings
from jtc_spline import NS
from jtc_tolerances import Tolerances
from real_controller import why_absent

pytestmark = pytest.mark.timeout(180)
BOTH = pytest.mark.parametrize('shared', ['ours', 'real'], indirect=True, scope='module')
REAL = pytest.mark.parametrize('shared', ['real'], indirect=True, scope='module')


@pytest.fixture(scope='module')
def shared(request, module_ros_domain):
    if request.param == 'real':
        yield from given(RealBench)
    else:
        yield from given(OurBench, tolerances=Tolerances())


def given(bench_class, **settings):
    if bench_class is RealBench and (reason := why_absent()):
        pytest.skip(reason)
    with made() as tester:
        bench = bench_class(tester, **settings)
        try:
            yield bench
        finally:
            bench.close()


@pytest.fixture
def bench(shared):
    shared.home()
    return shared


def now_ns(bench):
    return bench.graph.node.get_clock().now().nanoseconds


def stands(bench):
    """Return where the first joint is once it has stopped."""
    seen = []

    def same():
        seen.append(bench.pan())
        return len(seen) > 4 and max(seen[-4:]) - min(seen[-4:]) < 1e-9

    bench.graph.wait(same, 'the arm to stand')
    return bench.pan()


# ---------------------------------------------------------------- goals

@BOTH
def test_a_goal_is_reached_and_says_so(bench):
    status, result = bench.run(goal((0.0, 0.0), (0.4, 0.2)))
    assert (status, result.error_code) == (SUCCEEDED, RESULT.SUCCESSFUL)
    assert result.error_string == 'Goal successfully reached!'
    assert stands(bench) == pytest.approx(READY[PAN] + 0.2, abs=1e-9)


def bad(change):
    made_goal = goal((0.0, 0.0), (0.3, 0.1))
    change(made_goal.trajectory)
    return made_goal


REJECTED = {
    'partial': goal((0.3, 0.1), names=ARM[:3]),
    'unknown joint': bad(lambda t: t.joint_names.__setitem__(0, 'elbow_of_another')),
    'moves at its end': goal((0.3, 0.1, 0.5)),
    'no points': bad(lambda t: t.points.clear()),
    'times': goal((0.3, 0.1), (0.3, 0.2)),
    'effort': bad(lambda t: t.points[1].effort.extend([0.0] * len(ARM))),
    'size': bad(lambda t: t.points[1].positions.pop()),
    'in the past': goal((0.3, 0.1), stamp_ns=NS)}


@BOTH
@pytest.mark.parametrize('why', REJECTED)
def test_goals_that_are_rejected(bench, why):
    assert not bench.offered(REJECTED[why])


def named_six_times():
    made_goal = goal((0.2, 0.1))
    made_goal.trajectory.joint_names = [PAN] * len(ARM)
    return made_goal


def accelerations_alone():
    made_goal = goal((0.0, 0.0, 0.0, 0.0), (0.4, 0.1, 0.0, 0.0))
    for point in made_goal.trajectory.points:
        point.velocities = []
    return made_goal


@BOTH
def test_what_is_not_a_number_is_reached(bench):
    assert bench.run(goal((0.2, math.nan)))[0] == SUCCEEDED
    assert bench.pan() == pytest.approx(READY[PAN], abs=1e-9)


@BOTH
def test_a_joint_that_is_named_six_times_is_taken(bench):
    assert bench.run(named_six_times())[0] == SUCCEEDED


@BOTH
def test_accelerations_without_velocities_command_0_on_all_joints(bench):
    handle = bench.send(accelerations_alone())
    bench.graph.wait(lambda: abs(bench.place()[ARM[2]]) < 1e-9, 'the elbow, from 1.75 rad')
    assert bench.outcome(handle)[0] == SUCCEEDED


# ---------------------------------------------------------------- stamps

@BOTH
def test_a_start_in_the_future_is_not_waited_for(bench):
    """It is blended to the first point, from now on."""
    start = now_ns(bench) + NS
    handle = bench.send(goal((0.0, 0.2), (0.1, 0.2), stamp_ns=start))
    bench.reaches(0.01)
    assert now_ns(bench) < start
    assert bench.outcome(handle)[0] == SUCCEEDED and now_ns(bench) > start


@BOTH
def test_a_start_in_the_past_is_jumped_into(bench):
    handle = bench.send(goal((0.0, 0.0), (2.0, 0.4), stamp_ns=now_ns(bench) - int(1.5 * NS)))
    bench.graph.wait(lambda: bench.pan() > 0, 'the arm')
    assert bench.pan() > 0.25
    assert bench.outcome(handle)[0] == SUCCEEDED


# ---------------------------------------------------------------- blending

@BOTH
def test_a_motion_is_blended_from_the_measured_speed(bench):
    """To stay at 0.2 rad, in a second: with 0.8 rad/s it goes beyond it first."""
    bench.send(goal((0.0, 0.0, 0.0), (0.5, 0.4, 0.8), (1.5, 0.6, 0.0)))
    bench.reaches(0.3)
    highest = bench.pan()
    handle = bench.send(goal((1.0, 0.3, 0.0)))
    reply = handle.get_result_async()
    while not reply.done():
        highest = max(highest, bench.pan())
        time.sleep(0.002)
    assert highest > 0.3 + 0.05
    assert bench.pan() == pytest.approx(0.3, abs=1e-9)


# ---------------------------------------------------------------- ends

@BOTH
def test_a_cancel_holds_the_measured_place(bench):
    handle = bench.send(goal((0.0, 0.0), (2.0, 0.8)))
    bench.reaches(0.1)
    bench.graph.ask(handle.cancel_goal_async)
    status, result = bench.outcome(handle)
    assert (status, result.error_code, result.error_string) == (CANCELED, 0, '')
    assert 0.08 < stands(bench) < 0.4       # that of the last cycle, which may be behind


@BOTH
def test_the_newer_goal_ends_the_older(bench):
    older = bench.send(goal((0.0, 0.0), (2.0, 0.4)))
    bench.reaches(0.02)
    newer = bench.send(goal((0.3, 0.1)))
    status, result = bench.outcome(older)
    assert (status, result.error_code) == (ABORTED, RESULT.INVALID_GOAL)
    assert result.error_string == 'Current goal preempted by new incoming action.'
    assert bench.outcome(newer)[0] == SUCCEEDED


@BOTH
def test_deactivation_ends_a_goal_and_rejects_the_next(bench):
    handle = bench.send(goal((0.0, 0.0), (2.0, 0.4)))
    bench.reaches(0.02)
    bench.activate(False)
    try:
        status, result = bench.outcome(handle)
        assert (status, result.error_code) == (ABORTED, RESULT.INVALID_GOAL)
        assert result.error_string == 'Current goal cancelled during deactivate transition.'
        assert not bench.offered(goal((0.3, 0.1)))
    finally:
        bench.activate(True)


def at_the_end(bench, then):
    """Repeat a short motion, and do something when it has just come to its end, until it counts."""
    for _ in range(12):
        bench.home()
        handle = bench.send(goal((0.0, 0.0), (0.2, 0.1)))
        bench.reaches(0.1, within=1e-9)
        if then(handle):
            return handle
    pytest.fail('it was told of its end before each time')


@BOTH
def test_a_cancel_that_meets_the_ending_is_over_when_a_newer_goal_comes(bench):
    """Results come at 20 Hz; what is cancelled meanwhile is not told any more, till then."""
    def cancelled(handle):
        return bench.graph.ask(handle.cancel_goal_async).goals_canceling

    handle = at_the_end(bench, cancelled)
    reply = handle.get_result_async()
    began = time.monotonic()
    bench.graph.wait(lambda: time.monotonic() > began + 0.3, 'six times as long as results take')
    assert not reply.done() and handle.status == GoalStatus.STATUS_CANCELING
    assert bench.run(goal((0.3, 0.2)))[0] == SUCCEEDED
    assert bench.graph.result(reply).status == CANCELED


@BOTH
def test_a_goal_at_whose_end_a_newer_one_comes_counts_as_cancelled(bench):
    """It was reached; its result waited to be told, and goes with the handle."""
    def replaced(handle):
        newer = bench.send(goal((0.3, 0.2)))
        reply = bench.graph.ask(handle.get_result_async)
        assert bench.outcome(newer)[0] == SUCCEEDED
        return reply.status == CANCELED

    at_the_end(bench, replaced)


@BOTH
def test_feedback_comes_20_times_a_second(bench):
    bench.run(goal((0.0, 0.0), (1.0, 0.1)))
    assert 10 <= len(bench.feedback) <= 22
    assert list(bench.feedback[-1].joint_names) == list(ARM)


# ---------------------------------------------------------------- tolerances

@BOTH
def test_a_jump_violates_a_path_tolerance(bench):
    status, result = bench.run(goal((0.0, 0.3), (0.3, 0.3), tolerances=[(PAN, 0.1)]))
    assert (status, result.error_code) == (ABORTED, RESULT.PATH_TOLERANCE_VIOLATED)
    assert result.error_string == 'Aborted due to path tolerance violation'
    assert stands(bench) == pytest.approx(READY[PAN], abs=1e-9)


@BOTH
@pytest.mark.parametrize('other', [('joint_of_another', 0.1), (ARM[1], -0.5)])
def test_a_name_or_value_that_is_wrong_drops_all_tolerances(bench, other):
    status, _ = bench.run(goal((0.0, 0.3), (0.3, 0.3), tolerances=[(PAN, 0.1), other]))
    assert status == SUCCEEDED


# ---------------------------------------------------------------- others, stalls, speed

@BOTH
def test_a_message_on_the_topic_takes_the_goal_along(bench):
    """The goal is not ended by it, and ends when the other motion does."""
    handle = bench.send(goal((0.0, 0.0), (1.0, 0.4)))
    bench.reaches(0.05)
    bench.topic.publish(goal((0.5, -0.1)).trajectory)
    assert bench.outcome(handle)[0] == SUCCEEDED
    assert stands(bench) == pytest.approx(-0.1, abs=1e-9)


@BOTH
def test_time_jumps_after_a_stall(bench):
    handle = bench.send(goal((0.0, 0.0), (2.0, 1.0)))
    bench.reaches(0.1)
    bench.stall(0.5)
    before = bench.pan()
    bench.graph.wait(lambda: bench.pan() > before + 0.01, 'the arm')
    assert bench.pan() > before + 0.2
    assert bench.outcome(handle)[0] == SUCCEEDED


# ---------------------------------------------------------------- set points

def set_point(pan=0.0, **others):
    return [{**READY, PAN: pan, **others}[name] for name in ARM]


@BOTH
def test_a_set_point_is_there_at_once_and_for_ever(bench):
    bench.forward()
    bench.command(*set_point(0.2))
    bench.reaches(0.2, within=1e-9)
    bench.command(*set_point(math.nan))     # dropped as a whole
    bench.command(*set_point(math.inf))
    assert stands(bench) == pytest.approx(0.2, abs=1e-9)
    assert bench.forwards()


@BOTH
def test_a_set_point_of_another_size_deactivates_the_controller(bench):
    bench.forward()
    bench.command(*set_point(0.1))
    bench.reaches(0.1, within=1e-9)
    bench.command(0.3, 0.3)
    bench.graph.wait(lambda: not bench.forwards(), 'its end')
    bench.command(*set_point(0.3))          # it is still subscribed
    assert stands(bench) == pytest.approx(0.1, abs=1e-9)


# ---------------------------------------------------------------- the real one alone

MOTIONS = {
    'linear': [goal((0.0, 0.0), (0.2, 0.1), (0.4, 0.05))],
    'cubic': [goal((0.2, 0.1, 0.2), (0.5, 0.1, 0.0))],
    'quintic': [goal((0.2, 0.1, 0.2, 1.0), (0.5, 0.1, 0.0, 0.0))],
    'a jump': [goal((0.0, 0.05), (0.2, 0.05))],
    'cubic from a motion': [goal((0.0, 0.0, 0.0), (0.4, 0.3, 0.8), (1.0, 0.5, 0.0)),
                            goal((0.8, 0.3, 0.0))],
    'quintic from a motion': [goal((0.0, 0.0, 0.0), (0.4, 0.3, 0.8), (1.0, 0.5, 0.0)),
                              goal((0.8, 0.3, 0.0, 0.0))],
    'accelerations alone': [accelerations_alone()]}


@REAL
@pytest.mark.parametrize('name', MOTIONS)
def test_each_cycle_is_the_same(bench, name):
    """Give the times and measurements of the real one to our loop; compare what they command."""
    states, sent = bench.real.states, []
    since = len(states)
    for made_goal in MOTIONS[name]:
        sent.append((now_ns(bench), made_goal))
        handle = bench.send(made_goal)
        if made_goal is not MOTIONS[name][-1]:
            bench.reaches(0.2)
    bench.outcome(handle)
    assert compared(states[since:], sent) < 1e-12


def compared(states, goals):
    """
    Return by how much the commands [rad] of our loop differ from those in the states.

    :param goals: when each was sent [ns], and what.
    """
    loop, waiting = ControlLoop(Settings(ARM)), list(goals)
    cycles, largest, begun = 0, 0.0, 0
    for state in states:
        reference, since = state.reference, _ns(state.reference.time_from_start)
        if since == 0:                  # the first cycle of a goal, or of holding its end
            begun = _ns(state.header.stamp)
            if waiting and begun > waiting[0][0]:
                loop.take(waiting.pop(0)[1].trajectory)
        if len(waiting) == len(goals):
            continue
        # Its own measure of time, which is not the stamps'.
        loop.cycle(begun + since, state.feedback.positions, state.feedback.velocities)
        largest = max(largest, np.abs(loop.desired - reference.positions).max(),
                      np.abs(loop.command - state.output.positions).max())
        cycles += 1
    assert cycles > 30 and not waiting
    return largest


def _ns(time):
    return time.sec * NS + time.nanosec
