# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exceedances of polynomials against dense evaluation, and hand-made cases."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.precheck.tier0.splines import exceedances


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**31), st.floats(0.0, 3.0))
def test_against_dense_evaluation(degree, segments, seed, bound):
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(segments, degree, 2)) * rng.choice([0.1, 1.0, 5.0])
    times = np.r_[0.0, np.cumsum(rng.uniform(0.1, 2.0, segments))]
    low, high = np.full(2, -bound), np.array([bound, np.inf])
    found = {e.joint: e for e in exceedances(times, c, low, high)}
    u = np.linspace(0, 1, 4001)
    values = np.einsum('skj,gk->sgj', c, u[:, None] ** np.arange(degree))
    beyond = np.maximum(values - high, low - values)
    for joint in range(2):
        worst = beyond[..., joint].max()
        if worst > 1e-9:
            e = found[joint]
            excess = max(e.value - high[joint], low[joint] - e.value)
            assert worst - 1e-9 <= excess <= worst * (1 + 1e-4) + 1e-5
            s, g = np.argwhere(beyond[..., joint] > 0)[0]
            first = times[s] + u[g] * (times[s + 1] - times[s])
            assert e.time <= first + 1e-9
            assert e.time >= first - (times[s + 1] - times[s]) / 20 or s > 0
        elif worst < -1e-9:
            assert joint not in found


def test_a_peak_between_grid_points_is_found():
    # 1 - 1000 (u - 0.515)^2: beyond 0.9999 only for |u - 0.515| < 0.00032
    a = 0.515
    c = np.array([[[1 - 1000 * a * a], [2000 * a], [-1000]]])
    found, = exceedances(np.array([0.0, 1.0]), c, np.array([-np.inf]), np.array([0.9999]))
    assert found.value == pytest.approx(1.0, abs=1e-9)
    assert found.worst_time == pytest.approx(a, abs=1e-6)
    assert found.time == pytest.approx(a - 0.000316, abs=1e-5)


def test_many_segments_are_examined_in_batches():
    c = np.ones((9000, 1, 1))
    c[5000] = 3
    found, = exceedances(np.arange(9001.0), c, np.array([0.0]), np.array([0.5]))
    assert (found.time, found.value, found.worst_time) == (0.0, 3.0, 5000.0)


def test_nothing_beyond():
    assert exceedances(np.array([0.0, 1.0]), np.zeros((1, 6, 2)), -np.ones(2), np.ones(2)) == []
