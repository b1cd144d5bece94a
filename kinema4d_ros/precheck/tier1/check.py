# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 1: the robot's exact motion against the scene that the depth camera sees now."""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

import numba
import numpy as np

from kinema4d_ros.foresight import Story
from kinema4d_ros.precheck.settings import Tier1Settings, TouchRule
from kinema4d_ros.precheck.tier1.bare_end import check_bare_end
from kinema4d_ros.precheck.tier1.carried import check_carried
from kinema4d_ros.precheck.tier1.clearance import Clearance, measure_clearance
from kinema4d_ros.precheck.tier1.held_contact import check_held_contact
from kinema4d_ros.precheck.tier1.moved_parts import check_moved_parts
from kinema4d_ros.precheck.tier1.opening import check_opening
from kinema4d_ros.precheck.tier1.penetration import with_penetration
from kinema4d_ros.precheck.tier1.timeline import Track
from kinema4d_ros.precheck.tier1.unseen import check_unseen, LinkTrail
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.mask import grow_robot
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity


#: standard deviations from touching; fingers that are too fast to touch keep that far away
_NEAR_ENOUGH = 0.5


def check_tier1(scene: Scene, robot: RobotRollout, fields: DistanceFields,
                surfaces: Mapping[str, np.ndarray], settings: Tier1Settings = Tier1Settings(), *,
                story: Story | None = None, hand_links: Collection[str] = (),
                bare_end: Collection[str] = (), stood: Mapping[int, np.ndarray] | None = None,
                trail: Callable[[], LinkTrail | None] | None = None
                ) -> tuple[tuple[Finding, ...], Clearance]:
    """
    Measure each moving link's distance to the scene in each frame, and judge it.

    The distance d of a link, known to +- sigma, is judged with k = `confidence`: contact where
    d + k sigma <= 0 (FAIL), doubtful where d - k sigma <= 0 (UNSURE), near miss below
    `near_miss` (reported). Links that may touch fail when pressed in deeper than allowed, or when
    they are faster than allowed at their first touch; that fast within half a sigma is doubtful.
    What the fingers are about to close on is approached as closely as that takes, so there only
    d <= 0 makes the palm doubtful.

    :param surfaces: vertices (V, 3) [m] of each link, link frame.
    :param story: what the fingers do in this rollout: what they take away is no obstacle from
        the moment they begin to close, and is itself checked against what is left.
    :param hand_links: what the hand consists of, see `hand_links_of`.
    :param bare_end: where the robot ends by its description, see `bare_end_of`.
    :param stood: where the robot was when other sources were measured, see `measure_clearance`.
    :param trail: returns where the robot has been before, see `check_unseen`.
    :return: the findings, and the distances that they come from.
    """
    clearance = measure_clearance(scene.points, robot, fields, settings, story,
                                  beside_robot(scene, settings), stood)
    rules = settings.touch
    if rules is None:
        fingers = () if robot.gripper is None else robot.gripper.finger_links
        rules = dict.fromkeys(fingers, TouchRule())
    palm = '' if robot.gripper is None else robot.gripper.palm_link
    findings: list[Finding] = []
    for name in clearance.link_names:
        track, target = clearance.track(name), clearance.track(name, target=True)
        if name in rules:
            for touched in (with_penetration(track, scene),
                            with_penetration(target, scene)):
                findings += _check_touch(name, touched, rules[name], settings)
        else:
            findings += _check_contact(name, track, settings)
            approach = _check_approach if name == palm else _check_contact
            findings += approach(name, target, settings)
    if not robot.held:
        findings += check_bare_end(clearance, [link for link in bare_end if link not in rules])
    findings += check_unseen(scene, robot, clearance.link_names, fields, settings,
                             touching=rules, hand_links=hand_links,
                             held=() if story is None else story.bodies, trail=trail)
    if story is not None:
        findings += check_carried(scene.points, robot, story, settings, scene)
        findings += check_held_contact(robot, story, fields, settings)
        findings += check_moved_parts(scene.points, robot, story, fields, settings, rules)
        if robot.gripper is not None:
            findings += check_opening(clearance, story, robot.gripper.finger_links, settings)
    strict = [name for name in clearance.link_names if name not in rules]
    return tuple(findings), clearance.with_minimum_of(strict, fields)


def beside_robot(scene: Scene, settings: Tier1Settings) -> np.ndarray | None:
    """
    Return which points of the scene are seen beside the robot's outline, (N,) bool; None for none.

    All that is known from elsewhere may be: nobody has taken the robot out of it.
    """
    points = scene.points
    if not len(points):
        return None
    beside = points.pixels[:, 0] < 0
    for number, view in enumerate(scene.views):
        if view.has_depth:
            rim = grow_robot(view.robot_mask, view.seen.camera, view.growth + settings.mask_growth)
            _mark(points.pixels, points.source, number, rim, beside)
    return beside


@numba.njit(cache=True, nogil=True)
def _mark(pixels: np.ndarray, source: np.ndarray | None, number: int, rim: np.ndarray,
          beside: np.ndarray) -> None:
    """Mark the points of one view whose pixels are in a mask."""
    for n in range(len(pixels)):
        if source is None or source[n] == number:
            beside[n] = rim[pixels[n, 0], pixels[n, 1]]


def _check_contact(name: str, track: Track, settings: Tier1Settings) -> list[Finding]:
    """Judge a link that must not touch."""
    certain, doubtful = _bands(track, 0.0, settings.confidence)
    near = track.distance < settings.near_miss
    if certain.any():
        return [_finding(FindingCode.CONTACT, Severity.FAIL, name, 'would touch the scene',
                         certain, track, 0.0, settings.confidence)]
    if doubtful.any():
        return [_finding(FindingCode.NEAR_MISS, Severity.UNSURE, name, 'comes so close to the '
                         'scene that touching cannot be excluded', doubtful, track, 0.0,
                         settings.confidence)]
    if near.any():
        return [_finding(FindingCode.NEAR_MISS, Severity.INFO, name, 'passes the scene closely',
                         near, track, settings.near_miss, settings.confidence)]
    return []


def _check_approach(name: str, track: Track, settings: Tier1Settings) -> list[Finding]:
    """Judge how the palm approaches what the fingers are about to close on."""
    certain, _ = _bands(track, 0.0, settings.confidence)
    touching = track.distance <= 0
    if not touching.any():
        return []
    severity = Severity.FAIL if certain.any() else Severity.UNSURE
    return [_finding(FindingCode.CONTACT, severity, name,
                     f'{"would" if certain.any() else "may"} touch what the fingers close on',
                     certain if certain.any() else touching, track, 0.0, settings.confidence)]


def _check_touch(name: str, track: Track, rule: TouchRule,
                 settings: Tier1Settings) -> list[Finding]:
    """Judge a link that may touch: where, how deep, and how fast."""
    findings = []
    if rule.within is not None:
        low, high = np.array(rule.within[:3]), np.array(rule.within[3:])
        with np.errstate(invalid='ignore'):
            allowed = np.all((track.point_base >= low) & (track.point_base <= high), axis=-1)
        findings += _check_contact(name, track.where(~allowed), settings)
        track = track.where(allowed)
    certain, doubtful = _bands(track, -rule.depth, settings.confidence)
    if certain.any():
        findings.append(_finding(
            FindingCode.CONTACT, Severity.FAIL, name, 'would be pressed into the scene', certain,
            track, -rule.depth, settings.confidence))
    elif doubtful.any():
        findings.append(_finding(
            FindingCode.CONTACT, Severity.UNSURE, name, 'may be pressed into the scene', doubtful,
            track, -rule.depth, settings.confidence))
    touching = track.distance <= 0
    fast = [t for t in _starts(touching) if track.speed[t] > rule.speed]
    if fast:
        t = fast[0]
        findings.append(Finding(
            FindingCode.CONTACT, Severity.FAIL,
            f"'{name}' would touch the scene at {track.speed[t]:.2f} m/s at "
            f'{track.times[t]:.2f} s, allowed {rule.speed:.2f} m/s', link=name, other='scene',
            point_base=plain_point(track.point_base[t]), time=float(track.times[t]),
            value=float(track.speed[t]), limit=rule.speed, unit='m/s'))
    else:
        # What draws back from where it touched slowly may be as fast as it likes.
        quick = [t for t in _starts(_bands(track, 0.0, _NEAR_ENOUGH)[1])
                 if track.speed[t] > rule.speed]
        if quick and not touching[quick].any():
            t = quick[track.distance[quick].argmin()]
            findings.append(Finding(
                FindingCode.CONTACT, Severity.UNSURE,
                f"'{name}' may touch the scene at {track.speed[t]:.2f} m/s at "
                f'{track.times[t]:.2f} s, allowed {rule.speed:.2f} m/s: it comes as near as '
                f'{1000 * track.distance[t]:.0f} mm (+-{1000 * track.sigma[t]:.0f})', link=name,
                other='scene', point_base=plain_point(track.point_base[t]),
                time=float(track.times[t]), value=float(track.speed[t]), limit=rule.speed,
                unit='m/s'))
    return findings


def _starts(holds: np.ndarray) -> np.ndarray:
    """Return the frames (N,) in which something that holds in frames (T,) begins to hold."""
    return np.flatnonzero(holds & ~np.r_[False, holds[:-1]])


def _bands(track: Track, limit: float, k: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the distance is certainly, and where it is perhaps, not above the limit."""
    with np.errstate(invalid='ignore'):
        return (track.distance + k * track.sigma <= limit,
                track.distance - k * track.sigma <= limit)


def _finding(code: FindingCode, severity: Severity, name: str, said: str, bad: np.ndarray,
             track: Track, limit: float, confidence: float) -> Finding:
    """Return the finding; `time` is when it begins, value and place are the worst ones."""
    first = int(bad.argmax())
    worst = int(np.where(bad, track.distance, np.inf).argmin())
    distance, sigma, times = track.distance[worst], track.sigma[worst], track.times
    message = (f"'{name}' {said}: {1000 * distance:.0f} mm (+-{1000 * sigma:.0f}) at "
               f'{times[worst]:.2f} s')
    if worst != first:
        message += f', beginning at {times[first]:.2f} s'
    if severity == Severity.UNSURE:
        # What it would take: another path, or a camera that is known better.
        lacking = limit + confidence * sigma - distance
        message += (f'; {max(1, math.ceil(1000 * lacking))} mm more, or a smaller sigma of depth '
                    'and calibration, would tell')
    return Finding(code, severity, message, link=name, other='scene',
                   point_base=plain_point(track.point_base[worst]),
                   time=float(times[first]), value=float(distance), limit=limit,
                   sigma=float(sigma), unit='m')
