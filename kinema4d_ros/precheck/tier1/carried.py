# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the robot carries, against the scene that it is carried through."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from kinema4d_ros.foresight import MovingBody, Story
from kinema4d_ros.foresight.hull import GRID
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.precheck.tier1.clearance import gone_from
from kinema4d_ros.precheck.tier1.hanging import check_hanging
from kinema4d_ros.precheck.tier1.hull_depth import deepest_points
from kinema4d_ros.precheck.tier1.penetration import with_penetration
from kinema4d_ros.precheck.tier1.timeline import Track
from kinema4d_ros.scene import Scene, ScenePoints
from kinema4d_ros.scene.support import HeightMap
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity

_SAME = 1e-4       # [m] poses that differ by less are one pose
_DRAGGED = 0.03    # [m] that what is held may go on through the edge of something
_AROUND = 0.2      # [m] how far around the ground is looked at
_GAP = 0.008       # [m] a place farther than this from what is seen is hidden
_STANDS = 0.01     # [m] ground that is higher than this above its bottom is beside it
_FEWEST = 30       # points of the scene that say how high the ground is


@dataclass(frozen=True, eq=False)
class HullTrack:
    """How deep the scene reaches into the convex hull of what is carried, over time."""

    frames: np.ndarray       # (M,) int, frames in which it is moved by the hand
    distance: np.ndarray     # (M,) float64 [m] of the deepest scene point, inf where none is near
    sigma: np.ndarray        # (M,) float64 [m] of that point's place, NaN
    point_base: np.ndarray   # (M, 3) float64 [m], NaN
    what: str = 'scene'      # that it is pushed into


def check_carried(points: ScenePoints, robot: RobotRollout, story: Story,
                  settings: Tier1Settings, scene: Scene | None = None) -> list[Finding]:
    """
    Report where something that is carried is pressed into the scene.

    It is taken for its convex hull. Points of the scene that are inside where it stands are its
    support or neighbours: of them only counts how much deeper it goes. Being put down touches the
    scene, so it may reach `carried_depth` deep.

    :param scene: that the points are of; with it, how far what is held from the beginning is
        pushed in counts, and not only how deep points are inside of it.
    """
    gone = gone_from(points, story, len(robot.times))
    found = []
    for moving in story.bodies:
        if moving.part is not None:
            continue
        into = whole = hull_track(points, robot, moving, gone)
        if into is not None and moving.held is not None and scene is not None:
            into = _pushed(into, robot, moving, scene)
        below = support_track(points, robot, moving, settings.carried_sigma)
        findings = [_judged(track, robot, moving, settings) for track in (into, below)
                    if track is not None]
        if whole is not None and moving.held is not None:
            findings.append(_dragged(whole, robot, moving))
        elif whole is not None:
            findings.append(check_hanging(points, robot, moving, whole.frames, gone))
        finding = _worst(findings)
        if finding is not None:
            found.append(finding)
    return found


def _worst(findings: Sequence[Finding | None]) -> Finding | None:
    known = [finding for finding in findings if finding is not None]
    return min(known, key=lambda f: (-f.severity, f.value or 0.0)) if known else None


def _judged(track: HullTrack, robot: RobotRollout, moving: MovingBody,
            settings: Tier1Settings) -> Finding | None:
    sigma = np.hypot(track.sigma, settings.carried_sigma)
    with np.errstate(invalid='ignore'):
        certain = track.distance + settings.confidence * sigma <= -settings.carried_depth
        doubtful = track.distance <= -settings.carried_depth
    if not doubtful.any():
        return None
    bad = certain if certain.any() else doubtful
    worst = int(np.where(bad, track.distance, np.inf).argmin())
    times = robot.times[track.frames]
    return Finding(
        FindingCode.CONTACT, Severity.FAIL if certain.any() else Severity.UNSURE,
        f'what is carried {"would" if certain.any() else "may"} be pushed '
        f'{-1000 * track.distance[worst]:.0f} mm (+-{1000 * sigma[worst]:.0f}) into the '
        f'{track.what} at {times[worst]:.2f} s', link=carrier(robot, moving),
        other='carried object', point_base=plain_point(track.point_base[worst]),
        time=float(times[bad.argmax()]), value=float(track.distance[worst]),
        limit=-settings.carried_depth, sigma=float(sigma[worst]), unit='m')


def hull_track(scene: ScenePoints, robot: RobotRollout, moving: MovingBody,
               gone: np.ndarray, above: float = -np.inf) -> HullTrack | None:
    """
    Measure while the body follows the hand; None when its points span no volume.

    :param gone: frame from which each point of the scene is no longer there, see `gone_from`.
    :param above: [m] only points of the scene that are higher than this above the body's lowest
        one count, so that what it is put down on does not.
    """
    body, poses = moving.body, moving.T_base_body
    planes = body.planes
    if planes is None or not len(scene):
        return None
    frames = _carried_frames(robot, moving)
    if not len(frames):
        return HullTrack(frames, np.empty(0), np.empty(0), np.empty((0, 3)))
    center = body.vertices.mean(0)
    radius = float(np.linalg.norm(body.vertices - center, axis=1).max()) + GRID
    least = np.full(len(frames), -np.inf)
    if np.isfinite(above):
        least = above + np.array([body.moved(body.vertices, poses[frame])[:, 2].min()
                                  for frame in frames])
    distance, index = deepest_points(scene, planes, (center, radius), poses[frames],
                                     poses[frames[0] - 1], gone, frames, least)
    known = index >= 0
    sigma, place = np.full(len(frames), np.nan), np.full((len(frames), 3), np.nan)
    sigma[known], place[known] = scene.sigma[index[known]], scene.points_base[index[known]]
    return HullTrack(frames, distance, sigma, place)


def _pushed(track: HullTrack, robot: RobotRollout, moving: MovingBody, scene: Scene) -> HullTrack:
    """Return the track with how far it was pushed in: a flat thing is never deep inside."""
    frames = track.frames
    nothing = np.zeros(len(frames))
    pushed = with_penetration(Track(
        robot.times[frames], track.distance.astype(np.float32), track.sigma.astype(np.float32),
        track.point_base.astype(np.float32), nothing, moving.T_base_body[frames]), scene)
    return dataclasses.replace(track, distance=pushed.distance.astype(np.float64))


def support_track(scene: ScenePoints, robot: RobotRollout, moving: MovingBody,
                  sigma: float) -> HullTrack | None:
    """
    Measure how deep what is held is lowered into what is hidden below it; None for nothing.

    What the hand holds as the motion begins hides what it stands on, or hovers over. The surface
    that is seen around is taken to go on there.
    """
    if moving.held is None or not len(scene):
        return None
    body, poses = moving.body, moving.T_base_body
    frames = _carried_frames(robot, moving)
    places = body.footprint(poses[0], step=2 * GRID)[:, :2]
    middle = places.mean(0)
    near = scene.cubes.within(np.r_[middle - _AROUND, -np.inf], np.r_[middle + _AROUND, np.inf])
    points = scene.points_base[near].astype(np.float64)
    if not len(frames) or len(points) < _FEWEST:
        return None
    hidden = cKDTree(points[:, :2]).query(places)[0] > _GAP
    level = HeightMap(points, middle, _AROUND).at(places)
    hidden &= level < body.bottom + _STANDS
    if not hidden.any():
        return None
    ground = np.column_stack([places[hidden], level[hidden]])
    rest = np.minimum(level[hidden], body.bottom)        # where it stands it goes no deeper
    distance, place = np.full(len(frames), np.inf), np.full((len(frames), 3), np.nan)
    tree = cKDTree(ground[:, :2])
    for number, frame in enumerate(frames):
        under = body.footprint(poses[frame], step=2 * GRID)
        apart, index = tree.query(under[:, :2], distance_upper_bound=2 * GRID)
        over = np.isfinite(apart)
        if not over.any():
            continue
        depth = under[over, 2] - rest[index[over]]
        deepest = int(depth.argmin())
        distance[number], place[number] = depth[deepest], ground[index[over][deepest]]
    known = np.where(np.isfinite(distance), sigma, np.nan)
    return HullTrack(frames, distance, known, place, 'surface below it')


def _dragged(track: HullTrack, robot: RobotRollout, moving: MovingBody) -> Finding | None:
    """Judge what is held where it goes on through the scene, however shallow it is in it."""
    inside = track.distance <= -GRID
    if not inside.any():
        return None
    place = moving.T_base_body[track.frames] @ np.r_[moving.body.center, 1.0]
    steps = np.r_[0.0, np.linalg.norm(np.diff(place[:, :3], axis=0), axis=1)]
    travelled, ways = 0.0, np.zeros(len(inside))
    for number, (is_in, step) in enumerate(zip(inside, steps)):
        travelled = travelled + step if is_in and number and inside[number - 1] else 0.0
        ways[number] = travelled
    worst = int(ways.argmax())
    if ways[worst] < _DRAGGED:
        return None
    first = int((ways >= _DRAGGED).argmax())
    times = robot.times[track.frames]
    return Finding(
        FindingCode.CONTACT, Severity.UNSURE,
        f'what is carried may be dragged {100 * ways[worst]:.0f} cm through the edge of '
        f'something until {times[worst]:.2f} s', link=carrier(robot, moving),
        other='carried object', point_base=plain_point(track.point_base[worst]),
        time=float(times[first]), value=-float(ways[worst]), limit=-_DRAGGED, unit='m')


def carrier(robot: RobotRollout, moving: MovingBody) -> str:
    """Return the link that carries a body."""
    return robot.hand.palm_link if moving.held is None else moving.held.link


def _carried_frames(robot: RobotRollout, moving: MovingBody) -> np.ndarray:
    """Return the frames in which the body moves as what holds it does."""
    poses = moving.T_base_body
    T_base_link = robot.T_base_link[:, robot.link_names.index(carrier(robot, moving))]
    relative = np.linalg.inv(T_base_link) @ poses
    moves = np.abs(np.diff(poses, axis=0)).max(axis=(1, 2)) > _SAME
    follows = np.abs(np.diff(relative, axis=0)).max(axis=(1, 2)) < _SAME
    return np.flatnonzero(moves & follows) + 1
