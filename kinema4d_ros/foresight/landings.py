# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why it is not known where something that is let go comes to rest."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinema4d_ros.foresight.hull import depth_in
from kinema4d_ros.foresight.told import MovingBody

_LONG_FALL = 0.12   # [m] what falls farther may fall onto something that nobody saw
_SEEN_GROUND = 0.25  # share of the ground below that must have been seen then
_INTO = 0.02        # [m] what is let go lower than this below where it would rest is in something
_OVERLAP = 0.01     # [m] by which two things cannot be in one place


def why_landing_unknown(drop: float, seen: float) -> str | None:
    """
    Return why what is below does not tell where a body that is let go comes to rest, or None.

    :param drop: [m] to what is below it; NaN where nothing is seen there.
    :param seen: share of the ground below that was seen.
    """
    if not np.isfinite(drop):
        return 'nothing is seen below where it is let go'
    if drop < -_INTO:
        return (f'by what is seen around it would rest {-100 * drop:.0f} cm higher than it is '
                'let go')
    if drop > _LONG_FALL and seen < _SEEN_GROUND:
        return (f'only {100 * seen:.0f} % of the ground {100 * drop:.0f} cm below where it is let '
                'go was seen')
    return None


def why_wedged(moving: MovingBody, others: Sequence[MovingBody], frame: int) -> str | None:
    """
    Return why a body cannot rest where it is at a frame; None where it can.

    What the hand has put down before is known from all sides. Where a body comes down on its edge
    it tips, and pushes that away.

    :param others: what moves besides; those that were let go by then are looked at.
    """
    planes = moving.body.planes
    if planes is None:
        return None
    for other in others:
        if other.part is None and other.let_go is not None and other.let_go < frame:
            deep = -float(depth_in(other.vertices(frame), planes, moving.T_base_body[-1]).min())
            if deep > _OVERLAP:
                return (f'it comes down on the edge of what was put there before, '
                        f'{1000 * deep:.0f} mm into it')
    return None
