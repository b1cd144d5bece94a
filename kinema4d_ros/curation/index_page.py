# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A page to look through 4D episodes: thumbnails, numbers, filters; the style is the report's."""
from __future__ import annotations

from datetime import datetime, UTC
from pathlib import Path

from kinema4d_ros.curation.record import EpisodeRecord
from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.curation.summary import CurationSummary
from kinema4d_ros.evaluation.report.page import templates
from kinema4d_ros.jobs.lineage import code_hash
from kinema4d_ros.serialization import write_whole


def write_index(path: Path, summary: CurationSummary, settings: CurationSettings) -> None:
    """Write the page beside the thumbnails, which it names and does not hold."""
    page = templates().get_template('curation.html').render(
        records=[(record, numbers(record)) for record in summary.records], summary=summary,
        medians=_medians(summary), settings=settings, version=code_hash(),
        now=datetime.now(UTC))
    write_whole(path, page + '\n')


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


def _medians(summary: CurationSummary) -> list[tuple[str, str]]:
    """Return medians over the recordings that were kept, in words."""
    return [(what, form.format(scale * value)) for name, what, scale, form in (
        ('robot_share', 'robot in the picture', 100, '{:.1f} %'),
        ('shift', 'outline off', 1, '{:.1f} px'), ('known', 'depth known', 100, '{:.0f} %'),
        ('off', 'depth off at the robot', 1000, '{:.1f} mm'))
        if (value := summary.median(name)) is not None]
