# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which column is of which joint, and which joint turns the other way."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student

from kinema4d_ros.policy.detect.hypotheses import Hypothesis, ActionKind, led, scales, ChunkScene

_NEAR = 0.1             # [rad] that a first action is from the state, about
_TAIL = 3.0
_MOVES = 0.01           # [rad] below which a joint's motion tells nothing
_LEAST_LEFT = 0.3       # of a joint's motion
#: what another order, and each joint that turns the other way, must explain better [nats]
_OTHER, _FLIPPED = 6.0, 3.0


@dataclass(frozen=True)
class Order:
    """Columns of the arm's joints."""

    columns: tuple[int, ...]        # column of each joint of the arm
    signs: tuple[int, ...]          # -1: the number counts against the joint
    better: float                   # [nats] than the robot's own order; 0 where it is that
    runner_up: float                # [nats] that the next best exchange of two columns is worse


def find_order(scene: ChunkScene, told: Hypothesis) -> Order | None:
    """
    Return the order that explains most, by the first actions or by what was driven.

    :return: None where nothing tells: changes, without what was driven.
    """
    gains = _by_state(scene, told) if told.kind is ActionKind.ABSOLUTE else _by_motion(scene, told)
    if gains is None:
        return None
    best = gains.max(axis=0)                    # (column, joint), the better sign
    columns, joints = linear_sum_assignment(-best)
    own = float(np.trace(gains[0]))
    found = np.empty(len(columns), int)
    found[joints] = columns
    signs = np.where(gains[1][found, joints_of(found)] > gains[0][found, joints_of(found)], -1, 1)
    total = float(best[found, joints_of(found)].sum())
    price = (_OTHER if (found != joints_of(found)).any() else 0.0) \
        + _FLIPPED * float((signs < 0).sum())
    if total - price <= own:
        found, signs, total = joints_of(found), np.ones(len(found), int), own
        better = 0.0
    else:
        better = total - price - own
    return Order(tuple(map(int, found)), tuple(map(int, signs)), better,
                 _runner_up(gains[0] if better == 0.0 else best, found))


def joints_of(found: np.ndarray) -> np.ndarray:
    """Return 0, 1, 2, ... for each joint."""
    return np.arange(len(found))


def _runner_up(gains: np.ndarray, found: np.ndarray) -> float:
    """Return how much the best exchange of two columns loses."""
    losses = [gains[found[a], a] + gains[found[b], b] - gains[found[a], b] - gains[found[b], a]
              for a in range(len(found)) for b in range(a)]
    return float(min(losses, default=np.inf))


def _by_state(scene: ChunkScene, told: Hypothesis) -> np.ndarray:
    """Return log likelihoods (2 signs, column, joint) of the first actions."""
    scale, offset = scales(scene, told)
    first = scene.actions[:, 0, told.first:told.first + told.width]
    out = []
    for sign in (1, -1):
        as_joint = sign * first[:, :, None] * scale + offset
        away = np.abs(as_joint - scene.arm_state[:, None]) / _NEAR
        out.append(student.logpdf(away, _TAIL).sum(axis=0))
    return np.array(out) / np.sqrt(len(first))      # chunks of one task say much the same


def _by_motion(scene: ChunkScene, told: Hypothesis) -> np.ndarray | None:
    """Return how much each column explains of each joint's motion (2 signs, column, joint)."""
    driven = scene.driven('joint')
    if driven is None:
        return None
    asked = led(scene, told)
    count = min(asked.shape[1], driven.shape[1])
    out = np.zeros((2, told.width, told.width))
    for joint in range(told.width):
        real = driven[:, :count, joint]
        moved = float(np.sqrt(np.mean(real ** 2)))
        if moved < _MOVES:
            continue
        for column in range(told.width):
            for k, sign in enumerate((1, -1)):
                left = min(_left(real, sign * asked[:, :count, column], lag)
                           for lag in range(min(count, 6)))
                out[k, column, joint] = -np.log(np.hypot(left / moved, _LEAST_LEFT)) \
                    * min(2.0 * len(real), 8.0)
    return out


def _left(real: np.ndarray, asked: np.ndarray, lag: int) -> float:
    late = np.empty_like(real)
    late[:, lag:] = asked[:, :real.shape[1] - lag]
    late[:, :lag] = (np.arange(lag) + 1) / (lag + 1) * asked[:, :1]
    return float(np.sqrt(np.mean((real - late) ** 2)))
