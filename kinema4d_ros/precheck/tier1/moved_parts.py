# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawers, doors and knobs that the hand moves, as obstacles where they are by then."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.foresight import MovingBody, Story
from kinema4d_ros.foresight.hull import depth_in, GRID
from kinema4d_ros.precheck.goal_rules import PART_SIGMA
from kinema4d_ros.precheck.settings import Tier1Settings, TouchRule
from kinema4d_ros.precheck.tier1.clearance import gone_from
from kinema4d_ros.precheck.tier1.hull_depth import deepest_points
from kinema4d_ros.precheck.tier1.timeline import Track
from kinema4d_ros.robot import ball_around, DistanceFields
from kinema4d_ros.robot.point_cubes import PointCubes
from kinema4d_ros.scene import ScenePoints
from kinema4d_ros.types import (EventKind, Finding, FindingCode, plain_point, RobotRollout,
                                Severity)

_TOUCHES = 0.003    # [m] a finger this close to a part touches it
_DEEPER = 1e-3      # [m] what touches it as it begins to move may come so much nearer to it
_SAME = 1e-6        # poses that differ by less are one
_TURN_SIGMA = 0.2   # [rad] how well it is foreseen how far a part turns


def check_moved_parts(scene: ScenePoints, robot: RobotRollout, story: Story,
                      fields: DistanceFields, settings: Tier1Settings,
                      rules: Mapping[str, TouchRule]) -> list[Finding]:
    """
    Report what touches parts of fixtures from when the hand takes them along.

    They are no part of the scene any more by then. Where one is now is known as well as where
    something is that is carried. Links that may touch, as fingers do, must not be pressed deeper
    into it than they are as they begin to push it, nor come against it too fast. While they hold
    it, that is not looked at. Nor must a part be moved into the scene, as whatever is carried.

    :param rules: how links may touch that may.
    """
    found = []
    for number, moving in enumerate(story.bodies):
        if moving.part is not None:
            found += _moved_into(scene, robot, story, moving, settings)
            found += _contacts(robot, story, number, fields, settings, rules)
            found += [finding for other in story.bodies if other.part is None
                      for finding in _struck(robot, moving, other, settings)]
    return found


def _moved_into(scene: ScenePoints, robot: RobotRollout, story: Story, moving: MovingBody,
                settings: Tier1Settings) -> list[Finding]:
    """Judge how deep a part is moved into what is around it."""
    poses, planes = moving.T_base_body, moving.body.planes
    frames = np.flatnonzero(np.abs(np.diff(poses, axis=0)).max(axis=(1, 2)) > _SAME) + 1
    if planes is None or not len(frames) or not len(scene):
        return []
    middle, radius = ball_around(_points(moving))
    depth, nearest = deepest_points(
        scene, planes, (middle, radius + GRID), poses[frames], poses[frames[0] - 1],
        gone_from(scene, story, len(poses)), frames, np.full(len(frames), -np.inf))
    return _finding_of(
        'what the hand takes along', 'be moved into the scene', robot, robot.times[frames], depth,
        scene.points_base[nearest], np.hypot(settings.carried_sigma, scene.sigma[nearest]),
        -GRID, settings)      # a handle is thin: nothing is ever deep in it


def _finding_of(what: str, does: str, robot: RobotRollout, times: np.ndarray, depth: np.ndarray,
                place: np.ndarray, sigma: np.ndarray, limit: float, settings: Tier1Settings
                ) -> list[Finding]:
    """Return a finding where something of which no link is known is deeper than it may be."""
    certain = depth + settings.confidence * sigma <= limit
    bad = certain if certain.any() else depth <= limit
    if not bad.any():
        return []
    worst = int(np.where(bad, depth, np.inf).argmin())
    return [Finding(
        FindingCode.CONTACT, Severity.FAIL if certain.any() else Severity.UNSURE,
        f'{what} {"would" if certain.any() else "may"} {does}: {1000 * depth[worst]:.0f} mm '
        f'(+-{1000 * sigma[worst]:.0f}) at {times[worst]:.2f} s', link=robot.hand.palm_link,
        other='moved part', point_base=plain_point(place[worst]), time=float(times[bad.argmax()]),
        value=float(depth[worst]), limit=limit, sigma=float(sigma[worst]), unit='m')]


def _contacts(robot: RobotRollout, story: Story, number: int, fields: DistanceFields,
              settings: Tier1Settings, rules: Mapping[str, TouchRule]) -> list[Finding]:
    moving = story.bodies[number]
    lead = max(moving.first_frame - 1, 0)      # how fast it is touched is told by the step before
    begin = moving.first_frame - lead
    frames = np.arange(lead, len(robot.times))
    # As seen from the part, which stands there.
    poses = moving.T_base_body[frames]
    index = [robot.link_names.index(name) for name in fields.link_names]
    T_part_link = np.linalg.inv(poses)[:, None] @ robot.T_base_link[frames][:, index]
    points = PointCubes(_points(moving))
    distance, nearest = fields.closest(points, T_part_link)
    events = [each for each in story.events if each.body == number
              and each.event.kind in (EventKind.PUSHED, EventKind.DRAGGED)]
    pushed = [each.frame - lead for each in events if each.event.kind is EventKind.PUSHED]
    is_held = len(pushed) < len(events)
    free = min(moving.stands_from - lead, len(frames) - 1) if is_held else min(pushed, default=0)
    found = []
    for column, name in enumerate(fields.link_names):
        track = _track(robot.times[frames], distance[:, column], nearest[:, column], points,
                       T_part_link[:, column], poses, settings.carried_sigma)
        rule = rules.get(name)
        if rule is None:
            first, limit = begin, 0.0
        else:
            first, limit = max(begin, free), -rule.depth
            if is_held:      # until they are off it
                off = track.distance[first:] > _TOUCHES
                first += int(off.argmax()) if off.any() else len(off)
            track = _gone_into(track.where(np.arange(len(frames)) >= first))
            found += _too_fast(name, rule, track, poses)
        found += _pressed(name, track, poses, begin, first, limit, pushed, rule is not None,
                          settings)
    return found


def _points(moving: MovingBody) -> np.ndarray:
    """Return a part as it was seen, (N, 3) float32 [m]."""
    points: np.ndarray = np.ascontiguousarray(moving.body.vertices, np.float32)
    return points[np.isfinite(points).all(axis=1)]


def _track(times: np.ndarray, distance: np.ndarray, nearest: np.ndarray, points: PointCubes,
           T_part_link: np.ndarray, poses: np.ndarray, sigma: float) -> Track:
    """
    Return how far a link is from a part, as seen from the part.

    :param sigma: [m] of its shape; how far it has moved is less well known.
    """
    known = nearest >= 0
    place = np.full((len(times), 3), np.nan, np.float32)
    given = np.empty_like(points.points)
    given[points.order] = points.points
    place[known] = given[nearest[known]]
    step = np.linalg.norm(np.diff(T_part_link[:, :3, 3], axis=0), axis=1)
    time = np.diff(times)
    speed = np.r_[0.0, np.divide(step, time, out=np.zeros_like(step), where=time > 0)]
    return Track(times, distance, np.hypot(sigma, _off(place, poses)).astype(np.float32), place,
                 speed, T_part_link)


def _off(place: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Return how well it is known where places (F, 3) of a part are after they moved, (F,) [m]."""
    way = (poses[:, :3, :3] @ place[..., None])[..., 0] + poses[:, :3, 3] - place
    far = np.linalg.norm(way, axis=1)
    turn = np.arccos(np.clip((np.trace(poses[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))
    # What turns has an arc for its way, and errs by as large a share of it as of its angle.
    share = np.minimum(1.0, _TURN_SIGMA / np.maximum(turn, _TURN_SIGMA))
    off: np.ndarray = np.where(turn > _SAME, far * share, np.minimum(far, PART_SIGMA))
    return off


def _gone_into(track: Track) -> Track:
    """
    Return the track with the distance lowered to minus how far the link has gone on.

    A thin link is never deeper in a surface than half its own thickness. What counts is how far
    the place of it that touches has gone on since then the way that it came.
    """
    touching = track.distance <= 0
    distance = track.distance.copy()
    for first in np.flatnonzero(touching & ~np.r_[False, touching[:-1]]).tolist():
        last = first + int(np.r_[touching[first:], False].argmin())
        place = np.linalg.solve(track.T_base_link[first], np.r_[track.point_base[first], 1.0])
        way = (track.T_base_link[max(first - 1, 0):last] @ place)[:, :3]
        came = track.point_base[first] - way[0]
        length = float(np.linalg.norm(came))
        if first and length > _SAME:
            deep = (way[1:] - track.point_base[first]) @ came / length
            deep += max(0.0, -float(track.distance[first]))
            distance[first:last] = np.minimum(distance[first:last], -deep)
    return dataclasses.replace(track, distance=distance)


def _pressed(name: str, track: Track, poses: np.ndarray, begin: int, first: int, limit: float,
             pushed: Sequence[int], may_touch: bool, settings: Tier1Settings) -> list[Finding]:
    """Judge how deep a link is in a part, from frame `first` on."""
    apart = track.distance.astype(np.float64)
    if first >= len(apart):
        return []
    # What touches as the part begins to move does so by some of a step between two frames.
    at_first = min([float(apart[frame]) for frame in ((begin, *pushed) if not may_touch else pushed)
                    if frame < len(apart)], default=0.0)
    if at_first <= 0.0:
        limit += at_first - (0.0 if may_touch else _DEEPER)
    bad = apart <= limit
    bad[:first] = False
    if not bad.any():
        return []
    certain = bad & (apart + settings.confidence * track.sigma <= limit)
    bad = certain if certain.any() else bad
    worst = int(np.where(bad, apart, np.inf).argmin())
    what = 'be pressed into' if may_touch else 'touch'
    return [Finding(
        FindingCode.CONTACT, Severity.FAIL if certain.any() else Severity.UNSURE,
        f"'{name}' {'would' if certain.any() else 'may'} {what} what the hand has moved: "
        f'{1000 * apart[worst]:.0f} mm (+-{1000 * track.sigma[worst]:.0f}) at '
        f'{track.times[worst]:.2f} s', link=name, other='moved part',
        point_base=_place(track, poses, worst), time=float(track.times[bad.argmax()]),
        value=float(apart[worst]), limit=limit, sigma=float(track.sigma[worst]), unit='m')]


def _place(track: Track, poses: np.ndarray, frame: int) -> tuple[float, float, float]:
    """Return where a part is touched at a frame, base frame [m]."""
    return plain_point((poses[frame] @ np.r_[track.point_base[frame], 1.0])[:3])


def _too_fast(name: str, rule: TouchRule, track: Track, poses: np.ndarray) -> list[Finding]:
    """Judge how fast a link comes against a part; where it stands by then is less certain."""
    touching = track.distance <= _TOUCHES
    fast = np.flatnonzero(touching & ~np.r_[False, touching[:-1]] & (track.speed > rule.speed))
    if not len(fast):
        return []
    stood = [t for t in fast.tolist() if np.allclose(poses[t], np.eye(4), atol=_SAME)]
    t = stood[0] if stood else int(fast[0])
    return [Finding(
        FindingCode.CONTACT, Severity.FAIL if stood else Severity.UNSURE,
        f"'{name}' {'would' if stood else 'may'} come against what the hand moves at "
        f'{track.speed[t]:.2f} m/s at {track.times[t]:.2f} s, allowed {rule.speed:.2f} m/s',
        link=name, other='moved part',
        point_base=_place(track, poses, t), time=float(track.times[t]),
        value=float(track.speed[t]), limit=rule.speed, unit='m/s')]


def _struck(robot: RobotRollout, moving: MovingBody, other: MovingBody,
            settings: Tier1Settings) -> list[Finding]:
    """Report where something that is carried goes into a part."""
    planes, points = other.body.planes, _points(moving)
    poses = np.linalg.inv(moving.T_base_body) @ other.T_base_body      # as seen from the part
    goes = np.abs(np.diff(poses, axis=0)).max(axis=(1, 2)) > _SAME
    frames = np.flatnonzero(goes) + 1
    frames = frames[frames >= max(moving.first_frame, other.first_frame)]
    if planes is None or not len(frames) or not len(points):
        return []
    inside = [depth_in(points, planes, poses[frame]) for frame in np.r_[frames[0] - 1, frames]]
    depth = np.array([each.min() for each in inside[1:]])
    place = points[[int(each.argmin()) for each in inside[1:]]]
    sigma = np.hypot(settings.carried_sigma, _off(place, moving.T_base_body[frames]))
    limit = min(0.0, float(inside[0].min())) - settings.carried_depth
    middles = np.array([other.center(int(frame)) for frame in frames])
    return _finding_of('what is carried', 'be pressed into what the hand has moved', robot,
                       robot.times[frames], depth, middles, sigma, limit, settings)
