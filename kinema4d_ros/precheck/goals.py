# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a motion is meant to achieve, whether what is foreseen achieves it, and goals by name."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck.outcome import MovedObject, Outcome
from kinema4d_ros.resources import share_dir

_KEYS = {'inside': ({'region'}, {'object'}), 'above': ({'region'}, {'object'}),
         'lifted': ({'height'}, {'object'}), 'moved_by': ({'distance'}, {'object', 'direction'})}
_MORE = ('all_of', 'unjudged')
PLACE_SIGMA = 0.02       # [m] how well it is foreseen where an object ends, one standard deviation
_BLOCKED = 0.2           # largest probability of success after running into something
_LIKELY = 0.5            # what is foreseen from this probability on
_UNLIKELY = 0.1          # below it what nobody knows makes no difference
_STANDS = 0.03           # [m] how far below the ground of a region something on or in it may be
_SLAB = 0.03             # [m] a region that is no higher says where to stand, not how high
_OVER_SLAB = 0.15        # [m] the middle of what stands on it is at most this far above its ground
_LARGEST = 1e6           # [m] no length of a rubric is larger
NEVER = -5 * PLACE_SIGMA  # [m] margin when no object is moved at all


@dataclass(frozen=True)
class Region:
    """A box in the base frame."""

    low: tuple[float, float, float]      # [m]
    high: tuple[float, float, float]     # [m]


@dataclass(frozen=True)
class Rule:
    """One thing that must hold of the object when the motion ends."""

    kind: str                            # 'inside', 'above', 'lifted' or 'moved_by'
    region: Region | None = None         # of inside, above
    length: float = 0.0                  # [m] height of lifted, distance of moved_by
    direction: tuple[float, float, float] | None = None   # of moved_by, a unit vector

    def margin(self, item: MovedObject) -> float:
        """Return by how much an object keeps the rule [m]; below zero it breaks it."""
        if self.kind == 'lifted':
            return float(item.end[2] - item.start[2]) - self.length
        if self.kind == 'moved_by':
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


@dataclass(frozen=True)
class Goal:
    """
    What must hold of one moved object when the motion ends; all rules together.

    As YAML or a mapping, each rule by its name:

    * ``inside: {region: {low: [x, y, z], high: [x, y, z]}}``: its middle is in the box, or at most
      3 cm below it: a flat thing on the ground of the box is inside.
    * ``above: {region: ...}``: its middle is over the box's ground and not above the box, and its
      bottom is not more than 3 cm below the box's. Of a box of at most 3 cm only the ground counts:
      its middle may be up to 15 cm above that.
    * ``lifted: {height: h}``: it is held or stands at least that much higher than before.
    * ``moved_by: {distance: d, direction: [x, y, z]}``: it has moved at least that far, along the
      direction if one is given.

    Lengths in m, in the base frame. ``object`` (anywhere) and ``name`` of a region are for people.
    ``starts_in: {low, high}`` says which object is meant: one whose middle was in that box.
    ``all_of: [...]`` holds rubrics that are to be kept as well, each by an object of its own.
    ``unjudged: [...]`` names what is wanted besides and cannot be foreseen, as that a drawer opens:
    then there is no probability, unless something else is missed.
    """

    rules: tuple[Rule, ...]
    starts_in: Region | None = None
    parts: tuple[Goal, ...] = ()         # of all_of
    unjudged: tuple[str, ...] = ()

    @classmethod
    def of(cls, rubric: Mapping[str, Any], where: str = 'goal') -> Goal:
        """
        Read a rubric.

        :param where: it comes from, for messages.
        :raises ConfigurationError: for anything that is not as described above.
        """
        if not isinstance(rubric, Mapping) or not rubric:
            raise ConfigurationError(f'{where} must map rules to their numbers, got {rubric!r}')
        rules, starts_in = [], None
        parts, unjudged = _more(rubric, where)
        for kind, values in rubric.items():
            if kind in _MORE:
                continue
            if kind == 'starts_in':
                starts_in = _region(values, f'{where}: starts_in')
            elif kind in _KEYS:
                rules.append(_rule(kind, values, where))
            else:
                raise ConfigurationError(f'{where}: unknown rule {kind!r}; there are: '
                                         f'{", ".join((*_KEYS, *_MORE))}, starts_in')
        if not rules and not parts and not unjudged:
            raise ConfigurationError(f'{where} has no rule; there are: '
                                     f'{", ".join((*_KEYS, *_MORE))}')
        return cls(tuple(rules), starts_in, parts, unjudged)

    @classmethod
    def load(cls, path: str | Path) -> Goal:
        """
        Read a rubric from a YAML file.

        :raises ConfigurationError: naming the file.
        """
        try:
            return cls.of(yaml.safe_load(Path(path).read_text(encoding='utf-8')), str(path))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(f'the goal {path} cannot be read: {error}') from error

    def margin(self, outcome: Outcome) -> float:
        """Return by how much the best moved object keeps all rules [m]; the least of all parts."""
        margins = [part.margin(outcome) for part in self.parts]
        if self.rules:
            margins.append(max((min(rule.margin(item) for rule in self.rules)
                                for item in self._meant(outcome)), default=NEVER))
        return min(margins, default=0.0)

    def _meant(self, outcome: Outcome) -> list[MovedObject]:
        """Return the moved objects that may be meant."""
        return [item for item in outcome.moved
                if self.starts_in is None or _contains(self.starts_in, item.start)]

    def share(self, outcome: Outcome) -> float:
        """Return how likely all rules are kept, by where things end and how well that is known."""
        margins = [self.margin(outcome)]
        if len(outcome.members) > 1:      # each of them is one of the ways in which it may end
            margins = [self.margin(Outcome(moved=moved)) for moved in outcome.members]
        return sum(map(_likelihood, margins)) / len(margins)

    def is_missed(self, outcome: Outcome) -> bool:
        """Return whether the goal is missed whatever becomes of what nobody knows."""
        if any(part.is_missed(outcome) for part in self.parts):
            return True
        alone = Goal(self.rules, self.starts_in)
        return bool(self.rules) and self._doubt(outcome) is None \
            and alone.share(outcome) < _UNLIKELY

    def why_unknown(self, outcome: Outcome) -> str | None:
        """
        Return why it cannot be foreseen whether the goal is reached; None where it can.

        A doubt that makes no difference is none: what would miss the goal if it were held is
        missed either way. What is `unjudged` is no doubt, there is only no probability.
        """
        if self.is_missed(outcome):
            return None
        doubts = [part.why_unknown(outcome) for part in self.parts]
        doubts.append(self._doubt(outcome) if self.rules else None)
        return next((doubt for doubt in doubts if doubt is not None), None)

    def _doubt(self, outcome: Outcome) -> str | None:
        """Return why nobody knows whether the rules are kept."""
        if not outcome.is_known:
            return 'what the hand does to things cannot be foreseen'
        if outcome.is_doubtful and not outcome.moved:
            return 'nobody saw whether something is where the fingers close'
        alone = Goal(self.rules, self.starts_in)
        for item in self._meant(outcome):
            if item.landing_doubt and _likelihood(
                    min(rule.best_margin(item) for rule in self.rules)) >= _UNLIKELY:
                return item.landing_doubt
            if item.grip_doubt and alone.share(outcome) >= _UNLIKELY:
                return f'what the fingers close on may not be held ({item.grip_doubt})'
        return None

    def probability(self, outcome: Outcome, blocked: bool = False,
                    doubt: str = '') -> float | None:
        """
        Return how likely the goal is reached, 0 to 1; None where nobody knows.

        Where the object ends is known to +- 2 cm; that no more than 98 % is claimed is for all
        that geometry does not see (it may slip, or be stuck).

        :param blocked: the robot runs into something on its way, so that what comes after is in
            doubt: at most 0.2.
        :param doubt: why the robot may be stopped on its way, so that success is not sure.
        """
        likely = 0.02 + 0.96 * self.share(outcome)
        if blocked and not self.unjudged:
            return min(likely, _BLOCKED)
        if self.is_missed(outcome):
            return likely
        unknown = self.unjudged or self.why_unknown(outcome) is not None
        return None if unknown or (doubt and likely >= _LIKELY) else likely


def _likelihood(margin: float) -> float:
    """Return how likely a rule is kept that is kept by a margin [m], as far as that is known."""
    return 0.5 * (1 + math.erf(margin / PLACE_SIGMA / math.sqrt(2)))


def rubrics(folder: str = '') -> dict[str, Path]:
    """Return name -> YAML file of every rubric; those in `folder` come before the package's."""
    found: dict[str, Path] = {}
    for place in (share_dir() / 'config' / 'rubrics', *([Path(folder)] if folder else [])):
        found |= {path.stem: path for path in sorted(place.glob('*.yaml'))}
    return found


def load_rubric(name: str, folder: str = '') -> Goal | None:
    """
    Return the goal of that name, None for ''.

    :raises ConfigurationError: there is none of that name, or it cannot be read.
    """
    if not name:
        return None
    known = rubrics(folder)
    if name not in known:
        raise ConfigurationError(
            f'unknown goal rubric {name!r}; known: {", ".join(sorted(known)) or "none"}; the '
            'parameter rubric_dir names a folder with more, one NAME.yaml each')
    return Goal.load(known[name])


def _more(rubric: Mapping[str, Any], where: str) -> tuple[tuple[Goal, ...], tuple[str, ...]]:
    """Read what is wanted besides the rules: rubrics, and what cannot be judged."""
    parts, unjudged = (rubric.get(key, []) for key in _MORE)
    if not isinstance(parts, list | tuple):
        raise ConfigurationError(f'{where}: all_of must be a list of rubrics, got {parts!r}')
    if not isinstance(unjudged, list | tuple) or not all(isinstance(each, str) and each
                                                         for each in unjudged):
        raise ConfigurationError(f'{where}: unjudged must be a list of texts, got {unjudged!r}')
    return (tuple(Goal.of(part, f'{where}: all_of {number}') for number, part in enumerate(parts)),
            tuple(unjudged))


def _rule(kind: str, values: Any, where: str) -> Rule:
    needed, optional = _KEYS[kind]
    if not isinstance(values, Mapping) or not needed <= set(values) <= needed | optional:
        raise ConfigurationError(
            f'{where}: {kind} needs {", ".join(sorted(needed))} and may have '
            f'{", ".join(sorted(optional))}, got {values!r}')
    if 'region' in needed:
        return Rule(kind, region=_region(values['region'], f'{where}: {kind}'))
    (key,) = needed
    length = _number(values[key], f'{where}: {kind}: {key}')
    if length <= 0:
        raise ConfigurationError(f'{where}: {kind}: {key} must be more than 0 m, got {length}')
    direction = values.get('direction')
    if direction is not None:
        direction = np.array(_triple(direction, f'{where}: {kind}: direction'))
        if not np.linalg.norm(direction) > 0:
            raise ConfigurationError(f'{where}: {kind}: direction must not be zero')
        direction = tuple((direction / np.linalg.norm(direction)).tolist())
    return Rule(kind, length=length, direction=direction)


def _region(values: Any, where: str) -> Region:
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


def _contains(region: Region, point: np.ndarray) -> bool:
    return bool(np.all(np.array(region.low) <= point) and np.all(point <= np.array(region.high)))
