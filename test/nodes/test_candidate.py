# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A candidate's findings into verdicts: no PASS without all required tiers, whatever happens."""
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.nodes.shadow_sim.candidate import Candidate, CODES
from kinema4d_ros.precheck import Assessment
from kinema4d_ros.types import Finding, FindingCode, Severity, Status
from kinema4d_ros.worker.job import JobOutcome

FINDING = st.builds(Finding, st.sampled_from(FindingCode), st.sampled_from(Severity),
                    st.just('said'))
FINDINGS = st.lists(FINDING, max_size=2).map(tuple)
TIERS = st.sets(st.integers(0, 2))


def job(outcome, findings=None, measured=None, background=None, latencies=None, waited=0.1):
    """Return what a supervisor hands back."""
    assessment = Assessment()
    for tier, found in (findings or {}).items():
        assessment.add(tier, *found)
    assessment.measure(**measured or {})
    for stage, seconds in (latencies or {}).items():
        assessment.took(stage, seconds)
    assessment.backgrounds = {} if background is None else {'camera': background}
    return types.SimpleNamespace(outcome=outcome, message='said why', assessment=assessment,
                                 waited=waited)


CHECKS = st.builds(job, st.sampled_from(JobOutcome),
                   st.dictionaries(st.integers(0, 1), FINDINGS))
PREDICTIONS = st.builds(job, st.sampled_from(JobOutcome), st.dictionaries(st.just(2), FINDINGS))
STEPS = st.lists(st.one_of(
    st.tuples(st.just('rules'), FINDINGS), st.tuples(st.just('check'), CHECKS),
    st.tuples(st.just('prediction'), st.tuples(PREDICTIONS, st.booleans()))), max_size=5)


def candidate():
    """Return a fresh one."""
    return Candidate('1-0', None)


@given(STEPS, TIERS)
def test_pass_takes_every_required_tier_and_nothing_against_it(steps, required):
    one, ran, doubted = candidate(), set(), False
    last = one.assessment.verdict(required).status
    for kind, what in steps:
        if kind == 'rules':
            one.assessment.add(0, *what)
            ran.add(0)
            found = what
        else:
            result = what if kind == 'check' else what[0]
            if kind == 'check':
                one.take_check(result)
            else:
                one.take_prediction(result, is_evidence=what[1])
            found = ()
            if result.outcome == JobOutcome.DONE:
                found = [f for each in result.assessment.findings.values() for f in each]
                ran |= set(result.assessment.findings)
            elif kind == 'check' or what[1] or result.outcome in (JobOutcome.FAILED,
                                                                  JobOutcome.CANCELLED):
                doubted = True
        doubted |= any(f.severity > Severity.INFO for f in found)
        verdict = one.assessment.verdict(required)
        if verdict.status == Status.PASS:
            assert required and required <= ran and not doubted
        if last == Status.FAIL:
            assert verdict.status == Status.FAIL          # it can only become worse
        last = verdict.status
    if required and required <= ran and not doubted and 0 in one.assessment.findings:
        assert last == Status.PASS


@pytest.mark.parametrize('outcome', [JobOutcome.CANCELLED, JobOutcome.REPLACED, JobOutcome.DEADLINE,
                                     JobOutcome.FAILED])
@pytest.mark.parametrize('is_evidence', [True, False])
def test_what_the_end_of_a_prediction_says(outcome, is_evidence):
    one = candidate()
    one.assessment.add(0)
    one.assessment.add(1)
    one.take_prediction(job(outcome), is_evidence=is_evidence)
    verdict = one.assessment.verdict((0, 1))
    harmless = not is_evidence and outcome in (JobOutcome.REPLACED, JobOutcome.DEADLINE)
    assert verdict.status == (Status.PASS if harmless else Status.UNSURE)
    assert [finding.code for finding in verdict.findings] == [CODES[outcome]]
    assert 2 not in verdict.tiers_passed and verdict.tiers_passed == (0, 1)


def test_a_check_that_did_not_end_leaves_tier_0_in_doubt():
    one = candidate()
    one.assessment.add(0)
    one.take_check(job(JobOutcome.DEADLINE))
    verdict = one.assessment.verdict((0,))
    assert (verdict.status, verdict.tiers_passed) == (Status.UNSURE, ())


def test_what_the_node_found_already_is_told_once():
    for code in (FindingCode.START_STATE, FindingCode.VELOCITY_LIMIT):
        first, again, another = (Finding(code, Severity.FAIL, said, link=joint) for said, joint in (
            ('0.1 rad away', 'j1'), ('0.2 rad away', 'j1'), ('too', 'j2')))
        for before, found, told in (((first,), (again,), (first,)), ((), (again,), (again,)),
                                    ((first,), (again, another), (first, another))):
            one = candidate()
            one.assessment.add(0, *before)
            one.take_check(job(JobOutcome.DONE, {0: found}))
            verdict = one.assessment.verdict((0,))
            assert (verdict.status, verdict.findings) == (Status.FAIL, told)


def test_what_has_become_worse_since_is_told():
    one = candidate()
    one.assessment.add(0, Finding(FindingCode.POSITION_LIMIT, Severity.UNSURE, 'near', link='j1'))
    one.take_check(job(JobOutcome.DONE, {0: (
        Finding(FindingCode.POSITION_LIMIT, Severity.FAIL, 'beyond', link='j1'),)}))
    assert one.assessment.verdict((0,)).status == Status.FAIL


def test_fields_and_latencies_of_both_come_together():
    one = candidate()
    one.assessment.add(0)
    first, second = (
        job(JobOutcome.DONE, {1: ()}, {'min_clearance': 0.1, 'outcome': 'it falls'},
            latencies={'tier 1': 0.4}, waited=9.0),
        job(JobOutcome.DONE, {2: ()}, {'action_following': 0.01}, latencies={'total': 1.5}))
    one.take_check(first)
    early = one.assessment.verdict((0, 1), final=False)
    one.take_prediction(second, is_evidence=True)
    verdict = one.assessment.verdict((0, 1))
    assert (early.final, early.action_following) == (False, None)
    assert early.latencies == {'tier 1': 0.4}
    assert verdict.latencies == {'tier 1': 0.4, 'wait': 0.1, 'total': 1.5}
    assert (verdict.min_clearance, verdict.action_following, verdict.outcome, verdict.final) == (
        0.1, 0.01, 'it falls', True)


@pytest.mark.parametrize('checked, predicted, kept', [
    ('a', 'b', 'a'), (None, 'b', 'b'), ('a', None, 'a'), (None, None, None)])
def test_the_background_kept_is_the_one_that_the_first_fail_rests_on(checked, predicted, kept):
    one = candidate()
    one.take_check(job(JobOutcome.DONE, background=checked))
    one.take_prediction(job(JobOutcome.DONE, background=predicted), is_evidence=True)
    assert one.assessment.backgrounds == ({} if kept is None else {'camera': kept})
