# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate's watch over a motion: late, astray, held fast, and what else moves."""
import dataclasses

import numpy as np
import pytest
from gate_driver import ahead, Driver, NS, READY, ROBOT, swing

from kinema4d_ros.gate.commands import ReportDecision
from kinema4d_ros.gate.events import ControllerHeard, GoalEnd, JointsChanged, Tick
from kinema4d_ros.gate.reach import ProtectedClearance, reaches
from kinema4d_ros.gate.rules import GoalErrorCode
from kinema4d_ros.robot import ForwardKinematics, load_meshes
from kinema4d_ros.types import ClearanceSample, FindingCode, JointTrajectory, Status, Verdict

CANCEL, PAN = 'cancel at controller', 'shoulder_pan_joint'
ARM = tuple(READY)[:6]


def only(names, angle=0.3, seconds=1.0):
    """Return a trajectory of these joints of which the first turns by `angle`."""
    begin = np.array([READY[name] for name in names])
    end = begin.copy()
    end[0] += angle
    return JointTrajectory(names, np.array([0.0, seconds]), np.stack([begin, end]))


def play(gate, where, seconds, push=lambda t: {}, step=0.02, scaling=None):
    """Have the arm be where the shoulder is at `where(t)` rad, off by `push(t)`; tick."""
    began = gate.now
    for _ in range(round(seconds / step)):
        gate.now += step
        t = gate.now - began
        gate.speed_scaling = None if scaling is None else scaling(t)
        place = READY | {PAN: READY[PAN] + where(t)}
        gate.joints = {name: value + push(t).get(name, 0.0) for name, value in place.items()}
        gate.handle(JointsChanged())
        gate.handle(Tick())


def clock(share, late=0.0, length=2.0):
    """Return where the shoulder is at a share of the speed."""
    return lambda t: 0.6 * min(max(share * (t - late), 0.0), length) / length


PAUSE = lambda t: 0.3 * (t if t < 0.7 else max(0.7, t - 4.0)) if t < 6.0 else 0.6  # noqa: E731


@pytest.mark.parametrize('where, seconds', [
    (clock(0.5), 4.0), (clock(0.2), 10.0), (clock(1.0, late=0.6), 2.6), (PAUSE, 6.0)])
@pytest.mark.parametrize('told', [True, False])
def test_late_is_not_astray(where, seconds, told):
    gate = Driver(path_tolerance=0.05)
    request = gate.moving(swing(0.6, seconds=2.0))
    speed = lambda t: min(abs(where(t) - where(t - 0.02)) / 0.006, 1.0)  # noqa: E731
    play(gate, where, seconds, scaling=speed if told else None)
    assert CANCEL not in gate.log
    gate.finish(request)
    assert gate.ends[-1].how is GoalEnd.SUCCEED


@pytest.mark.parametrize('share, late', [(1.0, 0.0), (0.5, 0.0), (0.2, 0.0), (1.0, 0.6)])
def test_astray_is_astray_however_late(share, late):
    gate = Driver(path_tolerance=0.05)
    request = gate.moving(swing(0.6, seconds=2.0))
    play(gate, clock(share, late), 1.5,
         push=lambda t: {'elbow_joint': 0.07 if t > 1.0 else 0.0})
    assert CANCEL in gate.log
    gate.finish(request, GoalEnd.CANCEL)
    assert gate.ends[-1].error_code == GoalErrorCode.PATH_TOLERANCE_VIOLATED
    assert 'elbow_joint is 0.070 away' in gate.told(request)


@pytest.mark.parametrize('told, words', [(True, 'speed_scaling is 0.20'), (False, 'nobody says')])
def test_late_is_reported_once_with_what_is_known(told, words):
    gate = Driver()
    gate.moving(swing(0.6, seconds=2.0))
    play(gate, clock(0.2), 6.0, scaling=(lambda t: 0.2) if told else None)
    doubts = [c for c in gate.commands if isinstance(c, ReportDecision) and 'late' in c.sentence]
    assert len(doubts) == 1 and words in doubts[0].sentence
    assert 'still moving' in doubts[0].sentence and doubts[0].sentence.endswith('goes on')


def test_a_delay_that_nobody_explains_has_its_own_limit():
    gate = Driver(max_delay=3.0)
    request = gate.moving(swing(0.6, seconds=2.0))
    play(gate, clock(0.2), 9.0, scaling=lambda t: 0.2)
    assert CANCEL not in gate.log
    gate = Driver(max_delay=3.0)
    request = gate.moving(swing(0.6, seconds=2.0))
    play(gate, clock(0.2), 3.6)
    assert CANCEL not in gate.log
    play(gate, lambda t: clock(0.2)(t + 3.6), 0.4)
    assert CANCEL in gate.log
    gate.finish(request, GoalEnd.CANCEL)
    assert 'the motion is 3.0 s late, limit 3.0 s' in gate.told(request)
    assert gate.ends[-1].error_code == GoalErrorCode.INVALID_GOAL


def jammed(t):
    return 0.3 * min(t, 0.7)


@pytest.mark.parametrize('how', ['scaling', 'reference'])
def test_an_arm_that_is_held_fast_is_stopped(how):
    gate = Driver()
    request = gate.moving(swing(0.6, seconds=2.0))
    if how == 'scaling':
        play(gate, jammed, 2.5, scaling=lambda t: 1.0)
        assert CANCEL not in gate.log
        play(gate, lambda t: jammed(9.0), 0.3, scaling=lambda t: 1.0)
        words = 'though speed_scaling is 1.00'
    else:
        play(gate, jammed, 2.5)
        gate.handle(ControllerHeard(request.number, READY | {PAN: 0.6}))
        play(gate, lambda t: jammed(9.0), 0.3)
        words = f'the controller wants {PAN} 0.390 further'
    assert CANCEL in gate.log
    gate.finish(request, GoalEnd.CANCEL)
    assert words in gate.told(request) and 'does something hold them' in gate.told(request)
    assert 'have stood still for 2.' in gate.told(request)
    assert 'has come to 0.7' in gate.told(request)


@pytest.mark.parametrize('how', ['scaling', 'reference', 'robot'])
def test_a_pause_is_no_jam(how):
    gate = Driver()
    request = gate.moving(swing(0.6, seconds=2.0))
    gate.robot_problem = 'it is in PROTECTIVE_STOP' if how == 'robot' else None
    gate.handle(ControllerHeard(request.number, READY | {PAN: 0.21 if how == 'reference' else 2.0}))
    play(gate, jammed, 20.0, scaling=(lambda t: 1.0 if t < 0.7 else 0.0)
         if how == 'scaling' else None)
    assert CANCEL not in gate.log


@pytest.mark.parametrize('how', ['scaling', 'robot', 'slow'])
def test_after_a_pause_the_arm_has_time_to_start(how):
    """The robot says that it goes on before its joints do; a jam is told apart by its length."""
    for ramp, stopped in ((1.0, False), (9.0, True)):
        gate = Driver()
        gate.moving(swing(0.6, seconds=2.0))
        play(gate, jammed, 1.0, scaling=lambda t: 1.0)
        gate.robot_problem = 'it is in PROTECTIVE_STOP' if how == 'robot' else None
        paused = {'scaling': 0.0, 'robot': 1.0, 'slow': 0.06}[how]
        play(gate, lambda t: jammed(9.0), 10.0, scaling=lambda t, paused=paused: paused)
        assert CANCEL not in gate.log
        gate.robot_problem = None
        play(gate, lambda t, ramp=ramp: 0.21 + 0.3 * max(t - ramp, 0.0), 2.2,
             scaling=lambda t: 1.0)
        assert (CANCEL in gate.log) == stopped


@pytest.mark.parametrize('share', [1.0, 0.5, 0.2])
def test_a_trajectory_may_rest_on_its_way_at_any_speed(share):
    """As for a weld or a grasp: 4 s, which last 20 s at a fifth of the speed."""
    begin, end = np.array(list(READY.values())), np.array(list(ahead(0.3).values()))
    rests = JointTrajectory(tuple(READY), np.array([0.0, 1.0, 5.0, 6.0]),
                            np.stack([begin, end, end, begin]))

    def where(t):
        return 0.3 * float(np.interp(share * t, [0.0, 1.0, 5.0, 6.0], [0.0, 1.0, 1.0, 0.0]))

    gate = Driver(path_tolerance=0.05)
    request = gate.moving(rests)
    play(gate, where, 6.2 / share, scaling=lambda t: share)
    assert CANCEL not in gate.log
    gate.finish(request)
    assert gate.ends[-1].how is GoalEnd.SUCCEED


def test_a_robot_that_is_stopped_is_reported_and_gets_nothing():
    gate = Driver()
    gate.moving(swing(0.6, seconds=2.0))
    gate.robot_problem = 'the robot is not ready: safety_mode: mode is PROTECTIVE_STOP'
    play(gate, jammed, 40.0)
    doubt, = (c for c in gate.commands if isinstance(c, ReportDecision) and 'late' in c.sentence)
    assert 'PROTECTIVE_STOP' in doubt.sentence and doubt.code is FindingCode.ROBOT_STATE
    assert CANCEL not in gate.log
    for mode in ('enforce', 'advise'):
        gate = Driver(mode=mode)
        gate.robot_problem = 'the robot is not ready: safety_mode: mode is PROTECTIVE_STOP'
        request = gate.submit()
        gate.pass_(request)
        assert 'PROTECTIVE_STOP' in gate.told(request) and 'send' not in gate.log
        report = [c for c in gate.commands if isinstance(c, ReportDecision)][-1]
        assert report.code is FindingCode.ROBOT_STATE


# ---------------------------------------------------------------- never blind

@pytest.mark.parametrize('by', [0.0, -3600.0, -1.0, 0.4])
def test_a_clock_that_is_set_hides_nothing(by):
    """All stamps agree with it: a step of chrony, or a bag that begins anew."""
    class Set(Driver):
        offset = 0

        @property
        def now_ns(self):
            return round(self.now * NS) + self.offset

    for off in (0.0, 0.2):
        gate = Set(path_tolerance=0.05)
        gate.now += 10_000.0
        gate.moving(swing(0.6, seconds=2.0))
        play(gate, clock(1.0), 0.5)
        gate.offset = round(by * NS)
        play(gate, lambda t: clock(1.0)(t + 0.5), 0.5,
             push=lambda t, off=off: {'elbow_joint': off})
        assert (CANCEL in gate.log) == (off > 0.05)


def test_stamps_that_stay_off_are_not_believed():
    gate = Driver()
    request = gate.moving(swing(0.6, seconds=2.0))
    world = gate.world
    gate.world = lambda: dataclasses.replace(world(), now_ns=gate.now_ns + 5 * NS)
    play(gate, clock(1.0), 0.4)
    assert CANCEL not in gate.log
    play(gate, lambda t: clock(1.0)(t + 0.4), 0.3)
    assert CANCEL in gate.log
    gate.finish(request, GoalEnd.CANCEL)
    assert 'cannot be watched' in gate.told(request)


def test_a_motion_with_a_stamp_ahead_is_watched_from_the_moment_it_is_sent():
    for push in (0.0, 0.2):
        gate = Driver()
        request = gate.submit(start_ns=gate.now_ns + NS)
        gate.pass_(request, seconds=5)
        gate.accept(request)
        play(gate, lambda t: 0.3 * min(max(t - 1.0, 0.0), 1.0), 2.0,
             push=lambda t, push=push: {'elbow_joint': push if t > 0.3 else 0.0})
        assert (CANCEL in gate.log) == (push > 0)


@pytest.mark.parametrize('spoiled', ['place', 'velocity', 'time'])
def test_a_stamp_ahead_of_a_first_point_that_is_elsewhere_is_refused(spoiled):
    """Until then the controller blends there, which is not what was judged."""
    gate = Driver()
    trajectory = swing()
    if spoiled == 'velocity':
        velocities = np.zeros((2, 8))
        velocities[0, 0] = 0.5
        trajectory = dataclasses.replace(trajectory, velocities=velocities)
    elif spoiled == 'place':
        trajectory = swing(first=0.5, start=ahead(0.1))
    else:
        trajectory = swing(first=0.5)
    request = gate.submit(trajectory, start_ns=gate.now_ns + NS)
    gate.pass_(request, seconds=5)
    if spoiled == 'time':           # it stands there until then
        assert 'send' in gate.log
    else:
        assert 'until then the controller would move' in gate.told(request)


def test_an_older_motion_is_watched_until_the_controller_has_the_newer():
    gate = Driver(path_tolerance=0.05)
    gate.moving(swing(0.001, seconds=20.0))
    newer = gate.submit(swing(0.3))
    gate.pass_(newer)
    play(gate, lambda t: 0.3 * t, 0.5)        # as the newer has it; its acceptance is under way
    assert CANCEL not in gate.log
    play(gate, lambda t: 0.15 - 0.5 * t, 0.5)        # as none of them
    assert CANCEL in gate.log


@pytest.mark.parametrize('joint', ['wrist_roll_joint', 'elbow_joint'])
def test_a_joint_that_is_not_named_must_stand_still(joint):
    names = tuple(name for name in ARM if name != joint)
    for push in (0.0, 0.15):
        gate = Driver()
        request = gate.moving(only(names))
        play(gate, lambda t: 0.3 * min(t, 1.0), 0.6,
             push=lambda t, push=push: {joint: push if t > 0.3 else 0.0})
        assert (CANCEL in gate.log) == (push > 0)
    gate.finish(request, GoalEnd.CANCEL)
    assert f'had stand still: {joint} is 0.150 away' in gate.told(request)
    stop, = (c for c in gate.commands if isinstance(c, ReportDecision) and c.code is not None)
    assert stop.code is FindingCode.OTHER_MOTION


def test_fingers_may_move_meanwhile():
    gate = Driver()
    gate.moving(only(ARM))
    play(gate, lambda t: 0.3 * min(t, 1.0), 1.0,
         push=lambda t: {'finger_joint': -0.02 * t, 'right_finger_joint': -0.02 * t})
    assert CANCEL not in gate.log


# ---------------------------------------------------------------- the clearance that was judged

@pytest.mark.parametrize('space, sigma, push, stopped', [
    (0.2, 0.0, 0.08, False), (0.05, 0.0, 0.08, True), (0.05, 0.0, 0.015, False),
    (0.001, 0.0, 0.015, False), (0.001, 0.0, 0.03, True), (0.2, 0.09, 0.08, True),
    (None, None, 0.08, False), (None, None, 0.12, True), (5.0, 0.0, 0.12, True)])
def test_the_tolerance_is_what_was_free(space, sigma, push, stopped):
    gate = Driver()
    request = gate.submit(swing(0.6, seconds=2.0))
    gate.pass_(request, min_clearance=space, clearance_sigma=sigma)
    gate.accept(request)
    play(gate, clock(1.0), 1.0, push=lambda t: {'elbow_joint': push if t > 0.5 else 0.0})
    assert (CANCEL in gate.log) == stopped
    if stopped and space == 0.05:
        gate.finish(request, GoalEnd.CANCEL)
        assert 'where 50 mm around it were free' in gate.told(request)


def test_the_tolerance_is_what_is_free_at_that_time():
    samples = [ClearanceSample(time, space, 0.0, 'hand', (0, 0, 0), (0, 0, 0))
               for time, space in ((0.0, 0.3), (1.0, 0.3), (1.5, 0.015), (2.0, 0.015))]
    for begin, stopped in ((0.2, False), (1.6, True)):
        gate = Driver()
        request = gate.submit(swing(0.6, seconds=2.0))
        gate.pass_(request, clearances=samples, min_clearance=0.015)
        gate.accept(request)
        assert 'cannot protect the clearance of 15 mm' in gate.sentence
        play(gate, clock(1.0), begin + 0.1, push=lambda t, at=begin: {
            'elbow_joint': 0.06 if at < t < at + 0.1 else 0.0})
        assert (CANCEL in gate.log) == stopped


def test_clearances_of_a_verdict_on_more_begin_where_the_trajectory_does():
    samples = [ClearanceSample(time, space, 0.01, 'hand', (0, 0, 0), (0, 0, 0))
               for time, space in ((0.0, 0.01), (1.0, 0.3), (2.0, 0.5))]
    found = ProtectedClearance.of(Verdict(Status.PASS, '', clearances=samples), offset=1.0)
    assert found.least == pytest.approx(0.28)
    assert [found.at(time) for time in (0.0, 0.5, 5.0)] == pytest.approx([0.28, 0.28, 0.48])
    assert ProtectedClearance.of(Verdict(Status.PASS, '')) is None


@pytest.mark.parametrize('seed', range(4))
def test_no_point_is_farther_than_its_joints_reach(seed):
    """The bound that the tolerance rests on, against the kinematics."""
    random, bound = np.random.default_rng(seed), reaches(ROBOT)
    fk, meshes = ForwardKinematics(ROBOT), load_meshes(ROBOT)
    place = random.uniform(-1.5, 1.5, len(ROBOT.joint_names))
    by = random.uniform(-0.05, 0.05, len(place))
    before, after = fk(place[None])[0], fk((place + by)[None])[0]
    allowed = sum(abs(value) * bound[name] for name, value in zip(ROBOT.joint_names, by))
    most = 0.0
    for name, mesh in meshes.items():
        link = ROBOT.link_names.index(name)
        points = np.c_[mesh.vertices, np.ones(len(mesh.vertices))].T
        most = max(most, np.linalg.norm(((after[link] - before[link]) @ points)[:3], axis=0).max())
    assert 0.0 < most <= allowed
