# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a report is made of."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kinema4d_ros.evaluation.comparison import Comparison
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.types import Status, Verdict


@dataclass(frozen=True)
class Pictures:
    """The prediction above the truth: a video, or a strip of key frames."""

    data: bytes             # the file
    media_type: str         # 'video/mp4', 'image/jpeg' or 'image/png'
    alt: str                # what it shows, for people who cannot see it
    poster: bytes = b''     # JPEG that stands for a video until it plays, and on paper


@dataclass(frozen=True, eq=False)
class EpisodeReport:
    """One episode: what was said before, and what happened."""

    name: str
    verdict: Verdict
    duration: float                  # [s] of motion
    task: str = ''                   # the instruction in words
    happened: str = ''               # one sentence on what the execution did
    foreseen: bool | None = None     # whether success was foreseen; None nothing was said
    success: bool | None = None      # whether the task was solved; None unknown
    dangerous: bool | None = None    # whether it touched or moved what it should not; None unknown
    #: [m] true distances at the times of `verdict.clearances`, NaN unknown; () without them
    true_clearances: tuple[float, ...] = ()
    near_miss: float = 0.01          # [m] the bound that the verdict was made with
    confidence: float = 2.0          # standard deviations that decisions keep away
    delays: Mapping[str, float] = field(default_factory=dict)   # [s] what a user waited for
    comparisons: tuple[Comparison, ...] = ()     # one for each world model
    pictures: Pictures | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """What the verdict got wrong, in words."""
        status = self.verdict.status
        return tuple(word for word, holds in (
            ('outcome foreseen wrongly', None not in (self.foreseen, self.success)
             and self.foreseen != self.success),
            ('danger not seen', self.dangerous is True and status == Status.PASS),
            ('failed without danger', self.dangerous is False and status == Status.FAIL),
            ('held back without danger', self.dangerous is False and status == Status.UNSURE),
        ) if holds)


@dataclass(frozen=True)
class Figures:
    """Rates over many episodes, for one section."""

    title: str
    rates: Sequence[tuple[str, Rate, str]]     # what, how often, the goal in words or ''
    numbers: Sequence[tuple[str, str, str]] = ()   # what, its value in words, the goal or ''
