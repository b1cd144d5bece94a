# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The probe of cosmos with random weights: it does not follow, and tier 2 says so."""
import pytest
from lacking import needs
from random_weights import check_not_believed, probe_gantry

from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.following import FollowingScores, why_unprobed

pytestmark = needs('torch')


@pytest.fixture(scope='module')
def gantry_model(options):
    """Return a model that takes its actions from the hand of the gantry."""
    return load_world_model('cosmos', **{**options, 'link': 'palm', 'gripper_open': 0.08,
                                         'steps': 1})


def test_random_weights_do_not_follow_and_are_not_believed(gantry_model, monkeypatch):
    before = gantry_model.engine.steps_done
    report = probe_gantry(gantry_model, seconds=0.26, frames=5)
    assert gantry_model.engine.steps_done - before == 4      # a window of 4 actions each
    assert not report.follows and abs(report.score.score) < 0.1 and report.score.high < 0.2
    assert f'cosmos {gantry_model.fingerprint[:12]} does not follow' in report.verdict
    assert gantry_model.follows_actions is None     # so that what was measured is what counts
    assert 'nobody has measured' in why_unprobed(gantry_model, None)
    assert why_unprobed(gantry_model, FollowingScores((report.score,))) is None
    check_not_believed(gantry_model, report, monkeypatch,
                       "'cosmos' does not follow actions well enough")
