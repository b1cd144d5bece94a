# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stands between the fingers now, as one camera sees it."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera.points import inside_box, project
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.fingers import Fingers
from kinema4d_ros.scene.segment import find_object, Segment
from kinema4d_ros.scene.view import SceneView

_ALONG = 0.003      # [m] beyond the fingers' inner faces that still is between them
_BESIDE = 0.015     # [m] beyond the sides of the fingers: a thin rim sticks out from between
_BEFORE = 0.06     # [m] as far before the fingers the front of a held object may be
_PLAY = 0.012       # [m] what is held fills the gap but for this
_SAME = 0.01        # [m] seen within this of where it is expected
_THROUGH = 0.015    # [m] seen this far behind: nothing is where it is expected

_TURNS = (0, -8, 8, -16, 16, -24, 24, -32, 32, -40, 40)     # [deg] about the closing axis
_REACHES = (0.02, 0.02, 0.015, 0.015, 0.01, 0.01, 0.01)     # [m] of the matches, one by one
_MATCHED = 400      # points, at most
_FEWEST = 20


@dataclass(frozen=True)
class Agreement:
    """How many points of an expected object are seen there, and how many are seen through."""

    seen: int
    through: int

    @property
    def share(self) -> float:
        """0..1 of what could be judged is seen there; 1 where nothing could."""
        return self.seen / max(self.seen + self.through, 1) if self.seen + self.through else 1.0

    @property
    def score(self) -> int:
        """How well it fits, to compare places of one object: seen through weighs more."""
        return self.seen - 3 * self.through


def between_fingers(fingers: Fingers, points: np.ndarray, frame: int = 0, *,
                    along: float = _ALONG, beside: float = _BESIDE) -> np.ndarray:
    """
    Return which points (H, W, 3) [m] base are between the fingers or stick out beside, (H, W).

    Beyond the tips nothing counts: a table below is not held.

    :param along: [m] beyond the fingers' inner faces that counts as well.
    :param beside: [m] beyond the sides of the fingers.
    """
    flat = points.reshape(-1, 3)
    reach = fingers.samples(frame, float(fingers.gap[frame]))
    margin = 0.3 * np.ptp(reach, axis=0).max() + beside
    near = inside_box(np.ascontiguousarray(flat), reach.min(0) - margin, reach.max(0) + margin)
    found = np.zeros(len(flat), bool)
    found[near] = fingers.between(flat[near], frame, gap=float(fingers.gap[frame]) + 2 * along,
                                  margin=(0.0, beside))
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
    seen = scene.seen
    axis, gap = fingers.axis_base(0), float(fingers.gap[0])
    ray = fingers.middle_base(0) - seen.T_base_camera[:3, 3]
    is_sideways = abs(axis @ ray) < 0.85 * np.linalg.norm(ray)
    if touched.sum() < least and is_sideways:
        # The rim of the robot in the picture hides some of it beside either finger.
        rim = max(2, round(seen.camera.height / 160)) * np.linalg.norm(ray) / seen.camera.fx
        touched = _as_wide_as_the_gap(fingers, points, axis, 2 * float(rim))
    if touched.sum() < least:
        return None, False
    extent = float(np.ptp(points[touched] @ axis))
    if is_sideways and gap - extent > max(_PLAY, 0.6 * gap):
        return None, False
    segment = touched_object(scene, touched, largest, points)
    if segment is None:
        return None, True
    lowest = float(np.quantile(points[segment.mask][:, 2], 0.01))
    stands = lowest - segment.support_height < 0.02
    depth = np.where(is_fresh(scene), scene.depth, np.float32(np.nan))
    body = Body.seen(scene.image, depth, segment.mask, seen.camera, seen.T_base_camera,
                     segment.support_height if stands else None)
    return _around_fingers(body, fingers), True


def _around_fingers(body: Body, fingers: Fingers) -> Body:
    """Return a body with its other side: the same, beyond the middle between the fingers."""
    other = body.vertices.copy()
    other[:, :2] = 2 * fingers.middle_base(0)[:2] - other[:, :2]
    return Body(np.concatenate([body.vertices, other]),
                np.concatenate([body.faces, body.faces + len(other)]).astype(np.int32),
                np.concatenate([body.colors, body.colors]), body.bottom)


def _as_wide_as_the_gap(fingers: Fingers, points: np.ndarray, axis: np.ndarray,
                        rim: float) -> np.ndarray:
    """
    Return pixels of something that stands out from between the fingers toward the camera, (H, W).

    Its front hides what is between them; that it is as wide as the gap and in the middle of it
    says that they hold it.

    :param rim: [m] of its width that may be hidden.
    """
    wide = between_fingers(fingers, points, along=2 * _PLAY, beside=_BEFORE)
    nothing = np.zeros_like(wide)
    if not wide.any():
        return nothing
    along = points[wide] @ axis - fingers.middle_base(0) @ axis
    gap = float(fingers.gap[0])
    fits = -_PLAY <= gap - np.ptp(along) <= min(_PLAY + rim, 0.6 * gap) \
        and abs(along.min() + along.max()) <= _PLAY
    return wide if fits else nothing


def is_fresh(scene: SceneView) -> np.ndarray:
    """Return which pixels of the picture the view itself shows, (H, W) bool."""
    with np.errstate(invalid='ignore'):
        fresh: np.ndarray = scene.age == 0
    return fresh


def agreement(vertices: np.ndarray, scene: SceneView) -> Agreement:
    """Compare where points of an object are expected, (V, 3) [m] base, with what is seen now."""
    _, expected, measured = _compared(vertices, scene)
    with np.errstate(invalid='ignore'):
        return Agreement(int((np.abs(measured - expected) <= _SAME).sum()),
                         int((measured > expected + _THROUGH).sum()))


def _compared(vertices: np.ndarray, scene: SceneView
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return which points (V, 3) [m] base could be seen, and their depth as expected and measured.

    Of the points that fall into one pixel only the nearest could be seen.
    """
    camera = scene.seen.camera
    T = np.linalg.inv(scene.seen.T_base_camera)
    local = vertices @ T[:3, :3].T + T[:3, 3]
    pixel = project(local, camera)
    with np.errstate(invalid='ignore'):
        inside = np.all((pixel >= 0) & (np.round(pixel) < [camera.width, camera.height]), axis=-1)
    u, v = np.round(np.where(inside[:, None], pixel, 0)).astype(int).T
    order = np.lexsort((local[:, 2], v * camera.width + u))
    order = order[inside[order]]
    _, first = np.unique((v * camera.width + u)[order], return_index=True)
    which = order[first]
    u, v = np.minimum(u[which], camera.width - 1), np.minimum(v[which], camera.height - 1)
    measured = np.where(is_fresh(scene)[v, u], scene.depth[v, u], np.float32(np.nan))
    return which, local[which, 2], measured


def refitted(vertices: np.ndarray, scene: SceneView, fingers: Fingers) -> np.ndarray:
    """
    Return (4, 4) how an object must be moved to agree with what is seen now.

    What is held slips a little, and turns about the axis along which the fingers close. Turns
    about it are tried first, then the seen points are matched with the nearest of the object.

    :param vertices: (V, 3) [m] base, points of the object where it is expected.
    """
    middle, axis = fingers.middle_base(0), fingers.axis_base(0)
    best, best_score = np.eye(4), -np.inf
    for angle in np.radians(_TURNS):
        T = _about(middle, Rotation.from_rotvec(angle * axis).as_matrix())
        score = agreement(vertices @ T[:3, :3].T + T[:3, 3], scene).score
        if score > best_score:
            best, best_score = T, score
    start = best
    points = scene.points_base.reshape(-1, 3)
    for reach in _REACHES:
        moved = vertices @ best[:3, :3].T + best[:3, 3]
        which, _, _ = _compared(moved, scene)
        low, high = moved.min(0) - reach, moved.max(0) + reach
        near = points[inside_box(points, low, high)]
        near = near[::max(1, len(near) // _MATCHED)]
        which = which[::max(1, len(which) // _MATCHED)]
        if len(near) < _FEWEST or len(which) < _FEWEST:
            break
        distance, index = cKDTree(near).query(moved[which], distance_upper_bound=reach)
        found = np.isfinite(distance)
        if found.sum() < _FEWEST:
            break
        best = _matching(moved[which][found], near[index[found]].astype(np.float64)) @ best
    score = agreement(vertices @ best[:3, :3].T + best[:3, 3], scene).score
    return best if score > best_score else start


def _about(middle: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Return (4, 4) the rotation R about a point."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, middle - R @ middle
    return T


def _matching(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (4, 4) the rigid motion that brings points (N, 3) nearest to their others."""
    middle, other = points.mean(0), others.mean(0)
    R = Rotation.align_vectors(others - other, points - middle)[0].as_matrix()
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, other - R @ middle
    return T


def seen_share(scene: SceneView, fingers: Fingers) -> float:
    """Return how much of the space between the fingers a view sees past the robot, 0 to 1."""
    (u, v), _, count = _between_in_image(scene, fingers)
    return float(np.count_nonzero(~scene.robot_mask[v, u])) / count


def is_seen_free(scene: SceneView, fingers: Fingers) -> bool:
    """Return whether the view shows that most of the space between the fingers is empty."""
    (u, v), far, count = _between_in_image(scene, fingers)
    depth = scene.seen.depth
    if depth is None:
        return False
    beside = ~scene.robot_mask[v, u]
    free = beside & (depth[v, u] > far + 0.005)
    return bool(free.sum() >= 0.3 * count and free.sum() >= 0.9 * beside.sum())


def _between_in_image(scene: SceneView, fingers: Fingers
                      ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, int]:
    """Return pixels (u, v) and depths [m] of points between the fingers, and of how many."""
    samples = fingers.samples(0, float(fingers.gap[0]))
    camera = scene.seen.camera
    T = np.linalg.inv(scene.seen.T_base_camera)
    local = samples @ T[:3, :3].T + T[:3, 3]
    pixel = project(local, camera)
    with np.errstate(invalid='ignore'):
        inside = ((pixel >= 0) & (np.round(pixel) < [camera.width, camera.height])).all(-1) \
            & (local[:, 2] > 0)
    u, v = np.round(pixel[inside]).astype(int).T
    return (u, v), local[inside, 2], len(samples)
