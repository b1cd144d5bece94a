# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of policies against values worked out by hand and those of SciPy."""
import itertools
import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.evaluation import policies
from kinema4d_ros.policy.closed_loop.record import RolloutRecord, RunEnd
from kinema4d_ros.policy.types import TaskOutcome

NAN = float('nan')


def run(policy, predicted, true, *, task='t', start='', probability=NAN, said=None, was=None):
    """Return a paired run; `said` and `was` are (grasped, gap) in the two worlds."""
    def outcome(success, grasp):
        grasped, gap = grasp or (None, NAN)
        return TaskOutcome(success, probability, grasped=grasped, gap_at_closing=gap)
    return policies.PairedRun(policy, task, start or f'{task}_0', 0, outcome(predicted, said),
                              outcome(true, was))


def runs(policy, table, **values):
    """Return runs of a policy, each from a start of its own: (predicted, true) -> how many."""
    numbers = itertools.count()
    return [run(policy, *key, start=f's{next(numbers)}', **values)
            for key, count in table.items() for _ in range(count)]


@pytest.mark.parametrize('seed', range(3))
def test_pearson_is_that_of_scipy(seed):
    true, said = np.random.default_rng(seed).random((2, 7))
    assert policies.pearson(true, said) == pytest.approx(stats.pearsonr(true, said).statistic)


def test_pearson_of_a_constant_is_not_known():
    assert math.isnan(policies.pearson([0.1, 0.5, 0.9], [0.4, 0.4, 0.4]))


def test_mmrv_of_a_worked_example():
    """Policies 1 and 2 are swapped, 0.1 apart in truth; 0 is the worst either way."""
    assert policies.mmrv([0.2, 0.5, 0.6], [0.1, 0.7, 0.3]) == pytest.approx((0 + 0.1 + 0.1) / 3)


def test_mmrv_is_0_in_the_right_order_and_large_in_the_reverse():
    true = [0.0, 0.3, 1.0]
    assert policies.mmrv(true, [0.4, 0.5, 0.6]) == 0.0
    assert policies.mmrv(true, [0.6, 0.5, 0.4]) == pytest.approx((1.0 + 0.7 + 1.0) / 3)


def test_a_policy_that_is_hardly_ever_decided_has_no_place():
    said = [*runs('good', {(True, True): 9, (False, False): 1}),
            *runs('bad', {(True, True): 2, (False, False): 8}),
            *runs('rare', {(True, False): 2, (None, True): 7})]
    figures = policies.summarize(said, samples=20)
    assert figures['not_ranked'] == ['rare'] and figures['mmrv'].value == 0.0
    assert 'to rank rare' in policies.markdown('w', figures)
    enough = policies.summarize([*said, *runs('rare', {(True, False): 1})], samples=20)
    assert enough['not_ranked'] == [] and enough['mmrv'].value > 0.2
    assert 'to rank' not in policies.markdown('w', enough)
    assert figures['success_bias'].value == pytest.approx(2 / 22)      # of all that is decided


def test_mmrv_counts_a_tie_that_is_none_in_truth_on_one_side():
    """By its definition: neither is below the other, but the first should be."""
    assert policies.mmrv([0.2, 0.6], [0.5, 0.5]) == pytest.approx(0.5 * (0.4 + 0.0))


@pytest.mark.parametrize(('first', 'second'), [(8, 1), (3, 3), (0, 6), (12, 5)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(first, second):
    wanted = stats.binomtest(first, first + second, 0.5).pvalue
    assert policies.mcnemar_exact(first, second) == pytest.approx(min(1.0, wanted))


def test_mcnemar_without_discordant_pairs():
    assert policies.mcnemar_exact(0, 0) == 1.0


def test_policies_are_compared_on_the_starts_that_both_have():
    both = [run('a', True, True, start='1'), run('b', True, False, start='1'),
            run('a', True, False, start='2'), run('b', True, False, start='2'),
            run('a', True, True, start='3'), run('b', True, None, start='3'),
            run('a', True, True, start='4')]
    found = policies.compare(both, 'a', 'b', predicted=False)
    assert (found.starts, found.first_only, found.second_only) == (2, 1, 0)
    assert found.difference == 0.5
    assert policies.compare(both, 'a', 'b', predicted=True).difference == 0.0


def test_pass_hat_k_is_the_chance_of_k_draws_without_replacement():
    tries = {'x': (3, 4), 'y': (2, 4), 'z': (1, 2)}
    draws = [all(pick) for hits, n in (tries['x'], tries['y']) for pick in
             itertools.combinations([True] * hits + [False] * (n - hits), 3)]
    assert policies.pass_hat_k(tries, 3) == pytest.approx(sum(draws) / len(draws))
    assert policies.pass_hat_k(tries, 1) == pytest.approx((3 / 4 + 2 / 4 + 1 / 2) / 3)
    assert math.isnan(policies.pass_hat_k(tries, 5))


def test_unsure_is_left_out_and_bounded_both_ways():
    mixed = runs('a', {(True, True): 3, (False, False): 5, (None, True): 2})
    rate = policies.predicted_rate(mixed)
    assert (rate.decided.hits, rate.decided.tries, rate.unsure) == (3, 8, 2)
    assert rate.bounds == (0.3, 0.5)
    assert policies.agreement(mixed).tries == 8 and policies.agreement(mixed).value == 1.0
    assert policies.success_bias(mixed) == 0.0


def test_agreement_of_one_who_always_says_the_same_is_the_baseline():
    always = runs('a', {(True, True): 7, (True, False): 3}) + runs('b', {(True, False): 2})
    assert policies.agreement(always).hits == policies.trivial_baseline(always).hits == 7
    assert policies.baseline_by_policy(always).hits == 7 + 2
    assert policies.success_bias(always) == pytest.approx(5 / 12)


def test_brier_and_calibration_of_a_worked_example():
    three = [run('a', True, True, probability=0.9), run('a', True, False, probability=0.9),
             run('a', False, False, probability=0.2), run('a', None, True)]
    assert policies.brier(three) == pytest.approx((0.01 + 0.81 + 0.04) / 3)
    bins = policies.calibration(three, bins=5)
    assert [(one.rate.hits, one.rate.tries) for one in bins] == [
        (0, 0), (0, 1), (0, 0), (0, 0), (1, 2)]
    assert bins[4].mean == pytest.approx(0.9) and math.isnan(bins[0].mean)


def test_a_probability_of_1_is_in_the_last_bin():
    assert policies.calibration([run('a', True, True, probability=1.0)])[-1].rate.tries == 1


def test_near_misses_are_told_from_grasps():
    near, far, grasp = (False, 0.01), (False, 0.05), (True, 0.0)
    found = policies.near_misses([
        run('a', False, False, said=near, was=near), run('a', True, False, said=grasp, was=near),
        run('a', False, True, said=near, was=grasp), run('a', False, False, said=far, was=far),
        run('a', False, False, said=near, was=near), run('a', None, False, was=near),
        run('a', False, False, said=(False, NAN), was=far),
        run('a', False, False, said=(False, math.inf), was=(False, math.inf))])
    assert (found.precision.hits, found.precision.tries) == (2, 3)
    assert (found.recall.hits, found.recall.tries) == (2, 3)
    assert found.as_grasps == 1 and found.undecided == 2


@pytest.mark.parametrize(('grasp', 'is_near'), [
    ((False, 0.01), True), ((False, 0.03), False), ((True, 0.0), False), ((None, 0.01), None),
    ((False, math.inf), False), ((False, NAN), None)])
def test_never_closed_is_no_near_miss_and_not_seen_is_unknown(grasp, is_near):
    outcome = TaskOutcome(False, grasped=grasp[0], gap_at_closing=grasp[1])
    assert outcome.is_near_miss is is_near


def test_bootstrap_draws_within_each_policy():
    """With one outcome per policy every sample is the same, however runs are drawn."""
    mixed = runs('a', {(True, True): 5}) + runs('b', {(False, True): 5})
    estimate = policies.bootstrap(mixed, policies.success_bias, samples=50)
    assert (estimate.low, estimate.value, estimate.high) == (-0.5, -0.5, -0.5)


def test_bootstrap_interval_is_that_of_a_mean():
    """Near the normal interval of a mean of 400, and the same each time."""
    mixed = runs('a', {(True, False): 100, (True, True): 300})
    estimate = policies.bootstrap(mixed, policies.success_bias, samples=1000)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert estimate.low == pytest.approx(0.25 - half, abs=0.006)
    assert estimate.high == pytest.approx(0.25 + half, abs=0.006)
    assert estimate == policies.bootstrap(mixed, policies.success_bias, samples=1000)


def record(policy='a', start='s', success=True, **values):
    """Return a record of a run."""
    return RolloutRecord(policy, 't', start, 0, 'w', TaskOutcome(success), RunEnd.FINISHED,
                         **values)


def test_records_are_paired_by_policy_and_start():
    said = [record(start='1'), record(start='2'), record('b', '1', False),
            record('b', '2', error='it broke')]
    was = [record(start='1', success=False), record('b', '1', False), record('b', '2')]
    found = policies.pair(said, was)
    assert [(each.policy, each.start, each.agrees) for each in found] == [
        ('a', '1', False), ('b', '1', True)]


def test_what_is_not_compared_is_counted_and_told(tmp_path):
    said = [record(start='1'), record(start='2'), record('b', '1', None), record('b', '2'),
            record('b', '3', error='it broke')]
    was = [record(start='1'), record('b', '1', None), record('b', '2', error='it broke'),
           record('b', '3')]
    found = policies.pair(said, was)
    assert found.left_out == {'predicted runs broke': 1, 'true runs broke': 1,
                              'predicted runs have no true one': 2,
                              'true runs have no predicted one': 1}
    figures = policies.summarize(found, samples=5)
    found.append(run('c', True, False, was=(False, math.inf)))
    policies.write_page(tmp_path / 'p.html', {'w': figures}, {'w': found})
    assert 'never closed' in (tmp_path / 'p.html').read_text()
    for text in (tmp_path / 'p.html').read_text(), policies.markdown('w', figures):
        for words in ('2 predicted runs have no true one', 'Of 1 runs the truth is unknown',
                      '1 of 2 policies have no decided run', 'say nothing of them: b.'):
            assert words in text
    assert policies.summarize(runs('a', {(True, True): 2}), samples=5)['left_out'] == {}


def test_figures_with_every_unsure_taken_one_way():
    """By hand: of 8 true successes and 4 predicted ones in 16 runs, 4 are UNSURE."""
    mixed = [*runs('a', {(True, True): 4, (None, True): 4}), *runs('b', {(False, False): 8}),
             *runs('c', {(None, False): 8}), run('c', True, None)]
    figures = policies.summarize(mixed, samples=5)
    low, high = figures['unsure_as_failure'], figures['unsure_as_success']
    assert (low.success_bias, high.success_bias) == pytest.approx((-4 / 24, 8 / 24))
    assert (low.agreement.hits, high.agreement.hits, low.agreement.tries) == (20, 16, 24)
    assert low.pearson_r == pytest.approx(1.0) and low.mmrv == 0.0
    assert high.pearson_r == pytest.approx(policies.pearson([1, 0, 0], [1, 0, 1]))
    assert high.mmrv == pytest.approx(policies.mmrv([1, 0, 0], [1, 0, 1]))
    assert low.policies == 3 and figures['undecided_policies'] == ['c']
    plain = policies.as_json(figures)
    assert plain['unsure_as_success']['agreement']['hits'] == 16
    assert 'outcome agreement, every UNSURE a failure' in policies.markdown('w', figures)


def test_pass_hat_k_is_of_one_policy_and_of_the_same_runs_on_both_sides():
    mixed = [*runs('a', {(True, True): 3, (None, False): 1}, task='x'),
             *runs('a', {(None, True): 3, (True, True): 2}, task='y'),
             *runs('b', {(False, True): 3}, task='x')]
    figures = policies.summarize(mixed, samples=5)
    of = figures['by_policy']['a']
    assert (of['true_pass_k'], of['predicted_pass_k'], of['pass_k_tasks']) == (1.0, 1.0, 1)
    assert all('true_pass_k' not in row for row in figures['by_task'].values())
    text = policies.markdown('w', figures)
    assert text.count('pass^3') == 1 and '| 1.00 | 1.00 | 1 |' in text


@pytest.mark.parametrize(('said', 'was', 'message'), [
    ([record(), record()], [record()], 'is there twice'),
    ([record(start='1')], [record(start='2')], 'none of 1 predicted runs has a true one')])
def test_what_cannot_be_paired(said, was, message):
    with pytest.raises(PolicyError, match=message):
        policies.pair(said, was)


@pytest.fixture(scope='module')
def figures():
    mixed = [*runs('good', {(True, True): 9, (False, False): 1}, probability=0.9),
             *runs('bad', {(False, False): 6, (True, False): 3, (None, False): 1})]
    return mixed, policies.summarize(mixed, samples=50)


def test_demands_are_judged(figures):
    reached = {what: good for what, _, _, good in policies.judged(figures[1])}
    assert reached["Pearson's r over policies"] and reached['MMRV']
    assert not reached['success-rate bias'] and not reached['outcome agreement']
    assert not reached['near misses: recall'], 'what was not measured is not reached'


def test_tables_and_json_say_the_same(figures):
    text = policies.markdown('kinematic', figures[1])
    assert '| good | 9/10' in text and 'MISSED' in text
    plain = json.loads(json.dumps(policies.as_json(figures[1]), allow_nan=False))
    assert plain['agreement']['hits'] == 16 and plain['unsure']['hits'] == 1
    assert plain['by_policy']['bad']['predicted']['bounds'] == [0.3, 0.4]


def test_the_page_lists_what_disagrees(figures, tmp_path):
    mixed, found = figures
    policies.write_page(tmp_path / 'p.html', {'kinematic': found}, {'kinematic': mixed})
    page = (tmp_path / 'p.html').read_text()
    assert len(re.findall(r'<th scope="row">s\d', page)) == 3, 'three runs disagree'
    assert 'kinematic' in page and 'http' not in page.split('</style>')[1].replace(
        'http-equiv', '')
