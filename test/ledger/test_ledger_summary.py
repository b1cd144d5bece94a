# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a ledger says of trust."""
import dataclasses
import math

import pytest
from ledger_entries import DAY, entry, otherwise, unknown
from scipy import stats

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.ledger import End, judged, LedgerLimits
from kinema4d_ros.ledger.summary import date_of, LedgerSummary, Tally


def test_the_sentence_that_people_want_to_read():
    entries = [entry() for _ in range(211)] + [otherwise(), otherwise(), unknown()]
    summary = LedgerSummary.of([*entries, otherwise(status='FAIL'), otherwise(origin='predicted')])
    assert summary.sentence == ('of 214 motions that passed, 211 went as predicted, 2 otherwise, '
                                'of 1 it is not known (96.6 to 99.7 % of those known)')
    assert summary.passed == Tally(211, 2, 1) and summary.all.motions == 215
    wilson = stats.binomtest(211, 213).proportion_ci(method='wilson')
    assert summary.passed.rate.interval == pytest.approx((wilson.low, wilson.high), abs=1e-3)
    assert summary.passed.bounds == pytest.approx((211 / 214, 212 / 214))
    assert summary.parts['followed'] == Tally(212, 2, 0)
    assert summary.parts['scene_as_foreseen'] == Tally(213, 0, 1)


def test_unknown_is_never_as_predicted():
    assert LedgerSummary.of([unknown()]).sentence.startswith(
        'of 1 motion that passed, 0 went as predicted, of 1 it is not known')
    assert 'no motion that passed' in LedgerSummary.of([]).sentence


def test_motions_are_counted_by_kind_robot_and_world_model():
    groups = LedgerSummary.of([entry(kind='pick'), otherwise(kind='place', robot='ur5e'),
                               entry(kind='place', world_model='')]).groups
    assert groups['kind'] == {'place': Tally(1, 1, 0), 'pick': Tally(1, 0, 0)}
    assert groups['robot'] == {'panda': Tally(2, 0, 0), 'ur5e': Tally(0, 1, 0)}
    assert groups['world_model']['none'] == Tally(1, 0, 0)


def test_a_drift_over_days_is_found_and_noise_is_none():
    falling = [make(day) for day in range(8) for make in
               [entry] * (16 - 2 * day) + [otherwise] * (2 * day)]
    summary = LedgerSummary.of(falling)
    assert summary.trend < 1e-6 and 'gets worse over the days' in summary.drift
    assert [day.date for day in summary.days][:2] == ['2026-11-01', '2026-11-02']
    steady = [make(day) for day in range(8) for make in [entry] * 9 + [otherwise]]
    assert LedgerSummary.of(steady).trend > 0.9
    assert 'no trend' in LedgerSummary.of(steady).drift
    assert math.isnan(LedgerSummary.of([entry(), otherwise(1)]).trend)


def test_a_clock_that_jumps_back_or_was_never_set():
    """Motions are counted on the day that the clock said; years before 2020 are no days."""
    entries = [entry(2), entry(0), otherwise(time_ns=5 * DAY), entry(1), entry(time_ns=-10 ** 30)]
    days = LedgerSummary.of(entries).days
    assert [day.date for day in days] == ['2026-11-01', '2026-11-02', '2026-11-03',
                                          'clock not set']
    assert days[-1].tally == Tally(1, 1, 0) and date_of(2 ** 62) == '2116-02-20'


@pytest.mark.parametrize('fields, went, said', [
    ({'end_error': 0.06}, 'no', 'a joint ended beside it by 0.060 rad or m, limit 0.05'),
    ({'seen_clearance': 0.019}, 'no', 'within 19 mm of the scene, predicted 30 mm'),
    ({'seen_clearance': 0.019, 'clearance_sigma': 0.005}, 'yes', ''),
    ({'seen_clearance': 0.3}, 'yes', ''),
    ({'predicted_clearance': -0.01, 'seen_clearance': 0.02}, 'unknown',
     'contact was predicted'),
    ({'seen_clearance': None}, 'unknown', 'the least clearance was not measured'),
    ({'robot_residual': 0.03}, 'no', 'sees the robot 30 mm from where its joints say'),
    ({'robot_residual': None}, 'yes', ''),
    ({'predicted_held': True}, 'unknown', 'whether the fingers hold something was not seen'),
    ({'predicted_held': False, 'seen_held': True}, 'no', 'hold something, and were to hold'),
    ({'seen_held': True}, 'yes', ''),
    ({'ended': End.STOPPED, 'scene_compared': False}, 'no', 'the gate stopped it')])
def test_each_part_by_its_limit(fields, went, said):
    made = entry(**fields)
    assert made.went == went
    assert said in ' '.join(made.reasons) and bool(made.reasons) == bool(said)


def test_limits_can_be_changed_and_an_entry_be_judged_anew():
    assert judged(entry(path_error=0.3), LedgerLimits(path=0.5)).went == 'yes'
    for wrong in (0.0, -1.0, math.nan, 'wide'):
        with pytest.raises(ConfigurationError, match="limit 'place' of the ledger is"):
            LedgerLimits(place=wrong)


def test_few_real_and_many_predicted_motions_make_one_mean():
    real = [entry(predicted_success=0.9 if n % 5 else 0.2, success=bool(n % 5)) for n in range(30)]
    foreseen = [entry(origin='predicted', predicted_success=0.9 if n % 2 else 0.2)
                for n in range(500)]
    mean, = (one.estimate for one in LedgerSummary.of(real + foreseen).means
             if one.quantity == 'success')
    assert (mean.real, mean.predicted) == (30, 500)
    assert mean.real_value == pytest.approx(0.8) and mean.low < 0.55 < mean.value < 0.65
    assert not LedgerSummary.of(real).means


def test_means_are_of_one_world_model_and_one_policy_and_say_what_is_not_in_them():
    def run(number, world, origin='simulator', policy='expert', **fields):
        return entry(origin=origin, robot=policy, world_model=world, rollout_id=f'{number}',
                     task=f't{number % 2}', status='', **{'predicted_success': 0.7} | fields)

    entries = [run(n, world, success=n % 3 > 0, policy=policy) for n in range(10)
               for world in ('kinematic', 'physics') for policy in ('expert', 'sloppy')]
    entries += [run(n, world, 'predicted', policy) for n in range(10, 40)
                for world in ('kinematic', 'physics') for policy in ('expert', 'sloppy')]
    entries += [run(40, 'physics', predicted_success=None, success=True),
                run(41, 'physics', 'predicted', predicted_success=None)]
    means = [one for one in LedgerSummary.of(entries).means if one.quantity == 'success']
    assert [(one.robot, one.world_model) for one in means] == [
        ('expert', 'kinematic'), ('expert', 'physics'), ('sloppy', 'kinematic'),
        ('sloppy', 'physics')]
    assert {(one.estimate.real, one.estimate.predicted, one.tasks) for one in means} == {
        (10, 30, 2)}
    assert [(one.unsure, one.unsure_with_truth) for one in means] == [
        (0, 0), (2, 1), (0, 0), (0, 0)]
    assert 'not in it: 2 runs' in str(means[1]) and 'over 2 tasks' in str(means[1])


def test_one_truth_counts_once_however_many_world_models_predicted_it():
    def run(number, world, went):
        return dataclasses.replace(entry(origin='simulator', world_model=world, status='',
                                         rollout_id=f'{number}'), went=went)

    entries = [run(n, 'kinematic', 'yes') for n in range(10)]
    entries += [run(n, 'physics', ('no', 'unknown', 'yes')[min(n, 2)]) for n in range(10)]
    found = LedgerSummary.of([*entries, *entries])
    assert found.all == found.groups['kind']['pick'] == Tally(8, 1, 1)
    assert found.groups['world_model'] == {'kinematic': Tally(10, 0, 0), 'physics': Tally(8, 1, 1)}
    assert LedgerSummary.of([entry(rollout_id='1'), entry(rollout_id='1')]).all.motions == 2, \
        'a robot may execute one rollout twice'
