# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the gripper goes in a pick-and-place, from what is known at its start."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.policy.task_start import TaskStart

#: [m] of the Panda's hand: from its frame to the grip point, from there to palm and finger tips
GRIP, PALM, FINGERTIP = 0.097, 0.031, 0.012
WIDEST = 0.068           # [m] of what goes between the fingers, which open 8 cm
_WALL = 0.006            # [m] from the edge of a wide thing to where its wall is gripped
_DEPTH = 0.015           # [m] of the grip point below the edge of a wide thing
_ABOVE = 0.15            # [m] how far above a place the hand comes from
_ALIKE = 1.15            # times as wide is about as narrow
_CLEAR = 0.02            # [m] above the ground of the goal, where it is let go


@dataclass(frozen=True, eq=False)
class PickAndPlace:
    """
    Poses of the grip point, base frame [m]; the hand points down.

    :param grasp: (3,).
    :param grasp_rotation: T_base_hand's rotation there.
    :param release: (3,), where the fingers let go.
    :param release_rotation: T_base_hand's rotation there.
    :param lifted: height at which the object is carried.
    """

    grasp: np.ndarray
    grasp_rotation: Rotation
    release: np.ndarray
    release_rotation: Rotation
    lifted: float

    @property
    def raised(self) -> float:
        """Height from which the hand comes down to the object [m]."""
        return float(self.grasp[2]) + _ABOVE


def lay_out(start: TaskStart, hand: Rotation) -> PickAndPlace:
    """
    Choose grasp and release.

    What is narrow enough is taken in its middle, across its narrow side; what is wider, as bowls
    and mugs are, by its wall. A long thing is let go along the longer side of its place.

    :param hand: T_base_hand's rotation at the start, whose y axis is that along which the
        fingers move; of the two ways to turn it, the smaller one is taken.
    """
    corners = start.corners
    low, high = corners.min(0), corners.max(0)
    middle, axes, widths = _sides(start)
    # of two sides that both go between the fingers, that to which the hand turns less
    turns = [abs(_angle(hand.as_matrix()[:, 1], axis)) for axis in axes]
    narrow = axes[1] if widths[1] <= max(WIDEST, _ALIKE * widths[0]) and turns[1] < turns[0] \
        else axes[0]
    bottom, top = float(low[2]), float(high[2])
    if widths[0] <= WIDEST:
        # low, but neither the palm nor the fingertips touch anything
        height = max(0.5 * (bottom + top), top - PALM + 0.005, bottom + FINGERTIP)
        grasp = np.r_[middle[:2], height]
    else:
        grasp = np.r_[middle[:2] + (0.5 * widths[0] - _WALL) * narrow[:2], top - _DEPTH]
    turned = _turned(hand, narrow)
    place = 0.5 * (start.region_low + start.region_high)
    sizes = (start.region_high - start.region_low)[:2]
    turn = 0.0
    if widths[1] > 1.5 * widths[0] and sizes.max() > 1.5 * sizes.min():
        turn = _angle(axes[1], np.eye(3)[int(sizes.argmax())])
    rotation = Rotation.from_rotvec([0, 0, turn])
    offset = rotation.apply(np.r_[(grasp - middle)[:2], 0.0])
    hanging = float(grasp[2]) - bottom
    # the region is where the middle may be; things stand on their origins
    ground = start.region_low[2] - (middle - start.T_base_object[:3, 3])[2]
    height = max(ground + hanging + _CLEAR, start.rim - PALM + 0.01)
    if start.relation == 'above':
        height = start.rim + hanging + 0.01
    release = np.r_[place[:2] + offset[:2], height]
    lifted = max(grasp[2] + _ABOVE, release[2] + 0.05, start.rim + hanging + 0.03)
    return PickAndPlace(grasp, turned, release, rotation * turned, float(lifted))


def _sides(start: TaskStart) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the object's middle (3,), its two level axes (2, 3), the narrow first, and widths."""
    R, half = start.T_base_object[:3, :3], 0.5 * (start.high - start.low)
    upright = int(np.abs(R[2]).argmax())
    level = sorted((axis for axis in range(3) if axis != upright), key=lambda axis: half[axis])
    axes = R[:, level].T * [1, 1, 0]
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    middle = R @ (0.5 * (start.low + start.high)) + start.T_base_object[:3, 3]
    return middle, axes, 2 * half[level]


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Return the smallest turn about z [rad] that lays a level axis along another."""
    turn = np.arctan2(second[1], second[0]) - np.arctan2(first[1], first[0])
    return float((turn + np.pi / 2) % np.pi - np.pi / 2)


def _turned(hand: Rotation, axis: np.ndarray) -> Rotation:
    """Return the hand turned about z until its fingers move along a level axis."""
    return Rotation.from_rotvec([0, 0, _angle(hand.as_matrix()[:, 1], axis)]) * hand
