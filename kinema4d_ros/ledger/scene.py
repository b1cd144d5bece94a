# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What has changed in the scene, by the depth cameras before a motion and after it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.camera.points import project
from kinema4d_ros.ledger.entry import PredictedPlace, SeenChange
from kinema4d_ros.ledger.limits import LedgerLimits
from kinema4d_ros.scene import Scene, SceneView
from kinema4d_ros.scene.mask import grow

_RIM = 3             # [px] around the robot that mix robot and scene
_FEWEST = 12         # pixels of a change
_MOVED, _TURNED = 0.003, np.radians(0.3)    # [m], [rad] a camera that moved sees another picture
_HAND = 0.10         # [m] around the fingers, where what they hold is judged and not the scene
_ALONG = 0.03        # [m] beyond `place` that two patches of one thing may be apart
_WINDOW = 2          # [px] around a place that show whether it can be seen
#: [m] before a place that a surface may be and not hide it: what stood there had a front of its own
_FRONT = {'gone': 0.1, 'moves': 0.1, 'come': 0.03}


@dataclass(frozen=True, eq=False)
class SceneComparison:
    """What was foreseen of the scene against what has changed in it."""

    unforeseen: tuple[SeenChange, ...]
    missing: tuple[PredictedPlace, ...]
    hidden: tuple[PredictedPlace, ...]


@dataclass(frozen=True, eq=False)
class _Patch:
    change: str
    points: np.ndarray       # (N, 3) [m] base
    area: float              # [m^2]

    def near(self, place: np.ndarray, distance: float) -> bool:
        return bool((np.linalg.norm(self.points - place, axis=1) <= distance).any())


@dataclass(frozen=True, eq=False)
class _Pair:
    """One camera that stands where it stood: depths that can be compared, NaN where not."""

    before: SceneView
    first: np.ndarray
    last: np.ndarray

    def is_seen(self, place: np.ndarray, front: float) -> bool:
        """
        Return whether the camera measures where a place (3,) [m] is, before and after.

        :param front: [m] before it that a surface hides it.
        """
        camera, T = self.before.seen.camera, np.linalg.inv(self.before.seen.T_base_camera)
        local = place @ T[:3, :3].T + T[:3, 3]
        if local[2] <= 0:
            return False
        u, v = np.round(project(local[None], camera)[0]).astype(int)
        if not (0 <= u < camera.width and 0 <= v < camera.height):
            return False
        window = np.s_[max(v - _WINDOW, 0):v + _WINDOW + 1, max(u - _WINDOW, 0):u + _WINDOW + 1]
        seen = np.isfinite(self.first[window]) & np.isfinite(self.last[window])
        free = self.last[window] >= local[2] - front
        return bool((seen & free).any())


def compare_scenes(before: Scene, after: Scene, places: Sequence[PredictedPlace],
                   limits: LedgerLimits, *, fingers: np.ndarray | None = None,
                   is_loose: bool = False) -> SceneComparison | None:
    """
    Compare where the scene was foreseen to change with where it did.

    What the robot hides before or after cannot be compared, nor what no camera measures.

    :param places: that were foreseen.
    :param fingers: (3,) [m] base, the middle between the fingers at the end; None without.
    :param is_loose: something was foreseen to end up where nobody says.
    :return: None where no depth camera sees the scene before and after from one place.
    """
    pairs = _pairs(before, after)
    if not pairs:
        return None
    patches = [patch for pair in pairs for patch in _patches(pair, limits)
               if fingers is None or patch.change != 'come' or not patch.near(fingers, _HAND)]
    told: list[_Patch] = []
    missing, hidden = list[PredictedPlace](), list[PredictedPlace]()
    for place in places:
        at = np.array([place.x, place.y, place.z])
        here = [patch for patch in patches if patch.near(at, limits.place)
                and place.change in (patch.change, 'moves')]
        told += here
        if place.change == 'moves':
            # what is shoved leaves its place on one side and appears on the other
            told += [patch for patch in patches if any(
                patch.near(point, limits.place + _ALONG) for one in here
                for point in one.points[::max(1, len(one.points) // 50)])]
        if here:
            continue
        is_seen = any(pair.is_seen(at, _FRONT[place.change]) for pair in pairs)
        (missing if is_seen else hidden).append(place)
    if not missing and all(place.change == 'gone' for place in hidden) and any(
            place.change == 'come' for place in places):
        hidden = []      # what has come as foreseen was taken from where the robot stands now
    unforeseen = [patch for patch in patches if not any(patch is one for one in told)
                  and not (is_loose and patch.change == 'come')]
    return SceneComparison(tuple(_merged(unforeseen, limits.place)), tuple(missing), tuple(hidden))


def _pairs(before: Scene, after: Scene) -> list[_Pair]:
    later = {view.seen.name: view for view in after.measuring if not view.late}
    pairs = []
    for view in before.measuring:
        other = later.get(view.seen.name)
        if view.late or other is None or view.seen.camera != other.seen.camera:
            continue
        step = np.linalg.inv(view.seen.T_base_camera) @ other.seen.T_base_camera
        turn = np.arccos(np.clip((np.trace(step[:3, :3]) - 1) / 2, -1, 1))
        if np.linalg.norm(step[:3, 3]) <= _MOVED and turn <= _TURNED:
            pairs.append(_Pair(view, _measured(view), _measured(other)))
    return pairs


def _measured(view: SceneView) -> np.ndarray:
    """Return the depth that a camera measures now beside the robot, (H, W) [m], NaN elsewhere."""
    hidden = grow(view.robot_mask, max(_RIM, view.growth), square=True)
    return np.where(hidden | (view.age > 0), np.nan, view.measured_depth).astype(np.float32)


def _patches(pair: _Pair, limits: LedgerLimits) -> list[_Patch]:
    camera, T = pair.before.seen.camera, pair.before.seen.T_base_camera
    with np.errstate(invalid='ignore'):
        away = pair.last - pair.first
        # depth cameras are coarser farther away
        limit = limits.depth * np.maximum(1.0, pair.first ** 2)
        masks = (('gone', away > limit, pair.first), ('come', away < -limit, pair.last))
    found = []
    for change, mask, surface in masks:
        mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, label = cv2.connectedComponents(mask, connectivity=8)
        if count == 1:
            continue
        points = pointmap_from_depth(surface, camera)
        for number in range(1, count):
            local = points[label == number].astype(np.float64)
            area = float((local[:, 2] ** 2).sum() / (camera.fx * camera.fy))
            if len(local) >= _FEWEST and area >= limits.area:
                found.append(_Patch(change, local @ T[:3, :3].T + T[:3, 3], area))
    return found


def _merged(patches: list[_Patch], near: float) -> list[SeenChange]:
    """Return the patches as changes, the largest first; what several cameras see counts once."""
    found: list[SeenChange] = []
    for patch in sorted(patches, key=lambda patch: -patch.area):
        middle = patch.points.mean(axis=0)
        if not any(one.change == patch.change and np.linalg.norm(
                middle - [one.x, one.y, one.z]) <= near for one in found):
            x, y, z = (round(float(value), 4) for value in middle)
            found.append(SeenChange(patch.change, x, y, z, round(patch.area, 6)))
    return found
