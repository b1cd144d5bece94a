# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of each thing, joint and goal of an episode, where its source knows it."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIFTED = 0.02       # [m] what has risen by more was lifted

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ThingOutcome:
    """What a thing did from the start of the trajectory to the end of the recording."""

    is_fixture: bool       # fastened to the world: cabinet, stove, microwave; else an object
    moved: float           # [m] farthest that its middle ever was from where it began
    turned: float          # [rad] farthest that it ever was turned from how it began
    risen: float           # [m] highest that its middle ever was above where it began
    moved_at_end: float    # [m] how far its middle was from where it began at the end
    is_target: bool = False        # a goal is in or on it


@dataclass(frozen=True)
class JointOutcome:
    """What a drawer, door or knob did from the start of the trajectory to the end."""

    fixture: str           # name of the thing that it belongs to
    unit: str              # 'm' or 'rad'
    begin: float           # position at the start
    end: float             # position at the end
    moved: float           # farthest that it ever was from where it began
    is_meant: bool         # a goal is about it: its moving is no disturbance


@dataclass(frozen=True)
class GoalOutcome:
    """One of the things that a task wants: LIBERO's own words, and whether it came about."""

    relation: str                  # 'in', 'on', 'open', 'close', 'turnon' or 'turnoff'
    thing: str                     # what is to be moved, opened, closed or turned
    place: str                     # what it goes in or on, '' for what is opened or turned
    target: str                    # the thing that the place belongs to, '' for the table
    rubric: Row                    # as of an episode's goal; {} for what has no place
    met_at_start: bool
    met: bool
    lifted: bool | None            # rose by more than 2 cm; None for what is not carried


@dataclass(frozen=True)
class EpisodeOutcome:
    """What became of everything; all by name."""

    things: Mapping[str, ThingOutcome] = field(default_factory=dict)
    joints: Mapping[str, JointOutcome] = field(default_factory=dict)
    goals: tuple[GoalOutcome, ...] = ()
    #: [m] how far beside what it aims at the script aimed, base frame: 'grasp', 'place'
    aim_errors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Row) -> EpisodeOutcome:
        """
        Read it back; fields that this version does not know are left out.

        :raises TypeError, KeyError, ValueError, AttributeError: it is not as it is written.
        """
        return cls({name: _of(ThingOutcome, row) for name, row in values['things'].items()},
                   {name: _of(JointOutcome, row) for name, row in values['joints'].items()},
                   tuple(_of(GoalOutcome, row) for row in values['goals']),
                   {name: tuple(map(float, error))
                    for name, error in values.get('aim_errors', {}).items()})


def _of(cls: type, row: Row) -> Any:
    """Make a dataclass of a row."""
    known = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in row.items() if name in known})
