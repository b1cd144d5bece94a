# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What many records come to, without holding them all."""
from __future__ import annotations

import re
import statistics
from array import array
from collections import Counter

from kinema4d_ros.curation.record import EpisodeRecord

MOST = 2000      # records that are held, for page and table; all are in the log


class CurationSummary:
    """Counts, medians, the names of the clips, and the first records of either kind."""

    def __init__(self) -> None:
        """Begin with none."""
        self.kept = self.total = 0
        self.labels: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.clips: list[str] = []
        self.cpu_seconds = 0.0
        self._kept: list[EpisodeRecord] = []
        self._refused: list[EpisodeRecord] = []
        self._numbers = {name: array('d') for name in ('robot_share', 'shift', 'known', 'off')}

    def add(self, record: EpisodeRecord, cpu_seconds: float = 0.0) -> None:
        """Take a record, and what it took to make it [s] of one core."""
        self.total += 1
        self.labels[record.label] += 1
        self.cpu_seconds += cpu_seconds
        if record.refused:
            self.reasons[_reason(record)] += 1
            if len(self._refused) < MOST:
                self._refused.append(record)
            return
        self.kept += 1
        self.clips += record.clips
        if len(self._kept) < MOST:
            self._kept.append(record)
        quality = record.quality
        if quality is not None:
            for name, value in (('robot_share', quality.robot_share),
                                ('shift', quality.picture_shift), ('known', quality.depth_share),
                                ('off', record.depth_off)):
                if value is not None:
                    self._numbers[name].append(value)

    @property
    def records(self) -> list[EpisodeRecord]:
        """Those that are held, by name; of too many the ones that were left out first."""
        found = self._refused + self._kept
        if len(found) > MOST:
            return found[:MOST]
        return sorted(found, key=lambda record: record.name)

    def median(self, name: str) -> float | None:
        """Return the median over recordings that were kept: robot_share, shift, known, off."""
        values = self._numbers[name]
        return statistics.median(values) if values else None


def _reason(record: EpisodeRecord) -> str:
    """Return why a recording was left out, without its name and numbers: a kind of reasons."""
    text = record.refused.replace(record.source, '').replace(record.name, '')
    return re.sub(r'\b\d+(\.\d+)?\b', 'N', ' '.join(re.split('[:;(]', text)[0].split()))
