# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How deep a link that may touch the scene is pressed into it."""
from __future__ import annotations

import dataclasses

import numpy as np

from kinema4d_ros.precheck.tier1.timeline import Track
from kinema4d_ros.scene import Scene, ScenePoints

_AROUND = 0.02      # [m] scene points this close give the direction of the surface
_FEWEST = 6


def with_penetration(track: Track, scene: Scene) -> Track:
    """
    Return the track with the distance of touching frames lowered to minus the way pressed in.

    A camera sees surfaces, not how deep things are, and a thin link is never deeper in a surface
    than half its own thickness. What counts is how far the place of the link that touches has gone
    on against the surface's normal, since it touched there.
    """
    touching = np.flatnonzero(track.distance <= 0)
    if not len(touching):
        return track
    distance = track.distance.astype(np.float64)
    ends = _run_ends(touching).tolist()
    cameras = np.array([*(view.seen.T_base_camera[:3, 3] for view in scene.views),
                        *([np.nan] * 3 for _ in scene.others)])
    for frame, end in zip(touching.tolist(), ends):
        point = track.point_base[frame].astype(np.float64)
        place = np.linalg.solve(track.T_base_link[frame], np.r_[point, 1.0])
        before = (track.T_base_link[max(frame - 1, 0)] @ place)[:3] - point
        normal = _normal(scene.points, point, cameras, before)
        if normal is None:
            continue
        way = point - (track.T_base_link[frame:end + 1] @ place)[:, :3]
        deep = way @ normal + max(0.0, -float(track.distance[frame]))
        window = slice(frame, end + 1)
        distance[window] = np.minimum(distance[window], -deep)
    return dataclasses.replace(track, distance=distance.astype(np.float32))


def _run_ends(frames: np.ndarray) -> np.ndarray:
    """Return for each of some ascending frames the last of its run without a gap."""
    breaks = np.flatnonzero(np.r_[np.diff(frames) > 1, True])
    return frames[breaks[np.searchsorted(breaks, np.arange(len(frames)))]]


def _normal(scene: ScenePoints, at: np.ndarray, cameras: np.ndarray,
            before: np.ndarray) -> np.ndarray | None:
    """
    Return the unit normal of the surface that the scene has there, toward who sees it.

    :param cameras: (S, 3) [m] where each source sees from, NaN where from nowhere.
    :param before: (3,) [m] from where the robot comes, which is outside too.
    """
    close = scene.cubes.within(at - _AROUND, at + _AROUND)
    near = scene.points_base[close].astype(np.float64)
    if len(near) < _FEWEST:
        return None
    normal = np.linalg.svd(near - near.mean(0), full_matrices=False)[2][2]
    source = 0 if scene.source is None else np.bincount(scene.source[close]).argmax()
    outside = cameras[source] - at
    if np.isnan(outside).any():
        outside = before
    return normal if normal @ outside >= 0 else -normal
