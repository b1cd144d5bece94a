# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether what touches fingers is between them, by where and which way they press on it."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_ACROSS = np.cos(np.deg2rad(50.0))     # along the closing direction; friction holds no more
_LEAST_WIDTH = 0.001                   # [m] between the places at which the sides press


def pinch(model: Any, data: Any, body: int, sides: Mapping[int, int],
          axis: np.ndarray) -> np.ndarray | None:
    """
    Return the middle between the places at which fingers hold a body, (3,) [m]; None where not.

    Fingers hold what is between them: each side presses on it along the closing direction, against
    the other one, within the cone of friction. What both press on from above, or at a corner, is
    pushed, however hard they press.

    :param body: number of the body in the model.
    :param sides: body of a finger -> 0 or 1, its side of the gripper.
    :param axis: (3,) closing direction in the frame of the world, from side 0 to side 1.
    """
    contact = data.contact
    pairs = model.geom_bodyid[contact.geom]
    places: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number in np.flatnonzero((pairs == body).any(axis=1) & (contact.dist <= 0)):
        one, other = pairs[number].tolist()
        finger = other if one == body else one
        if finger not in sides:
            continue
        # A contact's normal points from its first geom to its second.
        into = contact.frame[number, :3] * (1.0 if other == body else -1.0)
        side = sides[finger]
        if float(into @ axis) * (1.0 - 2.0 * side) > _ACROSS:
            places[side].append(contact.pos[number])
    if not places[0] or not places[1]:
        return None
    lower, upper = (np.mean(each, axis=0) for each in places)
    middle: np.ndarray = 0.5 * (lower + upper)
    return middle if float((upper - lower) @ axis) > _LEAST_WIDTH else None
