# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Looks over time: what a camera's drift is now, its trend, and when it is an alarm."""
import math

import pytest

from kinema4d_ros.calibration import DriftHistory, DriftSample

SECOND = 1_000_000_000


def history(offsets, *, limit=0.01, every=10.0, sigma=0.001):
    out = DriftHistory(limit)
    for k, offset in enumerate(offsets):
        out.add(DriftSample(int(k * every * SECOND), offset, 400 * offset, sigma))
    return out


def test_without_a_look_nothing_is_said():
    drift = DriftHistory(0.01).drift()
    assert drift.samples == 0 and math.isnan(drift.offset) and not drift.is_alarm
    assert drift.sentence == 'camera and robot have not been compared yet'


def test_a_camera_that_stays_is_no_alarm():
    drift = history([0.002, 0.003, 0.002, 0.0025] * 10).drift()
    assert drift.offset == pytest.approx(0.00225, abs=3e-4) and not drift.is_alarm
    assert abs(drift.trend) < 0.001
    assert '2.' in drift.sentence and 'px' in drift.sentence


def test_a_knock_is_an_alarm_once_the_median_of_a_minute_has_it():
    calm = [0.002] * 20
    assert not history([*calm, 0.03]).drift().is_alarm       # one look may be wrong
    drift = history([*calm, *[0.03] * 6]).drift()
    assert drift.is_alarm and drift.offset == 0.03 and drift.worst == 0.03
    assert 'more than 10.0 mm: the camera has moved' in drift.sentence


def test_slow_drift_has_a_trend():
    drift = history([0.001 + 1e-5 * k for k in range(60)]).drift()     # 1e-5 m in 10 s
    assert drift.trend == pytest.approx(0.0036, rel=0.01)
    assert '+3.6 mm/h' in drift.sentence


def test_what_noise_explains_is_no_alarm():
    assert not history([0.012] * 10, sigma=0.005).drift().is_alarm
    assert history([0.012] * 10, sigma=0.001).drift().is_alarm


def test_no_limit_is_no_alarm():
    assert not history([0.5] * 10, limit=0.0).drift().is_alarm


def test_a_look_that_cannot_tell_is_left_out():
    out = history([0.002] * 3)
    out.add(DriftSample(100 * SECOND, math.nan, math.nan, math.inf))
    assert out.drift().samples == 3


def test_time_that_runs_back_forgets():
    out = history([0.03] * 10)
    out.add(DriftSample(0, 0.001, 0.4, 0.001))
    drift = out.drift()
    assert drift.samples == 1 and drift.worst == 0.001
