# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random weights are told from trained ones by the probe, though the robot steers them."""
import pytest
from lacking import needs
from random_weights import check_not_believed, probe_gantry

from kinema4d_ros.world_model.following import (FollowingScores, why_never_believed, why_unprobed)

pytestmark = needs('torch')


@pytest.fixture(scope='module')
def report(models):
    """Return what the probe says of a future of two chained windows."""
    return probe_gantry(models['default'], seconds=2.0, frames=10, seeds=2)


def test_they_do_not_follow(report, models):
    assert not report.follows and abs(report.score.score) < 0.05
    assert report.score.high < 0.1
    assert report.score.frames >= 8 and report.seed_colors > 1.0
    assert f'kinema4d {models["default"].fingerprint[:12]} does not follow' in report.verdict


def test_their_score_is_that_of_their_fingerprint(report, models):
    scores = FollowingScores((report.score,))
    assert 'does not follow' in why_never_believed(models['default'], scores, report.limit)
    other = models['pmcond']
    assert why_never_believed(other, scores, report.limit) is None
    assert 'nobody has measured' in why_unprobed(other, scores)


def test_tier_2_is_unsure_by_it_whatever_is_shown(report, models, monkeypatch):
    check_not_believed(models['default'], report, monkeypatch,
                       "'kinema4d' does not follow actions well enough")
