# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Findings into a verdict: denied by default, and every finding can only make it worse."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

NO_SHAPE = 'no link of the robot has a shape, so nothing is known of what it may touch'
_OF_NO_TIER = -1     # the deciding tier where none decided


def not_checked(reason: str, code: FindingCode = FindingCode.NOT_CHECKED) -> Finding:
    """Return the finding of a tier that could not do its work: stale input, crash, deadline."""
    return Finding(code, Severity.UNSURE, reason)


def decide(findings: Mapping[int, Sequence[Finding]], *, required: Collection[int],
           notes: Sequence[Finding] = (), trajectory_hash: str = '',
           robot_hash: str = '', scene_stamp_ns: int = 0, outcome: str = '',
           latencies: Mapping[str, float] | None = None, world_model: str = '', seed: int = 0,
           **measured: Any) -> Verdict:
    """
    Return the verdict on what the tiers found.

    PASS takes every required tier to be in `findings` and no finding of any tier above INFO. One
    FAIL makes it FAIL; everything else is UNSURE.

    :param findings: tier -> its findings, for the tiers that ran to their end. A tier that could
        not is given as ``{tier: [not_checked(reason)]}`` or left out.
    :param required: the tiers without which there is no PASS; with none there is never one.
    :param notes: findings of no tier, listed last; above INFO they speak against a PASS as any.
    :param measured: further fields of the Verdict, which change nothing of the decision.
    """
    ordered = [(tier, finding) for tier in sorted(findings) for finding in findings[tier]]
    ordered += [(_OF_NO_TIER, note) for note in notes]
    fails = [(t, f) for t, f in ordered if f.severity == Severity.FAIL]
    unsure = [(t, f) for t, f in ordered if f.severity == Severity.UNSURE]
    missing = sorted(set(required) - set(findings))
    troubled = {tier for tier, _ in fails + unsure}
    if fails:
        tier, first = min(fails, key=lambda pair: (_time(pair[1]), pair[0]))
        status, summary = Status.FAIL, _sentence(first.message, len(fails) - 1)
    elif unsure:
        status, (tier, first) = Status.UNSURE, unsure[0]
        summary = _sentence(first.message, len(unsure) - 1)
    elif missing or not required:
        status, tier = Status.UNSURE, max(findings, default=_OF_NO_TIER)
        summary = 'not checked: ' + (
            f'tier {", ".join(map(str, missing))} did not run' if missing
            else 'no tier is required, so nothing can pass')
    else:
        status, tier = Status.PASS, max(required)
        summary = f'nothing wrong found by tier {", ".join(map(str, sorted(findings)))}'
    return Verdict(
        status=status, summary=summary, findings=tuple(finding for _, finding in ordered),
        tiers_passed=tuple(sorted(set(findings) - troubled)), deciding_tier=tier,
        trajectory_hash=trajectory_hash, robot_hash=robot_hash, scene_stamp_ns=scene_stamp_ns,
        outcome=outcome, safe_prefix=_safe_prefix(status, bool(missing), fails + unsure),
        latencies=MappingProxyType(dict(latencies or {})), world_model=world_model, seed=seed,
        **measured)


def _time(finding: Finding) -> float:
    """Return when a finding happens; one without a time concerns the whole trajectory."""
    return 0.0 if finding.time is None else finding.time


def _safe_prefix(status: Status, incomplete: bool,
                 against: list[tuple[int, Finding]]) -> float | None:
    """Return the time until which nothing speaks against the motion [s]; None for all of it."""
    if status == Status.PASS:
        return None
    if incomplete or not against:
        return 0.0
    return max(0.0, min(_time(finding) for _, finding in against))


def _sentence(message: str, more: int) -> str:
    """Return the reason first, then how many others there are."""
    return message + (f' (and {more} more finding{"s" if more > 1 else ""})' if more else '')
