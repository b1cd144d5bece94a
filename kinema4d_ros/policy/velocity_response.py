# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a robot answers to commanded joint velocities, from recorded commands and states."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_format import VelocityResponse

_MOST_LAG = 8           # rows
_LEAST_ROWS = 20
_UNEVEN = 0.2           # of a row


@dataclass(frozen=True)
class VelocityFit:
    """
    A response and how well it explains what it was fitted to.

    :param correlation: between commanded and driven velocity at the best whole lag, -1 to 1.
    :param lag: [rows] that is best; the response's delay lies between rows.
    :param at_once: gain and correlation where no lag is allowed for.
    :param unexplained: share of the variance of the driven velocity that is left, 0 to 1.
    """

    response: VelocityResponse
    correlation: float
    lag: int
    at_once: tuple[float, float]
    unexplained: float

    def __str__(self) -> str:
        """Return it in a line."""
        return (f'gain {self.response.gain:.2f}, delay {1000 * self.response.delay:.0f} ms (best '
                f'lag {self.lag} rows), r {self.correlation:.3f}, residual '
                f'{self.response.residual:.3f} rad/s, {100 * self.unexplained:.0f} % of the '
                f'variance unexplained; without lag gain {self.at_once[0]:.2f}, r '
                f'{self.at_once[1]:.3f}')


def fit_velocity_response(records: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
                          ) -> VelocityFit:
    """
    Fit one gain and one delay to all joints, by least squares at each lag.

    The command of row k is compared with the motion from row k + lag to the row after it. A gain
    below 1 is not a loss of accuracy: the controller of DROID's robots drives so.

    :param records: of each recording: commands (N, J) [rad/s], positions (N, J) [rad], times (N,)
        [s] of the rows, at an even rate that all share.
    :raises PolicyError: too short, uneven, without motion, or commands have nothing to do with it.
    """
    pairs, periods = [], []
    for commands, positions, times in records:
        if commands.shape != positions.shape or len(commands) != len(times):
            raise PolicyError(f'commands {commands.shape}, positions {positions.shape} and '
                              f'{len(times)} times do not belong together')
        steps = np.diff(times)
        if len(times) < _LEAST_ROWS or np.abs(steps / np.median(steps) - 1).max() > _UNEVEN:
            raise PolicyError(f'a recording needs {_LEAST_ROWS} rows at an even rate, got '
                              f'{len(times)}')
        pairs.append((commands, np.diff(positions, axis=0) / steps[:, None]))
        periods.append(float(np.median(steps)))
    if not pairs:
        raise PolicyError('no recording was given')
    if max(periods) > (1 + _UNEVEN) * min(periods):
        raise PolicyError(f'the recordings have rows every {min(periods):.3f} to '
                          f'{max(periods):.3f} s; fit each rate on its own')
    tries = [_at_lag(pairs, lag) for lag in range(_MOST_LAG + 1)]
    best = max(range(len(tries)), key=lambda lag: tries[lag][1])
    gain, correlation, residual, unexplained = tries[best]
    if not correlation > 0.3:
        raise PolicyError(f'commands and motion have a correlation of {correlation:.2f} at best: '
                          'the columns are not velocities of these joints')
    lag = best + _between([tries[at][1] for at in range(max(best - 1, 0), best + 2)
                           if at <= _MOST_LAG])
    return VelocityFit(VelocityResponse(gain, lag * float(np.median(periods)), residual),
                       correlation, best, tries[0][:2], unexplained)


def _at_lag(pairs: list[tuple[np.ndarray, np.ndarray]], lag: int
            ) -> tuple[float, float, float, float]:
    """Return gain, correlation, residual [rad/s] and share of variance that is left."""
    told = np.concatenate([commands[:len(driven) - lag].ravel() for commands, driven in pairs])
    driven = np.concatenate([driven[lag:].ravel() for _, driven in pairs])
    if not (told.std() > 0 and driven.std() > 0):
        raise PolicyError('nothing moves, or nothing was commanded')
    gain = float(told @ driven / (told @ told))
    left = float(np.sqrt(np.mean((driven - gain * told) ** 2)))
    return gain, float(np.corrcoef(told, driven)[0, 1]), left, left ** 2 / float(driven.var())


def _between(three: list[float]) -> float:
    """Return where between rows a parabola through three values has its top, -0.5 to 0.5."""
    if len(three) < 3:
        return 0.0
    bend = three[0] - 2 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / bend, -0.5, 0.5)) if bend < 0 else 0.0
