# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rates, intervals and the report of make evaluate, against numbers computed by hand."""
import json
import math
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clearances import clearances
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.episodes import Episode, TrueClearance
from kinema4d_ros.evaluation.labels import Labels, was_touched
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker, PrecheckRow, true_clearances
from kinema4d_ros.evaluation.statistics import as_json, markdown, missed_goals, Rate, summarize
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

ROOT = Path(__file__).resolve().parents[2]
EPISODES = ROOT / 'data' / 'episodes'


@pytest.mark.parametrize('hits, tries, low, high', [
    (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (0, 0, 0.0, 1.0)])
def test_wilson_interval(hits, tries, low, high):
    assert Rate(hits, tries).interval == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 50), st.integers(0, 50))
def test_the_share_is_in_its_interval(hits, misses):
    rate = Rate(hits, hits + misses)
    if rate.tries:
        low, high = rate.interval
        assert 0 <= low <= rate.value + 1e-12 and rate.value <= high + 1e-12 <= 1 + 1e-9


def row(kind='success', status=Status.PASS, probability=0.9, success=True, touched=False,
        said=(), true=(), strayed=False, lifted=None, codes=()):
    """Return an episode."""
    verdict = Verdict(
        status, 'because', [Finding(code, Severity.INFO, 'so') for code in codes],
        success=probability, latencies={'tier 0': 0.004, 'tier 1': 0.5},
        min_clearance=min(said, default=None), clearances=clearances(range(len(said)), said))
    return PrecheckRow('folder/name.mcap', 'suite', kind, 'do it', verdict, success,
                       Labels(touched, strayed, (), lifted), true, 0.3)


ROWS = [row(), row(), row(probability=0.2), row(status=Status.FAIL),
        row('slip', Status.UNSURE, 0.1, False), row('slip', probability=0.6, success=False),
        row('into_table', Status.FAIL, 0.0, False, touched=True),
        row('into_table', Status.PASS, 0.0, False, touched=True)]


def test_figures_by_hand():
    figures = summarize(ROWS)
    assert figures['agreement'] == Rate(6, 8)          # one miss each way
    assert figures['success_rate_bias'] == 0.0
    # 3 x 0.1^2 + 0.8^2 + 0.1^2 + 0.6^2 over 8
    assert figures['brier'] == pytest.approx((0.03 + 0.64 + 0.01 + 0.36) / 8)
    assert figures['false_alarms'] == Rate(1, 6) and figures['held_back'] == Rate(1, 6)
    assert figures['missed_danger'] == Rate(1, 2) and figures['missed_into_table'] == Rate(1, 2)
    assert figures['confusion'] == {
        'success foreseen as success': 3, 'success foreseen as failure': 1,
        'failure foreseen as success': 1, 'failure foreseen as failure': 3}
    assert figures['kinds']['slip']['agreement'] == Rate(1, 2)
    assert figures['tier_1_seconds'] == 0.5
    assert len(missed_goals(figures)) == 5     # agreement, three of verdicts, into the table
    assert missed_goals(summarize(ROWS[:2])) == []
    assert json.loads(json.dumps(as_json(figures)))['agreement']['hits'] == 6
    assert '| outcome agreement, of the decided | 6/8 (40.9 to 92.9 %) |' in markdown(
        'All', figures)


def test_the_trivial_baseline_stands_beside_the_agreement():
    """All of ROWS ended as they were meant to, so that agreement has to beat 8 of 8."""
    figures = summarize(ROWS)
    assert figures['baseline'] == Rate(8, 8)
    assert summarize([row(success=False), row('slip', success=True), row()])['baseline'] == \
        Rate(1, 3)
    assert '| baseline: it succeeds if it was meant to, of the decided | 8/8' in markdown(
        'All', figures)


def test_who_says_nothing_has_not_foreseen_success():
    rows = [row(), row(probability=None), row(probability=0.5, success=False),
            row('slip', probability=0.5)]
    figures = summarize(rows)
    assert figures['abstentions'] == Rate(3, 4) and figures['agreement'] == Rate(1, 1)
    assert figures['success_rate_bias'] == 0.0 and figures['decided'] == Rate(1, 4)
    assert figures['baseline'] == Rate(2, 4) and figures['baseline_of_decided'] == Rate(1, 1)
    assert figures['brier'] == pytest.approx(0.01)       # 0.9 and it came
    assert any(line.startswith('decided 1/4') for line in missed_goals(figures))
    assert sum(figures['confusion'].values()) == 1
    assert figures['kinds']['success']['abstentions'] == 2
    assert '| nothing foreseen (abstained) | 3/4' in markdown('All', figures)
    assert math.isnan(summarize(rows[1:])['agreement'].value)


def test_a_success_of_an_arm_that_left_its_trajectory_is_none():
    jammed = row(strayed=True)
    assert jammed.dangerous and not jammed.success and jammed.solved
    figures = summarize([jammed, row()])
    assert figures['agreement'] == Rate(1, 2) and figures['agreement_with_source'] == Rate(2, 2)
    assert figures['missed_danger'] == Rate(1, 1)


def test_grasps_and_near_misses_are_counted():
    grasp, nothing = (FindingCode.GRASP,), (FindingCode.CLOSED_ON_NOTHING,)
    figures = summarize([
        row(lifted=True, codes=grasp, said=(0.01,), true=(0.015,)),
        row(lifted=False, codes=grasp, said=(0.03,), true=(0.01, math.nan)),
        row(lifted=True, codes=nothing, said=(0.01,), true=(0.0,)),
        row(lifted=True, codes=(FindingCode.UNDECIDED, *grasp), said=(0.01,)), row(codes=grasp)])
    assert figures['grasp_precision'] == Rate(1, 2) and figures['grasp_recall'] == Rate(1, 2)
    assert figures['grasp_unknown'] == Rate(1, 4)
    assert figures['near_miss_precision'] == Rate(1, 2)     # the third touches
    assert figures['near_miss_recall'] == Rate(1, 2)
    assert '| nobody knew whether it would be lifted | 1/4' in markdown('All', figures)


def test_clearance_error_by_hand():
    nan, inf = math.nan, math.inf
    one = row(said=(0.010, 0.020, 0.060, -0.004, 0.030, -0.001),
              true=(0.008, 0.021, 0.055, 0.0, inf, 0.003))
    # far and both touching are left out; what is said to touch and does not is 3 mm off
    assert one.clearance_errors == pytest.approx((0.002, -0.001, -0.003))
    assert one.least_clearance_error is None                        # both touch there
    two = row(said=(0.010, 0.020, 0.015), true=(0.007, nan, 0.0))
    assert two.clearance_errors == pytest.approx((0.003, 0.015))
    assert two.least_clearance_error == pytest.approx(0.003)
    figures = summarize([one, two, row()])
    error = figures['clearance_error']
    assert error.count == 5 and error.bias == pytest.approx(0.016 / 5)
    assert error.median_size == pytest.approx(0.003)
    assert figures['least_clearance_error'].count == 1
    assert 'bias +3.2 mm' in markdown('All', figures)
    assert 'no truth recorded' in markdown('All', summarize([row()]))
    json.dumps(as_json(summarize([row()])), allow_nan=False)


def test_rows_travel_between_processes():
    assert pickle.loads(pickle.dumps(row(said=(0.01,), true=(0.01,)))).name == 'name'


def test_the_truth_is_taken_where_it_is_known():
    episode = SimpleNamespace(
        metadata=SimpleNamespace(events=[
            {'time': 0.5, 'kind': 'robot_touches_surroundings', 'begins': True}]),
        trajectory=SimpleNamespace(joint_names=('arm', 'grip'),
                                   times=np.array([0.0, 0.1, 0.2, 0.3]),
                                   positions=np.array([[0, 4], [0, 4], [1, 2], [1, 2]])),
        truth=SimpleNamespace(clearance=TrueClearance(
            np.linspace(0, 1, 11), ('hand', 'finger'),
            np.tile([0.03, 0.001], (11, 1)), np.tile([0.01, 0.001], (11, 1)))))
    gripper = SimpleNamespace(finger_links=('finger',), finger_joints=('grip',))
    simulator = SimpleNamespace(gripper=gripper)
    times = (0.0, 0.2, 0.45, 0.5, 2.0)
    for grasps, want in (((), [0.01, 0.01, 0.01]), ((FindingCode.GRASP,), [0.01, 0.03, 0.03])):
        verdict = SimpleNamespace(clearances=clearances(times, (0.1,) * 5), findings=[
            SimpleNamespace(code=code) for code in grasps])
        true = true_clearances(episode, verdict, simulator)
        assert true[:3] == pytest.approx(want) and all(map(math.isnan, true[3:]))
    episode.truth.clearance = None
    assert true_clearances(episode, verdict, simulator) == ()


@pytest.mark.parametrize(('link', 'distance', 'harms'), [
    ('panda_hand', 0.0, True), ('panda_link5', 0.0, True), ('panda_hand', 1e-4, False),
    ('panda_leftfinger', 0.0, False)])
def test_a_hand_that_leans_on_something_does_harm_though_nothing_moves(link, distance, harms):
    text = Episode.open(EPISODES / 'libero_object_0_0_success.mcap').robot_description
    truth = TrueClearance(np.arange(2.0), (link,), np.array([[0.02], [distance]]),
                          np.zeros((2, 1)))
    episode = SimpleNamespace(metadata=SimpleNamespace(events=[]), robot_description=text,
                              truth=SimpleNamespace(clearance=truth))
    assert was_touched(episode) is harms


def test_an_episode_pushed_into_the_table():
    found = EpisodePrechecker()(EPISODES / 'libero_spatial_0_0_into_table.mcap')
    assert found.status == Status.FAIL and found.dangerous and not found.predicted
    assert found.kind == 'into_table' and found.against and set(found.seconds) == {
        'tier 0', 'tier 1'}
