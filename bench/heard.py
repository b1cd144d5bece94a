# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What came back in a load run, and what that says: lateness, order, what was cut short."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

FRAMES = 49           # of a prediction
ON_THE_WAY = 0.25     # [s] a PASS may be under way when the next trajectory is sent


class Answer(NamedTuple):
    """What one verdict said, and when it came."""

    when: float              # [s]
    number: int              # of the trajectory
    is_replaced: bool        # it says that a newer trajectory took its place
    is_checked: bool = True  # tiers 0 and 1 ran to their end
    is_pass: bool = False
    is_final: bool = True
    published: float | None = None    # [s] when shadow_sim published it, where that is known
    stages: Mapping[str, float] = {}  # [s] what took how long, by shadow_sim's own clock


class Sample(NamedTuple):
    """What the diagnostics said at a time, in seconds."""

    when: float
    values: Mapping[str, str]

    def number(self, key: str) -> float:
        """Return a value that is a number; NaN when it is not there."""
        return float(self.values.get(key, 'nan'))


@dataclasses.dataclass
class Heard:
    """What came back, by the number of the trajectory, in the order in which it came."""

    sent_at: list[float]
    answers: list[Answer]
    frames: list[tuple[float, int]]             # time, number
    samples: list[Sample]                       # from before the first to after the last
    published: Mapping[str, float]              # [Hz] by the robot, as it was able to
    whole: int = FRAMES                         # frames of a prediction

    def behind(self) -> list[int]:
        """Return how many trajectories the newest answer was behind, each time one was sent."""
        behind, newest, at = [], -1, 0
        for index, now in enumerate(self.sent_at):
            while at < len(self.answers) and self.answers[at].when < now:
                newest = max(newest, self.answers[at].number)
                at += 1
            behind.append(index - 1 - newest)
        return behind

    def first(self, *, judged: bool) -> dict[int, Answer]:
        """
        Return the first verdict of each trajectory.

        :param judged: leave out what does not rest on tiers 0 and 1, or came too late.
        """
        first: dict[int, Answer] = {}
        for answer in self.answers:
            if not judged or answer.is_checked and not answer.is_replaced:
                first.setdefault(answer.number, answer)
        return first

    def overtaken(self) -> tuple[int, int]:
        """Return how many verdicts, and frames, came after those of a newer trajectory."""
        return (_backwards([answer.number for answer in self.answers]),
                _backwards([number for _, number in self.frames]))

    def outdated_passes(self) -> int:
        """
        Return how many trajectories first passed after the next one had been sent.

        When they passed is when shadow_sim said so: it does not know what becomes of its message.
        """
        passes: dict[int, float] = {}
        for answer in self.answers:
            if answer.is_pass:
                passes.setdefault(answer.number,
                                  answer.when if answer.published is None else answer.published)
        return sum(self._late(when, number) > ON_THE_WAY for number, when in passes.items())

    def given_up(self) -> list[float]:
        """Return how long each one that the next replaced was still worked on [s]."""
        return [max(0.0, self._late(answer.when, answer.number)) for answer in self.answers
                if answer.is_final and answer.number + 1 < len(self.sent_at)]

    def cut_short(self) -> list[float]:
        """Return for each prediction that was cut short how long frames still came [s]."""
        last: dict[int, tuple[float, int]] = {}
        for when, number in self.frames:
            last[number] = when, last.get(number, (0.0, 0))[1] + 1
        return [max(0.0, self._late(when, number)) for number, (when, count) in last.items()
                if count < self.whole and number + 1 < len(self.sent_at)]

    def _late(self, when: float, number: int) -> float:
        """Return how long after the next trajectory a moment is [s]."""
        return when - self.sent_at[number + 1] if number + 1 < len(self.sent_at) else -np.inf


def _backwards(numbers: list[int]) -> int:
    """Return how many numbers are smaller than one before them."""
    count, highest = 0, -1
    for number in numbers:
        count += number < highest
        highest = max(highest, number)
    return count
