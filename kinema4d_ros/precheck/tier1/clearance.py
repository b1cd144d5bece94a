# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far each link of the robot stays from the scene over a motion, and what that means."""
from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.foresight import points_of_body, Story
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.precheck.tier1.timeline import Timeline, timeline_of, Track
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.scene import ScenePoints
from kinema4d_ros.types import RobotRollout

_STILL = 1e-4         # [m] a link that moves less has not moved
_NEARER = 0.002       # [m] a link that comes nearer to a point by less has not come nearer
_INSIDE = 0.008       # [m] beside it that still is inside


@dataclass(frozen=True, eq=False)
class Clearance:
    """
    The distances of the moving links to the scene.

    Apart from the rest are the points of what the fingers are about to close on: `target`.
    """

    link_names: tuple[str, ...]   # L links that move
    tracks: tuple[Track, ...]
    targets: tuple[Track, ...]
    minimum: float = np.inf         # [m] the smallest distance of a link that must not touch
    minimum_sigma: float = np.nan   # [m] its standard deviation
    timeline: Timeline = field(default_factory=Timeline)   # of the links that must not touch

    def track(self, name: str, target: bool = False) -> Track:
        """Return the distances of one link."""
        return (self.targets if target else self.tracks)[self.link_names.index(name)]

    def with_minimum_of(self, links: Collection[str], fields: DistanceFields) -> Clearance:
        """Return this with minimum and timeline over these links filled in."""
        tracks = [(name, track) for name in links
                  for track in (self.track(name), self.track(name, target=True))]
        timeline = timeline_of(tracks, fields) if tracks else Timeline()
        if not len(timeline.times):
            return self
        worst = int(timeline.distance.argmin())
        return dataclasses.replace(
            self, minimum=float(timeline.distance[worst]),
            minimum_sigma=float(timeline.sigma[worst]), timeline=timeline)


def measure_clearance(scene: ScenePoints, robot: RobotRollout, fields: DistanceFields,
                      settings: Tier1Settings, story: Story | None,
                      beside_robot: np.ndarray | None = None,
                      stood: Mapping[int, np.ndarray] | None = None) -> Clearance:
    """
    Return the distances of the links that move to the scene, at all times of the rollout.

    Points inside the robot as it stands at frame 0 are taken for the robot: they are what the
    mask missed. So are those that `beside_robot` (N,) bool says are seen beside its outline, where
    they are as close to its surface as the place of a point is uncertain. Of points that no camera
    saw that close, which may be centimetres, only those nearly inside are taken for the robot; the
    others count for a link once it comes nearer to them than it was. Points that the fingers
    take away count until the fingers begin to close.

    :param stood: links (L, 4, 4) of the rollout where the robot was when another source was
        measured, by the number of the source; others are of frame 0.
    """
    index = [robot.link_names.index(name) for name in fields.link_names]
    T_base_link = robot.T_base_link[:, index]
    moves = np.abs(T_base_link - T_base_link[:1]).max(axis=(0, 2, 3)) > _STILL
    own, again = own_points(scene, T_base_link, fields, settings, beside_robot, stood or {}, index)
    gone = gone_from(scene, story, len(robot.times))
    target = (gone < len(robot.times)) | between_fingers(scene, story)
    gone[own] = 0
    there = gone.copy()
    gone[again] = 0
    names = tuple(np.array(fields.link_names)[moves].tolist())
    speeds = _speeds(robot, np.array(index)[moves])

    link_sigma = None if robot.link_sigma is None else robot.link_sigma[:, index]

    def tracks(of: ScenePoints, gone: np.ndarray, there: np.ndarray,
               again: np.ndarray) -> tuple[Track, ...]:
        found = _tracks(of, robot.times, T_base_link, moves, speeds, link_sigma,
                        *fields.closest(of.cubes, T_base_link, gone, moves))
        if not again.any():
            return found
        part = of.only(again)
        nearing = fields.nearing(part.points_base, T_base_link, there[again], _NEARER)
        return tuple(_worse(one, other, settings.confidence) for one, other in zip(found, _tracks(
            part, robot.times, T_base_link, moves, speeds, link_sigma, *nearing)))

    if robot.gripper is None or not target.any():
        all_tracks = tracks(scene, gone, there, again)
        nothing = tuple(track.where(np.zeros(len(robot.times), bool)) for track in all_tracks)
        return Clearance(names, all_tracks, nothing)
    return Clearance(names, tracks(scene, np.where(target, 0, gone), there, again & ~target),
                     tracks(scene.only(target), gone[target], there[target], again[target]))


def own_points(scene: ScenePoints, T_base_link: np.ndarray, fields: DistanceFields,
               settings: Tier1Settings, beside_robot: np.ndarray | None,
               stood: Mapping[int, np.ndarray], index: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """
    Return which points are of the robot itself, and which of them count again if it comes nearer.

    :param T_base_link: (T, L, 4, 4) of the links of `fields`; the first frame counts.
    :param stood: see `measure_clearance`.
    :param index: of the links of `fields` in what stood.
    :return: (N,) bool, (N,) bool.
    """
    own = np.isfinite(fields.depth_of(scene.cubes, T_base_link[0], below=0.0))
    again = np.zeros(len(scene), bool)
    if beside_robot is not None and beside_robot.any():
        at = np.flatnonzero(beside_robot)
        near = _distance_to_robot(scene.only(beside_robot), fields, T_base_link[0], {
            number: poses[index] for number, poses in (stood).items()})
        close = near < settings.confidence * scene.sigma[at]
        again[at] = close & (scene.pixels[at, 0] < 0) & (near > _INSIDE)
        own[at] |= close & ~again[at]
        again &= ~own
    return own, again


def gone_from(scene: ScenePoints, story: Story | None, steps: int) -> np.ndarray:
    """Return from which frame on the fingers have taken each scene point away, (N,); else steps."""
    gone = np.full(len(scene), steps)
    if story is None:
        return gone
    found = scene.of_source(story.source)
    own = slice(None) if found.all() else found
    if own is found:
        _gone_elsewhere(scene, story, found, gone)
    if len(story.backdrops) < 2:
        return gone
    rows, columns = scene.pixels[own].T
    here = gone[own]
    for backdrop in story.backdrops[:0:-1]:
        here[~np.isfinite(backdrop.depth[rows, columns])] = backdrop.first_frame
    # What the robot hides now is unknown in every backdrop, but was known to the scene.
    here[~np.isfinite(story.backdrops[0].depth[rows, columns])] = steps
    gone[own] = here
    return gone


def _gone_elsewhere(scene: ScenePoints, story: Story, own: np.ndarray, gone: np.ndarray) -> None:
    """
    Fill in from which frame on points are gone that other views and sources know of.

    :param own: (N,) bool, points of the view that the story is foreseen from.
    """
    no_view = scene.pixels[:, 0] < 0      # of which nobody has taken out what is held
    for moving in story.bodies:
        if moving.held is not None:
            gone[points_of_body(scene, moving.body, no_view)] = 0
        else:
            gone[points_of_body(scene, moving.body, ~own)] = moving.first_frame


def between_fingers(scene: ScenePoints, story: Story | None) -> np.ndarray:
    """Return which scene points are of what stands between fingers that do not close, (N,)."""
    found = np.zeros(len(scene), bool)
    if story is None or not story.targets:
        return found
    own = scene.of_source(story.source)
    rows, columns = scene.pixels[own].T
    for target in story.targets:
        found[own] |= target.mask[rows, columns]
        if not own.all():
            found[points_of_body(scene, target.body, ~own)] = True
    return found


def _distance_to_robot(scene: ScenePoints, fields: DistanceFields, T_base_link: np.ndarray,
                       stood: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return how far points are from the robot where it was when they were measured, (N,) [m]."""
    near = fields.depth_of(scene.points_base, T_base_link)
    for number, poses in stood.items():
        of = scene.of_source(number)
        near[of] = fields.depth_of(scene.points_base[of], poses)
    return near


def _worse(one: Track, other: Track, confidence: float) -> Track:
    """Return the nearer of two tracks, as far as that may be; a certain contact stays."""
    with np.errstate(invalid='ignore'):
        certain = one.distance + confidence * one.sigma <= 0
        lower = other.distance - confidence * other.sigma < one.distance - confidence * one.sigma
    take = np.isfinite(other.distance) & ~certain & (lower | ~np.isfinite(one.distance))
    return dataclasses.replace(
        one, distance=np.where(take, other.distance, one.distance),
        sigma=np.where(take, other.sigma, one.sigma),
        point_base=np.where(take[:, None], other.point_base, one.point_base))


def _tracks(scene: ScenePoints, times: np.ndarray, T_base_link: np.ndarray, moves: np.ndarray,
            speeds: list[np.ndarray], link_sigma: np.ndarray | None, distance: np.ndarray,
            nearest: np.ndarray) -> tuple[Track, ...]:
    """Return the distance (T, L) to the nearest points (T, L), for the links that move."""
    points, sigmas = scene.points_base, scene.sigma
    distance, nearest = distance[:, moves], nearest[:, moves]
    known = nearest >= 0
    sigma = np.full(distance.shape, np.nan, np.float32)
    point = np.full((*distance.shape, 3), np.nan, np.float32)
    sigma[known], point[known] = sigmas[nearest[known]], points[nearest[known]]
    if link_sigma is not None:
        sigma = np.hypot(sigma, link_sigma[:, moves]).astype(np.float32)
    poses = T_base_link[:, moves]
    return tuple(Track(times, distance[:, link], sigma[:, link], point[:, link], speed,
                       poses[:, link]) for link, speed in enumerate(speeds))


def _speeds(robot: RobotRollout, links: np.ndarray) -> list[np.ndarray]:
    """Return the speed of links' origins in each frame, (T,) [m/s], against the frame before."""
    places = robot.T_base_link[:, links][..., :3, 3]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=2).T
    time = np.diff(robot.times)
    speeds = np.zeros((len(links), len(time) + 1))
    np.divide(steps, time, out=speeds[:, 1:], where=time > 0)
    return list(speeds)
