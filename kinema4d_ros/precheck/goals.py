# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a motion is meant to achieve, whether what is foreseen achieves it, and goals by name."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight import FixturePart
from kinema4d_ros.precheck.goal_rules import KEYS, PLACE_SIGMA, read_region, read_rule, Region, Rule
from kinema4d_ros.precheck.outcome import MovedObject, Outcome
from kinema4d_ros.resources import share_dir

_MORE = ('all_of', 'unjudged')
_BLOCKED = 0.2           # largest probability of success after running into something
_LIKELY = 0.5            # what is foreseen from this probability on
_UNLIKELY = 0.1          # below it what nobody knows makes no difference
_EVEN = 0.1              # a probability this near to 0.5 foresees nothing
_SAME_WAY = 1e-3         # between unit vectors that are one
NEVER = -5 * PLACE_SIGMA  # [m] margin when no object is moved at all


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
    * ``slides_by: {distance: d, direction: [x, y, z]}``: a drawer, or another part of a fixture,
      has slid at least that far; ``turns_by: {angle: a, axis: [x, y, z]}``: a door or a knob has
      turned at least that far [rad]. Direction and axis may be left out. ``starts_in`` is the box
      around the part as it is now, and has to be stated: to a camera a drawer is a wall.

    ``moves_with: {low, high}`` beside a region is the box around a part of a fixture that the
    region goes along with, as the inside of a drawer does.

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
                starts_in = read_region(values, f'{where}: starts_in')
            elif kind in KEYS:
                rules.append(read_rule(kind, values, where))
            else:
                raise ConfigurationError(f'{where}: unknown rule {kind!r}; there are: '
                                         f'{", ".join((*KEYS, *_MORE))}, starts_in')
        if not rules and not parts and not unjudged:
            raise ConfigurationError(f'{where} has no rule; there are: '
                                     f'{", ".join((*KEYS, *_MORE))}')
        of_parts = [rule.kind for rule in rules if rule.is_of_part]
        if of_parts and (len(rules) > 1 or starts_in is None):
            raise ConfigurationError(f'{where}: {of_parts[0]} needs starts_in, the box around the '
                                     'part that moves, and no other rule beside it; use all_of '
                                     'for several')
        goal = cls(tuple(rules), starts_in, parts, unjudged)
        if (why := _why_no_part_moves_so(goal)) is not None:
            raise ConfigurationError(f'{where}: {why}')
        return goal

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
        return self.least_margin(outcome)[1]

    def least_margin(self, outcome: Outcome) -> tuple[float, float]:
        """Return the least margin of all, as a number of its standard deviations, and in m."""
        found = [part.least_margin(outcome) for part in self.parts]
        if self.rules:
            rules = [rule.after(outcome) for rule in self.rules]
            found.append(max((min((rule.margin(item) / rule.sigma, rule.margin(item))
                                  for rule in rules) for item in self._meant(outcome)),
                             default=(NEVER / PLACE_SIGMA, NEVER)))
        return min(found, default=(0.0, 0.0))

    @property
    def fixture_parts(self) -> tuple[FixturePart, ...]:
        """The drawers, doors and knobs that are meant to move, by where they are."""
        boxes = {(part.low, part.high): part for part in sorted(
            _stated_parts(self), key=lambda part: (part.direction or part.axis) is not None)}
        return tuple(boxes.values())

    @property
    def places(self) -> tuple[Region, ...]:
        """Where things are to go, and where those are that it says are to move."""
        return (*(rule.region for rule in self.rules if rule.region is not None),
                *(() if self.starts_in is None else (self.starts_in,)),
                *(place for part in self.parts for place in part.places))

    def _meant(self, outcome: Outcome) -> list[MovedObject]:
        """Return the moved objects that may be meant."""
        of_part = any(rule.is_of_part for rule in self.rules)
        return [item for item in outcome.moved if item.is_part == of_part
                if self.starts_in is None or self.starts_in.contains(item.start)]

    def share(self, outcome: Outcome) -> float:
        """Return how likely all rules are kept, by where things end and how well that is known."""
        # Each of several members is one of the ways in which it may end.
        ends = [Outcome(moved=moved) for moved in outcome.members] \
            if len(outcome.members) > 1 else [outcome]
        return sum(_likelihood(self.least_margin(end)[0]) for end in ends) / len(ends)

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
                    min(rule.after(outcome).best_margin(item) / rule.sigma
                        for rule in self.rules)) >= _UNLIKELY:
                return item.landing_doubt
            if item.grip_doubt and alone.share(outcome) >= _UNLIKELY:
                return f'what the fingers close on may not be held ({item.grip_doubt})'
        return None

    def probability(self, outcome: Outcome, blocked: bool = False,
                    doubt: str = '') -> float | None:
        """
        Return how likely the goal is reached, 0 to 1; None where nobody knows.

        Where an object ends is known to +- 2 cm, how far a part of a fixture slides to 6 mm; that
        no more than 98 % is claimed is for all that geometry does not see (it may slip, or be
        stuck).

        Within 0.1 of 0.5 (5 mm from the edge of a region) there is none either: `is_even`.

        :param blocked: the robot runs into something on its way, so that what comes after is in
            doubt: at most 0.2.
        :param doubt: why the robot may be stopped on its way, so that success is not sure.
        """
        likely = self._likely(outcome)
        if blocked and not self.unjudged:
            return min(likely, _BLOCKED)
        if self.is_even(outcome):
            return None
        if self.is_missed(outcome):
            return likely
        unknown = self.unjudged or self.why_unknown(outcome) is not None
        return None if unknown or (doubt and likely >= _LIKELY) else likely

    def is_even(self, outcome: Outcome) -> bool:
        """Return whether things end so near to an edge that either may come of it."""
        return abs(self._likely(outcome) - 0.5) < _EVEN

    def _likely(self, outcome: Outcome) -> float:
        return 0.02 + 0.96 * self.share(outcome)


def _likelihood(margin: float) -> float:
    """Return how likely a rule is kept that is kept by a number of standard deviations."""
    return 0.5 * (1 + math.erf(margin / math.sqrt(2)))


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


def _stated_parts(goal: Goal) -> list[FixturePart]:
    """Return the parts of fixtures as each rule states them, one box perhaps several times."""
    found = [part for each in goal.parts for part in _stated_parts(each)]
    for rule in goal.rules:
        if rule.moves_with is not None:
            found.append(FixturePart(rule.moves_with.low, rule.moves_with.high))
        if rule.is_of_part and goal.starts_in is not None:
            slides = rule.kind == 'slides_by'
            found.append(FixturePart(
                goal.starts_in.low, goal.starts_in.high, rule.direction if slides else None,
                None if slides else rule.direction))
    return found


def _stated_ways(goal: Goal) -> list[tuple[Region, str, tuple[float, float, float] | None]]:
    """Return of each rule about a part where that is, how it moves, and along or about what."""
    found = [way for each in goal.parts for way in _stated_ways(each)]
    if goal.starts_in is not None:
        found += [(goal.starts_in, rule.kind, rule.direction) for rule in goal.rules
                  if rule.is_of_part]
    return found


def _why_no_part_moves_so(goal: Goal) -> str | None:
    """Return which part of a fixture would have to move in two ways; None for none."""
    kinds: dict[Region, str] = {}
    ways: dict[Region, tuple[float, float, float]] = {}
    for box, kind, way in _stated_ways(goal):
        where = f'the part of a fixture in the box {list(box.low)} to {list(box.high)} is to '
        end = '; a part has one joint, so state one of them, or a box for each part'
        if kinds.setdefault(box, kind) != kind:
            return f'{where}slide (slides_by) and to turn (turns_by){end}'
        if way is not None and math.dist(known := ways.setdefault(box, way), way) > _SAME_WAY:
            one, other = (f'[{", ".join(f"{each:.3g}" for each in of)}]' for of in (known, way))
            move = 'slide along' if kind == 'slides_by' else 'turn about'
            return f'{where}{move} {one} and to {move} {other}{end}'
    return None


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
