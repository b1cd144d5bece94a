# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Few real runs and many predicted ones: the intervals hold the truth as often as they say."""
import numpy as np
import pytest

from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.evaluation.ppi import mixed_mean

TRIES = 300


def yes_or_no(rng, count, share, accuracy):
    truth = rng.random(count) < share
    said = np.where(rng.random(count) < accuracy, truth, ~truth)
    return truth.astype(float), said.astype(float)


@pytest.mark.parametrize('real', [10, 30, 100])
@pytest.mark.parametrize('share, accuracy', [(0.5, 0.9), (0.8, 0.9), (0.9, 0.99), (0.5, 0.5)])
def test_the_interval_covers_the_truth(real, share, accuracy):
    """95 % and no less than 91 % of the time, whether the predictions are good or of no use."""
    rng, covered, narrower = np.random.default_rng(1), 0, []
    for _ in range(TRIES):
        truth, said = yes_or_no(rng, real + 800, share, accuracy)
        mean = mixed_mean(truth[:real], said[:real], said[real:])
        covered += mean.low <= share <= mean.high
        narrower.append((mean.high - mean.low) / (mean.real_high - mean.real_low))
    assert covered / TRIES >= 0.91
    assert np.mean(narrower) <= 1.0
    if accuracy >= 0.9 and real >= 100:
        assert np.mean(narrower) < 0.85       # good predictions are worth real runs


@pytest.mark.parametrize('offset', [0.0, 0.02])
def test_predictions_that_are_biased_do_no_harm(offset):
    """Clearances [m]; all predicted ones are off by as much."""
    rng, covered, ratio = np.random.default_rng(2), 0, []
    for _ in range(TRIES):
        truth = rng.normal(0.05, 0.02, 330)
        said = truth + rng.normal(offset, 0.01, 330)
        mean = mixed_mean(truth[:30], said[:30], said[30:], bounds=None)
        covered += mean.low <= 0.05 <= mean.high
        ratio.append(mean.worth / 30)
    assert covered / TRIES >= 0.92 and np.mean(ratio) > 2.0


def test_classical_ppi_is_the_mean_of_the_predictions_and_what_they_are_off():
    truth, said, other = [1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0, 0.0]
    mean = mixed_mean(truth, said, other, power=1.0)
    assert mean.value == pytest.approx(0.6 + 0.25) and mean.power == 1.0
    assert mixed_mean(truth, said, other, power=0.0).value == pytest.approx(0.75)


def test_a_few_runs_without_an_error_are_no_proof():
    mean = mixed_mean([1.0] * 10, [1.0] * 10, [1.0] * 1000)
    assert mean.low < 0.8 and mean.high == 1.0
    assert mean.as_dict()['real_alone']['interval_95'][0] == pytest.approx(0.722, abs=1e-3)


@pytest.mark.parametrize('given, said', [
    (([1.0], [1.0], [1.0]), 'two real runs or more, got 1'),
    (([1.0, 0.0], [1.0], [1.0]), '2 real runs and 1 predictions'),
    (([1.0, np.nan], [1.0, 1.0], [1.0]), 'not finite'),
    (([1.0, 2.0], [1.0, 1.0], [1.0]), 'outside of the bounds 0 to 1')])
def test_what_makes_no_mean_is_refused(given, said):
    with pytest.raises(EpisodeError, match=said):
        mixed_mean(*given)


def test_without_further_predictions_it_is_the_real_runs_alone():
    mean = mixed_mean([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [])
    assert (mean.value, mean.low, mean.high) == (mean.real_value, mean.real_low, mean.real_high)


@pytest.mark.parametrize(('power', 'value', 'low', 'high'), [
    (None, 0.0500408, 0.0486338, 0.0514479), (1.0, 0.0500133, 0.0482121, 0.0518144),
    (0.4, 0.0500559, 0.0485213, 0.0515906)])
def test_it_is_the_mean_of_the_authors_own_package(power, value, low, high):
    """What ppi_py 0.2.3 gives; its quantile is the normal one, 0.8 % less than Student's here."""
    i = np.arange(900.0)
    truth = 0.05 + 0.02 * np.sin(i)
    said = truth + 0.01 + 0.012 * np.cos(2.3 * i)
    mean = mixed_mean(truth[:150], said[:150], said[150:], bounds=None, power=power)
    assert mean.value == pytest.approx(value, abs=1e-7 if power else 1e-6)
    assert (mean.high - mean.low) / (high - low) == pytest.approx(1.007, abs=0.004)
