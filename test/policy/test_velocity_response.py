# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gain and delay of commanded velocities: known ones are found, and those of real robots."""
import numpy as np
import pytest
from shared_data import shared_data

from kinema4d_ros.datasets import open_source
from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy import fit_velocity_response

RATE = 15.0


def made(gain, lag, seed=0, count=200, noise=0.0):
    """Return a recording whose robot drives `gain` of a command `lag` rows later."""
    random = np.random.default_rng(seed)
    kernel = np.ones(9) / 9
    told = np.stack([np.convolve(random.normal(size=count + 8), kernel, 'valid')
                     for _ in range(3)], axis=1)
    driven = np.vstack([np.zeros((lag, 3)), told])[:count] * gain
    positions = np.vstack([np.zeros((1, 3)), np.cumsum(driven, axis=0)[:-1]]) / RATE
    return told, positions + noise * random.normal(size=told.shape), np.arange(count) / RATE


@pytest.mark.parametrize('gain', [0.5, 0.82, 1.0])
@pytest.mark.parametrize('lag', [0, 2, 5])
def test_a_known_response_is_found(gain, lag):
    found = fit_velocity_response([made(gain, lag), made(gain, lag, seed=1)])
    assert found.lag == lag
    assert found.response.gain == pytest.approx(gain, abs=0.01)
    assert found.response.delay == pytest.approx(lag / RATE, abs=0.5 / RATE)
    assert found.correlation > 0.999 and found.response.residual < 0.01


def test_noise_is_told_as_a_residual():
    found = fit_velocity_response([made(0.8, 2, noise=0.002)])
    assert found.response.gain == pytest.approx(0.8, abs=0.02)
    assert found.response.residual == pytest.approx(0.002 * np.sqrt(2) * RATE, rel=0.15)
    assert 'gain 0.8' in str(found) and 'best lag 2 rows' in str(found)


def test_droid():
    """11 recordings were said to have gain 0.82, r 0.925, at lag 0 0.79 and 0.89."""
    source = open_source(shared_data('ctrl_world_droid') / 'droid_subset')
    records = []
    for name in source.episode_names():
        episode = source.read(name)
        records.append((episode.columns['action.joint_velocity'],
                        episode.columns['observation.state.joint_position'], episode.times))
    found = fit_velocity_response(records)
    assert found.response.gain == pytest.approx(0.82, abs=0.01)
    assert found.correlation == pytest.approx(0.925, abs=0.003)
    assert 1 <= found.response.delay * RATE <= 2
    assert found.at_once == pytest.approx((0.79, 0.89), abs=0.01)
    assert found.response.residual == pytest.approx(0.092, abs=0.003)      # [rad/s]


TOLD, DRIVEN, TIMES = made(1.0, 0, count=60)


@pytest.mark.parametrize(('records', 'words'), [
    ([], 'no recording'),
    ([(TOLD[:9], DRIVEN[:9], TIMES[:9])], 'needs 20 rows at an even rate, got 9'),
    ([(TOLD, DRIVEN, TIMES ** 2)], 'even rate'),
    ([(TOLD, DRIVEN[:, :2], TIMES)], 'do not belong together'),
    ([(TOLD, 0 * DRIVEN, TIMES)], 'nothing moves'),
    ([(TOLD[:, [1, 2, 0]], DRIVEN, TIMES)], 'not velocities of these joints'),
    ([(TOLD, DRIVEN, TIMES), (TOLD, DRIVEN, 2 * TIMES)], 'fit each rate on its own')])
def test_recordings_that_tell_nothing(records, words):
    with pytest.raises(PolicyError, match=words):
        fit_velocity_response(records)
