# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A page to look through 4D episodes: thumbnails, numbers, filters; the style is the report's."""
from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, UTC
from pathlib import Path

import kinema4d_ros
from kinema4d_ros.curation.record import EpisodeRecord
from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.evaluation.report.page import templates
from kinema4d_ros.serialization import write_whole

MOST = 2000      # episodes on the page; all are in the log


def write_index(path: Path, records: Sequence[EpisodeRecord], settings: CurationSettings) -> None:
    """
    Write the page beside the thumbnails, which it names and does not hold.

    Of more than 2000 recordings those that were left out come first.
    """
    shown = list(records) if len(records) <= MOST else sorted(
        records, key=lambda record: not record.refused)[:MOST]
    labels = Counter(label(record) for record in records)
    page = templates().get_template('curation.html').render(
        records=[(record, label(record), numbers(record)) for record in shown],
        total=len(records), clips=sum(len(record.clips) for record in records),
        kept=sum(not record.refused for record in records), labels=labels,
        reasons=_reasons(records), medians=_medians(records), settings=settings,
        version=kinema4d_ros.__version__, now=datetime.now(UTC))
    write_whole(path, page + '\n')


def label(record: EpisodeRecord) -> str:
    """Return how a recording ended: 'success', 'failure' or 'unknown'."""
    return {True: 'success', False: 'failure', None: 'unknown'}[record.success]


def numbers(record: EpisodeRecord) -> list[tuple[str, str]]:
    """Return what is said of a recording: (what, value in words)."""
    quality, fit = record.quality, record.fit
    if quality is None:
        return []

    def told(value: float | None, scale: float, form: str) -> str:
        return '-' if value is None else form.format(scale * value)

    found = [
        ('frames', f'{quality.frames} at {quality.rate:.1f} Hz'),
        ('robot', f'{100 * quality.robot_share:.1f} % of the picture, in '
                  f'{100 * quality.robot_seen:.0f} % of the frames'),
        ('outline off', told(quality.picture_shift, 1, '{:.1f} px')),
        ('outline on edges', told(quality.picture_fit, 100, '{:.0f} %')),
        ('depth known', f'{100 * quality.depth_share:.0f} % of the pixels'),
        ('motion', f'{quality.motion:.2f} rad, {100 * quality.moving:.0f} % of the time')]
    if quality.depth_agreement is not None:
        found.append(('robot in the depth', f'{100 * quality.depth_agreement:.0f} % agrees, '
                      + told(quality.depth_offset, 1000, '{:.1f} mm off')))
    if quality.largest_gap > 1.5:
        found.append(('largest gap', f'{quality.largest_gap:.1f} frames'))
    if fit is not None:
        found.append((
            'estimated depth', f'{1000 * fit.residual:.0f} mm ({100 * fit.relative:.1f} %) off at '
            f'the robot, which is {fit.nearest:.2f} to {fit.farthest:.2f} m away; by '
            f'{fit.quantity.replace("_", " ")}, scale {fit.scale:.3g}'))
    return found


def _reasons(records: Sequence[EpisodeRecord]) -> list[tuple[str, int]]:
    """Return why recordings were left out, the most usual first, without their numbers."""
    return Counter(record.refused.partition(':')[0] for record in records if record.refused
                   ).most_common()


def _medians(records: Sequence[EpisodeRecord]) -> list[tuple[str, str]]:
    """Return medians over the recordings that were kept."""
    kept = [record.quality for record in records if not record.refused and record.quality]
    fits = [record.fit for record in records if not record.refused and record.fit]

    def middle(values: list[float], words: Callable[[float], str]) -> str:
        return words(statistics.median(values)) if values else '-'

    found = [('robot in the picture', middle([one.robot_share for one in kept],
                                             lambda value: f'{100 * value:.1f} %')),
             ('outline off', middle([one.picture_shift for one in kept
                                     if one.picture_shift is not None],
                                    lambda value: f'{value:.1f} px')),
             ('depth known', middle([one.depth_share for one in kept],
                                    lambda value: f'{100 * value:.0f} %'))]
    if fits:
        found.append(('estimated depth off', middle([one.residual for one in fits],
                                                    lambda value: f'{1000 * value:.0f} mm')))
    return found
