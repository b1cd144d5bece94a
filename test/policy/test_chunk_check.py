# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks between a policy and a robot: what is judged, what is chosen, and what holds still."""
import gc
import tracemalloc

import numpy as np
import pytest
from chunk_checks import (ARM, checker, chunk, Clock, FakeJudge, FINGERS, HERE, NAMES, RATE, READY,
                          ROBOT, verdict)

from kinema4d_ros import ActionFormat, ActionReader, Episode, Reference, Robot, ShadowSimulator
from kinema4d_ros.errors import ConfigurationError, ObservationError, TrajectoryError
from kinema4d_ros.policy import GripperColumn, VelocityResponse
from kinema4d_ros.policy.chunk_check import ChunkChecker, SimulatorPrecheck
from kinema4d_ros.policy.chunk_guard import ChunkGuard
from kinema4d_ros.policy.chunk_settings import ChunkSettings
from kinema4d_ros.policy.hold import hold_actions
from kinema4d_ros.policy.splice import splice, UnderWay
from kinema4d_ros.precheck import check_tier0, decide, Tier0Settings
from kinema4d_ros.types import FindingCode, JointTrajectory, Status


# ---------------------------------------------------------------------- the spliced path

def commanded(old, new, handover, blend, times):
    """Return what a client that overlaps chunks commands, by its own definition, one number."""
    at = {motion: lambda t, motion=motion: np.interp(
        t - motion.begun, motion.trajectory.times, motion.trajectory.positions[:, 0])
        for motion in (old, new)}
    out = []
    for t in times:
        weight = 0.0 if t <= handover else min((t - handover) / blend, 1.0) if blend else 1.0
        out.append((1 - weight) * at[old](t) + weight * at[new](t))
    return np.array(out)


@pytest.mark.parametrize('seed', range(20))
def test_the_spliced_path_is_what_a_client_commands_at_each_action(seed):
    rng = np.random.default_rng(seed)
    old, new = (UnderWay(JointTrajectory(('j',), np.arange(9) / RATE, rng.normal(size=(9, 1))), at)
                for at in (100.0, 100.0 + rng.uniform(0.0, 0.7)))
    now = new.begun + rng.uniform(0.0, 0.3)
    handover, blend = now + rng.uniform(0.0, 0.2), rng.choice([0.0, 0.25])
    path = splice(old, new, now=now, handover=handover, blend=blend)
    assert (np.diff(path.times) > 0).all() and path.times[0] > 0
    np.testing.assert_allclose(
        path.positions[:, 0], commanded(old, new, handover, blend, now + path.times), atol=1e-9)
    # nothing is left out: each action of the new chunk that is still ahead, each of the old before
    ahead = new.begun + new.trajectory.times
    for t in [*ahead[ahead > handover + 1e-5],
              *(t for t in old.begun + old.trajectory.times if now + 1e-5 < t < handover - 1e-5)]:
        assert np.abs(now + path.times - t).min() < 1e-9


def test_a_chunk_that_is_over_before_it_comes_is_none():
    old = UnderWay(JointTrajectory(('j',), np.arange(3) / RATE, np.zeros((3, 1))), 100.0)
    with pytest.raises(TrajectoryError, match='slower than its chunk is long'):
        splice(old, old, now=101.0, handover=101.0)
    other = UnderWay(JointTrajectory(('k',), np.arange(3) / RATE, np.zeros((3, 1))), 100.0)
    with pytest.raises(TrajectoryError, match='moves k'):
        splice(old, other, now=100.0, handover=100.1)


def test_what_is_judged_when_chunks_overlap_is_the_spliced_path():
    """Each chunk passes from its own start; going over from one to the other is too fast."""
    def judge(paths, joints):
        return [decide({0: check_tier0(path, ROBOT, joints, Tier0Settings())}, required=(0,))
                for path in paths]
    for blend, status in ((0.0, Status.FAIL), (0.8, Status.PASS)):
        clock, here = Clock(), [READY]
        overlapping = checker(judge, clock=clock, execution='overlapping', latency=0.1,
                              blend=blend, live=lambda here=here: here[0])
        assert not overlapping.check(chunk(0.02, 20), READY).held
        clock.time += 1.0
        here[0] = READY | dict(zip(ARM, HERE + 0.2))
        # observed when the robot was still at its beginning: its rows lead back there
        checked = overlapping.check(chunk(-0.02, 20), READY, asked=clock.time)
        assert checked.verdict.status is status, checked.verdict.summary
        assert checked.held == (status is Status.FAIL)
        assert not checked.held or 'velocity' in checked.verdict.summary, checked.verdict.summary


def overlapping(clock, took, **settings):
    """Return a checker whose verdicts take so long, and the paths that it judges."""
    paths = []

    def judge(wanted, joints):
        clock.time += took
        paths.extend(wanted)
        return [verdict(Status.PASS)] * len(wanted)
    return checker(judge, clock=clock, live=lambda: READY, execution='overlapping',
                   **{'verdict_time': 0.3, 'latency': 0.1} | settings), paths


@pytest.mark.parametrize('resample', ['refused', 'always'])
def test_an_overlapping_chunk_is_judged_for_when_the_client_has_it(resample):
    clock = Clock()
    checks, paths = overlapping(clock, 0.2, resample=resample, samples=3)
    first, second = chunk(0.01, 20), chunk(0.01, 20) + 0.05
    for at, rows in ((100.0, first), (101.0, second)):
        clock.time = at

        def slow(rows=rows):
            clock.time += 0.2 if resample == 'always' else 1 / 0
            return rows
        assert not checks.check(rows, READY, sample=slow).held
        asked = at + (0.4 if resample == 'always' else 0.0)     # when all samples were there
        assert clock.time == pytest.approx(asked + 0.3)         # neither earlier nor later
    # the client goes over 0.4 s after that: until then it is on the old chunk, then on the new one
    old, new = (UnderWay(JointTrajectory(ARM, np.arange(1, 21) / RATE, rows), begun)
                for begun, rows in ((100.0, first), (101.0, second)))
    path = paths[-1]
    for time, row in zip(asked + path.times, path.positions):
        client = old if time <= asked + 0.4 + 1e-9 else new
        np.testing.assert_allclose(row, client.at(np.array([time]))[0])
    under_way = checks.guard.under_way
    for time in (101.9, 102.5):
        np.testing.assert_allclose(under_way.at(np.array([time])), new.at(np.array([time])))


def test_a_verdict_that_comes_after_the_client_was_to_have_its_chunk_is_unsure():
    clock = Clock()
    checks, _ = overlapping(clock, 0.31)
    checked = checks.check(chunk(0.01, 20), READY)
    assert checked.held and checked.verdict.status is Status.UNSURE
    assert 'raise verdict_time' in checked.verdict.summary
    for handover, passes in ((0.3, False), (0.32, True)):     # the client says when it goes over
        begun = clock.time
        motion = JointTrajectory(ARM, np.arange(1, 21) / RATE, chunk(0.01, 20))
        choice = checks.guard.choose(motion, READY, asked=begun, handover=begun + handover)
        assert choice.passed == passes and clock.time == pytest.approx(begun + 0.31)


def test_one_chunk_after_the_other_is_judged_from_its_own_start():
    judge, clock = FakeJudge(), Clock()
    for step in (0.01, -0.01):
        checker(judge, clock=clock).check(chunk(step), READY)
        [path], joints = judge.asked.pop()
        np.testing.assert_allclose(path.times, np.arange(1, 6) / RATE)
        np.testing.assert_allclose(path.positions, chunk(step))
        assert joints == READY
    executed = checker(judge, executed=2)
    assert len(executed.check(chunk(), READY).actions) == 5
    assert len(judge.asked.pop()[0][0].times) == 2


# ---------------------------------------------------------------------- what is chosen

def test_what_did_not_pass_is_replaced_by_holding_still():
    for status in (Status.FAIL, Status.UNSURE):
        checked = checker(FakeJudge(status)).check(chunk(), READY)
        assert checked.held and checked.actions.shape == (5, len(ARM))
        np.testing.assert_allclose(checked.actions, np.tile(HERE, (5, 1)))
        assert checked.told('enforce') == {
            'status': status.name, 'summary': status.name.lower(), 'held': True,
            'resampled': False, 'samples': 1, 'mode': 'enforce', 'min_clearance': None}


def test_what_passed_goes_on_unchanged():
    sent = chunk()
    assert checker(FakeJudge()).check(sent, READY).actions is sent


def test_mode_monitor_tells_and_changes_nothing():
    monitor = checker(FakeJudge(Status.FAIL), mode='monitor')
    sent = chunk()
    checked = monitor.check(sent, READY)
    assert checked.actions is sent and checked.verdict.status is Status.FAIL and not checked.held
    assert monitor.check('no chunk at all', READY).held         # there is nothing to pass on


def test_the_best_of_several_is_taken():
    others = [chunk(0.002), chunk(0.003), chunk(0.004)]
    judge = FakeJudge(Status.FAIL, verdict(Status.PASS, 0.01), verdict(Status.PASS, 0.2),
                      verdict(Status.UNSURE))
    samples = iter(others)
    checked = checker(judge, samples=4).check(chunk(), READY, sample=lambda: next(samples))
    assert checked.actions is others[1] and checked.choice.samples == 4
    assert checked.told('enforce')['resampled']
    assert [len(paths) for paths, _ in judge.asked] == [1, 3]


def test_further_samples_are_asked_only_where_they_are_needed_unless_always():
    def never():
        raise AssertionError('it passed')
    assert not checker(FakeJudge(), samples=3).check(chunk(), READY, sample=never).held
    judge = FakeJudge(verdict(Status.PASS, 0.01), verdict(Status.PASS, 0.3))
    better = chunk(0.001)
    always = checker(judge, samples=2, resample='always')
    assert always.check(chunk(), READY, sample=lambda: better).actions is better


def test_asking_for_samples_ends_with_the_time_for_it_and_with_the_server():
    clock, asked = Clock(), []

    def slow():
        asked.append(None)
        clock.time += 3.0
        return chunk()
    judge = FakeJudge(*[Status.FAIL] * 9)
    checked = checker(judge, clock=clock, samples=9, sampling_time=5.0).check(
        chunk(), READY, sample=slow)
    assert checked.held and len(asked) == 2
    assert checker(FakeJudge(Status.FAIL), samples=9).check(chunk(), READY).choice.samples == 1


def test_a_first_action_far_from_the_robot_is_noticed_before_anyone_is_asked():
    judge = FakeJudge()
    degrees = checker(judge).check(np.degrees(chunk()), READY)
    swapped = checker(judge).check(chunk()[:, ::-1], READY)
    as_absolute = checker(judge).check(chunk() - HERE, READY)       # changes, read as positions
    for checked in (degrees, swapped, as_absolute):
        assert checked.held and checked.verdict.status is Status.FAIL
        assert 'absolute or relative' in checked.verdict.summary
        np.testing.assert_allclose(checked.actions[0], HERE)
    assert judge.asked == []


def test_a_place_far_from_the_tip_is_noticed_too():
    form = ActionFormat(RATE, (), tip_link='tool_point')
    judge = FakeJudge()
    checked = checker(judge, form).check(np.tile([5.0, 0, 0, 0, 0, 0], (3, 1)), READY)
    assert checked.held and 'm from where it is' in checked.verdict.summary and not judge.asked


def test_fingers_may_go_far_at_once():
    far = GripperColumn(-1, 0.0, 1.0, {FINGERS[0]: (0.9, 0.0)})
    form = ActionFormat(RATE, ARM, grippers=(far,))
    checked = checker(FakeJudge(), form).check(np.column_stack([chunk(), np.zeros(5)]), READY)
    assert not checked.held


def test_a_client_that_tells_the_policy_of_another_robot_is_noticed():
    judge = FakeJudge()
    wrong = {name: np.degrees(value) for name, value in READY.items()}
    checked = checker(judge).check(chunk(), READY, told=wrong)
    assert checked.held and 'tells the policy' in checked.verdict.summary
    assert checked.verdict.status is Status.UNSURE and judge.asked == []
    nan = READY | {ARM[0]: float('nan')}
    assert checker(judge).check(chunk(), READY, told=nan).held


@pytest.mark.parametrize('bad', [np.full((5, len(ARM)), np.nan), np.zeros((5, 3)), np.zeros(6),
                                 np.zeros((0, len(ARM))), 'the server answered with no chunk'])
def test_what_cannot_be_read_is_held(bad):
    checked = checker(FakeJudge()).check(bad, READY)
    assert checked.held and checked.verdict.status is Status.UNSURE
    assert checked.actions.shape[1] == len(ARM) and len(checked.actions)
    np.testing.assert_allclose(checked.actions[0], HERE)


def test_a_judge_that_fails_makes_it_unsure():
    def broken(paths, joints):
        raise ObservationError('the camera is silent')
    checked = checker(broken).check(chunk(), READY)
    assert checked.held and checked.verdict.summary == 'the camera is silent'
    short = checker(lambda paths, joints: []).check(chunk(), READY)
    assert short.held and '0 verdicts came on 1 paths' in short.verdict.summary


def test_settings_that_mean_nothing():
    for wrong in ({'samples': 0}, {'latency': -1.0}, {'blend': float('nan')}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            ChunkSettings(**wrong)
    with pytest.raises(ValueError):
        ChunkSettings(mode='advise')


# ---------------------------------------------------------------------- holding still

GRIPPER = GripperColumn(-1, 1.0, -1.0, dict.fromkeys(FINGERS, (0.04, 0.0)))
FORMS = {
    'joints': ActionFormat(RATE, NAMES), 'start': ActionFormat(RATE, NAMES, Reference.START),
    'start_absolute_fingers': ActionFormat(RATE, NAMES, Reference.START, absolute_joints=FINGERS),
    'previous': ActionFormat(RATE, NAMES, Reference.PREVIOUS),
    'degrees': ActionFormat(RATE, ARM, scale=(np.pi / 180,), offset=(0.3,), grippers=(GRIPPER,)),
    'velocity': ActionFormat(RATE, ARM, grippers=(GRIPPER,), velocity=VelocityResponse(0.8, 0.1)),
    'place': ActionFormat(RATE, FINGERS, tip_link='tool_point'),
    'place_rpy': ActionFormat(RATE, (), tip_link='tool_point', rpy=True, grippers=(GRIPPER,)),
    'place_change': ActionFormat(RATE, (), Reference.PREVIOUS, tip_link='tool_point',
                                 in_tip_frame=True, grippers=(GRIPPER,))}


@pytest.mark.parametrize('width', [0, -1])
@pytest.mark.parametrize('name', FORMS)
def test_holding_still_is_read_as_holding_still(name, width):
    form = FORMS[name]
    reader = ActionReader(ROBOT, form)
    motion = reader.trajectory(hold_actions(reader, READY, form.widths[width], 4), READY)
    np.testing.assert_allclose(
        motion.positions, np.tile([READY[joint] for joint in motion.joint_names], (5, 1)),
        atol=1e-4)


def test_a_gripper_that_holds_something_goes_on_pressing():
    """It is commanded shut and stands open by what it holds: holding must not open it."""
    form = ActionFormat(RATE, ARM, grippers=(GripperColumn(
        -1, 0.0, 1.0, dict.fromkeys(FINGERS, (0.04, 0.0)), threshold=0.5),))
    clock = Clock()
    holding = checker(FakeJudge(Status.PASS, Status.FAIL), form, clock)
    assert not holding.check(np.column_stack([chunk(0.0), np.ones(5)]), READY).held
    clock.time += 0.5
    stopped = READY | dict.fromkeys(FINGERS, 0.03)
    still = holding.check(np.column_stack([chunk(), np.ones(5)]), stopped)
    assert still.held and (still.actions[:, -1] == 1.0).all()


def test_an_arm_that_hangs_below_its_command_does_not_sink_while_it_is_held():
    held, at = checker(FakeJudge(*[Status.FAIL] * 50)), dict(READY)
    for _ in range(50):
        command = held.check(chunk(0.01, start=np.array([at[name] for name in ARM])), at).actions[0]
        at = READY | dict(zip(ARM, command - 0.02))        # the sag of its controller
    np.testing.assert_allclose(command, HERE, atol=1e-9)


def test_an_arm_that_was_moved_by_hand_is_held_where_it_is():
    held = checker(FakeJudge(Status.FAIL, Status.FAIL))
    held.check(chunk(), READY)
    elsewhere = READY | {ARM[0]: 0.5}
    still = held.check(chunk(start=np.array([elsewhere[name] for name in ARM])), elsewhere)
    np.testing.assert_allclose(still.actions[0], [elsewhere[name] for name in ARM])


# ---------------------------------------------------------------------- real scenes, long runs

def test_a_recorded_motion_into_the_table_is_held_before_it_touches():
    episode = Episode.open('libero_spatial_0_0_into_table')
    robot = Robot.from_urdf(episode.robot_description)
    observation, plan = episode.observation(), episode.trajectory
    with ShadowSimulator(robot, None) as simulator:
        reader = ActionReader(robot, ActionFormat(20.0, plan.joint_names))
        guarded = ChunkChecker(reader, ChunkGuard(
            robot, SimulatorPrecheck(simulator, lambda: observation)))
        times = np.arange(1, int(plan.duration * 20)) / 20.0
        rows = np.stack([np.interp(times, plan.times, column) for column in plan.positions.T], 1)
        checked = guarded.check(rows, dict(observation.joint_positions))
    assert checked.held and checked.verdict.status is Status.FAIL
    assert FindingCode.CONTACT in {finding.code for finding in checked.verdict.findings}


def test_a_long_run_keeps_nothing():
    """The bookkeeping of a day (100,000 chunks) is in bench; here enough of it to see it grow."""
    clock = Clock()
    day = checker(FakeJudge(), clock=clock, execution='overlapping', live=lambda: READY)
    day.guard._judge = lambda paths, joints: [verdict(Status.PASS)] * len(paths)
    tracemalloc.start()
    for number in range(300):
        if number == 150:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
        day.check(chunk(0.001 * (number % 3)), READY)
        clock.time += 0.3
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert day.guard.counts['chunks'] == 300 and grown < 20_000, grown
