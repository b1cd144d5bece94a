# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What was found out about one motion so far; a Verdict is made of it."""
from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
import traceback
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.precheck.verdict import decide, not_checked
from kinema4d_ros.types import (Background, EventKind, Finding, FindingCode, Report, Severity,
                                silent, Verdict)

#: findings of tier 0 that leave no motion to check
NO_MOTION = frozenset((FindingCode.UNKNOWN_JOINT, FindingCode.NOT_FINITE,
                       FindingCode.TIMES_NOT_INCREASING, FindingCode.EMPTY_TRAJECTORY))
_EVENTS = frozenset(FindingCode[kind.name] for kind in EventKind)
#: those that geometry foresees; a world model with dynamics shows more
_GEOMETRIC = frozenset((
    FindingCode.GRASP, FindingCode.CLOSED_ON_NOTHING, FindingCode.RELEASE, FindingCode.REST,
    FindingCode.NO_DEPTH, FindingCode.UNSEEN_SPACE))
_DECIDED = frozenset(('status', 'summary', 'findings', 'tiers_passed', 'deciding_tier',
                      'safe_prefix', 'latencies', 'final'))
#: the fields of a Verdict that are measured or say what it rests on, and decide nothing
MEASURED = frozenset(item.name for item in dataclasses.fields(Verdict)) - _DECIDED


class Assessment:
    """
    Collects what the tiers find about one motion.

    Findings are only ever added, so its verdict can only become worse. A tier counts as run from
    the moment that `add` names it, with findings or with none. It is picklable: what a worker
    process found comes back as one of these, and is merged.
    """

    def __init__(self) -> None:
        """Make an assessment in which no tier has run."""
        self._findings: dict[int, list[Finding]] = {}
        self._notes: list[Finding] = []
        self._measured: dict[str, Any] = {}
        self._latencies: dict[str, float] = {}
        #: by name of the view, the remembered scene that a FAIL rests on
        self.backgrounds: dict[str, Background] = {}

    # ------------------------------------------------------------------ what is known

    @property
    def background(self) -> Background | None:
        """The remembered scene of the first of `backgrounds`; None without any."""
        return next(iter(self.backgrounds.values()), None)

    @property
    def findings(self) -> Mapping[int, tuple[Finding, ...]]:
        """Tier -> its findings, for the tiers that ran or could not."""
        return {tier: tuple(found) for tier, found in self._findings.items()}

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings of no tier."""
        return tuple(self._notes)

    @property
    def measured(self) -> Mapping[str, Any]:
        """Fields of the Verdict that are known so far."""
        return dict(self._measured)

    @property
    def latencies(self) -> Mapping[str, float]:
        """How long each stage took [s]."""
        return dict(self._latencies)

    @property
    def against(self) -> tuple[Finding, ...]:
        """The findings of all tiers that speak against the motion."""
        return tuple(finding for found in self._findings.values() for finding in found
                     if finding.severity > Severity.INFO)

    @property
    def moves(self) -> bool:
        """Whether tier 0 has run and found a motion to check."""
        return 0 in self._findings and not any(
            finding.code in NO_MOTION for finding in self._findings[0])

    @property
    def fails(self) -> bool:
        """Whether any tier found a reason for FAIL."""
        return any(finding.severity == Severity.FAIL for finding in self.against)

    def has(self, code: FindingCode) -> bool:
        """Whether any tier found this."""
        return any(finding.code == code for found in self._findings.values() for finding in found)

    # ------------------------------------------------------------------ adding

    def add(self, tier: int, *findings: Finding) -> None:
        """Add findings of a tier, which has run thereby."""
        self._findings.setdefault(tier, []).extend(findings)

    def add_unsure(self, reason: str, code: FindingCode = FindingCode.NOT_CHECKED, *,
                   tier: int = 0) -> None:
        """Add that something could not be checked, which forbids a PASS."""
        self.add(tier, not_checked(reason, code))

    def note(self, *findings: Finding) -> None:
        """Add findings of no tier, such as the events that a world model shows."""
        self._notes.extend(findings)

    def measure(self, **fields: Any) -> None:
        """
        Set fields of the Verdict that decide nothing: measured values, and what it rests on.

        :raises TypeError: for a name that is no such field.
        """
        if unknown := set(fields) - MEASURED:
            raise TypeError(f'{", ".join(sorted(unknown))}: not among the measured fields of a '
                            f'Verdict: {", ".join(sorted(MEASURED))}')
        self._measured |= fields

    def took(self, stage: str, seconds: float) -> None:
        """Set how long a stage took [s]."""
        self._latencies[stage] = seconds

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure how long the block takes, whatever becomes of it."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.took(stage, time.perf_counter() - started)

    @contextlib.contextmanager
    def tier(self, tier: int, stage: str = '', report: Report = silent) -> Iterator[None]:
        """
        Run a tier in the block: timed, reported, and whatever it raises forbids a PASS.

        :param stage: its name for `report` and latencies; '' for 'tier N'.
        :raises PredictionCancelled: when the tier was asked to stop.
        """
        stage = stage or f'tier {tier}'
        report(stage, 0, 1)
        with self.timed(stage):
            try:
                yield
            except PredictionCancelled:
                raise
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                self.add(tier, not_checked(f'tier {tier} failed: {type(error).__name__}: {error} '
                                           f'({where.name}, line {where.lineno})'))
        report(stage, 1, 1)

    def merge(self, other: Assessment) -> None:
        """
        Add all that another assessment of the same motion holds.

        Tier 0 may have run twice, with the joints of two moments. What it found before about the
        same thing and no milder is not added again.
        """
        known: dict[tuple[object, ...], Severity] = {}
        for finding in self._findings.get(0, ()):
            about = _about(finding)
            known[about] = max(finding.severity, known.get(about, finding.severity))
        for tier, found in other._findings.items():
            self.add(tier, *(finding for finding in found if tier != 0
                             or finding.severity > known.get(_about(finding), -1)))
        self.note(*other._notes)
        self._measured |= other._measured
        self._latencies |= other._latencies
        self.backgrounds = {**other.backgrounds, **self.backgrounds}

    def copy(self) -> Assessment:
        """Return an assessment of its own with the same content."""
        other = copy.copy(self)
        other._findings = {tier: list(found) for tier, found in self._findings.items()}
        other._notes, other._measured = list(self._notes), dict(self._measured)
        other._latencies = dict(self._latencies)
        return other

    # ------------------------------------------------------------------ the verdict

    def verdict(self, required: Collection[int], *, final: bool = True,
                notes: Collection[Finding] = (), **fields: Any) -> Verdict:
        """
        Return the verdict on what was found so far.

        Notes count as what a tier found does: those above INFO always. Of the others, predicted
        events are left out where tier 1 foresaw an outcome and they are of geometry, which are the
        same, or it told of one of their kind.

        :param required: the tiers without which there is no PASS; with none there is never one.
        :param final: False while a later tier may still change it.
        :param notes: of this verdict only, as `note` takes them.
        :param fields: of this verdict only, as `measure` takes them.
        """
        foreseen = 'outcome' in self._measured
        kept = [note for note in self._notes if note.severity > Severity.INFO or not foreseen
                or note.code not in _EVENTS
                or not (note.code in _GEOMETRIC or self.has(note.code))]
        outcome = '; '.join(note.message for note in kept if note.code in _EVENTS)
        return decide(self._findings, required=required, notes=(*kept, *notes),
                      latencies=self._latencies, final=final,
                      **{'outcome': outcome, **self._measured, **fields})


def _about(finding: Finding) -> tuple[object, ...]:
    """Return what a finding is about, however the joints were when it was found."""
    parts = (finding.link, finding.other)
    return (finding.code, *(parts if any(parts) else (finding.message,)))
