# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a drawer, a door or a knob moves that a hand takes along: what the hand's way tells of it."""
from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

_TURNS = 0.15       # [rad] a hand that turns by more while it holds something turns it
_STRAIGHT = 0.006   # [m] a way is a line where no point of it is farther from one
_LEAST_ARC = 0.03   # [m] a shorter way is a line


def slide_or_turn(T_base_hand: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """
    Return the motion of something with one joint that a hand moves along, (T, 4, 4) base frame.

    A hand that turns while it holds something turns it about the axis about which it turned, at
    the place that it left where it was. Otherwise the contact has moved along a line, and the thing
    slides by as much; or along an arc, and the thing turns about its axis. Nothing else is known
    of a joint than what the way of the hand shows.

    :param T_base_hand: (T, 4, 4) of the hand, from the contact on.
    :param contact: (3,) [m] base frame, where it touches at the first of them.
    :return: identity first; how far the thing has moved since.
    """
    follow = T_base_hand @ np.linalg.inv(T_base_hand[0])
    way = follow[:, :3, :3] @ contact + follow[:, :3, 3]
    turned = Rotation.from_matrix(follow[:, :3, :3]).as_rotvec()
    if np.linalg.norm(turned, axis=1).max() > _TURNS:
        return _turned_as(follow, turned)
    middle = way.mean(0)
    _, sizes, axes = np.linalg.svd(way - middle, full_matrices=False)
    along = axes[0] * np.sign(axes[0] @ (way[-1] - way[0]) or 1.0)
    off = (way - middle) - np.outer((way - middle) @ along, along)
    bends = np.linalg.norm(off, axis=1).max() > _STRAIGHT
    if bends and np.linalg.norm(way[-1] - way[0]) > _LEAST_ARC and sizes[1] > 0:
        return _turned_along(way, axes)
    poses = np.repeat(np.eye(4)[None], len(way), axis=0)
    poses[:, :3, 3] = np.outer((way - way[0]) @ along, along)
    return poses


def _turned_as(follow: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Return the turn about one fixed axis that is nearest to the motion of a hand."""
    farthest = turned[np.linalg.norm(turned, axis=1).argmax()]
    axis = farthest / np.linalg.norm(farthest)
    # The place c that stays: (R - I) c = -t, in the plane across the axis.
    A = (follow[:, :3, :3] - np.eye(3)).reshape(-1, 3)
    center = np.linalg.lstsq(A, -follow[:, :3, 3].reshape(-1), rcond=1e-2)[0]
    return _about(center, axis, turned @ axis)


def _turned_along(way: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """
    Return the turn about the axis of the circle through a way (T, 3) [m].

    :param axes: (3, 3) main axes of the way, the longest first; it is flat along the last.
    """
    flat = (way - way[0]) @ axes[:2].T
    # |p - c|^2 = r^2 is linear in c and r^2 - |c|^2.
    A = np.column_stack([2 * flat, np.ones(len(flat))])
    found = np.linalg.lstsq(A, (flat ** 2).sum(1), rcond=None)[0]
    from_center = flat - found[:2]
    angle = np.unwrap(np.arctan2(from_center[:, 1], from_center[:, 0]))
    return _about(way[0] + found[:2] @ axes[:2], np.cross(axes[0], axes[1]), angle - angle[0])


def _about(center: np.ndarray, axis: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return turns by angles (T,) [rad] about an axis through a place, (T, 4, 4)."""
    poses = np.repeat(np.eye(4)[None], len(angles), axis=0)
    poses[:, :3, :3] = Rotation.from_rotvec(np.outer(angles, axis)).as_matrix()
    poses[:, :3, 3] = center - poses[:, :3, :3] @ center
    return poses
