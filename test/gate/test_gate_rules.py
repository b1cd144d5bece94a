# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of the gate by themselves: the only ways through, and every reason not to."""
import dataclasses
import math

import pytest
from control_msgs.action import FollowJointTrajectory
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, RuleBasedStateMachine
from hypothesis.stateful import rule as step

from kinema4d_ros.gate import rules as gate_rules
from kinema4d_ros.gate import GateRequest, GateSettings, Mode, ShadowSimAnswer
from kinema4d_ros.gate.rules import GoalErrorCode, OverrideGrant, rule, Ruling, Situation
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

NOW = 1_000_000_000_000
S = 1_000_000_000
ANY = GateSettings()
GOOD = {
    'request': GateRequest(trajectory_hash='t'),
    'answer': ShadowSimAnswer(
        Verdict(Status.PASS, 'nothing found', tiers_passed=(0, 1), trajectory_hash='t',
                robot_hash='r', scene_stamp_ns=NOW - S), valid_until_ns=NOW + S),
    'situation': Situation(NOW, 'r'),
    'settings': GateSettings(),
}
INFO = Finding(FindingCode.REST, Severity.INFO, 'a cup came to rest')

hashes = st.sampled_from(['t', 'r', '', 'x'])
stamps = st.sampled_from([0, 1, NOW - 11 * S, NOW - S, NOW - 1, NOW, NOW + 1, NOW + S,
                          NOW + 11 * S])
problems = st.sampled_from(['', 'a problem'])
findings = st.lists(st.builds(
    Finding, st.sampled_from(FindingCode), st.sampled_from(Severity), st.just('words')),
    max_size=2).map(tuple)
verdicts = st.none() | st.builds(
    Verdict, st.sampled_from(Status), st.just('words'), findings=findings,
    tiers_passed=st.sampled_from([(), (0,), (0, 1)]), trajectory_hash=hashes, robot_hash=hashes,
    scene_stamp_ns=stamps)
worlds = st.fixed_dictionaries({
    'request': st.builds(GateRequest, hashes, stamps, problems, problems, hashes),
    'answer': st.builds(ShadowSimAnswer, verdicts, stamps, problems),
    'situation': st.builds(Situation, st.sampled_from([0, NOW]), hashes, problems, problems,
                           problems, problems,
                           st.sampled_from([0.0, 0.02, 0.03, math.nan, math.inf]), st.just('elbow'),
                           problems, problems, problems, st.sampled_from([0.0, 0.02, 0.03]),
                           st.sampled_from([0.0, 0.02, 0.03, math.inf])),
    'settings': st.builds(GateSettings, st.sampled_from([(), (0,), (0, 1)]),
                          st.sampled_from([0.0, 10.0])),
})


def near_good():
    """Return worlds that are good but for a few things, which random ones almost never are."""
    def mix(pair):
        world, picks = pair
        out = {}
        for name, good in GOOD.items():
            fields = {field.name: getattr(world[name], field.name)
                      for field in dataclasses.fields(good)
                      if (name, field.name) in picks}
            out[name] = dataclasses.replace(good, **fields)
        return out

    keys = [(name, field.name) for name, good in GOOD.items()
            for field in dataclasses.fields(good)]
    return st.tuples(worlds, st.sets(st.sampled_from(keys), max_size=2)).map(mix)


def is_fresh_matching_pass(request, answer, situation, settings):
    """Say the same as the rules, the other way round."""
    verdict, now = answer.verdict, situation.now_ns
    return bool(
        verdict is not None and verdict.status == Status.PASS and not answer.problem
        and {finding.severity for finding in verdict.findings} <= {Severity.INFO}
        and request.trajectory_hash
        and (request.motion_hash or request.trajectory_hash) == verdict.trajectory_hash
        and situation.robot_hash and situation.robot_hash == verdict.robot_hash
        and settings.required_tiers
        and set(settings.required_tiers) <= set(verdict.tiers_passed)
        and now < answer.valid_until_ns
        and (settings.max_scene_age == 0.0 or (verdict.scene_stamp_ns and abs(
            now - verdict.scene_stamp_ns) <= settings.max_scene_age * 1e9))
        and not request.unchecked and not situation.joints_problem
        and not situation.watch_problem
        and not situation.shadow_sim_problem and request.start_ns <= answer.valid_until_ns)


def is_plain(request, situation, settings):
    """Tell whether nothing of the gate itself is in the way."""
    return (not request.problem and not situation.gate_problem
            and not situation.controller_problem and situation.now_ns > 0
            and (request.start_ns == 0 or request.start_ns >= situation.now_ns)
            and not situation.robot_problem and not situation.other_problem
            and (request.start_ns == 0 or situation.waits_at <= settings.start_tolerance)
            and situation.blend <= settings.start_tolerance
            and situation.moved <= settings.start_tolerance)


@settings(max_examples=500, deadline=None)
@given(st.one_of(worlds, near_good()), st.booleans(), st.none() | st.booleans())
def test_the_only_ways_through_enforce(world, overridden, approved):
    decision = rule(Mode.ENFORCE, **world, overridden=overridden, approved=approved)
    plain = is_plain(world['request'], world['situation'], world['settings'])
    may_pass = plain and (overridden or is_fresh_matching_pass(**world))
    assert (decision.ruling == Ruling.FORWARD) == may_pass
    assert decision.ruling != Ruling.ASK
    assert decision.reason


@settings(max_examples=200, deadline=None)
@given(st.one_of(worlds, near_good()), st.booleans(), st.none() | st.booleans())
def test_advise_forwards_only_what_is_approved(world, overridden, approved):
    decision = rule(Mode.ADVISE, **world, overridden=overridden, approved=approved)
    if not is_plain(world['request'], world['situation'], world['settings']):
        assert decision.ruling == Ruling.REFUSE
    else:
        assert decision.ruling == {None: Ruling.ASK, True: Ruling.FORWARD,
                                   False: Ruling.REFUSE}[approved]
    assert decision.reason


@given(worlds)
def test_monitor_forwards_whatever_can_be_forwarded(world):
    decision = rule(Mode.MONITOR, **world)
    assert (decision.ruling == Ruling.FORWARD) == (not world['situation'].controller_problem)


@settings(max_examples=150, deadline=None)
@given(near_good(), st.floats(0.01, 10.0), st.floats(0.0, 0.02))
def test_tightening_never_lets_more_through(world, age, tolerance):
    required = world['settings'].required_tiers      # without any, nothing passes
    tighter = dataclasses.replace(
        world['settings'], start_tolerance=min(tolerance, world['settings'].start_tolerance),
        max_scene_age=min(age, world['settings'].max_scene_age or age),
        required_tiers=(*required, 1) if required else ())
    if rule(Mode.ENFORCE, **world).ruling == Ruling.REFUSE:
        assert rule(Mode.ENFORCE, **{**world, 'settings': tighter}).ruling == Ruling.REFUSE


def changed(name, **fields):
    return {**GOOD, name: dataclasses.replace(GOOD[name], **fields)}


def verdict(**fields):
    return changed('answer', verdict=dataclasses.replace(GOOD['answer'].verdict, **fields))


def test_good_is_good():
    assert rule(Mode.ENFORCE, **GOOD) == gate_rules.RuleResult(
        Ruling.FORWARD, 'PASS: nothing found')
    assert rule(Mode.ENFORCE, **verdict(findings=(INFO,))).ruling == Ruling.FORWARD


@pytest.mark.parametrize('world, words', [
    (changed('request', problem='point 3 is short'), 'point 3 is short'),
    (changed('request', unchecked='it commands efforts'), 'efforts, which no verdict covers'),
    (changed('request', trajectory_hash='x'), 'another trajectory (hash t, asked x)'),
    (changed('request', motion_hash='m'), 'another trajectory (hash t, asked m)'),
    (changed('request', start_ns=NOW - S // 2), 'header.stamp is 0.50 s in the past'),
    (changed('request', start_ns=NOW + 3 * S), 'start 2.00 s after its verdict expires'),
    (changed('answer', verdict=None), 'there is no verdict'),
    (changed('answer', problem='the worker restarts'), 'the worker restarts'),
    (changed('answer', valid_until_ns=0), 'not valid at any time'),
    (changed('answer', valid_until_ns=NOW - S), 'expired 1.00 s ago'),
    (changed('answer', valid_until_ns=NOW), 'expired 0.00 s ago'),
    (changed('situation', now_ns=0), 'nothing is on /clock'),
    (changed('situation', robot_hash=''), 'robot_state_publisher'),
    (changed('situation', robot_hash='x'), 'another robot description'),
    (changed('situation', gate_problem='two gates'), 'two gates'),
    (changed('situation', controller_problem='none there'), 'none there'),
    (changed('situation', shadow_sim_problem='two of them'), 'two of them'),
    (changed('situation', joints_problem='elbow is silent'), 'elbow is silent'),
    (changed('situation', moved=0.03, moved_joint='elbow'), 'elbow moved by 0.0300'),
    (changed('situation', moved=math.nan, moved_joint='elbow'), 'elbow moved'),
    (changed('situation', moved=math.inf, moved_joint='elbow'), 'not tell how far elbow is'),
    (changed('situation', watch_problem='no robot'), 'cannot be watched: no robot'),
    (changed('settings', required_tiers=()), 'tier none did not pass'),
    (changed('settings', required_tiers=(0, 1, 2)), 'tier 2 did not pass'),
    (verdict(status=Status.FAIL), 'FAIL: nothing found'),
    (verdict(status=Status.UNSURE), 'UNSURE: nothing found'),
    (verdict(findings=(dataclasses.replace(INFO, severity=Severity.FAIL),)), 'findings do not'),
    (verdict(robot_hash=''), 'hash missing, here r'),
    (verdict(scene_stamp_ns=0), 'no observed scene'),
    (verdict(scene_stamp_ns=NOW - 11 * S), '11.00 s old, limit 10.0 s'),
    (verdict(scene_stamp_ns=NOW + 11 * S), '-11.00 s old'),
])
def test_every_reason_is_said(world, words):
    decision = rule(Mode.ENFORCE, **world)
    assert decision.ruling == Ruling.REFUSE
    assert words in decision.reason


def test_the_scene_must_have_been_checked_unless_somebody_says_otherwise():
    assert GateSettings().required_tiers == (0, 1)
    assert rule(Mode.ENFORCE, **verdict(tiers_passed=(0,))).ruling == Ruling.REFUSE


@pytest.mark.parametrize('names, start, live, expected', [
    (('a',), {'a': 1.0}, {'a': 1.5}, ('a', 0.5)),
    (('a',), {'a': 1.0}, {}, ('a', math.inf)),                       # fell silent
    (('a',), {}, {'a': 1.0}, ('a', math.inf)),                       # unknown when asked
    (('a',), {'a': math.nan}, {'a': 1.0}, ('a', math.inf)),
    (('a',), {'a': 1.0, 'b': 0.0}, {'a': 1.0, 'b': 0.3}, ('b', 0.3)),   # not in the trajectory
    (('a',), {'a': 1.0, 'b': 0.0}, {'a': 1.0}, ('b', math.inf)),
    (('a',), {'a': 1.0}, {'a': 1.0, 'b': 9.0}, ('a', 0.0)),          # nobody relied on it
    ((), {}, {}, ('', 0.0)),
])
def test_how_far_the_joints_are_from_where_they_were(names, start, live, expected):
    assert gate_rules.farthest(names, start, live) == expected


def test_error_codes_are_those_of_the_action():
    for code in GoalErrorCode:
        assert getattr(FollowJointTrajectory.Result, code.name) == code
    world = verdict(status=Status.FAIL, findings=(
        Finding(FindingCode.UNKNOWN_JOINT, Severity.FAIL, 'no joint nose'),))
    assert rule(Mode.ENFORCE, **world).error == GoalErrorCode.INVALID_JOINTS
    assert rule(Mode.ENFORCE, **changed('request', start_ns=NOW - S)).error == \
        GoalErrorCode.OLD_HEADER_TIMESTAMP


class Desk(RuleBasedStateMachine):
    """An override is used once, for its trajectory, in its time."""

    def __init__(self):
        super().__init__()
        self.overrides, self.now, self.grants, self.uses = OverrideGrant(), 0.0, [], 0

    @step(name=st.sampled_from('ab'), lifetime=st.floats(0.1, 10.0))
    def grant(self, name, lifetime):
        self.overrides.grant(name, self.now + lifetime)
        self.grants.append((name, self.now + lifetime))

    @step(name=st.sampled_from(['a', 'b', '']))
    def take(self, name):
        if self.overrides.take(name, self.now):
            self.uses += 1
            assert (name, self.now < self.grants[-1][1]) == (self.grants[-1][0], True)

    @step(seconds=st.floats(0.0, 5.0))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def never_more_uses_than_grants(self):
        assert self.uses <= len(self.grants)


TestDesk = Desk.TestCase
TestDesk.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
