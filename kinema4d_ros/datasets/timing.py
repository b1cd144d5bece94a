# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the pictures of an episode were taken, against its rows: by stamps, counts and rates."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.datasets.source import FrameStream
from kinema4d_ros.types import Status

_MOST_SKIP = 60          # rows a picture
_NEAR = 0.02             # of a count or rate, that is no difference
_FEW = 0.5               # of the pictures must be there


@dataclass(frozen=True, eq=False)
class FrameTiming:
    """When each picture was taken, in the time of the rows."""

    times: np.ndarray           # (F,) float64 [s] from the first row, ascending
    check: ImportCheck
    skipped: int = 0            # frames of the stream that come before these


def frame_timing(rows: np.ndarray, stream: FrameStream) -> FrameTiming:
    """
    Tell when the pictures of a stream were taken.

    :param rows: (N,) times of the rows [s].
    :return: times of those pictures that are within the rows; the check FAILs, and there are no
        times, where pictures and rows do not go together.
    """
    period = float(np.median(np.diff(rows)))
    end = float(rows[-1])
    if stream.times is not None:
        times = np.asarray(stream.times, np.float64)
        within = (times >= rows[0] - 0.5 * period) & (times <= end + 0.5 * period)
        share = float(within.mean()) if len(times) else 0.0
        good = share > _FEW and bool((np.diff(times) > 0).all())
        return _timing(times[within] if good else np.zeros(0),
                       Status.PASS if good else Status.FAIL, share, 'of frames',
                       f'{len(times)} frames with stamps of their own, {100 * share:.0f} % of them '
                       'within the rows', int(within.argmax()) if good else 0)
    count, rate = stream.count, stream.rate
    if not count:
        return _timing(rows, Status.UNSURE, None, 'frames',
                       'the file does not say how many frames it has; one a row is assumed')
    if abs(count - len(rows)) <= max(1, _NEAR * len(rows)):
        times = rows[:count]
        differ = None if rate is None else abs(rate * period - 1.0)
        if differ is not None and differ > 5 * _NEAR:
            return _timing(times, Status.UNSURE, differ, 'of the rate',
                           f'{count} frames for {len(rows)} rows, one each, but the file says '
                           f'{rate:g} fps and rows come at {1 / period:g} Hz')
        return _timing(times, Status.PASS, abs(count - len(rows)), 'frames',
                       f'{count} frames for {len(rows)} rows')
    if rate is not None:
        times = np.arange(count) / rate
        skip = 1.0 / (rate * period)
        differ = abs(times[-1] - end) / max(end, period)
        if differ <= _NEAR or abs(times[-1] - end) <= 1.5 / rate:
            whole = abs(skip - round(skip)) < _NEAR * skip
            return _timing(times[times <= end + 0.5 * period], Status.PASS, differ,
                           'of the duration', f'{count} frames at {rate:g} fps last as long as '
                           f'{len(rows)} rows at {1 / period:g} Hz'
                           + (f': one in {round(skip)} rows has one' if whole else ''))
    skip = len(rows) / count
    nearest = round(skip)
    if 2 <= nearest <= _MOST_SKIP and abs(len(rows) - nearest * count) <= nearest:
        times = rows[::nearest][:count]
        return _timing(times, Status.UNSURE, abs(skip - nearest), 'rows',
                       f'{count} frames for {len(rows)} rows: one in {nearest} is taken to '
                       f'have one, although the file says {rate or 0:g} fps')
    if _FEW * len(rows) <= count < len(rows):
        return _timing(rows[:count], Status.UNSURE, count / len(rows), 'of rows',
                       f'{count} frames for {len(rows)} rows: the last {len(rows) - count} rows '
                       'have none')
    return _timing(np.zeros(0), Status.FAIL, count / len(rows), 'of rows',
                   f'{count} frames for {len(rows)} rows, at {rate or 0:g} fps and '
                   f'{1 / period:g} Hz: they do not go together')


def decoded_check(decoded: int, expected: int) -> ImportCheck:
    """Check that as many frames could be decoded as the file says that it has."""
    if decoded >= expected:
        return ImportCheck('decoded', Status.PASS, decoded, expected, 'frames',
                           f'{decoded} frames were decoded')
    status = Status.UNSURE if decoded >= _FEW * expected else Status.FAIL
    return ImportCheck('decoded', status, decoded, expected, 'frames',
                       f'only {decoded} of {expected} frames are in the file')


def _timing(times: np.ndarray, status: Status, value: float | None, unit: str, message: str,
            skipped: int = 0) -> FrameTiming:
    return FrameTiming(times, ImportCheck('frames', status, value, None, unit, message), skipped)
