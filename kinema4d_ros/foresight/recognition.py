# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stands between the fingers now, as one camera sees it."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera.points import inside_box, project
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.fingers import Fingers
from kinema4d_ros.scene.segment import find_object, Segment
from kinema4d_ros.scene.view import SceneView

_ALONG = 0.003      # [m] beyond the fingers' inner faces that still is between them
_BESIDE = 0.015     # [m] beyond the sides of the fingers: a thin rim sticks out from between
_PLAY = 0.012       # [m] what is held fills the gap but for this
_SAME = 0.01        # [m] seen within this of where it is expected
_THROUGH = 0.015    # [m] seen this far behind: nothing is where it is expected


@dataclass(frozen=True)
class Agreement:
    """How many points of an expected object are seen there, and how many are seen through."""

    seen: int
    through: int

    @property
    def share(self) -> float:
        """0..1 of what could be judged is seen there; 1 where nothing could."""
        return self.seen / max(self.seen + self.through, 1) if self.seen + self.through else 1.0


def between_fingers(fingers: Fingers, points: np.ndarray, frame: int = 0) -> np.ndarray:
    """
    Return which points (H, W, 3) [m] base are between the fingers or stick out beside, (H, W).

    Beyond the tips nothing counts: a table below is not held.
    """
    flat = points.reshape(-1, 3)
    reach = fingers.samples(frame, float(fingers.gap[frame]))
    margin = 0.3 * np.ptp(reach, axis=0).max() + _BESIDE
    near = inside_box(np.ascontiguousarray(flat), reach.min(0) - margin, reach.max(0) + margin)
    found = np.zeros(len(flat), bool)
    found[near] = fingers.between(flat[near], frame, gap=float(fingers.gap[frame]) + 2 * _ALONG,
                                  margin=(0.0, _BESIDE))
    return found.reshape(points.shape[:-1])


def touched_object(scene: SceneView, touched: np.ndarray, largest: float,
                   points: np.ndarray | None = None) -> Segment | None:
    """Return the object that some pixels (H, W) bool are of; None where it cannot be told."""
    segment = find_object(scene.points_base if points is None else points, touched, largest)
    if segment is None or not (segment.mask & touched).any():
        return None
    return segment


def recognised(scene: SceneView, fingers: Fingers, least: int, largest: float
               ) -> tuple[Body | None, bool]:
    """
    Return what is seen between the fingers as a body, and whether anything is.

    Only what the view shows now counts, not what is remembered. What does not fill the gap, seen
    from the side, is not held: open fingers stand around it.

    :param least: points between the fingers that make a grasp.
    :param largest: [m] horizontal extent of what can be held.
    """
    points = np.where(is_fresh(scene)[..., None], scene.points_base, np.float32(np.nan))
    touched = between_fingers(fingers, points)
    if touched.sum() < least:
        return None, False
    seen = scene.seen
    axis, gap = fingers.axis_base(0), float(fingers.gap[0])
    ray = fingers.middle_base(0) - seen.T_base_camera[:3, 3]
    is_sideways = abs(axis @ ray) < 0.85 * np.linalg.norm(ray)
    extent = float(np.ptp(points[touched] @ axis))
    if is_sideways and gap - extent > max(_PLAY, 0.4 * gap):
        return None, False
    segment = touched_object(scene, touched, largest, points)
    if segment is None:
        return None, True
    lowest = float(np.quantile(points[segment.mask][:, 2], 0.01))
    stands = lowest - segment.support_height < 0.02
    depth = np.where(is_fresh(scene), scene.depth, np.float32(np.nan))
    return Body.seen(scene.image, depth, segment.mask, seen.camera, seen.T_base_camera,
                     segment.support_height if stands else None), True


def is_fresh(scene: SceneView) -> np.ndarray:
    """Return which pixels of the picture the view itself shows, (H, W) bool."""
    with np.errstate(invalid='ignore'):
        fresh: np.ndarray = scene.age == 0
    return fresh


def agreement(vertices: np.ndarray, scene: SceneView) -> Agreement:
    """Compare where points of an object are expected, (V, 3) [m] base, with what is seen now."""
    camera = scene.seen.camera
    T = np.linalg.inv(scene.seen.T_base_camera)
    local = vertices @ T[:3, :3].T + T[:3, 3]
    pixel = project(local, camera)
    with np.errstate(invalid='ignore'):
        inside = ((pixel >= 0) & (np.round(pixel) < [camera.width, camera.height])).all(-1)
    u, v = np.round(pixel[inside]).astype(int).T
    expected = local[inside, 2]
    # Of the points that fall into one pixel only the nearest could be seen.
    order = np.argsort(expected)
    _, first = np.unique((v * camera.width + u)[order], return_index=True)
    nearest = order[first]
    u, v, expected = u[nearest], v[nearest], expected[nearest]
    measured = np.where(is_fresh(scene)[v, u], scene.depth[v, u], np.float32(np.nan))
    with np.errstate(invalid='ignore'):
        return Agreement(int((np.abs(measured - expected) <= _SAME).sum()),
                         int((measured > expected + _THROUGH).sum()))


def is_seen_free(scene: SceneView, fingers: Fingers) -> bool:
    """Return whether the view shows that most of the space between the fingers is empty."""
    samples = fingers.samples(0, float(fingers.gap[0]))
    camera = scene.seen.camera
    T = np.linalg.inv(scene.seen.T_base_camera)
    local = samples @ T[:3, :3].T + T[:3, 3]
    pixel = project(local, camera)
    with np.errstate(invalid='ignore'):
        inside = ((pixel >= 0) & (np.round(pixel) < [camera.width, camera.height])).all(-1)
    u, v = np.round(pixel[inside]).astype(int).T
    depth = scene.seen.depth
    if depth is None:
        return False
    beside = ~scene.robot_mask[v, u]
    free = beside & (depth[v, u] > local[inside, 2] + 0.005)
    return bool(free.sum() >= 0.3 * len(samples) and free.sum() >= 0.9 * beside.sum())
