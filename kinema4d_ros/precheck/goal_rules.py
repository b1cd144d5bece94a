# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of goals: what must hold of one thing when a motion ends, and how they are read."""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck.outcome import MovedObject, Outcome

#: keys that a rule needs, and those that it may have
KEYS = {'inside': ({'region'}, {'object', 'moves_with'}),
        'above': ({'region'}, {'object', 'moves_with'}),
        'lifted': ({'height'}, {'object'}), 'moved_by': ({'distance'}, {'object', 'direction'}),
        'slides_by': ({'distance'}, {'object', 'direction'}),
        'turns_by': ({'angle'}, {'object', 'axis'})}
OF_PARTS = ('slides_by', 'turns_by')     # of a drawer, a door or a knob
_STANDS = 0.03           # [m] how far below the ground of a region something on or in it may be
_SLAB = 0.03             # [m] a region that is no higher says where to stand, not how high
_OVER_SLAB = 0.15        # [m] the middle of what stands on it is at most this far above its ground
_LARGEST = 1e6           # [m] no length of a rubric is larger
_LEVER = 0.03            # [m] from its axis, at which it counts how far something turns
PLACE_SIGMA = 0.02       # [m] how well it is foreseen where an object ends, one standard deviation
PART_SIGMA = 0.006       # [m] likewise how far a part of a fixture slides; 0.2 rad that it turns


@dataclass(frozen=True)
class Region:
    """A box in the base frame."""

    low: tuple[float, float, float]      # [m]
    high: tuple[float, float, float]     # [m]

    def contains(self, point: np.ndarray) -> bool:
        """Return whether a point (3,) [m] is in it."""
        return bool(np.all(np.array(self.low) <= point) and np.all(point <= np.array(self.high)))


@dataclass(frozen=True)
class Rule:
    """One thing that must hold of the object when the motion ends."""

    kind: str                            # one of `KEYS`
    region: Region | None = None         # of inside, above
    #: [m] height of lifted, distance of moved_by and slides_by; [rad] angle of turns_by
    length: float = 0.0
    direction: tuple[float, float, float] | None = None   # or axis, a unit vector
    moves_with: Region | None = None     # the part of a fixture that the region goes along with

    @property
    def is_of_part(self) -> bool:
        """Whether it is about a part of a fixture, and not about an object."""
        return self.kind in OF_PARTS

    @property
    def sigma(self) -> float:
        """How well its margin is foreseen [m], one standard deviation."""
        return PART_SIGMA if self.is_of_part else PLACE_SIGMA

    def after(self, outcome: Outcome) -> Rule:
        """Return the rule with its region where the part that it goes along with ends."""
        if self.moves_with is None or self.region is None:
            return self
        part = next((item for item in outcome.moved if item.is_part
                     and self.moves_with.contains(item.start)), None)
        if part is None:
            return self
        way = part.end - part.start
        return dataclasses.replace(self, region=Region(
            _plain(np.array(self.region.low) + way), _plain(np.array(self.region.high) + way)))

    def margin(self, item: MovedObject) -> float:
        """Return by how much an object keeps the rule [m]; below zero it breaks it."""
        if self.kind == 'lifted':
            return float(item.end[2] - item.start[2]) - self.length
        if self.kind == 'turns_by':
            turn = np.linalg.norm(item.turn) if self.direction is None \
                else item.turn @ self.direction
            return _LEVER * (float(turn) - self.length)
        if self.kind in ('moved_by', 'slides_by'):
            way = item.end - item.start
            done = np.linalg.norm(way) if self.direction is None else way @ self.direction
            return float(done) - self.length
        if self.region is None:
            raise ConfigurationError(f'a rule {self.kind!r} needs a region')
        low, high = np.array(self.region.low), np.array(self.region.high)
        if self.kind == 'above' and high[2] - low[2] <= _SLAB:
            high[2] = low[2] + _OVER_SLAB
        sides = np.r_[item.end - low, high - item.end]
        if self.kind == 'above':      # it stands on the ground of the region, or is over it
            sides[2] = item.bottom - low[2] + _STANDS
        else:      # what stands in it is held up by its ground, however thick that was stated
            sides[2] += _STANDS
        return float(sides.min())

    def best_margin(self, item: MovedObject) -> float:
        """Return by how much it keeps the rule at most, if nobody knows how high it ends [m]."""
        if self.region is None:
            return math.inf
        low, high = np.array(self.region.low[:2]), np.array(self.region.high[:2])
        return float(np.r_[item.end[:2] - low, high - item.end[:2]].min())


def read_rule(kind: str, values: Any, where: str) -> Rule:
    """
    Read one rule.

    :raises ConfigurationError: for anything that is no rule, saying where it stands.
    """
    needed, optional = KEYS[kind]
    if not isinstance(values, Mapping) or not needed <= set(values) <= needed | optional:
        raise ConfigurationError(
            f'{where}: {kind} needs {", ".join(sorted(needed))} and may have '
            f'{", ".join(sorted(optional))}, got {values!r}')
    if 'region' in needed:
        along = values.get('moves_with')
        return Rule(kind, region=read_region(values['region'], f'{where}: {kind}'),
                    moves_with=None if along is None else read_region(
                        along, f'{where}: {kind}: moves_with'))
    (key,) = needed
    length = _number(values[key], f'{where}: {kind}: {key}')
    if length <= 0:
        raise ConfigurationError(f'{where}: {kind}: {key} must be more than 0, got {length}')
    way = 'axis' if kind == 'turns_by' else 'direction'
    direction = values.get(way)
    if direction is not None:
        direction = np.array(_triple(direction, f'{where}: {kind}: {way}'))
        if not np.linalg.norm(direction) > 0:
            raise ConfigurationError(f'{where}: {kind}: {way} must not be zero')
        direction = _plain(direction / np.linalg.norm(direction))
    return Rule(kind, length=length, direction=direction)


def read_region(values: Any, where: str) -> Region:
    """
    Read a box.

    :raises ConfigurationError: for anything that is none, saying where it stands.
    """
    if not isinstance(values, Mapping) or not {'low', 'high'} <= set(values) <= {
            'low', 'high', 'name'}:
        raise ConfigurationError(f'{where}: a region needs low and high, and may have a name; got '
                                 f'{values!r}')
    low, high = (_triple(values[key], f'{where}: {key}') for key in ('low', 'high'))
    if not all(a < b for a, b in zip(low, high)):
        raise ConfigurationError(f'{where}: low must be below high on each axis, got {low}, {high}')
    return Region(low, high)


def _triple(values: Any, where: str) -> tuple[float, float, float]:
    if not isinstance(values, (list, tuple)) or len(values) != 3:
        raise ConfigurationError(f'{where} must be [x, y, z], got {values!r}')
    x, y, z = (_number(value, where) for value in values)
    return x, y, z


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) \
            or abs(value) > _LARGEST or math.isnan(value):
        raise ConfigurationError(f'{where} must be a number, got {str(value)[:40]!r}')
    return float(value)


def _plain(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
