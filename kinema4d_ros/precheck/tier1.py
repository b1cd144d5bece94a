# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 1: the robot's exact motion against the scene that the depth camera sees now."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.precheck.observed_scene import ObservedScene
from kinema4d_ros.precheck.settings import Tier1Settings, Unseen
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.types import Finding, FindingCode, RobotRollout, Severity

_STILL = 1e-4         # [m] a link that moves less has not moved
_HIDDEN = 0.01        # [m] behind what the camera saw by more than this is unseen
_SURFACE_POINTS = 48  # per link, for the share of it in unseen space


@dataclass(frozen=True, eq=False)
class Clearance:
    """Tier 1's measurement and what follows from it."""

    findings: tuple[Finding, ...]
    link_names: tuple[str, ...]   # links that move
    distance: np.ndarray          # (T, L) float32 [m], negative inside, inf beyond reach
    sigma: np.ndarray             # (T, L) float32 [m], NaN where distance is inf
    point_base: np.ndarray        # (T, L, 3) float32 [m], the scene's closest point, NaN
    minimum: float                # [m] the smallest distance of a link that must not touch; inf
    minimum_sigma: float          # [m] its standard deviation, NaN


def check_tier1(scene: ObservedScene, robot: RobotRollout, fields: DistanceFields,
                surfaces: Mapping[str, np.ndarray], settings: Tier1Settings = Tier1Settings(), *,
                alive: np.ndarray | None = None) -> Clearance:
    """
    Measure each moving link's distance to the scene in each frame, and judge it.

    The distance d of a link, known to +- sigma, is judged with k = `confidence`: contact where
    d + k sigma <= 0 (FAIL), doubtful where d - k sigma <= 0 (UNSURE), near miss below
    `near_miss` (told). Links that may touch fail when pressed in deeper than `touch_depth`, or
    when they are faster than `touch_speed` at their first touch.

    Points inside the robot as it stands at frame 0 are taken for the robot: they are what the
    mask missed.

    :param surfaces: vertices (V, 3) [m] of each link, link frame.
    :param alive: (T, N) bool, scene points that are still where they were seen (what the robot
        carries away is not).
    """
    index = [robot.link_names.index(name) for name in fields.link_names]
    T_base_link = robot.T_base_link[:, index]
    moves = np.abs(T_base_link - T_base_link[:1]).max(axis=(0, 2, 3)) > _STILL
    own = _inside(scene, fields, T_base_link[:1])
    there = np.repeat(~own[None], len(robot.times), axis=0)
    if alive is not None:
        there &= alive
    distance, nearest = fields.closest(scene.points_base, T_base_link, there)
    names = tuple(np.array(fields.link_names)[moves].tolist())
    distance, nearest = distance[:, moves], nearest[:, moves]
    known = nearest >= 0
    sigma = np.full(distance.shape, np.nan, np.float32)
    point = np.full((*distance.shape, 3), np.nan, np.float32)
    if len(scene.points_base):
        sigma[known] = scene.sigma[nearest[known]]
        point[known] = scene.points_base[nearest[known]]
    gripper = robot.gripper
    may_touch = settings.may_touch if settings.may_touch is not None else (
        () if gripper is None else gripper.finger_links)
    findings: list[Finding] = []
    for link, name in enumerate(names):
        column = (robot.times, distance[:, link], sigma[:, link], point[:, link])
        if name in may_touch:
            speed = _speed(robot, robot.link_names.index(name))
            findings += _check_touch(name, *column, speed, settings)
        else:
            findings += _check_contact(name, *column, settings)
    findings += _check_unseen(scene, robot, names, surfaces, fields, settings)
    strict = np.array([name not in may_touch for name in names], bool)
    minimum, minimum_sigma = np.inf, np.nan
    if strict.any() and np.isfinite(distance[:, strict]).any():
        t, link = np.unravel_index(distance[:, strict].argmin(), distance[:, strict].shape)
        minimum = float(distance[:, strict][t, link])
        minimum_sigma = float(sigma[:, strict][t, link])
    return Clearance(tuple(findings), names, distance, sigma, point, minimum, minimum_sigma)


def _inside(scene: ObservedScene, fields: DistanceFields, T_base_link: np.ndarray) -> np.ndarray:
    """Tell which scene points are inside the robot as it stands, (N,) bool."""
    return fields.depth_of(scene.points_base, T_base_link[0]) < 0.0


def _check_contact(name: str, times: np.ndarray, distance: np.ndarray, sigma: np.ndarray,
                   point: np.ndarray, settings: Tier1Settings) -> list[Finding]:
    """Judge a link that must not touch."""
    k = settings.confidence
    with np.errstate(invalid='ignore'):
        certain, doubtful = distance + k * sigma <= 0, distance - k * sigma <= 0
    if certain.any():
        bad, code, severity = certain, FindingCode.CONTACT, Severity.FAIL
        said = 'would touch the scene'
    elif doubtful.any():
        bad, code, severity = doubtful, FindingCode.NEAR_MISS, Severity.UNSURE
        said = 'comes so close to the scene that touching cannot be excluded'
    elif (distance < settings.near_miss).any():
        bad, code, severity = distance < settings.near_miss, FindingCode.NEAR_MISS, Severity.INFO
        said = 'passes the scene closely'
    else:
        return []
    return [_finding(code, severity, name, said, bad, times, distance, sigma, point, 0.0)]


def _check_touch(name: str, times: np.ndarray, distance: np.ndarray, sigma: np.ndarray,
                 point: np.ndarray, speed: np.ndarray, settings: Tier1Settings) -> list[Finding]:
    """Judge a link that may touch: how deep, and how fast."""
    k, findings = settings.confidence, []
    with np.errstate(invalid='ignore'):
        deep = distance + settings.touch_depth
        certain, doubtful = deep + k * sigma <= 0, deep - k * sigma <= 0
        touching = distance <= 0
    if certain.any():
        findings.append(_finding(
            FindingCode.CONTACT, Severity.FAIL, name, 'would be pressed into the scene', certain,
            times, distance, sigma, point, -settings.touch_depth))
    elif doubtful.any():
        findings.append(_finding(
            FindingCode.CONTACT, Severity.UNSURE, name, 'may be pressed into the scene', doubtful,
            times, distance, sigma, point, -settings.touch_depth))
    starts = np.flatnonzero(touching & ~np.r_[False, touching[:-1]])
    fast = [t for t in starts if speed[t] > settings.touch_speed]
    if fast:
        t = fast[0]
        findings.append(Finding(
            FindingCode.CONTACT, Severity.FAIL,
            f"'{name}' would touch the scene at {speed[t]:.2f} m/s at {times[t]:.2f} s, allowed "
            f'{settings.touch_speed:.2f} m/s', link=name, other='scene',
            point_base=tuple(map(float, point[t])), time=float(times[t]),
            value=float(speed[t]), limit=settings.touch_speed, unit='m/s'))
    return findings


def _finding(code: FindingCode, severity: Severity, name: str, said: str, bad: np.ndarray,
             times: np.ndarray, distance: np.ndarray, sigma: np.ndarray, point: np.ndarray,
             limit: float) -> Finding:
    """Return the finding; `time` is when it begins, value and place are the worst ones."""
    first = int(bad.argmax())
    worst = int(np.where(bad, distance, np.inf).argmin())
    message = (f"'{name}' {said}: {1000 * distance[worst]:.0f} mm "
               f'(+-{1000 * sigma[worst]:.0f}) at {times[worst]:.2f} s')
    if worst != first:
        message += f', beginning at {times[first]:.2f} s'
    return Finding(code, severity, message, link=name, other='scene',
                   point_base=tuple(map(float, point[worst])), time=float(times[first]),
                   value=float(distance[worst]), limit=limit, sigma=float(sigma[worst]), unit='m')


def _check_unseen(scene: ObservedScene, robot: RobotRollout, names: tuple[str, ...],
                  surfaces: Mapping[str, np.ndarray], fields: DistanceFields,
                  settings: Tier1Settings) -> list[Finding]:
    """Tell which links enter space that the camera has not seen, beyond where the robot stands."""
    index = [robot.link_names.index(name) for name in fields.link_names]
    worst, begins, where = [], [], []
    for name in names:
        vertices = surfaces[name]
        vertices = vertices[:: max(1, len(vertices) // _SURFACE_POINTS)]
        T_base_link = robot.T_base_link[:, robot.link_names.index(name)]
        points = np.einsum('tij,vj->tvi', T_base_link[:, :3, :3], vertices) \
            + T_base_link[:, None, :3, 3]
        inside = fields.depth_of(points.reshape(-1, 3), robot.T_base_link[0, index]) < _HIDDEN
        share = (scene.unseen(points, _HIDDEN) & ~inside.reshape(points.shape[:2])).mean(axis=1)
        bad = share > settings.unseen_share
        if bad.any():
            worst.append(float(share.max()))
            begins.append(float(robot.times[bad.argmax()]))
            where.append(name)
    if not where:
        return []
    first = int(np.argmin(begins))
    return [Finding(
        FindingCode.UNSEEN_SPACE,
        Severity.UNSURE if settings.unseen is Unseen.UNSURE else Severity.INFO,
        f'moves through space that the camera has not seen, from {begins[first]:.2f} s on: '
        + ', '.join(f"'{name}' {100 * share:.0f} %" for name, share in zip(where, worst)),
        link=where[first], other='scene', time=begins[first], value=max(worst),
        limit=settings.unseen_share)]


def _speed(robot: RobotRollout, link: int) -> np.ndarray:
    """Return the speed of a link's origin in each frame, (T,) [m/s], against the frame before."""
    place = robot.T_base_link[:, link, :3, 3]
    step = np.linalg.norm(np.diff(place, axis=0), axis=1)
    time = np.diff(robot.times)
    return np.r_[0.0, np.divide(step, time, out=np.zeros_like(step), where=time > 0)]
