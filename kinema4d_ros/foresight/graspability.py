# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether fingers that close on an object will hold it, by what is seen between and under them."""
from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.foresight.fingers import Fingers, GapMotion

_DEEP = 0.006       # [m] an object that reaches this far into a finger's place stops that finger
_SLIGHT = 0.002     # [m] up to this it is pushed aside, or depth is not known better
_OUTLIERS = 2       # points that may be deeper than what counts
_CHUNK = 0.025      # [m] what is this thick between the fingers is no rim of something hollow
_SHALLOW = 0.003    # [m] what reaches no farther between the fingers than this is not held
_DEEP_ENOUGH = 0.006     # [m] from here on it is
_ASIDE = 0.9        # share of its half width that an object may stand beside the fingers
_LOOSE = 0.004      # [m] by which the gap is larger than a thing that is not held
_CLOSED = 0.006     # [m] fingers that stop nearer than this close on whatever there is
_BARELY = 0.0005    # [m] an edge is under a finger from here on, as far as it is known beside it
_WIDER = 0.003      # [m] beside a finger and below its tip, an edge is looked for too
_RIM_ASIDE = 0.5    # as _ASIDE, of what is held by its rim: a round rim turns out of the fingers
_LENGTH = 0.016     # [m] of a finger's thickness that is looked at


class Hold(enum.Enum):
    """What becomes of what fingers close on."""

    HOLDS = 'holds'          # it is held
    UNKNOWN = 'unknown'      # it may be held
    FAILS = 'fails'          # it is not held


@dataclass(frozen=True)
class Graspability:
    """What is foreseen of one grasp."""

    hold: Hold = Hold.HOLDS
    why: str = ''            # it is not sure to hold: goes on after "the fingers ..."


def judge_grip(fingers: Fingers, motion: GapMotion, seen: np.ndarray,
               whole: np.ndarray) -> Graspability:
    """
    Return whether an object will be held by fingers that close.

    Fingers that are to be where the object is come down on it: from both sides when it is wider
    than they open. From one side it is pushed away, or it gives way and its rim is held all the
    same. What is between the tips alone, or stands mostly beside them, slips out; and what is
    thinner than the gap at which they stop is never touched on both sides.

    Found on 297 simulated grasps, and counted on 220 others: docs/measured.md.

    :param motion: in which the gap closes; the fingers are as wide open as at its first frame,
        where they are at the next, since the hand may arrive between two frames.
    :param seen: (N, 3) [m] base frame, what was seen of the object.
    :param whole: (M, 3) [m] base frame, its surface with what is taken to be behind.
    """
    frame, there = motion.first, min(motion.first + 1, motion.last)
    local = fingers.in_hand(seen, there)
    long, wide = fingers.size(there)
    beside = (np.abs(local[:, 2]) <= 0.5 * wide) & (local[:, 1] <= 0.0) & (local[:, 1] >= -long)
    along = local[beside, 0]
    lower, upper = fingers.lower[frame], fingers.upper[frame]
    stops = [_overlap(lower - along, min(float(fingers.lower_thickness[frame]), _LENGTH)),
             _overlap(along - upper, min(float(fingers.upper_thickness[frame]), _LENGTH))]
    between = beside & (local[:, 0] >= lower) & (local[:, 0] <= upper)
    gap = 100 * float(fingers.gap[frame])
    if min(stops) > _SLIGHT:
        return Graspability(Hold.FAILS, 'come down on it on both sides: it is wider than the '
                            f'{gap:.1f} cm that they open')
    if not between.any():
        return Graspability(Hold.FAILS, 'only touch it at its edge')
    depth = float(-local[between, 1].min())
    if depth < _SHALLOW:
        return Graspability(Hold.FAILS, f'reach {1000 * depth:.0f} mm over it')
    if max(stops) > _DEEP:
        thick = float(np.ptp(local[between, 0]))
        return Graspability(
            Hold.FAILS if thick > _CHUNK else Hold.UNKNOWN,
            f'come down on it with one finger, {1000 * max(stops):.0f} mm from its edge')
    if max(stops) > _SLIGHT or _edge_under(local, fingers, motion, there) > _BARELY:
        return Graspability(Hold.UNKNOWN, 'come down on its edge with one finger')
    if depth < _DEEP_ENOUGH:
        return Graspability(Hold.UNKNOWN, f'reach only {1000 * depth:.0f} mm over it')
    behind = fingers.in_hand(whole, there)
    inside = (np.abs(behind[:, 2]) <= 0.5 * wide) & (behind[:, 1] <= 0.0) \
        & (behind[:, 1] >= -long) & (behind[:, 0] >= lower) & (behind[:, 0] <= upper)
    if motion.last < len(fingers.gap) - 1:       # else they may go on closing in the next chunk
        loose = _left_loose(float(fingers.gap[motion.last]), local[between, 0], behind[inside, 0])
        if loose is not None:
            return loose
    side = behind[:, 2]
    aside = abs(0.5 * float(side.min() + side.max()))
    by_rim = float(np.ptp(behind[:, 0])) > upper - lower
    if aside > (_RIM_ASIDE if by_rim else _ASIDE) * 0.5 * float(np.ptp(side)):
        return Graspability(
            Hold.UNKNOWN, f'take it at its end, {1000 * aside:.0f} mm beside its middle')
    return Graspability()


def _edge_under(local: np.ndarray, fingers: Fingers, motion: GapMotion, there: int) -> float:
    """
    Return how far an edge of an object reaches under a finger [m], also beside and below it.

    :param local: (N, 3) what is seen of it, as `Fingers.in_hand` has it.
    """
    long, wide = fingers.size(there)
    near = (np.abs(local[:, 2]) <= 0.5 * wide + _WIDER) & (local[:, 1] <= _SLIGHT) \
        & (local[:, 1] >= -long)
    along, frame = local[near, 0], motion.first
    return max(_overlap(fingers.lower[frame] - along, _LENGTH),
               _overlap(along - fingers.upper[frame], _LENGTH))


def _left_loose(stop: float, seen: np.ndarray, whole: np.ndarray) -> Graspability | None:
    """
    Return what becomes of an object that is thinner than the gap at which the fingers stop.

    :param stop: [m] that gap.
    :param seen: (N,) [m] along the closing axis, what was seen of it between the fingers.
    :param whole: (M,) [m] likewise, with what is taken to be behind.
    """
    sure = float(np.ptp(seen))
    if stop <= sure:
        return None
    thick = max(sure, float(np.ptp(whole)) if len(whole) else 0.0)
    said = f'stop {100 * stop:.1f} cm apart, and it is {100 * thick:.1f} cm thick between them'
    if stop > thick + _LOOSE:
        return Graspability(Hold.FAILS, said)
    return Graspability(Hold.UNKNOWN, said) if stop > _CLOSED else None


def _overlap(beyond: np.ndarray, thickness: float) -> float:
    """
    Return how far an object reaches into the place of a finger [m].

    :param beyond: (N,) [m] how far its points are beyond the face of the finger.
    """
    inside = np.sort(beyond[(beyond > 0.0) & (beyond <= thickness)])
    return float(inside[-1 - _OUTLIERS]) if len(inside) > _OUTLIERS else 0.0
