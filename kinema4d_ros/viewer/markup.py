# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the page says things: colours that mean the same everywhere, and text as HTML."""
from __future__ import annotations

from collections.abc import Callable
from html import escape

from kinema4d_ros.types import Finding, Severity, Status, Verdict

STATUS_COLORS = {Status.PASS: (26, 127, 55), Status.FAIL: (207, 34, 46),
                 Status.UNSURE: (191, 97, 0)}
SEVERITY_COLORS = {Severity.INFO: (9, 105, 218), Severity.UNSURE: STATUS_COLORS[Status.UNSURE],
                   Severity.FAIL: STATUS_COLORS[Status.FAIL]}
#: of a distance to the scene, by `precheck.clearance_band`
BAND_COLORS = {**SEVERITY_COLORS, None: STATUS_COLORS[Status.PASS]}
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
    """Return the numbers of a verdict that are known, as text."""
    facts: list[tuple[str, Callable[[], str], object]] = [
        ('predicted', lambda: verdict.outcome, verdict.outcome or None),
        ('clearance', lambda: f'{verdict.min_clearance * 1000:.0f} mm', verdict.min_clearance),
        ('safe for', lambda: f'{verdict.safe_prefix:.2f} s', verdict.safe_prefix),
        ('would pass at', lambda: f'{verdict.speed_factor:.0%} of the speed',
         verdict.speed_factor),
        ('success', lambda: f'{verdict.success:.0%}', verdict.success),
        ('model', lambda: verdict.world_model, verdict.world_model or None),
        ('predicted in', lambda: f'{verdict.latencies["total"]:.2f} s',
         verdict.latencies.get('total'))]
    return '\n'.join(f'{name}: {text()}' for name, text, value in facts if value is not None)
