# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How much free space is known around each link of a robot, in one posture at one moment.

A motion whose path nobody knows beforehand can be judged by it: by how far it leads from there.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

UNSEEN = 'space that nobody has seen'      # the reason where that is what ends the space


@dataclass(frozen=True)
class LinkSpace:
    """The free space around a link, or around what it holds, as a box around either."""

    link: str                                # to which the box is fixed
    low: tuple[float, float, float]          # [m] smallest corner of the box, link frame
    high: tuple[float, float, float]         # [m] largest corner
    #: [m] that any point of it may be displaced in any direction, with all margins taken off
    space: float
    #: [m] from which on it may touch something, and must be slow; infinite for what must not touch
    touch: float = math.inf
    touch_speed: float = 0.0                 # [m/s] allowed from there on
    held: str = ''                           # what it is, of something that the link holds
    reason: str = ''                         # what is next to it, in words


@dataclass(frozen=True)
class LocalClearance:
    """
    The free space around a robot in one posture, as one look at the scene has it.

    It holds for displacements from that posture, by whatever way, as long as nothing else moves.
    """

    stamp_ns: int                            # ROS time of the look
    robot_hash: str
    joint_positions: Mapping[str, float] = field(default_factory=dict)     # [rad or m]
    links: tuple[LinkSpace, ...] = ()
    problem: str = ''                        # why nothing is known; '' where it is
