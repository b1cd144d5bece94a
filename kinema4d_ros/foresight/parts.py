# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A drawer, a door or a knob that is meant to move, and how the hand takes it along."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.types import RobotRollout

if TYPE_CHECKING:      # nodes read goals, and need nothing of what foresees them
    from kinema4d_ros.scene.view import SceneView

_BESIDE = 0.004     # [m] what is seen this close to the box is of the part
_TOUCHES = 0.002    # [m] a finger this close to a point touches it
_SEEN_INTO = 0.3    # share of a box
_GRID = 6           # places along each side of a box that are looked at
_FEWEST = 3         # points that a finger touches
_STILL = 5e-5       # [m] a step that is shorter is none
_AHEAD = 0.5        # cosine between the ways of a hand that goes on pushing
_ALONG = 0.7        # cosine between how a part can move and how the hand would move it


@dataclass(frozen=True)
class FixturePart:
    """
    A part of a fixture that moves by one joint, as somebody states it; base frame.

    What geometry alone cannot tell is that it moves at all: to a camera a drawer is a wall.
    """

    low: tuple[float, float, float]      # [m] of the box around it as it is now
    high: tuple[float, float, float]
    direction: tuple[float, float, float] | None = None     # unit vector along which it slides
    axis: tuple[float, float, float] | None = None          # unit vector about which it turns

    @property
    def middle(self) -> np.ndarray:
        """The middle of the box, (3,) [m]."""
        return 0.5 * (np.array(self.low) + np.array(self.high))

    def mask(self, points: np.ndarray) -> np.ndarray:
        """Return which points (..., 3) [m] are of it, (...) bool."""
        from kinema4d_ros.camera.points import inside_box
        found = np.zeros(points.shape[:-1], bool)
        found.reshape(-1)[inside_box(points.reshape(-1, 3), np.array(self.low) - _BESIDE,
                                     np.array(self.high) + _BESIDE)] = True
        return found

    def holds(self, point: np.ndarray, pose: np.ndarray) -> bool:
        """Return whether a point (3,) [m] is in the box, which has moved by a pose (4, 4)."""
        R = pose[:3, :3].T
        back = R @ (point - pose[:3, 3])
        return bool(np.all(back >= self.low) and np.all(back <= self.high))

    def is_seen_into(self, scene: SceneView) -> bool:
        """Return whether a view sees into the box, or only what is before it."""
        from kinema4d_ros.camera.points import project
        unit = (np.arange(_GRID) + 0.5) / _GRID
        places = np.stack(np.meshgrid(unit, unit, unit), -1).reshape(-1, 3)
        places = np.array(self.low) + places * np.subtract(self.high, self.low)
        T, camera = np.linalg.inv(scene.seen.T_base_camera), scene.seen.camera
        local = places @ T[:3, :3].T + T[:3, 3]
        local = local[local[:, 2] > 0]
        u, v = np.round(project(local, camera)).astype(int).T
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        depth = scene.depth[v[inside], u[inside]]
        return bool((depth >= local[inside, 2]).sum() >= _SEEN_INTO * len(places))

    def moved(self, T_base_hand: np.ndarray, contact: np.ndarray) -> np.ndarray:
        """
        Return how it moves along with a hand, (T, 4, 4); see `slide_or_turn`.

        It stays where the hand would move it otherwise than it can.
        """
        from kinema4d_ros.foresight.part_motion import slide_or_turn
        poses = slide_or_turn(T_base_hand, contact)
        stays = np.repeat(np.eye(4)[None], len(poses), axis=0)
        way, turn = poses[-1][:3, 3], poses[-1][:3, :3]
        turns = not np.allclose(turn, np.eye(3), atol=1e-9)
        if self.direction is not None:
            along = np.array(self.direction)
            follow = T_base_hand @ np.linalg.inv(T_base_hand[0])
            ways = (follow[:, :3, :3] @ contact + follow[:, :3, 3] - contact) @ along
            total = float(np.linalg.norm(follow[-1, :3, :3] @ contact + follow[-1, :3, 3]
                                         - contact))
            if abs(ways[-1]) < _ALONG * total:
                return stays
            stays[:, :3, 3] = np.outer(ways, along)
            return stays
        if self.axis is not None:
            about = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0],
                              turn[1, 0] - turn[0, 1]])
            if not turns or abs(about @ np.array(self.axis)) < _ALONG * np.linalg.norm(about):
                return stays
        return poses if turns or np.linalg.norm(way) > 0 else stays


@dataclass(frozen=True)
class Push:
    """A hand that pushes a part from frame `first` to frame `last`."""

    first: int
    last: int
    contact: np.ndarray      # (3,) [m] base frame, where it touches at first


class FingerBoxes:
    """The boxes around the fingers of a rollout, and what they push."""

    def __init__(self, robot: RobotRollout):
        """Make it of a rollout whose fingers are known."""
        hand = robot.hand
        self._boxes = [(robot.T_base_link[:, robot.link_names.index(link)], np.asarray(box))
                       for link, box in zip(hand.finger_links, hand.finger_boxes)
                       if box is not None]
        self._T_base_palm = robot.T_base_link[:, robot.link_names.index(hand.palm_link)]
        self.tips = np.stack([np.einsum('tij,j->ti', T[:, :3, :3], box.mean(0)) + T[:, :3, 3]
                              for T, box in self._boxes]).mean(0)      # (T, 3) [m]

    def touched(self, points: np.ndarray, frame: int) -> np.ndarray:
        """Return which points (N, 3) [m] the fingers touch at a frame, (N,) bool."""
        found = np.zeros(len(points), bool)
        for T_base_link, box in self._boxes:
            R, t = T_base_link[frame, :3, :3], T_base_link[frame, :3, 3]
            local = (points - t) @ R
            found |= np.all((local >= box[0] - _TOUCHES) & (local <= box[1] + _TOUCHES), axis=1)
        return found

    def push(self, points: np.ndarray, begin: int, end: int) -> Push | None:
        """
        Return the first push of a part between two frames; None for none.

        A push begins when a finger comes against points that are ahead of it, and ends when the
        hand turns back or aside.

        :param points: (N, 3) [m] of the part where it is at `begin`.
        """
        if not len(points):
            return None
        reach = float(np.ptp(self._boxes[0][1], axis=0).max()) + 0.05
        low, high = points.min(0) - reach, points.max(0) + reach
        near = np.all((self.tips >= low) & (self.tips <= high), axis=1)
        before = True
        for frame in range(begin, end):
            if not near[frame]:
                before = False
                continue
            touched = self.touched(points, frame)
            touches = int(touched.sum()) >= _FEWEST
            if touches and not before:
                contact = points[touched].mean(0)
                step = self._step(frame, contact)
                if step is not None and step @ (contact - self.tips[frame]) > 0:
                    last = self._until(frame, contact, step, end)
                    if last > frame:
                        return Push(frame, last, contact)
            before = touches
        return None

    def _way(self, frame: int, contact: np.ndarray) -> np.ndarray:
        """Return where a point of the hand at `frame` is in each frame, (T, 3) [m]."""
        local = np.linalg.inv(self._T_base_palm[frame]) @ np.r_[contact, 1.0]
        way: np.ndarray = (self._T_base_palm @ local)[:, :3]
        return way

    def _step(self, frame: int, contact: np.ndarray) -> np.ndarray | None:
        """Return the direction in which the hand moves at a frame, (3,); None where it stands."""
        way = self._way(frame, contact)
        step = way[min(frame + 1, len(way) - 1)] - way[max(frame - 1, 0)]
        length = float(np.linalg.norm(step))
        return step / length if length > _STILL else None

    def _until(self, frame: int, contact: np.ndarray, step: np.ndarray, end: int) -> int:
        """Return the last frame of a push that begins at one."""
        way = self._way(frame, contact)
        for number in range(frame + 1, end):
            now = way[number] - way[number - 1]
            length = float(np.linalg.norm(now))
            if length <= _STILL:
                continue
            if now @ step < _AHEAD * length:
                return number - 1
            step = 0.7 * step + 0.3 * now / length
            step = step / np.linalg.norm(step)
        return end - 1
