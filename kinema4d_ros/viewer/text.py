# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text of the panel as HTML."""
from __future__ import annotations

from html import escape


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
