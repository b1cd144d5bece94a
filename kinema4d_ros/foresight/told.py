# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What moves in a foreseen future, and before what: the form in which it is drawn and judged."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.parts import FixturePart
from kinema4d_ros.scene.mask import grow, in_paint
from kinema4d_ros.types import HeldObject, PredictedThing, WorldEvent

_SAME = 1e-6        # poses that differ by less are one
_HIDDEN = 0.01      # [m] what is higher than this above what a body stands on is not its ground


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The scene without the robot and what has been moved, from one frame on."""

    first_frame: int
    image: np.ndarray | None   # (H, W, 3) uint8; None when no pictures are wanted
    depth: np.ndarray          # (H, W) float32 [m], NaN unknown

    @property
    def picture(self) -> np.ndarray:
        """
        The image, (H, W, 3) uint8, for those who draw.

        :raises WorldModelError: the story was made without pictures.
        """
        if self.image is None:
            raise WorldModelError('this story was made without pictures: pictures=False')
        return self.image


@dataclass(frozen=True, eq=False)
class MovingBody:
    """An object that the fingers move; before `first_frame` it is part of the backdrop."""

    body: Body
    first_frame: int
    #: (T, 4, 4) how far it has moved in the base frame since it was observed, identity at first
    T_base_body: np.ndarray

    held: HeldObject | None = None     # as which it was held from the beginning
    let_go: int | None = None          # frame from which on it is not held any more
    part: FixturePart | None = None    # of a fixture; it moves by its joint and is not carried

    @property
    def stands_from(self) -> int:
        """The first frame from which on it does not move any more."""
        poses = self.T_base_body
        moves = np.flatnonzero(np.abs(poses - poses[-1]).max(axis=(1, 2)) > _SAME)
        return int(moves[-1]) + 1 if len(moves) else 0

    def center(self, frame: int) -> np.ndarray:
        """Return the middle of the object, (3,) [m] base frame."""
        return self.body.moved(self.body.center, self.T_base_body[frame])

    def vertices(self, frame: int) -> np.ndarray:
        """Return the vertices of the object, (V, 3) [m] base frame."""
        return self.body.moved(self.body.vertices, self.T_base_body[frame])


@dataclass(frozen=True, eq=False)
class StoryEvent:
    """What happens at a frame, and to which of the moved objects, if to one."""

    frame: int
    event: WorldEvent
    body: int | None = None   # index into `Story.bodies`


@dataclass(frozen=True, eq=False)
class Target:
    """An object that stands between open fingers, which may be about to close on it."""

    mask: np.ndarray       # (H, W) bool, its pixels
    body: Body
    frames: np.ndarray     # (F,) int, in which it is between the fingers, at least one


class Told:
    """
    What happens to the scene during one rollout, however that is known.

    * ``events``: list of StoryEvent in order of time.
    * ``bodies``: list of MovingBody, the objects that are moved.
    * ``targets``: list of Target, what stands between fingers that hold nothing and do not close.
    * ``backdrops``: list of Backdrop, what they are moved in front of, at least one.
    * ``members``: of several runs, how many count and how many became unstable; None for one.
    """

    #: number of the view, among those of the scene, that the pixels of masks and backdrops are of
    source: int = 0
    members: tuple[int, int] | None = None
    events: list[StoryEvent]
    bodies: list[MovingBody]
    targets: list[Target]
    backdrops: list[Backdrop]

    def carried_point(self, frame: int) -> np.ndarray | None:
        """
        Return the centre (3,) [m] base of the object that moved last, or None if none ever moves.

        Before anything has moved it is that of the object that will move first, where it stands.
        """
        begun = [body for body in self.bodies if body.first_frame <= frame] or self.bodies[:1]
        return begun[-1].center(frame) if begun else None

    def placed(self, frame: int) -> tuple[PredictedThing, ...]:
        """Return where the things are that have begun to move."""
        return tuple(PredictedThing(moving.body.center, moving.T_base_body[frame])
                     for moving in self.bodies if moving.first_frame <= frame)

    def backdrop(self, frame: int) -> Backdrop:
        """Return what stands behind the moved objects at a frame."""
        return [backdrop for backdrop in self.backdrops if backdrop.first_frame <= frame][-1]


def uncovered(backdrop: Backdrop, body: Body, mask: np.ndarray, frame: int,
              points: np.ndarray) -> Backdrop:
    """
    Return the backdrop without a body that moves from a frame on.

    :param mask: (H, W) bool, pixels of the body.
    :param points: (H, W, 3) [m] base frame, of the picture with the body.
    """
    image, depth = backdrop.image, backdrop.depth.copy()
    hole = grow(mask, 1)         # edge pixels show a mixture of the object and what is behind
    if image is not None:
        # What appears is the ground or farther away than the body, not what stands before it.
        before = (points[..., 2] > body.bottom + _HIDDEN) & (depth < np.nanmedian(depth[mask]))
        image = in_paint(image, hole, ~before)
    depth[hole] = np.nan
    return Backdrop(frame, image, depth)
