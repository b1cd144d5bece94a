# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a verdict foresees of a motion, in the words of the ledger."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kinema4d_ros.ledger.entry import PredictedPlace
from kinema4d_ros.types import Finding, FindingCode, Severity, Verdict

#: events of a thing that ends where nobody says exactly: a change on its way is foreseen
_SHOVED = {FindingCode.PUSHED, FindingCode.TOPPLED, FindingCode.DRAGGED, FindingCode.SWEPT,
           FindingCode.SLIPPED, FindingCode.JAMMED, FindingCode.NOT_MODELLED}
#: events after which something lies where nobody says
LOST = {FindingCode.DROPPED, FindingCode.SLIPPED_OUT, FindingCode.FELL_OFF, FindingCode.UNDECIDED,
        FindingCode.PUSHED, FindingCode.DRAGGED, FindingCode.TOPPLED, FindingCode.SWEPT}
_HOLDS = {FindingCode.GRASP: True, FindingCode.CLOSED_ON_NOTHING: False,
          FindingCode.RELEASE: False, FindingCode.DROPPED: False, FindingCode.SLIPPED_OUT: False}


def kind_of(verdict: Verdict) -> str:
    """Return what a motion is by what is foreseen of it: pick, place, push or move."""
    codes = {finding.code for finding in verdict.findings}
    if FindingCode.RELEASE in codes:
        return 'place'
    if codes & {FindingCode.GRASP, FindingCode.CLOSED_ON_NOTHING}:
        return 'pick'
    return 'push' if codes & (_SHOVED | LOST) else 'move'


def held_at_end(verdict: Verdict) -> bool | None:
    """
    Return whether the fingers are foreseen to hold something when the motion has ended.

    None where nothing is said of them: nothing was held as it began, and they do not close. Where
    an event is in doubt, as one that the camera could not see, nothing is foreseen either.
    """
    if any(f.code in (FindingCode.UNSEEN_SPACE, FindingCode.UNDECIDED) for f in verdict.findings):
        return None
    held = True if any(f.code is FindingCode.ATTACHED and f.severity is Severity.INFO
                       for f in verdict.findings) else None
    for finding in _in_time(verdict.findings):
        held = _HOLDS.get(finding.code, held)
    return held


def places_of(verdict: Verdict, near: float) -> tuple[PredictedPlace, ...]:
    """
    Return where the scene is foreseen to look otherwise when the motion has ended.

    :param near: [m] something that rests so close to where it stood has changed nothing.
    """
    gone, come, moved = list[Finding](), list[Finding](), list[Finding]()
    for finding in _in_time(verdict.findings):
        if finding.point_base is None:
            continue
        if finding.code is FindingCode.GRASP:
            taken = [rest for rest in come if _apart(rest, finding) <= near]
            if taken:
                come.remove(taken[-1])       # it was put there, and is taken away again
            else:
                gone.append(finding)
        elif finding.code is FindingCode.REST:
            back = [start for start in gone if _apart(start, finding) <= near]
            if back:
                gone.remove(back[-1])
            else:
                come.append(finding)
        elif finding.code in _SHOVED:
            moved.append(finding)
    return tuple(PredictedPlace(finding.code.name, change, *finding.point_base)
                 for change, each in (('gone', gone), ('come', come), ('moves', moved))
                 for finding in each if finding.point_base is not None)


def is_loose(verdict: Verdict) -> bool:
    """Return whether something is foreseen to end up where nobody says."""
    codes = [finding.code for finding in verdict.findings]
    return any(code in LOST for code in codes) or \
        codes.count(FindingCode.RELEASE) > codes.count(FindingCode.REST)


def _in_time(findings: Iterable[Finding]) -> Sequence[Finding]:
    return sorted(findings, key=lambda finding: finding.time or 0.0)


def _apart(one: Finding, other: Finding) -> float:
    if one.point_base is None or other.point_base is None:
        raise RuntimeError('only findings with a place are compared')
    return float(np.linalg.norm(np.subtract(one.point_base, other.point_base)))
