# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fingers that open against what stands beside them.

Fingers may touch, and press what they close on; but fingers that open push with the force of the
gripper, both ways at once, and where they meet something on the way they push it, or are caught
between it and what they let go, and take both along (seen in LIBERO: a bowl let go in a tray).
"""
from __future__ import annotations

from collections.abc import Collection

import numpy as np

from kinema4d_ros.foresight import Story
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.precheck.tier1.clearance import Clearance
from kinema4d_ros.types import Finding, FindingCode, plain_point, Severity

_LEFT = 0.02        # [m] of the opening; with less left a thing is pushed by some millimetres
_NEARER = 0.003     # [m] that the opening brings them nearer: what they slide along stays as near


def check_opening(clearance: Clearance, story: Story, fingers: Collection[str],
                  settings: Tier1Settings) -> list[Finding]:
    """
    Report fingers that come so near to the scene by opening that touching cannot be excluded.

    :param story: says when they open, and how far.
    :param fingers: links of them.
    """
    found = []
    for first, gap in story.openings():
        frames = slice(first, first + len(gap))
        for name in fingers:
            if name not in clearance.link_names:
                continue
            track = clearance.track(name)
            distance = track.distance[frames]
            with np.errstate(invalid='ignore'):       # sigma is NaN where nothing is near
                meets = (distance - settings.confidence * track.sigma[frames] <= 0.0) \
                    & (distance <= np.maximum.accumulate(distance) - _NEARER) \
                    & (gap[-1] - gap >= _LEFT)
            if not meets.any():
                continue
            at = int(meets.argmax())
            frame, left = first + at, float(gap[-1] - gap[at])
            found.append(Finding(
                FindingCode.CONTACT, Severity.UNSURE,
                f"'{name}' opens against the scene at {track.times[frame]:.2f} s, with "
                f'{1000 * left:.0f} mm left to open: it may push what stands there, or be caught '
                'beside it; let go higher, open less, or turn the hand', link=name, other='scene',
                point_base=plain_point(track.point_base[frame]),
                time=float(track.times[frame]), value=float(track.distance[frame]), limit=0.0,
                sigma=float(track.sigma[frame]), unit='m'))
    return found
