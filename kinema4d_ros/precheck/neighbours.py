# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things that a motion moves though nobody meant them: neighbours of what is carried."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.precheck.dynamics_rules import FEW
from kinema4d_ros.precheck.goal_rules import Region
from kinema4d_ros.precheck.outcome import Outcome
from kinema4d_ros.precheck.verdict import not_checked
from kinema4d_ros.types import Finding, FindingCode, plain_point, Severity

if TYPE_CHECKING:      # what it needs takes a quarter of a second to import, and few ask for it
    from kinema4d_ros.world_model.physics.ensemble import Ensemble
    from kinema4d_ros.world_model.physics.world import Thing

_MOVED = 0.001                  # [m]
_TURNED = np.deg2rad(1.0)
_AT = 0.05                      # [m] two places closer than this are one object
_BESIDE = 0.03                  # [m] around where something is to go, what it is put on or in


def moved_neighbours(ensemble: Ensemble, things: Sequence[Thing], geometric: Outcome,
                     places: Sequence[Region]) -> tuple[Finding, ...]:
    """
    Return which things move in half of the simulations or more, though nobody meant them.

    Meant is what the hand carries, by geometry or in any of the simulations, and what stands where
    something is to go: that may be pushed when something is put there, and a basket or a rack is no
    convex body, so that simulations move it often and wrongly. Where a tenth of the simulations or
    more became unstable, nobody knows.

    :param things: of the world that was simulated, by number.
    :param geometric: the outcome as geometry foresees it.
    :param places: where the goal wants things to go.
    """
    found = []
    total = ensemble.discarded + len(ensemble.runs)
    if ensemble.discarded >= FEW * total:
        found.append(not_checked(
            f'{ensemble.discarded} of {total} simulations of what the motion does to things beside '
            'the goal became unstable and do not count'))
    for number, thing in enumerate(things):
        middle = thing.body.center
        carried = thing.held is not None or any(run.held[:, number].any()
                                                for run in ensemble.runs) \
            or any(np.linalg.norm(item.start - middle) < _AT for item in geometric.moved)
        if carried or any(_is_at(place, middle) for place in places):
            continue
        ways = np.array([np.linalg.norm(run.places[:, number] - run.places[0, number],
                                        axis=1).max() for run in ensemble.runs])
        turns = np.array([_turned(run.turns[:, number]) for run in ensemble.runs])
        moved = (ways > _MOVED) | (turns > _TURNED)
        if 2 * moved.sum() < len(moved):
            continue
        way = float(np.median(ways[moved]))
        found.append(Finding(
            FindingCode.PUSHED, Severity.UNSURE,
            'in {} of {} simulations what stands at ({:.2f}, {:.2f}, {:.2f}) m is moved, by {:.0f} '
            'mm and {:.0f} deg; nobody meant it'.format(
                int(moved.sum()), len(moved), *middle, 1000 * way,
                np.rad2deg(np.median(turns[moved]))),
            other='scene', point_base=plain_point(middle), value=way, limit=_MOVED, unit='m'))
    return tuple(found)


def _is_at(place: Region, middle: np.ndarray) -> bool:
    """Return whether the middle of a thing is where something is to go, seen from above."""
    low, high = np.array(place.low[:2]) - _BESIDE, np.array(place.high[:2]) + _BESIDE
    return bool(((middle[:2] >= low) & (middle[:2] <= high)).all())


def _turned(turns: np.ndarray) -> float:
    """Return by how much a thing turns at most, of its quaternions w x y z (N, 4) [rad]."""
    same = np.clip(np.abs(turns @ turns[0]), 0.0, 1.0)
    return float(2 * np.arccos(same).max())
