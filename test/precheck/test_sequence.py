# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole precheck on ray-cast worlds: what passes, what fails and why, and which is best."""
import dataclasses
import functools
import pickle

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import BLUE, box, can, Path, RED, World
from scenes import pick_and_place as coarse_pick_and_place

from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.precheck import (Assessment, at_speed, Goal, PrecheckSettings, sequence,
                                   Tier0Settings, Tier1Settings)
from kinema4d_ros.precheck.sequence import run_precheck
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import (EventKind, FindingCode, JointLimit, Severity, silent, Status,
                                WorldEvent)
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.frozen import Frozen

pick_and_place = functools.partial(coarse_pick_and_place, frames=76)    # a point every 0.1 s
STILL, TO = (0.1, 0.15), (-0.05, -0.2)
EXACT = PrecheckSettings(tier1=Tier1Settings(depth_sigma=0.0, depth_sigma_square=0.0,
                                             mask_growth=2))
AT_GOAL = Goal.of({'inside': {'region': {'low': [-0.1, -0.25, 0.0], 'high': [0.0, -0.15, 0.2]}}})


@pytest.fixture(scope='module')
def shadow():
    """Return the simulator; nothing that it keeps changes a result."""
    return simulator(load_world_model('kinematic'))


def can_world(*things):
    """Return a world with a can to take, and more."""
    world = World().add(RED, can(0.03, 0.12, (*STILL, 0)))
    for thing in things:
        world.add(BLUE, thing)
    return world


def judge(shadow, world, path, **options):
    """Return the verdict."""
    options = {'settings': EXACT, **options}
    return shadow.precheck(observe(world, path), motion(path), **options)


def codes(verdict, severity):
    """Return the codes of the findings of that severity."""
    return [finding.code for finding in verdict.findings if finding.severity == severity]


GOOD = pick_and_place(STILL, TO, grip_height=0.07, release_height=0.09)


def test_a_good_pick_and_place_passes(shadow):
    verdict = judge(shadow, can_world(), GOOD, goal=AT_GOAL)
    assert verdict.status == Status.PASS and verdict.tiers_passed == (0, 1), verdict.summary
    assert codes(verdict, Severity.INFO)[-4:] == [
        FindingCode.GRASP, FindingCode.RELEASE, FindingCode.REST, FindingCode.GOAL]
    assert verdict.success > 0.9 and verdict.safe_prefix is None
    assert 'fingers close on an object' in verdict.outcome
    assert 'comes to rest' in verdict.outcome and verdict.speed_factor is None
    assert set(verdict.latencies) == {'tier 0', 'tier 1'}
    assert verdict.trajectory_hash == trajectory_hash(motion(GOOD))
    # The palm's lower side is 6 cm above the tips, the can's top 5 cm above them: 1 cm.
    assert verdict.min_clearance == pytest.approx(0.01, abs=0.003)


def test_closing_on_nothing_passes_but_fails_the_goal(shadow):
    aside = pick_and_place((STILL[0], STILL[1] + 0.08), TO, grip_height=0.07)
    verdict = judge(shadow, can_world(), aside, goal=AT_GOAL)
    assert FindingCode.CLOSED_ON_NOTHING in codes(verdict, Severity.INFO)
    assert verdict.success == pytest.approx(0.02, abs=1e-3)


def test_the_palm_on_what_is_taken(shadow):
    # 1 cm lower than its height allows: 0.12 - (0.05 + 0.06) = 1 cm in.
    low = pick_and_place(STILL, TO, grip_height=0.05, release_height=0.09)
    verdict = judge(shadow, can_world(), low, goal=AT_GOAL)
    assert verdict.status == Status.FAIL
    assert "'palm' would touch what the fingers close on" in verdict.summary
    assert verdict.success <= 0.2 and 0 < verdict.safe_prefix < 2.0


def test_what_is_carried_is_pushed_through_a_wall(shadow):
    # The can hangs 7 cm below the tips at 0.25: its bottom is at 0.18, a wall of 0.23 in its way.
    wall = box((0.3, 0.03, 0.23), (0.0, 0.0, 0.0))
    verdict = judge(shadow, can_world(wall), GOOD)
    found = [f for f in verdict.findings if f.severity == Severity.FAIL]
    assert [(f.code, f.other) for f in found] == [(FindingCode.CONTACT, 'carried object')]
    assert 4.0 < found[0].time < 5.0 and abs(found[0].point_base[1]) < 0.03
    low = box((0.3, 0.03, 0.15), (0.0, 0.0, 0.0))
    assert judge(shadow, can_world(low), GOOD).status == Status.PASS


def test_an_object_in_the_way_is_swept(shadow):
    post = box((0.05, 0.05, 0.3), (0.025, -0.02, 0.0))
    verdict = judge(shadow, can_world(post), GOOD)
    assert verdict.status == Status.FAIL
    swept = [f for f in verdict.findings if f.code == FindingCode.SWEPT]
    assert len(swept) == 1 and 'pushes an object at' in swept[0].message
    np.testing.assert_allclose(swept[0].point_base[:2], (0.025, -0.02), atol=0.03)


def test_into_the_table(shadow):
    path = Path.through((0, 0, -0.3, 0.25, 0.08), (2, *TO, 0.25, 0.08), (4, *TO, -0.04, 0.08),
                        (6, *TO, 0.25, 0.08), frames=61)
    verdict = judge(shadow, can_world(), path)
    assert verdict.status == Status.FAIL and 'pressed into the scene' in verdict.summary
    fingers = {f.link for f in verdict.findings if f.severity == Severity.FAIL}
    assert fingers == {'left', 'right'} and verdict.speed_factor is None


def test_too_fast_gets_the_speed_that_passes(shadow):
    fast = at_speed(motion(GOOD), 3.0)
    observation = observe(can_world(), GOOD)
    verdict = shadow.precheck(observation, fast, settings=EXACT)
    assert verdict.status == Status.FAIL and 0.1 < verdict.speed_factor < 1.0
    slower = shadow.precheck(observation, at_speed(fast, verdict.speed_factor), settings=EXACT)
    assert slower.status == Status.PASS, slower.summary


def test_candidates_are_ranked_from_one_observation(shadow):
    low = pick_and_place(STILL, TO, grip_height=0.05, release_height=0.09)
    observation = observe(can_world(), GOOD)
    slow = at_speed(motion(GOOD), 0.5)
    candidates = [motion(low), slow, motion(GOOD)]
    ranked = shadow.precheck_all(observation, candidates, settings=EXACT)
    assert [index for index, _ in ranked] == [2, 1, 0]
    assert [verdict.status for _, verdict in ranked] == [Status.PASS, Status.PASS, Status.FAIL]
    for index, verdict in ranked:
        alone = shadow.precheck(dataclasses.replace(observation), candidates[index],
                                settings=EXACT)
        assert dataclasses.replace(alone, latencies={}) == dataclasses.replace(
            verdict, latencies={})


# ------------------------------------------------------------------ denied by default

def test_without_depth_it_is_unsure(shadow):
    verdict = shadow.precheck(observe(can_world(), GOOD, depth=False), motion(GOOD))
    assert verdict.status == Status.UNSURE
    assert codes(verdict, Severity.UNSURE) == [FindingCode.NO_DEPTH]


def test_a_required_tier_that_is_not_run_is_no_pass(shadow):
    verdict = run_precheck(shadow, shadow.checker(EXACT), observe(can_world(), GOOD), motion(GOOD),
                           tiers=(0,), required=(0, 1), goal=None)
    assert verdict.status == Status.UNSURE and 'tier 1 did not run' in verdict.summary


@pytest.mark.parametrize('what, tier', [('tier0', 0), ('tier1', 1)])
def test_an_exception_in_a_tier_is_unsure_with_its_reason(what, tier, monkeypatch):
    from kinema4d_ros.precheck import RobotChecker

    def broken(*_):
        raise RuntimeError('the wheels came off')
    monkeypatch.setattr(RobotChecker, what, broken)
    verdict = judge(simulator(load_world_model('frozen')), can_world(), GOOD)
    assert verdict.status == Status.UNSURE
    assert f'tier {tier} failed: RuntimeError: the wheels came off' in verdict.summary


def test_a_motion_that_is_none_is_not_looked_at(shadow):
    broken = motion(GOOD)
    positions = broken.positions.copy()
    positions[3, 0] = np.nan
    broken = dataclasses.replace(broken, positions=positions)
    verdict = shadow.precheck(observe(can_world(), GOOD), broken, settings=EXACT)
    assert verdict.status == Status.FAIL and set(verdict.latencies) == {'tier 0'}
    assert codes(verdict, Severity.FAIL) == [FindingCode.NOT_FINITE]


def test_cancelling_passes_through(shadow):
    def cancel(stage, step, total):
        if stage == 'tier 1':
            raise PredictionCancelled('newer request')
    with pytest.raises(PredictionCancelled):
        judge(shadow, can_world(), GOOD, report=cancel)


def test_settings_reach_every_tier(shadow):
    strict = dataclasses.replace(EXACT, tier0=Tier0Settings(
        limits={'x': JointLimit(upper=0.05)}))
    assert judge(shadow, can_world(), GOOD, settings=strict).status == Status.FAIL
    careful = dataclasses.replace(EXACT, tier1=dataclasses.replace(
        EXACT.tier1, calibration_sigma=0.02, camera_check='off'))
    assert judge(shadow, can_world(), GOOD, settings=careful).status == Status.UNSURE


class TopplesWithSeedOne(Frozen):
    """A world model in which something tips over with one of the seeds."""

    name = 'topples-with-seed-one'

    def predict(self, observation, robot, *, seed=0, report=silent):
        event = WorldEvent(EventKind.TOPPLED, 0.5, None, 'it tips over', 0)
        for frame in super().predict(observation, robot, seed=seed, report=report):
            yield dataclasses.replace(frame, events=(event,)) if seed == 1 else frame


@pytest.mark.parametrize('seeds, severities', [(1, []), (2, [Severity.UNSURE])])
def test_what_happens_with_another_seed_is_judged(seeds, severities):
    settings = dataclasses.replace(EXACT, tier2=dataclasses.replace(EXACT.tier2, seeds=seeds))
    shadow = simulator(TopplesWithSeedOne(), frames=3)
    verdict = judge(shadow, can_world(), GOOD, tiers=(0, 1, 2), settings=settings)
    assert [f.severity for f in verdict.findings if f.code is FindingCode.TOPPLED] == severities


# ------------------------------------------------------------------ without a world model

def test_without_a_world_model_it_only_looks_and_checks():
    shadow = simulator(None)
    verdict = judge(shadow, can_world(), GOOD)
    assert (verdict.status, verdict.world_model) == (Status.PASS, ''), verdict.summary
    verdict = judge(shadow, can_world(), GOOD, tiers=(0, 1, 2))
    assert verdict.status == Status.UNSURE and 'no world model to predict with' in verdict.summary


@pytest.mark.parametrize('tiers', [(0,), (0, 1), (0, 1, 2), (0, 2)])
def test_the_steps_of_the_node_make_the_verdict_of_plain_python(shadow, tiers):
    """The node begins by itself and gets the rest from two jobs of its worker."""
    for trajectory in (motion(GOOD), at_speed(motion(GOOD), 3.0)):
        observation = observe(can_world(), GOOD)
        checker = shadow.checker(EXACT)
        plain = shadow.precheck(observation, trajectory, tiers=tiers, goal=AT_GOAL,
                                settings=EXACT)
        one, checked, predicted = Assessment(), Assessment(), Assessment()
        one.measure(trajectory_hash=trajectory_hash(trajectory), seed=0,
                    scene_stamp_ns=observation.stamp_ns, world_model='kinematic')
        joints = observation.joint_positions
        sequence.begin(one, trajectory, checker.robot, joints, EXACT.tier0)
        sequence.check(checked, checker, observation, trajectory, tiers=tiers, goal=AT_GOAL,
                       stage='self-collision')
        one.merge(pickle.loads(pickle.dumps(checked)))
        if 2 in tiers:
            sequence.predict(predicted, shadow, checker, observation, trajectory)
            one.merge(pickle.loads(pickle.dumps(predicted)))
        by_steps = sequence.conclude(one, trajectory, checker.robot, joints, EXACT.tier0,
                                     required=tiers)
        assert dataclasses.replace(by_steps, latencies={}, world_model='') == \
            dataclasses.replace(plain, latencies={}, world_model='')
