# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the hand holds as a motion begins: remembered from looks before, or recognised now."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.foresight.attached import of_body
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.fingers import Fingers
from kinema4d_ros.foresight.recognition import (Agreement, agreement, is_seen_free, recognised,
                                                 refitted)
from kinema4d_ros.foresight.grasp_settings import GraspSettings
from kinema4d_ros.foresight.story import Story
from kinema4d_ros.scene.view import SceneView
from kinema4d_ros.types import EventKind, Gripper, HeldObject, HeldSource, RobotRollout

_SHUT = 0.003       # [m] fingers this close to their end hold nothing that could be recognised
_OPEN = 0.004       # [m] fingers this close to their other end hold nothing
_OPENED = 0.001     # [m] fingers that have opened by more let go
_SQUEEZED = 0.008   # [m] fingers may close on by this while they hold
_OLD = 60.0         # [s] without a look after which nothing is remembered
_PLAY = 0.01        # [m] by which closed fingers stand wider than what they hold, as far as seen
_RIM = 0.004        # [m] beyond the sides of the fingers that still is between them
_LEAST_SEEN = 12    # points of an object that must be seen where it is expected
_FITS = 0.97        # 0..1 of its points that could be seen: no better place is looked for
_AGREES = 0.7       # 0..1 of its points that could be seen
_MOST_PLACES = 8    # of the hand on its way, at which it may have closed
_MOST_CHANCES = 24


@dataclass(frozen=True, eq=False)
class HandLook:
    """The hand at one look."""

    stamp_ns: int
    fingers: Fingers          # frame 0 is the look
    narrowest: float          # [m] gap at the ends of the fingers' way; NaN not known
    widest: float             # [m]
    gripper: Gripper

    @property
    def gap(self) -> float:
        """How far the fingers are open [m]."""
        return float(self.fingers.gap[0])

    @property
    def is_open(self) -> bool:
        """Whether the fingers stand at their outer end."""
        return self.gap >= self.widest - _OPEN

    @property
    def is_shut(self) -> bool:
        """Whether the fingers stand at their inner end."""
        return self.gap <= self.narrowest + _SHUT


Looks = Sequence[tuple[HandLook, SceneView]]
"""The hand at one look, as each view sees it."""


@dataclass(frozen=True, eq=False)
class Held:
    """What is held at a look."""

    objects: tuple[HeldObject, ...] = ()
    doubt: str = ''                       # why what is held is not known; '' where it is
    origin: np.ndarray | None = None      # (V, 3) [m] base, where the object was when grasped
    since_ns: int = 0                     # when it was grasped, at the latest


@dataclass(frozen=True, eq=False)
class _Chance:
    """An object that the fingers may have closed on since."""

    held: HeldObject
    origin: np.ndarray        # (V, 3) [m] base, where it was
    stamp_ns: int             # when it was seen


class HeldMemory:
    """
    Remembers from look to look what the hand holds.

    An object that was seen standing between the fingers, before they closed on it, keeps the shape
    that was seen then: later the hand hides much of it. It stays known until the fingers open, or
    until it is not seen any more where it should be. What nobody saw before is recognised from
    what is between the fingers. A memory that the view contradicts is not used.

    One thread owns it.
    """

    def __init__(self) -> None:
        """Make a memory of nothing."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._held: HeldObject | None = None
        self._origin: np.ndarray | None = None
        self._gap = np.nan                    # [m] at which it is held
        self._seen_ns = self._since_ns = 0    # when its shape was seen, and since when it is held
        self._let_go: float | None = None     # [m] a gap at which the fingers are known to be empty
        self._last: tuple[int, float] | None = None      # stamp and gap of the last look
        self._chances: list[_Chance] = []

    # ------------------------------------------------------------------ looks

    def look(self, looks: Looks, grasping: GraspSettings) -> Held:
        """
        Return what the hand holds as views of the scene without the robot show it.

        What one of several views shows is enough to know what is held; to contradict it they count
        together.

        :param looks: the hand as it stands in each view, one or more, the best view first, and the
            view before what is held is taken out.
        """
        hand = looks[0][0]
        self._follow(hand)
        if self._held is not None:
            self._refit(looks)
            if self._is_contradicted(looks):
                self._drop()
        if hand.is_open or (self._let_go is not None and hand.gap >= self._let_go):
            return Held()
        is_around = self._held is None and self._take_chance(looks)
        if self._held is not None:
            age = (hand.stamp_ns - self._seen_ns) * 1e-9
            held = dataclasses.replace(self._held, age=age)
            return Held((held,), '', self._origin, self._since_ns)
        if hand.is_shut or is_around:
            return Held()
        is_there = False
        for seen_hand, scene in looks:
            body, is_something = recognised(scene, seen_hand.fingers,
                                            grasping.least_contact_points,
                                            grasping.largest_object)
            is_there |= is_something
            if body is not None:
                return self._recognise(body, seen_hand)
        if is_there:
            return Held(doubt='something is between the fingers, but what belongs to it cannot be '
                              'told from what it touches')
        if any(is_seen_free(scene, its.fingers) for its, scene in looks):
            self._let_go = hand.gap - _OPENED
            return Held()
        return Held(doubt=f'the fingers stand {1000 * hand.gap:.0f} mm apart, and the camera does '
                          'not see whether they hold something: open them, let it look, or '
                          'declare what is attached')

    def _recognise(self, body: Body, hand: HandLook) -> Held:
        """Take a body that is seen between the fingers for what they hold."""
        gripper = hand.gripper
        self._held = of_body(body, np.eye(4), hand.fingers.T_base_palm[0], gripper.palm_link,
                             HeldSource.RECOGNISED, gripper.finger_links)
        self._origin, self._gap = body.vertices, hand.gap
        self._seen_ns = self._since_ns = hand.stamp_ns
        return Held((self._held,), '', self._origin, self._since_ns)

    def _follow(self, hand: HandLook) -> None:
        """Take note of how the fingers have moved since the last look."""
        gap, last = hand.gap, self._last
        if last is not None and not 0 <= hand.stamp_ns - last[0] <= _OLD * 1e9:
            self.clear()
            last = None
        self._last = hand.stamp_ns, gap
        opened = last is not None and gap > last[1] + 2 * _OPENED
        if hand.is_open or opened or (self._held is not None
                                      and gap > self._gap + 2 * _OPENED):
            self._drop()
            self._let_go = gap - _OPENED
        elif self._let_go is not None and gap < self._let_go:
            self._let_go = None

    def _drop(self) -> None:
        self._held = self._origin = None

    def _refit(self, looks: Looks) -> None:
        """Follow what is held where it slips or turns between the fingers."""
        held = self._held
        if held is None:
            return
        agrees = _agreement(held, looks)
        if agrees.share >= _FITS or agrees.seen + agrees.through < _LEAST_SEEN:
            return
        hand, scene = max(looks, key=lambda look: agreement(_placed(held, look[0]), look[1]).seen)
        placed = _placed(held, hand)
        T = refitted(placed, scene, hand.fingers)
        better = _moved(held, T, hand)
        if _agreement(better, looks).score > agrees.score \
                and _play(_placed(better, hand), hand) < np.inf:
            self._held = better

    def _is_contradicted(self, looks: Looks) -> bool:
        """Return whether what is held is not seen any more where it should be."""
        if self._held is None:
            return False
        hand, agrees = looks[0][0], _agreement(self._held, looks)
        has_closed_on = hand.is_shut or hand.gap < self._gap - _SQUEEZED
        if has_closed_on and agrees.seen < _LEAST_SEEN:
            return True
        return agrees.through >= _LEAST_SEEN and agrees.share < _AGREES

    def _take_chance(self, looks: Looks) -> bool:
        """
        Take what the fingers have closed on meanwhile, if it is seen to be with the hand.

        :return: whether something is between the fingers that they have not closed on.
        """
        hand = looks[0][0]
        best, best_score, is_around = None, 0, False
        for chance in self._with_unmoved(hand):
            agrees = _agreement(chance.held, looks)
            if agrees.seen < _LEAST_SEEN or agrees.share < _AGREES or agrees.score <= best_score:
                continue
            play = _play(_placed(chance.held, hand), hand)
            if play <= _PLAY:
                best, best_score = chance, agrees.score
            elif play < np.inf:
                is_around = True
        if best is None:
            return is_around
        self._held, self._origin, self._gap = best.held, best.origin, hand.gap
        self._seen_ns, self._since_ns = best.stamp_ns, hand.stamp_ns
        self._chances = []
        self._refit(looks)
        return False

    def _with_unmoved(self, hand: HandLook) -> Iterator[_Chance]:
        """Yield the chances; first, of each object, that it still stands where it was."""
        T_palm_base = np.linalg.inv(hand.fingers.T_base_palm[0])
        for origin in {id(chance.origin): chance for chance in self._chances}.values():
            stands = origin.origin @ T_palm_base[:3, :3].T + T_palm_base[:3, 3]
            yield dataclasses.replace(origin, held=dataclasses.replace(
                origin.held, vertices=stands))
        yield from self._chances

    # ------------------------------------------------------------------ what may come

    def foresee(self, story: Story, robot: RobotRollout, stamp_ns: int) -> None:
        """
        Note what the fingers may have closed on by the next look.

        That is what they close on in a motion that was judged, and what stood between them on its
        way, on which a gripper with a controller of its own may close.
        """
        if self._held is not None or (self._chances and self._chances[-1].stamp_ns != stamp_ns):
            self._chances = [] if self._held is not None else [
                chance for chance in self._chances if stamp_ns - chance.stamp_ns < 5e9]
        self._chances += _chances_in(story, robot, stamp_ns)
        self._chances = self._chances[-_MOST_CHANCES:]


def _agreement(held: HeldObject, looks: Looks) -> Agreement:
    """Compare where a held object is expected with what all views show now."""
    each = [agreement(_placed(held, hand), scene) for hand, scene in looks]
    return Agreement(sum(one.seen for one in each), sum(one.through for one in each))


def _placed(held: HeldObject, hand: HandLook) -> np.ndarray:
    """Return where points of a held object (V, 3) [m] base should be at a look."""
    T = hand.fingers.T_base_palm[0]
    placed: np.ndarray = held.vertices @ T[:3, :3].T + T[:3, 3]
    return placed


def _moved(held: HeldObject, T: np.ndarray, hand: HandLook) -> HeldObject:
    """Return a held object moved by T (4, 4) in the base frame."""
    T_base_palm = hand.fingers.T_base_palm[0]
    in_palm = np.linalg.inv(T_base_palm) @ T @ T_base_palm
    return dataclasses.replace(
        held, vertices=held.vertices @ in_palm[:3, :3].T + in_palm[:3, 3])


def _play(placed: np.ndarray, hand: HandLook) -> float:
    """
    Return how much wider the fingers stand than what is between them [m]; inf for nothing.

    :param placed: (V, 3) [m] base, points of the object where it should be.
    """
    fingers = hand.fingers
    inside = fingers.between(placed, 0, gap=hand.gap + 2 * _PLAY, margin=_RIM)
    if inside.sum() < 3:
        return np.inf
    return hand.gap - float(np.ptp(placed[inside] @ fingers.axis_base(0)))


def _chances_in(story: Story, robot: RobotRollout, stamp_ns: int) -> Iterator[_Chance]:
    gripper, palms = robot.hand, story.T_base_palm
    for each in story.events:
        if each.event.kind is EventKind.GRASP and each.body is not None:
            moving = story.bodies[each.body]
            pose = moving.T_base_body[each.frame]
            held = of_body(moving.body, pose, palms[each.frame], gripper.palm_link,
                           HeldSource.REMEMBERED, gripper.finger_links)
            yield _Chance(held, moving.body.vertices, stamp_ns)
    for target in story.targets:
        frames = target.frames[np.unique(np.linspace(0, len(target.frames) - 1, _MOST_PLACES)
                                         .round().astype(int))]
        for frame in frames:
            held = of_body(target.body, np.eye(4), palms[frame], gripper.palm_link,
                           HeldSource.REMEMBERED, gripper.finger_links)
            yield _Chance(held, target.body.vertices, stamp_ns)
