# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An assessment only gets worse, travels, and tells all that it holds."""
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.foresight import GraspSettings
from kinema4d_ros.precheck import (Assessment, decide, PrecheckSettings, Tier0Settings,
                                   Tier1Settings, TouchRule)
from kinema4d_ros.precheck.sequence import conclude
from kinema4d_ros.types import Finding, FindingCode, JointLimit, JointTrajectory, Severity, Status

#: from best to worst
_BADNESS = {Status.PASS: 0, Status.UNSURE: 1, Status.FAIL: 2}
FINDING = st.builds(Finding, st.sampled_from(FindingCode), st.sampled_from(Severity),
                    st.just('said'), link=st.sampled_from(('', 'arm')))
#: events, few of them, so that tiers and notes often tell of the same kind
EVENT = st.builds(
    Finding, st.sampled_from((FindingCode.PUSHED, FindingCode.GRASP, FindingCode.UNDECIDED)),
    st.sampled_from(Severity), st.sampled_from(('the can', 'the box')))
FOUND = st.dictionaries(st.integers(0, 2), st.lists(FINDING, max_size=3))
TIERS = st.sets(st.integers(0, 2), min_size=1)


def assessment(found, notes=()):
    """Return an assessment with these findings."""
    out = Assessment()
    for tier, findings in found.items():
        out.add(tier, *findings)
    out.note(*notes)
    return out


def badness(one, required):
    return _BADNESS[one.verdict(required).status]


@given(FOUND, TIERS, FINDING, st.integers(-1, 2), st.booleans())
def test_adding_a_finding_never_improves_the_verdict(found, required, finding, tier, by_merging):
    one = assessment(found)
    before = badness(one, required)
    if tier == -1:
        one.note(finding)
    elif tier in found or finding.severity > Severity.INFO:    # else one more tier has run
        if by_merging:
            one.merge(assessment({tier: [finding]}))
        else:
            one.add(tier, finding)
    assert badness(one, required) >= before
    if finding.severity > Severity.INFO and tier in (-1, 1, 2):
        assert one.verdict(required).status != Status.PASS


@given(FOUND, FOUND, TIERS)
def test_a_merged_assessment_is_at_least_as_bad_as_either_where_both_ran(first, second, required):
    both = assessment(first)
    both.merge(assessment(second))
    assert set(both.findings) == set(first) | set(second)
    if required <= set(first) and required <= set(second):
        assert badness(both, required) >= max(badness(assessment(first), required),
                                              badness(assessment(second), required))


@given(FOUND, st.lists(FINDING, max_size=2))
def test_it_travels_to_another_process(found, notes):
    one = assessment(found, notes)
    one.measure(min_clearance=0.1, outcome='it falls', scene_stamp_ns=5)
    one.took('tier 1', 0.5)
    there = pickle.loads(pickle.dumps(one))
    assert there.verdict((0,)) == one.verdict((0,))
    assert (there.findings, there.notes) == (one.findings, one.notes)


def test_a_copy_goes_its_own_way():
    one = assessment({0: []})
    so_far = one.copy()
    so_far.add_unsure('not all tiers have run yet')
    so_far.measure(seed=3)
    assert one.verdict((0,)).status == Status.PASS and 'seed' not in one.measured
    assert so_far.verdict((0,)).status == Status.UNSURE


def test_only_fields_of_a_verdict_that_decide_nothing_are_measured():
    with pytest.raises(TypeError, match='status'):
        Assessment().measure(status=Status.PASS)
    with pytest.raises(TypeError, match='clarity'):
        Assessment().measure(clarity=1.0)


def test_notes_are_reported_last_and_above_info_forbid_a_pass():
    note = Finding(FindingCode.GRASP, Severity.INFO, 'takes it')
    one = assessment({0: [], 1: [Finding(FindingCode.NEAR_MISS, Severity.INFO, 'near')]}, [note])
    verdict = one.verdict((0, 1))
    assert verdict.status == Status.PASS and verdict.findings[-1] == note
    assert verdict.outcome == 'takes it'
    for severity, status in ((Severity.UNSURE, Status.UNSURE), (Severity.FAIL, Status.FAIL)):
        said = decide({0: ()}, required=(0,), notes=[Finding(FindingCode.GRASP, severity, 'no')])
        assert (said.status, said.deciding_tier, said.tiers_passed) == (status, -1, (0,))


def test_predicted_events_are_reported_only_where_tier_1_foresaw_nothing():
    event = Finding(FindingCode.GRASP, Severity.INFO, 'takes it')
    other = Finding(FindingCode.DEADLINE, Severity.INFO, 'not shown to its end')
    one = assessment({0: []}, [event, other])
    one.measure(outcome='')
    verdict = one.verdict((0,))
    assert (verdict.findings, verdict.outcome) == ((other,), '')


@given(st.dictionaries(st.integers(0, 2), st.lists(EVENT, max_size=3)), TIERS,
       st.lists(EVENT, max_size=3), EVENT, st.booleans())
def test_a_note_never_improves_the_verdict_and_never_vanishes(found, required, notes, note,
                                                              foreseen):
    one = assessment(found, notes)
    if foreseen:
        one.measure(outcome='it is pushed')
    before = badness(one, required)
    one.note(note)
    assert badness(one, required) >= before
    listed = one.verdict(required).findings
    assert all(each in listed for each in (*notes, note) if each.severity > Severity.INFO)
    assert badness(one, required) >= note.severity      # the numbers are those of badness


def test_what_tier_2_shows_counts_although_tier_1_told_of_something_milder():
    mild = Finding(FindingCode.PUSHED, Severity.INFO, 'pushes the can', value=0.005)
    worse = Finding(FindingCode.PUSHED, Severity.FAIL, 'pushes the box', value=0.3)
    one = assessment({0: [], 1: [mild]}, [worse])
    one.measure(outcome='pushes the can')
    verdict = one.verdict((0, 1))
    assert verdict.status == Status.FAIL and worse in verdict.findings


def test_what_a_tier_raises_is_a_doubt_and_a_stop_is_none():
    one, told = Assessment(), []
    with one.tier(1, report=lambda *step: told.append(step)):
        raise ZeroDivisionError('a bug')
    (finding,) = one.findings[1]
    assert 'tier 1 failed: ZeroDivisionError: a bug' in finding.message
    assert finding.severity == Severity.UNSURE and set(one.latencies) == {'tier 1'}
    assert told == [('tier 1', 0, 1), ('tier 1', 1, 1)]
    with pytest.raises(PredictionCancelled), one.tier(2):
        raise PredictionCancelled('stop')
    assert 2 not in one.findings


def test_help_that_cannot_be_had_is_reported_and_no_reason_to_fail():
    one = assessment({0: [Finding(FindingCode.VELOCITY_LIMIT, Severity.FAIL, 'too fast')]})
    trajectory = JointTrajectory(('j',), np.array([0.0, 1.0]), np.zeros((2, 1)))
    verdict = conclude(one, trajectory, object(), {}, Tier0Settings(), required=(0,))
    assert (verdict.status, verdict.speed_factor) == (Status.FAIL, None)
    assert 'slower motion would pass could not be computed: AttributeError' in \
        verdict.findings[-1].message
    assert len(one.verdict((0,)).findings) == 1


def test_settings_travel_to_another_process_and_stay_equal():
    settings = PrecheckSettings(
        tier0=Tier0Settings(limits={'j': JointLimit(velocity=1.0)}),
        tier1=Tier1Settings(touch={'finger': TouchRule(depth=0.02)}), srdf='<robot/>',
        allowed_contacts=(('a', 'b'),), grasping=GraspSettings(largest_object=0.3))
    there = pickle.loads(pickle.dumps(settings))
    assert there == settings and there.tier0.limits['j'].velocity == 1.0
    with pytest.raises(TypeError):
        there.tier0.limits['j'] = JointLimit()
