# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rates, intervals and the report of make evaluate, against numbers computed by hand."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from kinema4d_ros.evaluation.prechecks import EpisodeJudge, PrecheckRow
from kinema4d_ros.evaluation.statistics import as_json, markdown, missed_goals, Rate, summarize
from kinema4d_ros.types import Status

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


def row(kind='success', status=Status.PASS, probability=0.9, success=True, touched=False):
    """Return an episode."""
    return PrecheckRow('name', 'suite', kind, status, 'because', (), '', probability, success,
                       touched, False, 0.02, {'tier 0': 0.004, 'tier 1': 0.5}, 0.3)


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
    assert len(missed_goals(figures)) == 3
    assert missed_goals(summarize(ROWS[:2])) == []
    assert json.loads(json.dumps(as_json(figures)))['agreement']['hits'] == 6
    assert '| outcome agreement | 6/8 (40.9 to 92.9 %) |' in markdown('All', figures)


def test_an_episode_pushed_into_the_table():
    found = EpisodeJudge()(EPISODES / 'libero_spatial_0_0_into_table.mcap')
    assert found.status == Status.FAIL and found.dangerous and not found.predicted
    assert found.kind == 'into_table' and found.against and set(found.seconds) == {
        'tier 0', 'tier 1'}


def test_the_script_writes_its_report(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / 'scripts' / 'evaluate.py', '--out', tmp_path, '--episodes',
         EPISODES / 'libero_object_0_0_success.mcap',
         EPISODES / 'libero_object_0_0_missed_grasp.mcap', ROOT / 'Makefile'],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 'Makefile: not judged' in done.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['figures']['all']['agreement']['value'] == 1.0 and len(report['unread']) == 1
    assert '# Verdicts on recorded episodes' in (tmp_path / 'report.md').read_text()


def test_the_script_says_when_there_is_nothing(tmp_path):
    done = subprocess.run([sys.executable, ROOT / 'scripts' / 'evaluate.py', '--episodes',
                           tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and 'no .mcap file in' in done.stderr
