# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The verdict: denied by default, monotone in every direction; and the trajectory's hash."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros import precheck
from kinema4d_ros.precheck import decide, not_checked
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity, Status

RANK = {Status.PASS: 0, Status.UNSURE: 1, Status.FAIL: 2}
FINDINGS = st.builds(
    Finding, code=st.sampled_from(FindingCode), severity=st.sampled_from(Severity),
    message=st.just('because'), time=st.none() | st.floats(0, 10))
TIERS = st.dictionaries(st.integers(0, 2), st.lists(FINDINGS, max_size=3), max_size=3)


def fail(message='joint would hit', **facts):
    """Return a FAIL finding."""
    return Finding(FindingCode.CONTACT, Severity.FAIL, message, **facts)


def test_public_names_resolve():
    assert all(hasattr(precheck, name) for name in precheck.__all__)


def test_pass_takes_every_required_tier():
    assert decide({0: []}, required=(0,)).status == Status.PASS
    partial = decide({0: []}, required=(0, 1))
    assert partial.status == Status.UNSURE and 'tier 1 did not run' in partial.summary
    assert partial.safe_prefix == 0.0


def test_nothing_required_or_nothing_run_is_no_pass():
    assert decide({0: []}, required=()).status == Status.UNSURE
    assert 'nothing can pass' in decide({0: []}, required=()).summary
    nothing = decide({}, required=(0,))
    assert nothing.status == Status.UNSURE and nothing.deciding_tier == -1
    assert nothing.summary == 'not checked: tier 0 did not run'


def test_fail_dominates_unsure_and_the_earliest_fail_speaks():
    verdict = decide({0: [not_checked('stale'), fail('late', time=3.0)],
                      1: [fail('early', time=1.5)]}, required=(0, 1))
    assert verdict.status == Status.FAIL and verdict.deciding_tier == 1
    assert verdict.summary == 'early (and 1 more finding)'
    assert verdict.tiers_passed == ()


def test_safe_prefix():
    assert decide({0: []}, required=(0,)).safe_prefix is None
    assert decide({0: [fail(time=2.5), fail(time=1.5)]}, required=(0,)).safe_prefix == 1.5
    assert decide({0: [fail(time=2.5), fail()]}, required=(0,)).safe_prefix == 0.0
    doubt = Finding(FindingCode.NEAR_MISS, Severity.UNSURE, 'close', time=1.0)
    assert decide({0: [fail(time=2.5), doubt]}, required=(0,)).safe_prefix == 1.0
    assert decide({0: [fail(time=2.5)]}, required=(0, 1)).safe_prefix == 0.0
    assert decide({0: [not_checked('stale')]}, required=(0,)).safe_prefix == 0.0


def test_info_moves_nothing_but_is_kept():
    info = Finding(FindingCode.GRASP, Severity.INFO, 'grasps the cup', time=1.0)
    verdict = decide({0: [info]}, required=(0,))
    assert verdict.status == Status.PASS and verdict.findings == (info,)
    assert verdict.tiers_passed == (0,) and verdict.summary == 'nothing wrong found by tier 0'


def test_not_checked_is_unsure_with_its_reason():
    finding = not_checked('joint_states are 3 s old', FindingCode.STALE_INPUT)
    verdict = decide({0: [finding]}, required=(0,))
    assert verdict.status == Status.UNSURE and verdict.summary == 'joint_states are 3 s old'
    assert verdict.findings[0].code == FindingCode.STALE_INPUT


def test_what_it_is_bound_to_is_kept():
    verdict = decide({0: []}, required=(0,), trajectory_hash='a', robot_hash='b',
                     scene_stamp_ns=3, outcome='o', latencies={'t': 0.1}, world_model='m', seed=4)
    assert dataclasses.astuple(dataclasses.replace(verdict, latencies={}))[5:13] == (
        'a', 'b', 3, 'o', None, {}, 'm', 4)
    with pytest.raises(TypeError):
        verdict.latencies['t'] = 0


@given(TIERS, st.sets(st.integers(0, 2)), st.integers(0, 2), FINDINGS)
def test_adding_a_finding_never_improves(findings, required, tier, extra):
    before = decide(findings, required=required)
    # into a tier that ran: running another tier is what may turn UNSURE into PASS
    if tier in findings:
        findings = {**findings, tier: [*findings[tier], extra]}
        after = decide(findings, required=required)
        assert RANK[after.status] >= RANK[before.status]
        if before.status == after.status == Status.FAIL:
            assert after.safe_prefix <= before.safe_prefix


@given(TIERS, st.sets(st.integers(0, 2)), st.integers(0, 2))
def test_removing_a_required_tier_never_gives_a_pass(findings, required, tier):
    without = {key: value for key, value in findings.items() if key != tier}
    verdict = decide(without, required=required | {tier})
    assert verdict.status != Status.PASS


@given(TIERS, st.sets(st.integers(0, 2)))
def test_requiring_more_never_improves(findings, required):
    if required:
        less, more = decide(findings, required=required), decide(findings, required={0, 1, 2})
        assert RANK[more.status] >= RANK[less.status]


@given(TIERS, st.sets(st.integers(0, 2)))
def test_pass_means_what_it_says(findings, required):
    verdict = decide(findings, required=required)
    clean = all(f.severity == Severity.INFO for tier in findings.values() for f in tier)
    assert (verdict.status == Status.PASS) == (
        clean and bool(required) and required <= set(findings))


# ------------------------------------------------------------------ hash

BASE = JointTrajectory(('a', 'b'), [0.0, 1.0], [[0.0, 1.0], [2.0, 3.0]])


def test_hash_is_stable_over_versions_of_this_package():
    assert trajectory_hash(BASE) == \
        'fb4df66ed5379d1a82e875e568c9bef88b89ccada996df8d2ab951badb28823c'


@pytest.mark.parametrize('other', [
    JointTrajectory(('b', 'a'), BASE.times, BASE.positions),
    JointTrajectory(('ab', ''), BASE.times, BASE.positions),
    JointTrajectory(('a', 'b'), [0.0, np.nextafter(1.0, 2.0)], BASE.positions),
    JointTrajectory(('a', 'b'), [-0.0, 1.0], BASE.positions),
    JointTrajectory(('a', 'b'), BASE.times, BASE.positions, BASE.positions * 0),
    JointTrajectory(('a', 'b'), BASE.times, BASE.positions, None, BASE.positions * 0),
    JointTrajectory(('a', 'b'), BASE.times[:1], BASE.positions[:1])])
def test_any_change_changes_the_hash(other):
    assert trajectory_hash(other) != trajectory_hash(BASE)


NUMBERS = st.floats(allow_nan=False, width=64)


@given(st.lists(NUMBERS, min_size=4, max_size=4), st.integers(0, 3), NUMBERS)
def test_hash_depends_on_every_number(values, index, other):
    def make(numbers):
        return JointTrajectory(('a', 'b'), [0.0, 1.0], np.reshape(numbers, (2, 2)))
    changed = [*values[:index], other, *values[index + 1:]]
    same = np.array(values).tobytes() == np.array(changed).tobytes()
    assert (trajectory_hash(make(values)) == trajectory_hash(make(changed))) == same
    assert trajectory_hash(make(values)) == trajectory_hash(make(list(values)))


def test_moved_boundaries_between_names_change_the_hash():
    one = JointTrajectory(('ab', 'c'), [0.0], [[0.0, 0.0]])
    two = JointTrajectory(('a', 'bc'), [0.0], [[0.0, 0.0]])
    assert trajectory_hash(one) != trajectory_hash(two)
