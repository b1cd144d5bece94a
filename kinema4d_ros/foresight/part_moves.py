# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the hand takes parts of fixtures along in a rollout: by its grasp, or by pushing them."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.fingers import Fingers, GapMotion
from kinema4d_ros.foresight.parts import FingerBoxes, FixturePart
from kinema4d_ros.foresight.told import MovingBody
from kinema4d_ros.types import EventKind, RobotRollout

_FREE = 0.002       # [m] the fingers let go when they are this much wider than when they closed
_PUSHES = 4         # of one part in one motion, at most
_OPENED = 0.02      # [m] what has slid by less has not been opened
_STANDS = 0.01      # [m] a hand that moves by less while it holds something leaves it where it is
_MOST = 1 / 3       # share of all that is seen that a part may be
_DOWN = 0.7         # cosine; what is pushed straight down is not taken to give way
_TOO_FAR = 0.01     # [m] across the fingers, by which what they turn cannot move between them


@dataclass(frozen=True, eq=False)
class PartMove:
    """A part of a fixture moves from frame `first` on; it is no obstacle from `gone` on."""

    part: FixturePart
    kind: EventKind          # DRAGGED by a grasp, or PUSHED
    gone: int
    first: int
    poses: np.ndarray        # (T - first, 4, 4) how far it has moved since `first`, base frame
    contact: np.ndarray      # (3,) [m] base frame, where the hand has it
    until_gap: float = 0.0   # [m] a grasp lets go when the gap is wider
    doubt: str | None = None  # why it is not known whether it moves so

    def message(self, before: np.ndarray) -> str:
        """Return what happens, for people; the part had moved by `before` (4, 4) already."""
        middle = np.r_[self.part.middle, 1.0]
        way = np.linalg.norm((self.poses[-1] @ before @ middle - before @ middle)[:3])
        turn = np.arccos(np.clip((np.trace(self.poses[-1][:3, :3]) - 1) / 2, -1, 1))
        far = f'{np.degrees(turn):.0f} degrees' if turn > 0 else f'{100 * way:.0f} cm'
        what = 'take hold of' if self.kind is EventKind.DRAGGED else 'push'
        x, y, z = self.contact
        return (f'fingers {what} a part of something fastened at ({x:.2f}, {y:.2f}, {z:.2f}) m, '
                f'which moves {far}')


class PartMover:
    """What the hand does to parts of fixtures; how far each has moved is kept."""

    def __init__(self, robot: RobotRollout, fingers: Fingers, points: np.ndarray,
                 parts: Sequence[FixturePart], least: int):
        """
        Make it.

        :param points: (H, W, 3) [m] base frame, of the scene as it was seen.
        :param parts: those that nobody saw are left out, and those that are more than a third of
            all that is seen, see `too_large`: such a box is round a table, or round everything.
        :param least: points between the fingers that make a grasp.
        """
        self._robot, self._fingers, self._least = robot, fingers, least
        self._steps = len(robot.times)
        most = _MOST * np.isfinite(points[..., 2]).sum() if parts else 0
        masks = {part: part.mask(points) for part in dict.fromkeys(parts)}
        self.too_large = [part for part, mask in masks.items() if mask.sum() > most]
        self._seen = {part: points[mask] for part, mask in masks.items()
                      if 0 < mask.sum() <= most}
        #: how far each part has moved in each frame, (T, 4, 4)
        self.poses = {part: np.repeat(np.eye(4)[None], self._steps, axis=0)
                      for part in self._seen}

    def grasp(self, motion: GapMotion, scene: np.ndarray) -> PartMove | None:
        """
        Return what moves along with fingers that close; None where they close on no part.

        :param scene: (..., 3) [m] base frame, what stands there now, NaN for nothing.
        """
        for part, seen in self._seen.items():
            points = Body.moved(seen, self.poses[part][motion.last])
            touched = self._fingers.closed_on(points, motion)
            others = self._fingers.closed_on(scene, motion) & ~part.mask(scene)
            if touched.sum() < max(self._least, others.sum()):
                continue
            gap = self._fingers.gap
            thick = float(np.ptp(points[touched] @ self._fingers.axis_base(motion.last)))
            reached = np.flatnonzero(gap[motion.first:motion.last] <= thick)
            first = motion.first + int(reached[0]) if len(reached) else motion.last
            width = max(thick, float(gap[motion.last])) + _FREE
            wide = np.flatnonzero(gap[motion.last:] > width)
            last = motion.last + int(wide[0]) if len(wide) else self._steps - 1
            contact = points[touched].mean(0)
            move = self._moved(part, EventKind.DRAGGED, motion.first, first, last, contact, width)
            if move is not None:
                return move
        return None

    def pushes(self) -> Iterator[PartMove]:
        """Yield what fingers push, one after the other; each is to be used before the next."""
        boxes = FingerBoxes(self._robot)
        for part, seen in self._seen.items():
            begin = 0
            for _ in range(_PUSHES):
                points = Body.moved(seen, self.poses[part][begin])
                push = boxes.push(points, begin, self._steps)
                if push is None:
                    break
                move = self._moved(part, EventKind.PUSHED, push.first, push.first, push.last,
                                   push.contact)
                if move is not None:
                    yield move
                begin = push.last

    def _moved(self, part: FixturePart, kind: EventKind, gone: int, first: int, last: int,
               contact: np.ndarray, until_gap: float = 0.0) -> PartMove | None:
        """Return a move; None where the part stays in the way of a hand that moves."""
        hand = self._fingers.T_base_palm[first:last + 1]
        moves = part.moved(hand, contact)
        follow = hand @ np.linalg.inv(hand[0])
        way = follow[:, :3, :3] @ contact + follow[:, :3, 3] - contact
        far = np.linalg.norm(way, axis=1)
        stays = bool(np.all(moves == np.eye(4)))
        if stays and (kind is EventKind.PUSHED or far.max() > _STANDS):
            return None
        # Whoever presses a table, or anything else, straight down mostly did not mean to.
        slides = bool(np.all(moves[:, :3, :3] == np.eye(3)))
        if kind is EventKind.PUSHED and part.direction is None and slides \
                and -way[-1, 2] > _DOWN * far[-1]:
            return None
        moves = np.concatenate([moves, np.repeat(moves[-1:], self._steps - last - 1, axis=0)])
        doubt = None if slides or kind is EventKind.PUSHED else self._why_forced(
            part, hand, moves[last - first], self.poses[part][first])
        self.poses[part][first:] = moves @ self.poses[part][first]
        return PartMove(part, kind, gone, first, moves, contact, until_gap, doubt)

    def _why_forced(self, part: FixturePart, hand: np.ndarray, move: np.ndarray,
                    before: np.ndarray) -> str | None:
        """
        Return why the hand does not turn a part about the part's own axis; None where it may.

        A knob turns about its middle. A hand that turns about another place of it would have to
        push the middle aside between the fingers: they slip off, or the arm is pushed off its
        way. A door turns about a hinge, at an end of its box or beside it.

        :param hand: (F, 4, 4) of the hand while it holds the part.
        :param move: (4, 4) by which the part moves along.
        :param before: (4, 4) by which it had moved already.
        """
        turn = Rotation.from_matrix(move[:3, :3]).as_rotvec()
        axis = turn / np.linalg.norm(turn)
        middle = before[:3, :3] @ part.middle + before[:3, 3]
        stays = np.linalg.lstsq(move[:3, :3] - np.eye(3), -move[:3, 3], rcond=1e-2)[0]
        stays = stays + axis * (axis @ (middle - stays))
        if not part.holds(stays, before):
            return None
        in_hand = (np.linalg.inv(hand) @ np.r_[middle, 1.0])[:, :3] @ self._fingers.axis
        forced = float(np.abs(in_hand - in_hand[0]).max())
        if forced <= _TOO_FAR:
            return None
        return (f'the hand turns about a place {1000 * np.linalg.norm(stays - middle):.0f} mm '
                'beside the middle of what it turns, which would have to move '
                f'{1000 * forced:.0f} mm between the fingers')


def enters(moving: MovingBody, tips: np.ndarray, things: Sequence[MovingBody]) -> int | None:
    """
    Return when hand or load go into a part that has slid, once the hand has let go of it.

    :param moving: the part.
    :param tips: (T, 3) [m] base frame, the middle between the fingers.
    :param things: what else moves.
    :return: the first frame; None for never.
    """
    part, poses = moving.part, moving.T_base_body
    if part is None or np.linalg.norm(poses[-1][:3, 3]) < _OPENED:
        return None
    begin = moving.stands_from
    inside = np.array([part.holds(tip, poses[-1]) for tip in tips[begin:]], bool)
    away = np.flatnonzero(~inside)
    if not len(away):
        return None
    begin += int(away[0])
    for frame in range(begin, len(tips)):
        if part.holds(tips[frame], poses[-1]) or any(
                begin < thing.first_frame <= frame
                and part.holds(thing.center(frame), poses[-1]) for thing in things):
            return frame
    return None
