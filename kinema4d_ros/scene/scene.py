# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scene: what the cameras see without the robot, memory filled in, with its age."""
from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.scene.elsewhere import OtherScene
from kinema4d_ros.scene.knowledge import join, Knowledge
from kinema4d_ros.scene.near_points import DepthTiles, in_boxes
from kinema4d_ros.scene.points import ScenePoints
from kinema4d_ros.scene.settings import SceneSettings
from kinema4d_ros.scene.view import LIVE, SceneView
from kinema4d_ros.types import Observation


class Scene:
    """
    An observation with the robot taken out; tier 1, the world models and the viewer share it.

    `views` are what each camera shows, in the order of the observation's, and `others` what is
    known from elsewhere; `points`, `measured`, `knowledge` and `unseen` are what all of them
    together know of the space around the robot. A camera without depth has no say in that.
    """

    def __init__(self, observation: Observation, robot_masks: Sequence[np.ndarray],
                 settings: SceneSettings | Sequence[SceneSettings] = SceneSettings(),
                 in_front: Sequence[np.ndarray | None] | None = None,
                 disputed: Collection[str] = (), views: Sequence[SceneView] | None = None):
        """
        Make the scene of an observation; its parts are made when they are first asked for.

        :param robot_masks: for each view (H, W) bool, the robot as rendered for it.
        :param settings: for all views, or for each.
        :param in_front: for each view (H, W) bool, what of that stands in front of the robot.
        :param disputed: names of views that contradict each other; what one of them alone knows is
            not known.
        :param views: made of the same before, where there are; what they hold serves again.
        :raises ObservationError: there is not one mask for each view.
        :raises CameraError: a mask does not have the size of its image.
        """
        count = len(observation.views)
        if len(robot_masks) != count:
            raise ObservationError(f'{len(robot_masks)} robot masks for {count} views; give one '
                                   'for each')
        self.observation, self.disputed = observation, frozenset(disputed)
        of_each = [settings] * count if isinstance(settings, SceneSettings) else list(settings)
        self.views = tuple(views) if views is not None else tuple(
            SceneView(seen, mask, its, front, late_by(observation, seen.stamp_ns))
            for seen, mask, its, front in zip(observation.views, robot_masks, of_each,
                                              in_front or [None] * count, strict=True))
        self._settings = of_each[0]

    @property
    def view(self) -> SceneView:
        """
        The view of a scene that one camera sees.

        :raises ObservationError: there are several, so that somebody must say which.
        """
        _ = self.observation.view      # which names them
        return self.views[0]

    @property
    def measuring(self) -> tuple[SceneView, ...]:
        """The views that measure depth; those that see it now come first."""
        return tuple(sorted((view for view in self.views if view.has_depth),
                            key=lambda view: view.late))

    @cached_property
    def others(self) -> tuple[OtherScene, ...]:
        """What is known from elsewhere, in the order of the observation's."""
        return tuple(OtherScene(source, late_by(self.observation, source.stamp_ns), self._settings)
                     for source in self.observation.others)

    def without(self, mask: np.ndarray | Mapping[str, np.ndarray],
                observation: Observation | None = None) -> Scene:
        """
        Return the scene with more taken out, such as what the robot holds.

        :param mask: (H, W) bool by name of the view, the pixels that show it; the mask itself
            where there is one view.
        :param observation: in place of that of this scene, with other things remembered.
        """
        if isinstance(mask, np.ndarray):
            mask = {self.view.seen.name: mask}
        nothing = [np.zeros(view.rendered.shape, bool) for view in self.views]
        masks = [mask.get(view.seen.name, none) for view, none in zip(self.views, nothing)]
        return Scene(observation or self.observation,
                     [view.rendered | out for view, out in zip(self.views, masks)],
                     [view.settings for view in self.views],
                     [view.in_front & ~out for view, out in zip(self.views, masks)],
                     self.disputed)

    @cached_property
    def points(self) -> ScenePoints:
        """
        The measured points of all cameras, and those from elsewhere.

        A surface that several cameras measure at one place has the points of the first of them.
        """
        return ScenePoints.joined([
            *(tiles.everywhere() for tiles in self._tiles),
            *(other.points for other in self.others)])

    def _before(self, view: SceneView) -> list[SceneView]:
        """Return the views that speak for one: those before it, seen now and not disputed."""
        sound = [each for each in self.views if each.has_depth and not each.late
                 and each.seen.name not in self.disputed]
        return sound[:sound.index(view)] if view in sound else []

    @cached_property
    def _tiles(self) -> list[DepthTiles]:
        """What finds points of each view in boxes."""
        return [view.tiles_besides(self._before(view)) for view in self.views]

    @property
    def has_points(self) -> bool:
        """Whether any point of it is known."""
        return not all(tiles.is_empty for tiles in self._tiles) or any(
            len(other.points) for other in self.others)

    def near(self, boxes: np.ndarray) -> Scene:
        """
        Return the scene with only those of its points that are in some boxes.

        It takes a fraction of all points, which are mostly nowhere near the robot. All else is as
        before, so who looks at points elsewhere finds none there.

        :param boxes: (K, 2, 3) [m] lowest and highest corner, base frame.
        """
        others = [other.points.only(in_boxes(other.points.points_base, np.ascontiguousarray(
            boxes, np.float64).reshape(-1, 6))) for other in self.others]
        part = copy.copy(self)
        part.points = ScenePoints.joined([
            *(tiles.near(boxes) for tiles in self._tiles), *others])
        return part

    @property
    def measured(self) -> float:
        """0..1 of the pixels beside the robot have a depth, mean over the cameras that measure."""
        views = self.measuring
        return sum(view.measured_share for view in views) / max(len(views), 1)

    def knowledge(self, points_base: np.ndarray,
                  tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        """
        Return what all know together of points (N, 3) [m], and how old that is [s].

        :param tolerance: [m] behind a surface that counts as the surface.
        :return: (N,) uint8 of `Knowledge`, and (N,) float32, 0 where it is seen now.
        """
        points_base = np.ascontiguousarray(points_base, np.float64)
        views = self.measuring
        if not views and not any(other.knows_space for other in self.others):
            return self.views[0].knowledge(points_base, tolerance)
        trusted: list[SceneView | OtherScene] = [
            *(view for view in views if view.seen.name not in self.disputed),
            *(other for other in self.others if other.knows_space)]
        if not trusted:
            found = np.full(len(points_base), Knowledge.OUTSIDE, np.uint8)
            age = np.zeros(len(points_base), np.float32)
        else:
            found, age = trusted[0].knowledge(points_base, tolerance)
        for source in trusted[1:]:
            at = np.flatnonzero(found)      # SEEN is 0: the others need not look there
            join(found, age, at, *source.knowledge(points_base.take(at, axis=0), tolerance))
        if self.disputed:
            self._add_disputed(points_base, tolerance, np.flatnonzero(found), found, age)
        return found, age

    def _add_disputed(self, points_base: np.ndarray, tolerance: float, at: np.ndarray,
                      found: np.ndarray, age: np.ndarray) -> None:
        """Add what views know that contradict each other: two must know it, or nobody does."""
        told = [view.knowledge(points_base[at], tolerance) for view in self.measuring
                if view.seen.name in self.disputed]
        if not told or not len(at):
            return
        knowing = np.sum([of <= Knowledge.REMEMBERED for of, _ in told], axis=0)
        together, old = told[0]
        for of, its in told[1:]:
            join(together, old, np.arange(len(at)), of, its)
        together = np.where(knowing == 1, np.uint8(Knowledge.DISPUTED), together)
        join(found, age, at, together, old)

    def unseen(self, points_base: np.ndarray, tolerance: float) -> np.ndarray:
        """
        Return which points (..., 3) [m] nobody vouches for; see `knowledge`.

        That is outside of every image, behind what was seen by more than `tolerance` [m], or where
        nothing was measured, or what the robot has hidden for too long.
        """
        points = np.asarray(points_base)
        found, _ = self.knowledge(points.reshape(-1, 3), tolerance)
        unseen: np.ndarray = found.reshape(points.shape[:-1]) > Knowledge.REMEMBERED
        return unseen

    def is_of(self, observation: Observation, robot_masks: Sequence[np.ndarray]) -> bool:
        """Return whether this is the scene of that observation, so that it can serve again."""
        return self.observation is observation and all(
            np.array_equal(view.robot_mask, mask)
            for view, mask in zip(self.views, robot_masks, strict=True))


def late_by(observation: Observation, stamp_ns: int | None) -> float:
    """
    Return how long before the observation a stamp is [s]; 0 for none.

    What is ahead of the observation by longer than `LIVE` is of another time as well: nobody knows
    which of the two clocks is right, so it counts as if it were as long before.
    """
    late = (observation.stamp_ns - stamp_ns) * 1e-9 if stamp_ns else 0.0
    return abs(late) if late > 0.0 or late < -LIVE else 0.0
