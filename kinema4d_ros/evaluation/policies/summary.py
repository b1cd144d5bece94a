# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All figures of policies in a predicted world against the true one, and what they are to reach."""
from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kinema4d_ros.evaluation.policies import outcomes, paired, population, ranking
from kinema4d_ros.evaluation.policies.runs import by_policy, PairedRun
from kinema4d_ros.evaluation.statistics import Rate

#: what is demanded
GOALS = {'pearson_r': 0.9, 'mmrv': 0.05, 'success_bias': 0.04, 'agreement': 0.92,
         'above_baseline': 0.04, 'near_miss': 0.9}
ATTEMPTS = 3      # k of pass^k


def summarize(runs: Sequence[PairedRun], *, samples: int = ranking.SAMPLES) -> dict[str, Any]:
    """
    Return all figures about paired runs, by name.

    :param samples: of the bootstrap.
    """
    found = {
        'runs': len(runs), 'policies': len(by_policy(runs)),
        'not_ranked': sorted(set(by_policy(runs)) - set(by_policy(ranking.ranked(runs)))),
        'tasks': len({run.task for run in runs}), 'starts': len({run.start for run in runs}),
        **ranking.ranking(runs, samples=samples),
        'agreement': outcomes.agreement(runs), 'baseline': outcomes.trivial_baseline(runs),
        'baseline_by_policy': outcomes.baseline_by_policy(runs),
        'true_rate': outcomes.true_rate(runs), 'predicted_rate': outcomes.predicted_rate(runs),
        'unsure': Rate(sum(run.predicted.success is None for run in runs), len(runs)),
        'brier': outcomes.brier(runs), 'calibration': outcomes.calibration(runs),
        'near_misses': outcomes.near_misses(runs),
        **population.population(runs),
        'by_policy': {name: _of_group(of) | _pass_k(of) for name, of in by_policy(runs).items()},
        'by_task': {task: _of_group([run for run in runs if run.task == task])
                    for task in sorted({run.task for run in runs})}}
    found['comparisons'] = [
        (paired.compare(runs, *pair, predicted=True), paired.compare(runs, *pair, predicted=False))
        for pair in itertools.combinations(by_policy(runs), 2)]
    return found


def _of_group(runs: Sequence[PairedRun]) -> dict[str, Any]:
    return {'true': outcomes.true_rate(runs), 'predicted': outcomes.predicted_rate(runs),
            'bias': outcomes.success_bias(runs), 'agreement': outcomes.agreement(runs)}


def _pass_k(runs: Sequence[PairedRun]) -> dict[str, Any]:
    """Return pass^k of one policy, and of how many tasks: those with k decided attempts."""
    true, said = (paired.attempts(runs, predicted=is_said) for is_said in (False, True))
    return {'true_pass_k': paired.pass_hat_k(true, ATTEMPTS),
            'predicted_pass_k': paired.pass_hat_k(said, ATTEMPTS),
            'pass_k_tasks': sum(n >= ATTEMPTS for _, n in true.values())}


def judged(figures: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Return figure, value, demand, and whether the value reaches it."""
    r, violation, bias = (figures[key] for key in ('pearson_r', 'mmrv', 'success_bias'))
    agreement, baseline, near = (figures[key] for key in ('agreement', 'baseline', 'near_misses'))
    above = agreement.value - baseline.value
    goal = GOALS
    return [
        ("Pearson's r over policies", str(r), f'at least {goal["pearson_r"]}',
         r.value >= goal['pearson_r']),
        ('MMRV', str(violation), f'at most {goal["mmrv"]}', violation.value <= goal['mmrv']),
        ('success-rate bias', str(bias), f'within {goal["success_bias"]}',
         abs(bias.value) <= goal['success_bias']),
        ('outcome agreement', str(agreement), f'at least {goal["agreement"]}',
         agreement.value >= goal['agreement']),
        ('agreement above the trivial baseline', f'{above:+.3f} (baseline {baseline})',
         f'at least {goal["above_baseline"]}', above >= goal['above_baseline']),
        ('near misses: precision', str(near.precision), f'at least {goal["near_miss"]}',
         near.precision.value >= goal['near_miss']),
        ('near misses: recall', str(near.recall), f'at least {goal["near_miss"]}',
         near.recall.value >= goal['near_miss'])]


def filled(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return figure, and its value with every UNSURE a failure and a success, as people read it."""
    low, high = figures['unsure_as_failure'], figures['unsure_as_success']
    return [('success-rate bias', _number(low.success_bias, '+.3f'),
             _number(high.success_bias, '+.3f')),
            ('outcome agreement', str(low.agreement), str(high.agreement)),
            (f"Pearson's r, {low.policies} policies", _number(low.pearson_r, '.3f'),
             _number(high.pearson_r, '.3f')),
            (f'MMRV, {low.policies} policies', _number(low.mmrv, '.3f'),
             _number(high.mmrv, '.3f'))]


def markdown(title: str, figures: Mapping[str, Any]) -> str:
    """Return the figures as a section with its tables."""
    rate = figures['predicted_rate']
    low, high = rate.bounds
    lines = [f'## {title}', '',
             f'{figures["runs"]} runs: {figures["policies"]} policies from {figures["starts"]} '
             f'starts of {figures["tasks"]} tasks. {figures["unsure"]} are UNSURE.' + (
                 f' Too few runs are decided to rank {", ".join(figures["not_ranked"])}.'
                 if figures['not_ranked'] else ''), '',
             '| figure | value (95 % interval) | demanded | |', '|---|---|---|---|']
    lines += [f'| {what} | {value} | {goal} | {"reached" if is_reached else "MISSED"} |'
              for what, value, goal, is_reached in judged(figures)]
    lines += [
        f'| baseline told the true rate of each policy | {figures["baseline_by_policy"]} | | |',
        f'| Brier score | {figures["brier"]:.3f} | | |',
        f'| true success rate | {figures["true_rate"]} | | |',
        f'| predicted success rate, UNSURE left out | {rate.decided} | | |',
        f'| ... every UNSURE a failure, a success | {low:.3f}, {high:.3f} | | |',
        *(f'| ... {name}, every UNSURE a failure, a success | {failure}, {success} | | |'
          for name, failure, success in filled(figures)),
        f'| near misses foreseen as grasps | {figures["near_misses"].as_grasps} | | |', '']
    if left_out := population.left_out_text(figures):
        lines += [left_out, '']
    for of, head in ('by_policy', 'policy'), ('by_task', 'task'):
        has_k = of == 'by_policy'
        lines += [f'| {head} | true success | predicted success | UNSURE | bias | agreement |'
                  + f' pass^{ATTEMPTS} true | predicted | of tasks |' * has_k,
                  '|---|---|---|---|---|---|' + '---|---|---|' * has_k]
        lines += [f'| {name} | {row["true"]} | {row["predicted"].decided} '
                  f'| {row["predicted"].unsure} | {_number(row["bias"], "+.2f")} '
                  f'| {row["agreement"]} |' + (
                      f' {_number(row["true_pass_k"], ".2f")} '
                      f'| {_number(row["predicted_pass_k"], ".2f")} | {row["pass_k_tasks"]} |'
                      if has_k else '') for name, row in figures[of].items()]
        lines.append('')
    lines += ['| predicted probability | runs | mean | true success |', '|---|---|---|---|']
    lines += [f'| {bin.low:.1f} to {bin.high:.1f} | {bin.rate.tries} | {_number(bin.mean, ".2f")} '
              f'| {bin.rate} |' for bin in figures['calibration'] if bin.rate.tries]
    return '\n'.join([*lines, ''])


def as_json(figures: Any) -> Any:
    """Return figures as plain values, NaN as null."""
    if isinstance(figures, Rate):
        return figures.as_dict()
    if isinstance(figures, outcomes.PredictedRate):
        return {'decided': figures.decided.as_dict(), 'unsure': figures.unsure,
                'bounds': figures.bounds}
    if isinstance(figures, outcomes.CalibrationBin | outcomes.NearMisses | population.Filled):
        return {name: as_json(getattr(figures, name)) for name in figures.__dataclass_fields__}
    if isinstance(figures, paired.MatchedComparison):
        return asdict(figures) | {'difference': as_json(figures.difference),
                                  'p_value': figures.p_value}
    if isinstance(figures, ranking.Estimate):
        return {name: as_json(value) for name, value in asdict(figures).items()}
    if isinstance(figures, Mapping):
        return {key: as_json(value) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [as_json(value) for value in figures]
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures


def _number(value: float, form: str) -> str:
    return '-' if math.isnan(value) else format(value, form)
