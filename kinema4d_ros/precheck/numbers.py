# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers in messages, with enough digits to show what the message is about."""
from __future__ import annotations

_MOST_DIGITS = 9
_HUGE = 1e9          # from here on numbers are written as powers of ten


def distinct(*values: float, digits: int = 3) -> tuple[str, ...]:
    """
    Return numbers as texts that differ wherever the numbers do.

    A joint that "reaches 3.142 rad, limit 3.142" helps nobody. As many decimals as that takes,
    at least `digits`; beyond nine, numbers are written in full.
    """
    wanted = len(set(values))
    for decimals in range(digits, _MOST_DIGITS + 1):
        texts = tuple(_unsigned_zero(f'{value:.{decimals}{"e" if abs(value) >= _HUGE else "f"}}')
                      for value in values)
        if len(set(texts)) == wanted:
            return texts
    return tuple(repr(float(value)) for value in values)


def _unsigned_zero(text: str) -> str:
    return text.removeprefix('-') if not text.strip('-0.') else text
