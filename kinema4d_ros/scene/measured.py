# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What of a depth image is a measurement: its range, and gaps of a pixel or two."""
from __future__ import annotations

import cv2
import numba
import numpy as np

_RUN = 64                # [px] that are looked at together
GAP = 2                  # [px] a gap this wide between measured pixels is no hole
SAME_SURFACE = 0.015     # [m] pixels whose depth differs by less see one surface
SPECKLE = 0.01           # [m] holes this close to measured pixels are speckles
_MOST_PIXELS = 15
_LEAST_SHARE = 0.25      # of the pixels around must have a value, for one to say what is there
_CLAMP_ABOVE = 3.0       # [m] nearer constants may be flat surfaces of noise-free cameras
_CLAMP_SHARE = 0.002     # of the pixels must have the largest value, for it to be a clamp
_CLAMP_STEP = 0.95       # times that value: little else is measured from here on
_CLAMP_PEAK = 20         # times as many pixels have it as have each millimetre from there on
_NOISE = 2e-4            # [m] by which depths scatter in the images of cameras that are not ideal
_STEPS = 1.5             # or by so many of the steps that the depths come in
_SOLID = 0.9             # of the pixels with a value have it on their right too, in a solid patch


def farthest_measured(depth: np.ndarray, nearest: float, farthest: float) -> float:
    """
    Return from which depth on [m] nothing of an image (H, W) float32 is a measurement.

    That is `farthest`, or the value that the camera writes where it measured nothing: one number
    above 3 m, exactly the same in many pixels, which stands out: in the 5 % below it there is
    nothing, or so little that a millimetre holds far fewer pixels. A flat wall is never measured
    so alike. Nearer, where a simulated table is, it is one only if it fills a solid patch of an
    image that is noisy elsewhere.
    """
    largest, second, count = _largest(depth, np.float32(nearest), np.float32(farthest))
    if count < max(16, _CLAMP_SHARE * depth.size):
        return farthest
    if largest <= _CLAMP_ABOVE and not _is_solid_amid_noise(depth, np.float32(nearest),
                                                            np.float32(largest)):
        return farthest
    below = _CLAMP_STEP * largest
    if second >= below:
        others = np.count_nonzero((depth >= below) & (depth < largest))
        if count < _CLAMP_PEAK * max(1.0, others * 1e-3 / (largest - below)):
            return farthest
    return float(largest)


def _is_solid_amid_noise(depth: np.ndarray, nearest: np.float32, largest: np.float32) -> bool:
    """Return whether the largest depth fills solid patches, and the others are noisy."""
    bends, step, alike, beside = _bends(depth, nearest, largest)
    return len(bends) > 0 and alike >= _SOLID * beside \
        and float(np.median(bends)) > max(_NOISE, _STEPS * step)


@numba.njit(cache=True, nogil=True)
def _bends(depth: np.ndarray, nearest: float,
           largest: float) -> tuple[np.ndarray, float, int, int]:
    """
    Return how far depths are from the mean of their neighbours in the row, times two, (N,) [m].

    A plane has next to none. With it come the smallest step between neighbours [m], and how many
    pixels with the largest depth have it on their right too, of how many with something there.
    """
    height, width = depth.shape
    bends = np.empty(height * width, np.float32)
    count, step, alike, beside = 0, np.inf, 0, 0
    for v in range(height):
        for u in range(width - 1):
            z, right = depth[v, u], depth[v, u + 1]
            if z == largest and right >= nearest:
                beside += 1
                alike += right == largest
            if u == 0 or not nearest <= z < largest:
                continue
            left = depth[v, u - 1]
            if not (nearest <= left < largest and nearest <= right < largest):
                continue
            bends[count] = abs(left + right - z - z)
            count += 1
            # Rounding of float32 is no step.
            if abs(right - z) > 1e-5:
                step = min(step, abs(right - z))
    return bends[:count], step if step < np.inf else 0.0, alike, beside


@numba.njit(cache=True, nogil=True)
def _largest(depth: np.ndarray, nearest: float, farthest: float) -> tuple[float, float, int]:
    """Return the largest value in range, the largest below it, and how many pixels have it."""
    # Floats that are not negative are in order as integers are, of which many are compared at once.
    bits = depth.view(np.int32)
    largest, second, count = np.int32(0), np.int32(0), 0
    for v in range(depth.shape[0]):
        most = np.int32(0)
        for u in range(depth.shape[1]):
            is_in = (nearest <= depth[v, u]) & (depth[v, u] < farthest)
            most = max(most, bits[v, u] if is_in else np.int32(0))
        largest = max(largest, most)
    for v in range(depth.shape[0]):
        most, same = np.int32(0), 0
        for u in range(depth.shape[1]):
            is_in = (nearest <= depth[v, u]) & (depth[v, u] < farthest)
            most = max(most, bits[v, u] if is_in & (bits[v, u] < largest) else np.int32(0))
            same += is_in & (bits[v, u] == largest)
        second, count = max(second, most), count + same
    found = np.array([largest, second], np.int32).view(np.float32)
    return float(found[0]), float(found[1]), count if largest else 0


@numba.njit(cache=True, nogil=True)
def in_range(depth: np.ndarray, nearest: float, farthest: float) -> tuple[np.ndarray, bool]:
    """Return the image with NaN outside of nearest <= depth < farthest, and if it has any NaN."""
    out = np.empty_like(depth)
    count = 0
    for v in range(depth.shape[0]):
        inside = 0
        for u in range(depth.shape[1]):
            z = depth[v, u]
            is_in = (nearest <= z) & (z < farthest)
            out[v, u] = z if is_in else np.float32(np.nan)
            inside += is_in
        count += inside
    return out, count < depth.size


@numba.njit(cache=True, nogil=True)
def without(depth: np.ndarray, closed: np.ndarray,
            hidden: np.ndarray) -> tuple[np.ndarray, float]:
    """
    Return the depth without what is hidden, and the share of `closed` that is known beside it.

    :param depth: (H, W) float32 [m], NaN unknown.
    :param closed: the same with small gaps filled.
    """
    left = np.empty_like(depth)
    beside, known = 0, 0
    for v in range(depth.shape[0]):
        here, measured = 0, 0
        for u in range(depth.shape[1]):
            is_beside = not hidden[v, u]
            left[v, u] = depth[v, u] if is_beside else np.float32(np.nan)
            here += is_beside
            measured += is_beside & (closed[v, u] == closed[v, u])
        beside, known = beside + here, known + measured
    return left, known / max(beside, 1)


class LookedThrough:
    """
    How far a camera looks, where what is unknown beside a measurement counts as looked at.

    Dark surfaces and edges are speckled with holes. What is up to `SPECKLE` beside a measurement
    is filled with the nearest depth around it, so that no more is taken for looked through than
    was. Where far fewer pixels have a value than elsewhere in the image there is a hole with stray
    values: it stays unknown. That is told pixel by pixel, for those that are asked for.
    """

    def __init__(self, depth: np.ndarray, measured: np.ndarray, focal_length: float):
        """
        Prepare what is known of an image.

        :param depth: (H, W) float32 [m] with small gaps filled, NaN unknown.
        :param measured: the same as it was measured.
        :param focal_length: [px].
        """
        self._depth, self._pixels = depth, 0
        self._counts, self._least = (np.zeros(depth.shape, np.uint16),) * 2, (0, 0)
        known = np.isfinite(depth)
        if cv2.countNonZero(known.view(np.uint8)) in (0, depth.size):
            return
        # In pixels at the median depth; what is nearer is filled less far.
        some = depth[::4, ::4][known[::4, ::4]]
        middle = float(np.median(some if len(some) else depth[known]))
        self._pixels = min(round(focal_length * SPECKLE / middle), _MOST_PIXELS)
        filled = self._counted(known, np.float32(1.0))
        stray = filled       # where no gap was filled, they are of one image
        if measured is not depth:
            has_value = np.isfinite(measured)
            stray = self._counted(has_value, np.float32(
                cv2.countNonZero(has_value.view(np.uint8))) / np.float32(has_value.size))
        self._counts, self._least = (filled[0], stray[0]), (filled[1], stray[1])

    def _counted(self, has_value: np.ndarray, share: np.float32) -> tuple[np.ndarray, int]:
        """Return how many pixels around each have a value, (H, W) uint16, and how many must."""
        side = 2 * self._pixels + 1
        counts = cv2.boxFilter(has_value.view(np.uint8), cv2.CV_16U, (side, side),
                               normalize=False, borderType=cv2.BORDER_REPLICATE)
        possible = (np.arange(side ** 2 + 1) / side ** 2).astype(np.float32)
        return counts, int(np.argmax(possible >= _LEAST_SHARE * share))

    def at(self, places: np.ndarray) -> np.ndarray:
        """
        Return how far the camera looks at some pixels, (N,) float32 [m], NaN unknown.

        :param places: (N,) int32 of the flat image; -1 for none.
        """
        return _looked_through(self._depth, *self._counts, *self._least, places, self._pixels)


@numba.njit(cache=True, nogil=True)
def _looked_through(depth: np.ndarray, filled: np.ndarray, measured: np.ndarray,
                    least_filled: int, least_measured: int, places: np.ndarray,
                    pixels: int) -> np.ndarray:
    """
    Return what `LookedThrough.at` does.

    :param filled: (H, W) uint16, how many of the pixels around have a value.
    :param measured: (H, W) uint16, how many did before small gaps were filled.
    :param pixels: to each side that count as around.
    """
    height, width = depth.shape
    found, flat = np.empty(len(places), np.float32), depth.reshape(-1)
    filled, measured = filled.reshape(-1), measured.reshape(-1)
    for n in range(len(places)):
        at = places[n]
        enough = at >= 0 and filled[at] >= least_filled and measured[at] >= least_measured
        found[n] = flat[at] if enough else np.nan
        if found[n] == found[n] or not pixels or not enough:
            continue
        v, u = at // width, at % width
        nearest = np.float32(np.inf)
        for row in range(max(v - pixels, 0), min(v + pixels + 1, height)):
            for column in range(max(u - pixels, 0), min(u + pixels + 1, width)):
                if depth[row, column] < nearest:
                    nearest = depth[row, column]
        found[n] = nearest
    return found


@numba.njit(cache=True, nogil=True)
def with_small_gaps_filled(depth: np.ndarray, is_surface: bool) -> np.ndarray:
    """
    Return the image (H, W) float32 [m] with gaps of up to `GAP` pixels filled along rows, columns.

    A registered depth image has a value in every second or third pixel and row; what lies between
    was looked at too. The nearer of both sides is filled in.

    :param is_surface: leave a gap whose sides are not one surface, so that none is invented.
    """
    filled = depth.copy()
    height, width = depth.shape
    for v in range(height):
        last = -1
        for first in range(0, width, _RUN):
            end = min(first + _RUN, width)
            known, part = 0, depth[v, first:end]
            for n in range(len(part)):
                known += part[n] == part[n]
            if not known or (known == end - first and last == first - 1):
                last = end - 1 if known else last      # no gap begins or ends here
                continue
            for u in range(first, end):
                if depth[v, u] == depth[v, u]:
                    if last >= 0 and 1 < u - last <= GAP + 1:
                        a, b = depth[v, last], depth[v, u]
                        if not is_surface or abs(a - b) <= SAME_SURFACE:
                            for k in range(last + 1, u):
                                filled[v, k] = min(a, b)
                    last = u
    # Row after row, as it lies in memory.
    for v in range(2, height):
        for first in range(0, width, _RUN):
            end = min(first + _RUN, width)
            ending, part, above = 0, filled[v, first:end], filled[v - 1, first:end]
            for n in range(len(part)):
                ending += (part[n] == part[n]) & (above[n] != above[n])
            if not ending:
                continue
            for u in range(first, end):
                b = filled[v, u]
                if b != b or filled[v - 1, u] == filled[v - 1, u]:
                    continue
                for last in range(v - 2, max(v - GAP - 2, -1), -1):
                    a = filled[last, u]
                    if a == a:
                        if not is_surface or abs(a - b) <= SAME_SURFACE:
                            for k in range(last + 1, v):
                                filled[k, u] = min(a, b)
                        break
    return filled
