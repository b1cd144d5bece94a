# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Means of few real runs, made tighter by many predicted ones: prediction-powered inference.

The mean of what was predicted for all runs is corrected by how far predictions are off where the
truth is known, so it needs no faith in the predictions: bad ones only make it no better than the
real runs alone. After Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Prediction-powered
inference, Science 382, 2023 (arXiv:2301.09633), with the power of PPI++ (arXiv:2311.01453); for
robots, paired real and simulated runs, Badithela and others, SureSim (arXiv:2510.04354).

Those intervals are for many labelled runs. Here a few must do, so the quantile is Student's, and
to a bounded outcome a residual as large as its range is added, as Agresti and Coull add successes
and failures: ten runs of which none was mispredicted do not say that none ever is. Where that is
no better than the real runs alone, those are what is returned.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t as student

from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.evaluation.statistics import Rate


@dataclass(frozen=True)
class MeanEstimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float
    real: int              # runs whose truth is known
    predicted: int         # runs that were only predicted
    power: float           # 0: the predictions are not used; 1: as in PPI
    real_value: float      # by the real runs alone
    real_low: float
    real_high: float

    @property
    def worth(self) -> float:
        """How many real runs alone would give as narrow an interval, about."""
        width = self.high - self.low
        return self.real * ((self.real_high - self.real_low) / width) ** 2 if width > 0 \
            else math.inf

    def __str__(self) -> str:
        """Return it as people read it."""
        return (f'{self.value:.3f} ({self.low:.3f} to {self.high:.3f}) by {self.real} real and '
                f'{self.predicted} predicted runs; {self.real_value:.3f} ({self.real_low:.3f} to '
                f'{self.real_high:.3f}) by the real ones alone')

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {'value': self.value, 'interval_95': [self.low, self.high], 'real': self.real,
                'predicted': self.predicted, 'power': self.power,
                'real_alone': {'value': self.real_value,
                               'interval_95': [self.real_low, self.real_high]},
                'worth_real_runs': None if math.isinf(self.worth) else self.worth}


def mixed_mean(truths: Sequence[float], predictions: Sequence[float],
               only_predicted: Sequence[float], *, power: float | None = None,
               bounds: tuple[float, float] | None = (0.0, 1.0),
               level: float = 0.95) -> MeanEstimate:
    """
    Return the mean of the truth over all runs, by a few real and many predicted ones.

    The real runs are to be a random part of all: runs that somebody chose to execute because they
    looked good say nothing of the others.

    :param truths: of the real runs, (n,); two or more.
    :param predictions: of the same runs, (n,).
    :param only_predicted: of further runs, (N,).
    :param power: weight of the predictions; None chooses the one with the least variance, between
        0 and 1.
    :param bounds: of the truth; None where it has none, such as for a clearance.
    :raises EpisodeError: there are fewer than two real runs, not a prediction for each, a value
        outside of its bounds, or one that is not finite.
    """
    y, f, other = (np.asarray(each, np.float64) for each in (truths, predictions, only_predicted))
    if (why := _why_not(y, f, other, bounds)) is not None:
        raise EpisodeError(why)
    n, count = len(y), len(other)
    all_predictions = np.concatenate([f, other])
    spread = float(all_predictions.var(ddof=1))
    is_tuned = power is None and n > 2
    if power is None:
        shared = float(np.cov(y, f)[0, 1])
        power = 0.0 if spread <= 0 or not count else \
            float(np.clip(shared / ((1 + n / count) * spread), 0.0, 1.0))
    power = power if count else 0.0
    residual = y - power * f
    value = float(residual.mean() + (power * other.mean() if count else 0.0))
    variance_real = _variance(residual, bounds) / n
    variance_predicted = power ** 2 * float(other.var(ddof=1)) / count if count > 1 else 0.0
    variance = variance_real + variance_predicted
    half = _quantile(variance_real, n - is_tuned, variance_predicted, count, level) \
        * math.sqrt(variance)
    alone = _real_alone(y, bounds, level)
    if is_tuned and 2 * half >= alone[2] - alone[1]:
        return MeanEstimate(*alone, n, count, 0.0, *alone)
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    return MeanEstimate(float(np.clip(value, low, high)), max(low, value - half),
                        min(high, value + half), n, count, power, *alone)


def _why_not(y: np.ndarray, f: np.ndarray, other: np.ndarray,
             bounds: tuple[float, float] | None) -> str | None:
    if len(y) < 2 or y.ndim != 1:
        return f'a mixed mean needs two real runs or more, got {len(y)}'
    if f.shape != y.shape:
        return f'there are {len(y)} real runs and {len(f)} predictions of them; give one for each'
    values = np.concatenate([y, f, other])
    if not np.isfinite(values).all():
        return 'a run has a value that is not finite; leave out what is not known, on both sides'
    if bounds is not None and (values.min() < bounds[0] or values.max() > bounds[1]):
        return (f'values from {values.min():g} to {values.max():g} are outside of the bounds '
                f'{bounds[0]:g} to {bounds[1]:g}')
    return None


def _variance(values: np.ndarray, bounds: tuple[float, float] | None) -> float:
    """Return the variance; of bounded values with one more, as far away as the bounds are."""
    if bounds is None:
        return float(values.var(ddof=1))
    far = bounds[1] - bounds[0]
    middle = values.mean()
    return float((((values - middle) ** 2).sum() + far ** 2) / len(values))


def _quantile(real: float, n: int, predicted: float, count: int, level: float) -> float:
    """Return Student's quantile with the degrees of freedom of Welch and Satterthwaite."""
    parts = real ** 2 / (n - 1) + (predicted ** 2 / (count - 1) if count > 1 else 0.0)
    freedom = (real + predicted) ** 2 / parts if parts > 0 else math.inf
    chance = 0.5 + level / 2
    return float(norm.ppf(chance) if math.isinf(freedom) else student.ppf(chance, freedom))


def _real_alone(y: np.ndarray, bounds: tuple[float, float] | None,
                level: float) -> tuple[float, float, float]:
    """Return the mean of the real runs and its interval: Wilson's for yes and no at 95 %."""
    if bounds == (0.0, 1.0) and level == 0.95 and set(np.unique(y)) <= {0.0, 1.0}:
        rate = Rate(int(y.sum()), len(y))
        return (rate.value, *rate.interval)
    half = float(student.ppf(0.5 + level / 2, len(y) - 1)) * math.sqrt(
        _variance(y, bounds) / len(y))
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    value = float(y.mean())
    return value, max(low, value - half), min(high, value + half)
