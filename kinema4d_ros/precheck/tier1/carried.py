# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the robot carries, against the scene that it is carried through."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.foresight import MovingBody, Story
from kinema4d_ros.foresight.hull import depth_in, GRID
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.precheck.tier1.clearance import gone_from
from kinema4d_ros.scene import ScenePoints
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity

_SAME = 1e-4       # [m] poses that differ by less are one pose


@dataclass(frozen=True, eq=False)
class HullTrack:
    """How deep the scene reaches into the convex hull of what is carried, over time."""

    frames: np.ndarray       # (M,) int, frames in which it is moved by the hand
    distance: np.ndarray     # (M,) float64 [m] of the deepest scene point, inf where none is near
    sigma: np.ndarray        # (M,) float64 [m] of that point's place, NaN
    point_base: np.ndarray   # (M, 3) float64 [m], NaN


def check_carried(scene: ScenePoints, robot: RobotRollout, story: Story,
                  settings: Tier1Settings) -> list[Finding]:
    """
    Report where something that is carried is pressed into the scene.

    It is taken for its convex hull. Points of the scene that are inside where it stands are its
    support or neighbours and do not count. Being put down touches the scene, so it may reach
    `carried_depth` deep.
    """
    gone = gone_from(scene, story, len(robot.times))
    found = []
    for moving in story.bodies:
        track = hull_track(scene, robot, moving, gone)
        if track is None or not len(track.frames):
            continue
        sigma = np.hypot(track.sigma, settings.carried_sigma)
        with np.errstate(invalid='ignore'):
            certain = track.distance + settings.confidence * sigma <= -settings.carried_depth
            doubtful = track.distance <= -settings.carried_depth
        if not doubtful.any():
            continue
        bad = certain if certain.any() else doubtful
        worst = int(np.where(bad, track.distance, np.inf).argmin())
        times = robot.times[track.frames]
        found.append(Finding(
            FindingCode.CONTACT, Severity.FAIL if certain.any() else Severity.UNSURE,
            f'what is carried {"would" if certain.any() else "may"} be pushed '
            f'{-1000 * track.distance[worst]:.0f} mm (+-{1000 * sigma[worst]:.0f}) into the scene '
            f'at {times[worst]:.2f} s', link=robot.hand.palm_link, other='carried object',
            point_base=plain_point(track.point_base[worst]),
            time=float(times[bad.argmax()]), value=float(track.distance[worst]),
            limit=-settings.carried_depth, sigma=float(sigma[worst]), unit='m'))
    return found


def hull_track(scene: ScenePoints, robot: RobotRollout, moving: MovingBody,
               gone: np.ndarray) -> HullTrack | None:
    """Measure while the body follows the hand; None when its points span no volume."""
    body, poses = moving.body, moving.T_base_body
    planes = body.planes
    if planes is None or not len(scene):
        return None
    frames = _carried_frames(robot, moving)
    if not len(frames):
        return HullTrack(frames, np.empty(0), np.empty(0), np.empty((0, 3)))
    points = scene.points_base.astype(np.float64)
    center = body.vertices.mean(0)
    radius = float(np.linalg.norm(body.vertices - center, axis=1).max()) + GRID
    before = poses[frames[0] - 1]
    stands = np.zeros(len(points), bool)
    near = _around(scene, body.moved(center, before), radius)
    stands[near] = depth_in(points[near], planes, before) <= GRID
    distance = np.full(len(frames), np.inf)
    sigma, place = np.full(len(frames), np.nan), np.full((len(frames), 3), np.nan)
    for number, frame in enumerate(frames):
        near = _around(scene, body.moved(center, poses[frame]), radius)
        near = near[(frame < gone[near]) & ~stands[near]]
        if not len(near):
            continue
        depth = depth_in(points[near], planes, poses[frame])
        deepest = int(depth.argmin())
        distance[number] = depth[deepest]
        sigma[number] = scene.sigma[near[deepest]]
        place[number] = points[near[deepest]]
    return HullTrack(frames, distance, sigma, place)


def _around(scene: ScenePoints, center: np.ndarray, radius: float) -> np.ndarray:
    """Return the indices of the scene's points in a ball."""
    near = scene.cubes.within(center - radius, center + radius)
    return near[np.linalg.norm(scene.points_base[near] - center, axis=1) <= radius]


def _carried_frames(robot: RobotRollout, moving: MovingBody) -> np.ndarray:
    """Return the frames in which the body moves as what holds it does."""
    poses = moving.T_base_body
    link = robot.hand.palm_link if moving.held is None else moving.held.link
    T_base_link = robot.T_base_link[:, robot.link_names.index(link)]
    relative = np.linalg.inv(T_base_link) @ poses
    moves = np.abs(np.diff(poses, axis=0)).max(axis=(1, 2)) > _SAME
    follows = np.abs(np.diff(relative, axis=0)).max(axis=(1, 2)) < _SAME
    return np.flatnonzero(moves & follows) + 1
