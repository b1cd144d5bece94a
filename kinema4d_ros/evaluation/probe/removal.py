# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same scene without one thing, to see whether a model looks at the scene at all."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.evaluation.probe.shown import (apart, COLOR_SHARE, COLOR_TOLERANCE,
                                                 POINT_TOLERANCE, vote)
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.mask import grow, in_paint
from kinema4d_ros.types import Observation, PredictedFrame, RobotRollout
from kinema4d_ros.world_model.physics.things import see_things

_REACH = 1.5      # [m] horizontally from the base; things farther away are left alone
_RIM = 1 / 160    # of the height of the picture, around the thing; it hides its edge
_ASIDE = 1 / 30   # likewise, between the thing and the robot at any time


@dataclass(frozen=True, eq=False)
class Removal:
    """A thing that the robot never comes near in the picture, and the scene without it."""

    mask: np.ndarray             # (H, W) bool, pixels that show it
    there: Observation
    gone: Observation            # what it stands on, where it was

    @classmethod
    def of(cls, observation: Observation, robot: RobotRollout) -> Removal | None:
        """
        Return the removal of the largest thing that the motion leaves alone.

        None without depth, for a camera that moves, or where there is no such thing.
        """
        view = observation.view
        moves = np.abs(robot.T_base_camera - robot.T_base_camera[0]).max() > 1e-6
        if view.depth is None or moves:
            return None
        points = Scene(observation, (robot.link_id[0] >= 0,)).view.points_base
        seen = see_things(points, _REACH)
        if seen is None:
            return None
        height = view.camera.height
        way = grow(np.asarray(robot.mask.any(axis=0)), max(2, round(_ASIDE * height)))
        for thing in seen.things:       # the largest first
            hole = grow(thing.mask, max(2, round(_RIM * height)))
            if not (hole & way).any():
                return cls(thing.mask, observation, observation.with_view(
                    image=in_paint(view.image, hole),
                    depth=np.where(hole, _level(observation, thing.support), view.depth)))
        return None

    def votes(self, frame: PredictedFrame, is_gone: bool) -> tuple[float, float]:
        """
        Return how a frame shows what was observed of the thing: by colours, and by points.

        1 where it shows what this observation had, -1 the other, 0 neither; NaN where thing and
        support look the same.

        :param is_gone: whether the frame was predicted from the scene without it.
        """
        own, other = (self.gone, self.there) if is_gone else (self.there, self.gone)

        depths = frame.pointmap[..., 2], own.view.depth, other.view.depth
        assert depths[1] is not None and depths[2] is not None     # or there is no removal
        colors = frame.image, own.view.image, other.view.image
        found = []
        for (out, may) in (
                vote(apart(*colors[:2]), apart(colors[0], colors[2]), apart(*colors[1:]),
                     COLOR_TOLERANCE, COLOR_SHARE),
                vote(np.abs(depths[0] - depths[1]), np.abs(depths[0] - depths[2]),
                     np.abs(depths[1] - depths[2]), POINT_TOLERANCE / 2)):
            use = may & self.mask
            found.append(float(out[use].mean()) if use.sum() >= 8 else float('nan'))
        return found[0], found[1]


def _level(observation: Observation, height: float) -> np.ndarray:
    """Return the depth of a level surface at a height [m] base frame, (H, W) float32 [m]."""
    view = observation.view
    T = view.T_base_camera
    falls = view.camera.rays() @ T[2, :3]
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = (height - T[2, 3]) / falls
    return np.where(depth > 0, depth, np.nan).astype(np.float32)
