# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers 1 and 2 through the node: when verdicts come, what they rest on, what sets the rules."""
import contextlib
import json
import math
import os
import re
import signal

import pytest
from action_msgs.msg import GoalStatus
from graph import FakeRobot, FRAMES, made, READY, start_shadow_sim, swing
from gate_world import ROBOT_HASH
from kinema4d_ros.msg import Finding, LocalClearance, Verdict
from shadow_bench import codes, running, stages
from stub_models import GHOST, GOOD, HUNGRY_DEVICE, RAISE, SHOW, STUCK, UNRESPONSIVE

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.images import image_to_array
from kinema4d_ros.bridge.motion import duration_message, stamp_ns, trajectory_from_message
from kinema4d_ros.robot import trajectory_hash

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope='module')
def shared_bench(module_ros_domain, tmp_path_factory):
    """Start one node for the module, with the checks in a process of their own."""
    folder = tmp_path_factory.mktemp('rubrics')
    (folder / 'pick.yaml').write_text('lifted: {height: 0.1}\n')
    with running(required_tiers=[0, 1], separate_checks='true', rubric_dir=folder,
                 verdict_lifetime=60.0,
                 tracebacks=1) as bench:      # of the model that had no memory
        bench.graph.wait(lambda: "robot 'demo_arm'" in bench.process.output(), 'the robot')
        yield bench


@pytest.fixture
def bench(shared_bench):
    """Give the module's bench, and bring it back to a good state."""
    yield shared_bench
    shared_bench.set(**{'tier0.self_margin': 0.0, 'tier2.seeds': 1, 'tier2.hold_still': False,
                        'tier2.following_scores': '', 'tier2.least_following': 0.5,
                        'goal_rubric': ''})
    shared_bench.reset()
    shared_bench.robot.wait_shown()


def against(verdict):
    """Return the codes of what speaks against a PASS."""
    return [finding.code for finding in verdict.findings if finding.severity != Finding.INFO]


def frames_of(bench, verdict):
    """Wait for the frames that belong to a verdict and return them."""
    def frames():
        return [frame for frame in bench.frames if frame.rollout_id == verdict.rollout_id]

    bench.graph.wait(lambda: len(frames()) >= FRAMES, 'the frames')
    return frames()


def early_and_final(bench, trajectory=None):
    """Publish a trajectory and return its first and its final verdict."""
    before = len(bench.verdicts)
    bench.robot.trajectory.publish(trajectory or swing())

    def pair():
        early = [v for v in bench.verdicts[before:] if not v.final][:1]
        final = [v for v in bench.verdicts[before:] if v.final and early
                 and v.rollout_id == early[0].rollout_id]
        return early + final if final else None

    early, final = bench.graph.wait(pair, 'two verdicts')
    assert (early.rollout_id, early.trajectory_hash, early.header.stamp) == (
        final.rollout_id, final.trajectory_hash, final.header.stamp)
    return early, final


def test_verdict_before_the_frames_and_a_final_one_after_them(bench):
    early, final = early_and_final(bench)
    assert [v.status for v in (early, final)] == [Verdict.PASS] * 2, early.summary
    assert list(early.tiers_passed) == [0, 1] and early.world_model == ''
    assert (final.world_model, final.checkpoint_hash) == ('scripted', '5eed')
    assert {'tier 0', 'self-collision', 'tier 1', 'verdict'} <= set(stages(early))
    assert 'first frame' not in stages(early)
    assert {'first frame', 'total'} <= set(stages(final))


@contextlib.contextmanager
def slow_check(bench, trajectory):
    """Have a trajectory checked, by a process that sleeps meanwhile."""
    _, result = bench.outcome(bench.goal())
    # by then it has its robot, for which it is not idle once, and no prediction is cut short
    bench.graph.wait(lambda: any(verdict.final for verdict in bench.verdicts if
                                 verdict.rollout_id == result.verdicts[0].rollout_id), 'its end')
    bench.diagnostics.clear()
    bench.graph.wait(lambda: (bench.status('checks') or ({},) * 3)[2].get('state') == 'idle',
                     'an idle worker')
    pid = int(bench.status('checks')[2]['pid'])
    os.kill(pid, signal.SIGSTOP)
    try:
        bench.robot.trajectory.publish(trajectory)
        bench.graph.wait(lambda: bench.status('checks')[2]['state'] == 'busy', 'its check')
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def verdicts_on(bench, trajectory):
    """Return the verdicts on a trajectory so far."""
    digest = trajectory_hash(trajectory_from_message(trajectory))
    return [verdict for verdict in bench.verdicts if verdict.trajectory_hash == digest]


def test_in_a_stream_a_check_comes_to_its_end_but_what_it_checks_never_passes(bench):
    oldest, between, newest = swing(0.11), swing(0.12), swing(0.13)
    with slow_check(bench, oldest):
        bench.robot.trajectory.publish(between)
        bench.robot.trajectory.publish(newest)
        bench.graph.wait(lambda: bench.status('verdict')[2]['requests waiting'] == '2', 'both')
    bench.graph.wait(lambda: [v for v in verdicts_on(bench, newest) if v.final], 'the verdict')
    (outdated,), (skipped,) = verdicts_on(bench, oldest), verdicts_on(bench, between)
    for verdict in (outdated, skipped):
        assert (verdict.status, verdict.final) == (Verdict.UNSURE, True)
        assert against(verdict) == [Finding.CANCELLED]
    # the one has been looked at, and tells what was found; the other has not
    assert 'tier 1' in stages(outdated) and not math.isnan(outdated.min_clearance)
    assert 'tier 1' not in stages(skipped)
    assert {verdict.status for verdict in verdicts_on(bench, newest)} == {Verdict.PASS}


def test_the_frames_of_a_trajectory_do_not_wait_for_its_check(bench):
    trajectory = swing(0.17)
    with slow_check(bench, trajectory):
        judged = {verdict.rollout_id for verdict in bench.verdicts}

        def shown():
            return [frame for frame in bench.frames if frame.rollout_id not in judged]

        bench.graph.wait(lambda: len(shown()) >= FRAMES, 'the frames')
        assert verdicts_on(bench, trajectory) == []
    bench.graph.wait(lambda: [v.final for v in verdicts_on(bench, trajectory)] == [False, True],
                     'both verdicts')
    assert [frame.index for frame in shown()] == list(range(FRAMES))
    assert {frame.rollout_id for frame in shown()} \
        == {verdict.rollout_id for verdict in verdicts_on(bench, trajectory)}


def test_a_goal_does_not_wait_for_the_answer_to_a_stream(bench):
    streamed = swing(0.14)
    with slow_check(bench, streamed):
        handle = bench.goal(swing(0.15))
        bench.graph.wait(lambda: verdicts_on(bench, streamed), 'its end')
    (verdict,) = verdicts_on(bench, streamed)
    assert against(verdict) == [Finding.CANCELLED] and 'tier 1' not in stages(verdict)
    assert bench.outcome(handle)[0] == GoalStatus.STATUS_SUCCEEDED


@pytest.mark.parametrize('seed', [STUCK, UNRESPONSIVE])
def test_a_goal_does_not_wait_for_a_model_that_hangs(bench, seed):
    bench.set(seed=seed)
    frames, verdicts = len(bench.frames), len(bench.verdicts)
    status, result = bench.outcome(bench.goal())
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert result.verdicts[0].status == Verdict.PASS and not result.verdicts[0].final
    bench.graph.wait(lambda: len(bench.frames) >= frames + 2, 'the first frames')
    bench.set(seed=GOOD)
    newer = bench.goal()
    assert bench.outcome(newer)[1].verdicts[0].status == Verdict.PASS
    bench.graph.wait(lambda: len(bench.verdicts) >= verdicts + 4, 'two final verdicts')
    older = bench.verdicts[verdicts + 1]      # what was only shown gave way: no doubt
    assert (older.final, older.status, older.rollout_id) == (
        True, Verdict.PASS, result.verdicts[0].rollout_id)
    assert Finding.CANCELLED in codes(older) and against(older) == []


def test_a_world_model_that_fails_makes_the_final_verdict_unsure(bench):
    bench.set(seed=HUNGRY_DEVICE)
    early, final = early_and_final(bench)
    assert (early.status, final.status) == (Verdict.PASS, Verdict.UNSURE)
    assert against(final) == [Finding.MODEL_FAILED]
    assert 'OutOfMemoryError: CUDA out of memory' in final.summary
    bench.set(seed=GOOD)
    assert early_and_final(bench)[1].status == Verdict.PASS


def test_without_depth_there_is_no_pass(bench):
    bench.robot.depth_on = False
    bench.robot.wait_shown(20)
    early, _ = early_and_final(bench)
    assert early.status == Verdict.UNSURE and Finding.NO_DEPTH in codes(early)


def test_a_wall_in_the_way_is_a_contact_with_its_place_and_the_clearance_over_time(bench):
    bench.robot.depth[:] = 0.9
    bench.robot.wait_shown()
    since = bench.graph.node.get_clock().now().nanoseconds
    early, final = early_and_final(bench, swing(0.8))
    while stamp_ns(early.header.stamp) < since:      # a slow node still looks at what was before
        early, final = early_and_final(bench, swing(0.8))
    assert early.status == final.status == Verdict.FAIL, early.summary
    contact = next(f for f in early.findings if f.code == Finding.CONTACT)
    assert contact.link and contact.has_time_from_start and math.isfinite(contact.point.x)
    assert early.min_clearance < 0.0 and early.min_clearance == final.min_clearance
    assert early.min_clearance == pytest.approx(
        min(sample.distance for sample in early.clearances))


def test_tier_2_looks_at_what_is_predicted(bench):
    bench.robot.depth_on = True
    status, result = bench.outcome(bench.goal(tiers=[2]))
    (verdict,) = result.verdicts
    assert verdict.status == Verdict.PASS and verdict.final, verdict.summary
    assert list(verdict.tiers_passed) == [0, 1, 2]
    bench.set(**{'seed': GHOST, 'tier2.seeds': 2, 'tier2.hold_still': True})
    status, result = bench.outcome(bench.goal(tiers=[2]))
    assert status == GoalStatus.STATUS_SUCCEEDED, result.error_msg
    (verdict,) = result.verdicts
    assert verdict.status == Verdict.UNSURE and verdict.tier == 2
    assert {Finding.GHOST_MOTION, Finding.SPREAD, Finding.NO_REACTION} <= set(codes(verdict))
    assert list(verdict.tiers_passed) == [0, 1]
    assert len(frames_of(bench, verdict)) == FRAMES       # of one prediction
    assert bench.feedback[-1].provisional.status == Verdict.UNSURE
    provisional = [f.provisional for f in bench.feedback if f.provisional.tiers_passed]
    assert not any(verdict.final for verdict in provisional)


def test_tier_2_believes_no_model_that_does_not_follow_actions(bench, tmp_path):
    # The model says that it does; what was measured of these weights says more.
    told = {'world_model': 'scripted', 'fingerprint': '5eed', 'score': 0.3, 'low': 0.2, 'high': 0.4,
            'episodes': 3, 'frames': 60,
            'settings': {'unused': 1.0, 'words': '', 'slow_start': False}}
    path = tmp_path / 'scores.json'
    path.write_text(json.dumps({'scores': [told]}))
    bench.set(**{'tier2.following_scores': str(path)})
    _, result = bench.outcome(bench.goal(tiers=[2]))
    (verdict,) = result.verdicts
    assert verdict.status == Verdict.UNSURE and verdict.tier == 2
    assert against(verdict) == [Finding.ACTION_FOLLOWING]
    assert 'its score is 0.30 (0.20 to 0.40; 3 episodes, 60 frames)' in verdict.summary
    said = bench.graph.set_parameter('shadow_sim', **{'tier2.following_scores': '/nowhere'})
    assert 'kinema4d probe-model' in said
    bench.set(**{'tier2.least_following': 0.15})
    _, result = bench.outcome(bench.goal(tiers=[2]))
    assert result.verdicts[0].status == Verdict.PASS, result.verdicts[0].summary


@pytest.mark.parametrize('seed, code, deadline', [
    (STUCK, Finding.DEADLINE, 1.0), (RAISE, Finding.MODEL_FAILED, 0.0)])
def test_tier_2_that_does_not_come_is_unsure(bench, seed, code, deadline):
    bench.set(seed=seed)
    status, result = bench.outcome(bench.goal(tiers=[2], deadline=duration_message(deadline)))
    assert status == GoalStatus.STATUS_ABORTED
    assert against(result.verdicts[0]) == [code]
    assert result.verdicts[0].status == Verdict.UNSURE


def test_what_a_model_knows_of_its_own_errors_arrives(bench):
    bench.set(seed=SHOW)
    frame = frames_of(bench, early_and_final(bench)[1])[-1]
    assert frame.action_following == 0.125
    sigma = image_to_array(frame.sigma)
    assert sigma.shape == image_to_array(frame.image).shape[:2] and (sigma == 0.25).all()
    bench.set(seed=GOOD)
    frame = frames_of(bench, early_and_final(bench)[1])[-1]
    assert math.isnan(frame.action_following) and not frame.sigma.data


def test_candidates_with_their_ranking_are_published(bench):
    candidates = [swing(angle=9.0), swing(0.2), swing(0.1)]
    before = len(bench.heard['candidates'])
    _, result = bench.outcome(bench.goal(*candidates))
    bench.graph.wait(lambda: len(bench.heard['candidates']) > before, 'the candidates')
    told = bench.heard['candidates'][-1]
    assert told.trajectories == candidates and told.ranking == result.ranking
    assert [v.status for v in told.verdicts] == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    assert [v.rollout_id for v in told.verdicts] == [f'{told.rollout_id}-{i}' for i in range(3)]
    assert told.header.frame_id == 'base_link'


def test_a_rule_that_changes_holds_from_the_next_request_on(bench):
    assert early_and_final(bench)[0].status == Verdict.PASS
    bench.set(**{'tier0.self_margin': 0.5})
    early, _ = early_and_final(bench)
    assert Finding.SELF_COLLISION in codes(early) and early.status != Verdict.PASS
    bench.set(**{'tier0.self_margin': 0.0})
    assert early_and_final(bench)[0].status == Verdict.PASS


@pytest.mark.parametrize('values, words', [
    ({'tier1.near_miss': 0.5}, 'Max: 0.06'), ({'tier1.unseen': 'ignore'}, 'report, unsure'),
    ({'touch.hand.depth': -0.1}, 'touch.hand.depth.*at least 0'),
    ({'touch.hand.force': 1.0}, 'did you mean touch.<link>.depth'),
    ({'touch.hand.within': [1, 0, 0, 0, 1, 1]}, 'smaller corner first'),
    ({'self_margin': 0.5}, 'another name since 0.2.0: tier0.self_margin'),
    ({'goal_rubric': 'tidy'}, 'known: .*pick'),
    ({'srdf': '/nowhere'}, 'read-only')])
def test_a_rule_that_makes_no_sense_is_refused(bench, values, words):
    said = bench.graph.set_parameter('shadow_sim', **values)
    assert re.search(words, said), said


def test_a_goal_by_name_is_judged_by_what_is_foreseen(bench):
    _, result = bench.outcome(bench.goal(goal_rubric='pick'))
    (verdict,) = result.verdicts
    assert 0.0 <= verdict.success < 0.1      # nothing is picked up
    assert Finding.GOAL in codes(verdict)
    bench.set(goal_rubric='lift')
    assert early_and_final(bench)[0].success == verdict.success
    bench.set(goal_rubric='')
    assert math.isnan(early_and_final(bench)[0].success)


def test_late_evidence_comes_after_the_verdict(bench):     # the last: no list is ever empty again
    bench.set(late_tiers=[2], seed=GHOST)
    early, final = early_and_final(bench)
    assert (early.status, list(early.tiers_passed)) == (Verdict.PASS, [0, 1])
    assert final.status == Verdict.UNSURE and Finding.GHOST_MOTION in codes(final)
    bench.set(seed=GOOD)
    assert list(early_and_final(bench)[1].tiers_passed) == [0, 1, 2]


def test_checks_do_not_wait_for_a_model_that_loads(ros_domain):
    with made() as graph:
        verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        robot = FakeRobot(graph)
        process = start_shadow_sim(required_tiers=[0, 1], separate_checks='true',
                                   **{'world_model_settings.slow_start': 'true'})
        graph.wait(lambda: 'loading for ever' in process.output(), 'the model to load')
        graph.wait(robot.trajectory.get_subscription_count, 'the node')
        robot.trajectory.publish(swing())
        graph.wait(lambda: verdicts, 'a verdict')
        assert (verdicts[0].status, verdicts[0].final) == (Verdict.PASS, False)
        assert process.stop() == 0, process.output()


def test_a_bad_setting_of_the_world_model_is_one_clear_error(ros_domain):
    words = 'has no setting unusd; it has: slow_start, unused, words'
    with made() as graph:
        process = start_shadow_sim(**{'world_model_settings.unusd': 1.0})
        graph.wait(lambda: words in process.output(), 'the error')
        assert process.stop() == 0
        assert process.output().count(words) == 1 and 'Traceback' not in process.output()


def test_an_srdf_that_is_not_there_ends_the_node(ros_domain):
    process = start_shadow_sim(srdf='/nowhere/arm.srdf')
    assert process.process.wait(60.0) == 1
    assert "srdf: '/nowhere/arm.srdf' is neither the text" in process.output()


def test_the_free_space_around_the_robot_is_told_while_somebody_listens(bench):
    heard = bench.graph.listen('local_clearance', LocalClearance, qos.LOCAL_CLEARANCE)
    told = bench.graph.wait(lambda: next((m for m in heard if not m.problem), None),
                            f'the free space, not {[m.problem for m in heard]}')
    assert len(told.joint_names) >= 7
    for name, place in zip(told.joint_names, told.joint_positions):
        assert place == pytest.approx(READY[name])
    assert told.robot_hash == ROBOT_HASH and told.header.frame_id == 'base_link'
    spaces = {each.link: each for each in told.links}
    assert {'gripper_palm', 'forearm_link'} <= set(spaces)
    assert all(math.isfinite(each.space) and each.space < 0.25 for each in told.links)
    assert sum(each.space > 0.02 for each in told.links) >= 3
    assert all(each.low.x <= each.high.x for each in told.links)
    bench.robot.camera_on = bench.robot.depth_on = False
    bench.set(max_input_age=0.2)
    found = bench.graph.wait(lambda: heard[-1].problem and heard[-1], 'the problem')
    assert 'camera' in found.problem and not found.links
    bench.robot.camera_on = bench.robot.depth_on = True
    bench.set(max_input_age=1.0)
    bench.graph.wait(lambda: not heard[-1].problem, 'the free space again')
