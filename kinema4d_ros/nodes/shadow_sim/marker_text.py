# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Texts in RViz2: broken into lines, one for each place, and none drawn over another.

RViz2 centres a text at its marker, turns it to the viewer, and makes a line as high as `scale.z`
and a space half as wide as `scale.x` (movable_text.cpp, text_view_facing_marker.cpp of Jazzy; where
`scale.x` is 0, or in RViz2 before 14.1.5, a space is 0.6 m whatever the size of the text).
"""
from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinema4d_ros.msg import Finding

_GLYPH = 0.6        # width of a letter for its height; Liberation Sans has 0.5 in a sentence
_LINE_GAP = 0.005   # [m] between lines, whatever their size
_APART = 1.3        # of their height that texts are apart: seen from up to 40 degrees above
#: [m] findings that are no farther apart have one text
PLACE_RADIUS = 0.1
MOST_PLACES = 6     # with a text; every finding has its ball

Place = tuple[float, float, float]


@dataclass(frozen=True)
class TextBox:
    """What a text covers, whoever looks: a cylinder around its centre."""

    x: float
    y: float
    z: float
    width: float
    height: float

    def overlaps(self, other: TextBox, apart: float = 1.0) -> bool:
        """Return whether two are in each other's way; `apart` widens their heights."""
        across = math.hypot(self.x - other.x, self.y - other.y)
        return across < (self.width + other.width) / 2 and \
            abs(self.z - other.z) < apart * (self.height + other.height) / 2


def box_of(text: str, size: float, at: Place) -> TextBox:
    """
    Return what a text covers.

    :param size: `scale.z` [m].
    :param at: its centre [m].
    """
    lines = text.split('\n')
    return TextBox(*at, width=max(map(len, lines)) * _GLYPH * size,
               height=len(lines) * (size + _LINE_GAP))


def space_width(size: float) -> float:
    """Return `scale.x` for a text of this `scale.z`."""
    return _GLYPH * size


def wrapped(text: str, width: int, most_lines: int) -> str:
    """
    Return a text in lines.

    :param width: letters of a line at most.
    :param most_lines: what is more is left out, and dots say so.
    """
    return '\n'.join(textwrap.wrap(' '.join(text.split()), width, max_lines=most_lines,
                                   placeholder=' ...', break_on_hyphens=False))


def worst_of_places(findings: Sequence[Finding]) -> list[tuple[Finding, int]]:
    """
    Return the worst finding of each place, and how many are there; the worst places first.

    :param findings: each with a finite point.
    """
    groups: list[list[Finding]] = []
    for finding in sorted(findings, key=lambda finding: -finding.severity):
        for group in groups:
            if math.dist(_place(group[0]), _place(finding)) <= PLACE_RADIUS:
                group.append(finding)
                break
        else:
            groups.append([finding])
    return [(group[0], len(group)) for group in groups[:MOST_PLACES]]


class TextStack:
    """Places texts one after the other; a later one goes above those that are in its way."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._boxes: list[TextBox] = []

    def place(self, text: str, size: float, foot: Place) -> Place:
        """
        Return where the centre of a text goes [m].

        :param foot: where the middle of its lower edge should be.
        """
        height = box_of(text, size, foot).height
        box = box_of(text, size, (foot[0], foot[1], foot[2] + height / 2))
        # Each step goes above one of them, so it ends.
        while hindering := [other for other in self._boxes if box.overlaps(other, _APART)]:
            top = max(other.z + _APART * (other.height + height) / 2 for other in hindering)
            box = replace(box, z=math.nextafter(top, math.inf))
        self._boxes.append(box)
        return box.x, box.y, box.z


def _place(finding: Finding) -> Place:
    return finding.point.x, finding.point.y, finding.point.z
