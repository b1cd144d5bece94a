# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the page says things: colours that mean the same everywhere, and text as HTML."""
from __future__ import annotations

from html import escape

from kinema4d_ros.types import Finding, Severity, Status, Verdict

STATUS_COLORS = {Status.PASS: (26, 127, 55), Status.FAIL: (207, 34, 46),
                 Status.UNSURE: (191, 97, 0)}
SEVERITY_COLORS = {Severity.INFO: (9, 105, 218), Severity.UNSURE: STATUS_COLORS[Status.UNSURE],
                   Severity.FAIL: STATUS_COLORS[Status.FAIL]}
#: of a distance to the scene, by `precheck.clearance_band`
BAND_COLORS: dict[Severity | None, tuple[int, int, int]] = {
    None: STATUS_COLORS[Status.PASS], **dict(SEVERITY_COLORS.items())}
NEUTRAL = (110, 110, 110)


def line(html: str) -> str:
    """Return a line of small text."""
    return f'<div style="margin:0 0.8em;font-size:0.85em;overflow-wrap:anywhere">{html}</div>'


def card(word: str, color: tuple[int, int, int], sentence: str, facts: str) -> str:
    """
    Return a box in a colour.

    :param word: a large word above, or nothing.
    :param facts: small lines below.
    """
    lines = ''.join(f'<div>{escape(text)}</div>' for text in facts.splitlines())
    badge = f'<b style="font-size:1.3em">{word}</b><br>' if word else ''
    return (f'<div style="margin:0.5em;padding:0.7em;border-radius:6px;color:white;'
            f'overflow-wrap:anywhere;background:rgb{color}">{badge}{escape(sentence)}'
            f'<div style="font-size:0.85em;margin-top:0.4em">{lines}</div></div>')


def finding_label(finding: Finding) -> str:
    """Return a few words: when, what, where."""
    when = '' if finding.time is None else f'{finding.time:.2f} s  '
    return f'{when}{finding.code.name.lower().replace("_", " ")}  {finding.link}'.strip()


def verdict_facts(verdict: Verdict) -> str:
    """Return the numbers of a verdict that are known, one a line."""
    return '\n'.join(f'{name}: {template.format(value)}' for name, template, value in (
        ('predicted', '{}', verdict.outcome or None),
        ('clearance', '{:.0f} mm', None if verdict.min_clearance is None
         else 1000 * verdict.min_clearance),
        ('safe for', '{:.2f} s', verdict.safe_prefix),
        ('would pass at', '{:.0%} of the speed', verdict.speed_factor),
        ('success', '{:.0%}', verdict.success),
        ('model', '{}', verdict.world_model or None),
        ('predicted in', '{:.2f} s', verdict.latencies.get('total'))) if value is not None)
