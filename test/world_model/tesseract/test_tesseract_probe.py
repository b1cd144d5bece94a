# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The probe of tesseract: what says that it does not follow scores as it says."""
from lacking import needs
from random_weights import check_not_believed, probe_gantry

pytestmark = needs('torch')


def test_it_shows_the_same_whatever_it_is_asked_for(model, monkeypatch):
    report = probe_gantry(model, seconds=1.0, frames=3)
    assert (report.score.low, report.score.score, report.score.high) == (0.0, 0.0, 0.0)
    assert not report.follows and 'does not follow' in report.verdict
    assert model.follows_actions is False       # whatever anybody measures
    check_not_believed(model, report, monkeypatch, "'tesseract' takes no actions")
