# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels show which rigid thing, what it stands on, and what is surroundings."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.scene.segment import connected, find_object, normals_up, Segment

LARGEST = 0.25        # [m] longest horizontal extent of a thing; what is larger is surroundings
_WIDEST = 400         # [px] wider pictures are segmented on every second pixel
_SUPPORT_CELL = 0.01  # [m] side of the horizontal cells by which the area of a level is measured
_LEVEL = 0.004        # [m] resolution of the heights of levels
_ABOVE = 0.005        # [m] what is higher than this above the ground is not the ground
_LEAST = 25           # pixels of the smallest thing
_TOP = 0.004          # [m] the highest surface of a pile is this thick
_ALL_OF = 0.9         # of the longest extent allowed: what is as long and goes on was cut off there
_UPRIGHT = 0.01       # [m] above what a thing stands on, where it goes on in nothing else
_PILE = 4             # things that are taken off one pile, at most
_STACKED = 0.006      # [m] what ends this far into another one from below stands under it
_STACKED_LEAST = 40   # pixels of something under something else; fewer are its fragment
_SAME_SURFACE = 0.012 # [m] neighbouring pixels this far apart show one surface
_CELL = 0.01          # [m] side of the cells by which it is found what is below a fixture
_BELOW, _ABOVE_TOP = 0.02, 0.03     # [m] around a thing's top, where a fixture goes on above it
_UNDER = 0.5          # share of a thing's cells that have the fixture above them: it is part of it
_STEEP = 0.008, 0.0065, 0.005     # [m] horizontally between neighbouring pixels of one wall
_REACH = 0.015        # [m] between them in all, at most; what `connected` takes for one surface
_INTO = 0.008         # [m] by which what leans on a rim reaches below it, where it is seen
_SIDES = 0.02         # [m] of height: what is lower is a lid, not what stands on something
_SMALL = 0.1          # of a pile is the smaller one of two, at least
_RIM = 0.01           # [m] a fragment's middle may be this far outside of the outline it is part of
_TORN = 0.03          # [m] ... this far, where it makes the other one round
_ROUND = 1.12         # times as long as the larger part both together are, at most
_CORE = 0.25          # of the shorter side of both, around their middle, that must be deep
_DEEP, _DEEP_SHARE = 0.008, 0.25     # [m] below the top; of the height


@dataclass(frozen=True, eq=False)
class SeenThing:
    """Pixels of one rigid thing, and the height of what it stands on."""

    mask: np.ndarray      # (H, W) bool
    support: float        # [m] base frame, z


@dataclass(frozen=True, eq=False)
class SeenWorld:
    """A picture cut into ground, things, and surroundings that stay."""

    ground: float                       # [m] base frame, height of the largest level
    things: tuple[SeenThing, ...]       # the largest first
    fixtures: tuple[np.ndarray, ...]    # each (H, W) bool


def see_things(points: np.ndarray, reach: float, largest: float = LARGEST) -> SeenWorld | None:
    """
    Cut a picture into things.

    What sticks out of the largest level surface and hangs together is a thing, or a pile of
    things, which are taken off from the top. Fragments of one thing are put together; what is too
    large to be a thing is a fixture.

    :param points: (H, W, 3) float32 [m] base frame (z up), NaN unknown or robot.
    :param reach: [m] horizontally from the base's origin; nothing is looked for farther away.
    :param largest: [m] longest horizontal extent of a thing.
    :return: None where no level surface is seen.
    """
    step = 2 if points.shape[1] > _WIDEST else 1
    coarse = np.ascontiguousarray(points[::step, ::step])
    least = max(8, _LEAST // step)
    with np.errstate(invalid='ignore'):
        near = np.hypot(coarse[..., 0], coarse[..., 1]) < reach
    ground = _ground(coarse, near)
    if ground is None:
        return None
    with np.errstate(invalid='ignore'):
        free = near & (coarse[..., 2] > ground + _ABOVE)
    label = connected(coarse, free)
    found: list[SeenThing] = []
    fixtures: list[np.ndarray] = []
    numbers, counts = np.unique(label[label > 0], return_counts=True)
    for number in numbers[counts >= least]:
        things, rest = _taken_apart(coarse, label == number, ground, largest, least)
        for thing in things:
            found += _unstacked(coarse, thing)
        fixtures += rest
    things = []
    for thing in _put_together(coarse, found):
        if _extent(coarse[thing.mask]) > largest:
            fixtures.append(thing.mask)
        else:
            things.append(thing)
    things, fixtures = _without_parts(coarse, things, fixtures)
    return SeenWorld(
        ground, tuple(SeenThing(_fine(thing.mask, step, points), thing.support)
                      for thing in sorted(things, key=lambda thing: -int(thing.mask.sum()))),
        tuple(_fine(mask, step, points) for mask in fixtures))


def _ground(points: np.ndarray, near: np.ndarray) -> float | None:
    """Return the height of the level surface of the largest horizontal area."""
    points, near = points[::2, ::2], near[::2, ::2]
    with np.errstate(invalid='ignore'):
        level = points[near & (normals_up(points) > 0.9)]
    if not len(level):
        return None
    # Cells count, not pixels: what is near the camera shows more pixels of the same area.
    cells = np.unique(np.round(np.column_stack(
        [level[:, :2] / _SUPPORT_CELL, level[:, 2] / _LEVEL])).astype(int), axis=0)
    heights, counts = np.unique(cells[:, 2], return_counts=True)
    most = heights[counts.argmax()] * _LEVEL
    return float(np.median(level[np.abs(level[:, 2] - most) < _LEVEL + 1e-3, 2]))


def _taken_apart(points: np.ndarray, pile: np.ndarray, ground: float, largest: float,
                 least: int) -> tuple[list[SeenThing], list[np.ndarray]]:
    """Take things off a pile, the highest first; return them and what is left, if anything."""
    found: list[SeenThing] = []
    rest, left = pile.copy(), points
    for _ in range(_PILE):
        if rest.sum() < least:
            return found, []
        extent = _extent(points[rest])
        heights = left[..., 2]
        with np.errstate(invalid='ignore'):
            top = rest & (heights > np.percentile(heights[rest], 97) - _TOP)
        segment = find_object(left, top, min(largest, extent + 0.04)) if top.any() else None
        if segment is None or (segment.mask & pile).sum() < least \
                or _is_cut_off(points, segment, rest, min(largest, extent + 0.04)):
            if extent <= largest:
                return [*found, SeenThing(rest, ground)], []
            return found, [rest]
        stands = segment.support_height
        found.append(SeenThing(segment.mask,
                               stands if stands > ground + 0.008 else ground))
        rest &= ~segment.mask
        left = left.copy() if left is points else left
        left[segment.mask] = np.nan
    return found, [rest] if rest.sum() >= least else []


def _is_cut_off(points: np.ndarray, segment: Segment, pile: np.ndarray, longest: float) -> bool:
    """
    Return whether a segment is as long as allowed, and what it was cut from goes on beside it.

    Two walls of a tray that is too long are no thing: their hull would fill the tray.
    """
    if _extent(points[segment.mask]) < _ALL_OF * longest:
        return False
    with np.errstate(invalid='ignore'):
        upright = points[..., 2] > segment.support_height + _UPRIGHT
    mine, others = segment.mask & upright, pile & ~segment.mask & upright
    for axis in (0, 1):
        here, there = np.delete(points, 0, axis), np.delete(points, -1, axis)
        with np.errstate(invalid='ignore'):
            joined = np.linalg.norm(here - there, axis=-1) < _SAME_SURFACE
        for one, other in ((mine, others), (others, mine)):
            if (np.delete(one, 0, axis) & np.delete(other, -1, axis) & joined).any():
                return True
    return False


def _unstacked(points: np.ndarray, thing: SeenThing) -> list[SeenThing]:
    """
    Return two things for what is one upon another with no level surface between them.

    A bowl that leans on the rim of another one hangs together with it. But its side goes back
    below its own rim, so at its end the next pixel is farther away or nearer. Two parts are two
    things if one of them ends where the other begins.
    """
    rows, columns = np.nonzero(thing.mask)
    window = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    mask, local = thing.mask[window], points[window]
    if np.ptp(local[mask][:, 2]) < 2 * _SIDES:
        return [thing]
    for steep in _STEEP:
        label = connected(local * np.array([_REACH / steep, _REACH / steep, 1.0], np.float32), mask)
        numbers, counts = np.unique(label[mask], return_counts=True)
        order = np.argsort(-counts)[:2]
        if len(order) < 2 or counts[order[1]] < max(_STACKED_LEAST, _SMALL * mask.sum()):
            continue
        parts = [label == numbers[number] for number in order]
        ends = [np.quantile(local[part][:, 2], [0.05, 0.98]) for part in parts]
        lower, upper = (0, 1) if ends[0].sum() < ends[1].sum() else (1, 0)
        top = float(ends[lower][1])
        if ends[upper][0] < top - _INTO or np.ptp(ends[upper]) < _SIDES \
                or np.ptp(ends[lower]) < _SIDES:
            continue
        under = np.zeros(thing.mask.shape, bool)
        under[window] = parts[lower] | (mask & ~parts[upper] & (local[..., 2] < top))
        return [SeenThing(thing.mask & ~under, top), SeenThing(under, thing.support)]
    return [thing]


def _put_together(points: np.ndarray, found: list[SeenThing]) -> list[SeenThing]:
    """Add to each thing its fragments: what lies within its outline and neither under nor on it."""
    kept: list[SeenThing] = []
    low_ground = min((thing.support for thing in found), default=0.0) + 2 * _ABOVE
    for thing in sorted(found, key=lambda each: -int(each.mask.sum())):
        mine = points[thing.mask]
        middle = np.median(mine, axis=0)
        for number, other in enumerate(kept):
            theirs = points[other.mask]
            outline = cv2.convexHull(theirs[:, :2].astype(np.float32))
            inside = cv2.pointPolygonTest(outline, (float(middle[0]), float(middle[1])), True)
            if inside <= -_RIM and not _completes(mine, theirs, inside):
                continue
            low, high = np.quantile(theirs[:, 2], [0.1, 0.9])
            top = float(np.quantile(mine[:, 2], 0.9))
            if top <= other.support + _STACKED and other.support > low_ground:
                continue
            if top <= low + _STACKED and len(mine) > _STACKED_LEAST:
                lifted = max(other.support, float(np.quantile(mine[:, 2], 0.98)))
                kept[number] = SeenThing(other.mask, lifted)
                continue
            if thing.support < high - 0.01:
                kept[number] = SeenThing(other.mask | thing.mask,
                                         min(other.support, thing.support))
                break
        else:
            kept.append(thing)
    return kept


def _completes(part: np.ndarray, whole: np.ndarray, inside: float) -> bool:
    """
    Return whether a part beside another one makes that round: the near side of an open thing.

    A stereo camera tears a bowl along its near rim, behind which its depth jumps. What is seen of
    its outside then lies beside what is seen of its inside, as high, and both together are no
    longer than the larger one, and deep in their middle: two boxes beside each other are not.

    :param inside: [m] by which the middle of the part is inside of the other's outline.
    """
    top = float(np.quantile(whole[:, 2], 0.98))
    if inside <= -_TORN or abs(float(np.quantile(part[:, 2], 0.98)) - top) > _STACKED:
        return False
    both = np.concatenate([part, whole])
    if _extent(both) > _ROUND * _extent(whole):
        return False
    middle, sides, _ = cv2.minAreaRect(both[:, :2].astype(np.float32))
    core = both[np.linalg.norm(both[:, :2] - middle, axis=1) < _CORE * min(sides), 2]
    deep = max(_DEEP, _DEEP_SHARE * (top - float(both[:, 2].min())))
    return bool(len(core)) and float(np.median(core)) < top - deep


def _without_parts(points: np.ndarray, things: list[SeenThing], fixtures: list[np.ndarray],
                   ) -> tuple[list[SeenThing], list[np.ndarray]]:
    """
    Give parts of fixtures back to them: what goes on, right above its top, as a fixture.

    The handle of a drawer hides what is below it, so the drawer below hangs together with nothing.
    """
    kept, grown = [], list(fixtures)
    above = [points[mask] for mask in fixtures]
    for thing in things:
        mine = points[thing.mask]
        top = float(np.quantile(mine[:, 2], 0.98))
        cells = _cells(mine)
        shares = [len(cells & _cells(each[(each[:, 2] > top - _BELOW)
                                          & (each[:, 2] < top + _ABOVE_TOP)])) / len(cells)
                  for each in above]
        if shares and max(shares) > _UNDER:
            number = int(np.argmax(shares))
            grown[number] = grown[number] | thing.mask
        else:
            kept.append(thing)
    return kept, grown


def _cells(points: np.ndarray) -> set[tuple[int, int]]:
    """Return the horizontal cells that points (N, 3) lie in."""
    return {(x, y) for x, y in np.unique(np.floor(points[:, :2] / _CELL).astype(int),
                                         axis=0).tolist()}


def _extent(points: np.ndarray) -> float:
    """Return the longest horizontal side of points (N, 3) along x or y [m]."""
    return float(np.ptp(points[:, :2], axis=0).max())


def _fine(mask: np.ndarray, step: int, points: np.ndarray) -> np.ndarray:
    """
    Return a mask of every `step`-th pixel at full size, (H, W) bool.

    A pixel belongs to what its representative shows where both are close to each other; beside the
    edge of a thing it may show what is far behind.
    """
    if step == 1:
        return mask
    height, width = points.shape[:2]
    fine = np.zeros((height, width), bool)
    rows, columns = np.nonzero(mask)
    for down in range(step):
        for right in range(step):
            v, u = rows * step + down, columns * step + right
            inside = (v < height) & (u < width)
            v, u = v[inside], u[inside]
            there = points[rows[inside] * step, columns[inside] * step]
            with np.errstate(invalid='ignore'):
                same = np.linalg.norm(points[v, u] - there, axis=1) < _SAME_SURFACE
            fine[v[same], u[same]] = True
    return fine
