# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What it means for the verdict when a motion pushes, topples or drops something."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.types import (EventKind, Finding, FindingCode, plain_point, Severity,
                                WorldEvent)


class Consequence(enum.StrEnum):
    """What an event does to the verdict."""

    REPORT = 'report'    # a finding that changes nothing
    UNSURE = 'unsure'    # no PASS
    FAIL = 'fail'


_SEVERITIES = {Consequence.REPORT: Severity.INFO, Consequence.UNSURE: Severity.UNSURE,
               Consequence.FAIL: Severity.FAIL}
#: [m] a simulation tells of pushes and drags from here on
LEAST_PUSH = 0.01
#: [m] it tells from here on what a thing takes along that it is lifted off or out of
LEAST_DRAG = 0.003
#: [m] that fingers may push what they grasp thereafter: what closing and approaching can do
APPROACH = 0.05
#: share of the runs; where fewer became unstable, the others tell enough
FEW = 0.1
_TAKES_ALONG = (EventKind.PUSHED, EventKind.DRAGGED)


@dataclass(frozen=True)
class DynamicsRules:
    """
    What a simulation with dynamics may show, and whether tier 1 foresees by one.

    The fields named as events say what these do to the verdict. They hold wherever a simulation
    says so: in tier 1 with `outcome`, and in tier 2 where the world model is `physics`. A rule can
    only make a verdict worse.
    """

    outcome: bool = False     # tier 1 foresees by simulation what is pushed and where it ends
    members: int = 1          # of that simulation's ensemble, 1 or more
    #: simulations by which tier 1 refuses what moves things beside the goal; 0: none
    neighbours: int = 0
    #: [m] that the robot may push anything but what the hand grasps, LEAST_PUSH or more
    may_push: float = 0.01
    #: [m] that a thing may be dragged along by another one, LEAST_DRAG or more. A bowl that is
    #: lifted off another one moves that by millimetres, in truth more than in a simulation.
    may_take_along: float = LEAST_DRAG
    pushed: Consequence = Consequence.UNSURE
    dragged: Consequence = Consequence.UNSURE
    toppled: Consequence = Consequence.UNSURE
    dropped: Consequence = Consequence.REPORT
    slipped: Consequence = Consequence.REPORT
    slipped_out: Consequence = Consequence.UNSURE
    fell_off: Consequence = Consequence.UNSURE
    jammed: Consequence = Consequence.UNSURE
    not_modelled: Consequence = Consequence.REPORT
    undecided: Consequence = Consequence.UNSURE
    discarded: Consequence = Consequence.UNSURE    # of a tenth of the runs or more
    not_simulated: Consequence = Consequence.UNSURE

    def __post_init__(self) -> None:
        """
        Refuse values that would switch a rule off or turn it round.

        :raises ConfigurationError: naming the rule, its value and the valid ones.
        """
        if not (np.isfinite(self.may_push) and self.may_push >= LEAST_PUSH):
            raise ConfigurationError(
                f'may_push must be at least {LEAST_PUSH} [m], below which a simulation tells no '
                f'push, got {self.may_push}')
        if not (np.isfinite(self.may_take_along) and self.may_take_along >= LEAST_DRAG):
            raise ConfigurationError(
                f'may_take_along must be at least {LEAST_DRAG} [m], below which a simulation tells '
                f'nothing, got {self.may_take_along}')
        if self.members < 1:
            raise ConfigurationError(f'members must be 1 or more, got {self.members}')
        if self.neighbours < 0:
            raise ConfigurationError(f'neighbours must be 0 or more, got {self.neighbours}')
        for name in EVENT_RULES:
            try:
                object.__setattr__(self, name, Consequence(getattr(self, name)))
            except ValueError as error:
                raise ConfigurationError(
                    f'{name} must be one of {", ".join(Consequence)}, got '
                    f'{getattr(self, name)!r}') from error

    def findings(self, events: Iterable[WorldEvent]) -> tuple[Finding, ...]:
        """
        Return what predicted events mean, one finding each, in the same order.

        What the hand grasps may be pushed before it does, up to `APPROACH`.
        """
        events = tuple(events)
        grasped = [event for event in events
                   if event.kind is EventKind.GRASP and event.thing is not None]
        return tuple(self._finding(event, any(
            event.thing == grasp.thing and event.time <= grasp.time
            and (event.distance or 0.0) <= APPROACH for grasp in grasped)) for event in events)

    def findings_of_seeds(self, first: Iterable[WorldEvent],
                          others: Mapping[int, Iterable[WorldEvent]]) -> tuple[Finding, ...]:
        """
        Return what the events of several predictions of one motion mean.

        Those of other seeds are added where no prediction before showed the same of the same thing
        that is as bad.

        :param first: the events of the prediction that is shown.
        :param others: seed -> the events of its prediction.
        """
        first, found = tuple(first), list(self.findings(first))
        known: dict[tuple[object, ...], Severity] = {}
        for event, finding in zip(first, found, strict=True):
            _know(known, event, finding)
        for seed, events in others.items():
            events = tuple(events)
            for event, finding in zip(events, self.findings(events), strict=True):
                if finding.severity > known.get(_about(event), -1):
                    found.append(dataclasses.replace(
                        finding, message=f'with seed {seed}: {finding.message}'))
                    _know(known, event, finding)
        return tuple(found)

    def _finding(self, event: WorldEvent, is_grasped: bool) -> Finding:
        severity, limit = Severity.INFO, None
        if event.kind.value in EVENT_RULES:
            severity = _SEVERITIES[getattr(self, event.kind.value)]
        if event.kind in _TAKES_ALONG:
            limit = self.may_push if event.kind is EventKind.PUSHED else self.may_take_along
            if (event.distance or 0.0) <= limit or (is_grasped
                                                    and event.kind is EventKind.PUSHED):
                severity = Severity.INFO
        elif event.kind is EventKind.UNDECIDED and event.distance is not None:
            limit = self.may_push       # whether it moves at all, and no run moves it farther
            severity = severity if event.distance > limit else Severity.INFO
        elif event.kind is EventKind.DISCARDED and event.share is not None \
                and event.share < FEW:
            severity = Severity.INFO
        point = None if event.point_base is None else plain_point(event.point_base)
        return Finding(
            FindingCode[event.kind.name], severity, event.message, other='scene',
            point_base=point, time=float(event.time), value=event.distance, limit=limit,
            unit='' if event.distance is None else 'm')


def _about(event: WorldEvent) -> tuple[object, ...]:
    """Return what an event tells of which thing; things have the same numbers in all seeds."""
    return event.kind, event.message if event.thing is None else event.thing


def _know(known: dict[tuple[object, ...], Severity], event: WorldEvent,
          finding: Finding) -> None:
    about = _about(event)
    known[about] = max(finding.severity, known.get(about, finding.severity))


#: the events for which there is a rule, by the names of their fields
EVENT_RULES = tuple(item.name for item in dataclasses.fields(DynamicsRules)
                    if item.name in {kind.value for kind in EventKind})
