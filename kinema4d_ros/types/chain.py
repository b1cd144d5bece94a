# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot as a tree of rigid bodies, for those who simulate what it pushes."""
from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np


class ChainJoint(enum.StrEnum):
    """How a link moves against the one that carries it."""

    FIXED = 'fixed'
    HINGE = 'hinge'
    SLIDE = 'slide'


@dataclass(frozen=True, eq=False)
class ChainLink:
    """One link of a robot: what carries it, how it moves against that, and what it occupies."""

    name: str
    parent: int                   # index of the link that carries it, -1 for the root
    joint: ChainJoint             # against that link; the root is fixed
    T_parent_joint: np.ndarray    # (4, 4) float64, pose of the link at joint position 0
    axis: np.ndarray              # (3,) float64, unit vector in the frame of the link
    effort: float | None          # [N m or N] that the joint can exert, None unknown
    hull: np.ndarray              # (V, 3) float64 [m] corners of its convex hull, link frame
