# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a depth camera sees the robot where calibration and joint states say that it is."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numba
import numpy as np

from kinema4d_ros.camera.placed import likeliest_motion, Placed
from kinema4d_ros.camera.pixel_noise import noise_of_pixels
from kinema4d_ros.camera.pose_fit import count_pixels, fit_pose, outline_of, surface_of
from kinema4d_ros.types import PinholeCamera

FEWEST = 50            # pixels that show the robot or look through it, for a statement
_SAMPLES = 1500        # pixels that are looked at, about
_OUTLINE_SAMPLES = 250
_SLACK = 0.01          # [m] of shapes that are not quite those of the meshes
_WIDEST = 0.08         # [m] a robot that is off by more is not found, and counted as not there
_LOOSE = 3.0           # times the calibration's sigma, so that a larger error is measured too
_PATCH = 25.0          # neighbouring pixels that may err together and count as one observation
_LEAST_PATCH = 4.0     # likewise, where they are seen to err each for itself
_EDGE_PATCH = 5.0      # the same along the outline
_ALONE = 3             # pixels within five by five that show something else are noise
_LINK_FEWEST = 40      # samples of a link, for a statement about it
_LINK_SHIFT, _LINK_TURN = 0.02, 0.03     # [m], [rad] of a link against the others, beforehand


@dataclass(frozen=True)
class DepthNoise:
    """Standard deviation of a depth, and of the rendered robot's meshes."""

    depth: float = 0.001            # [m] at any distance
    depth_square: float = 0.0015    # [1/m] times distance squared
    mesh: float = 0.0006            # [m]


@dataclass(frozen=True)
class LinkAgreement:
    """One link, as the camera sees it."""

    name: str
    pixels: int       # that agree or are farther
    share: float      # 0..1 of these that agree, after the whole robot has been laid over
    offset: float     # [m] from where it is rendered to where it is seen, its middle
    apart: float      # [m] the part of it that the other links do not share
    apart_sigma: float   # [m] how well that is known, along its direction


@dataclass(frozen=True, eq=False)
class RobotAgreement:
    """
    The rendered robot against the live depth.

    Pixels are those well inside of the outline of each link, about, after the rendered robot has
    been laid over the one that is seen. Nearer ones are hidden by something and say nothing; where
    a pixel is farther, the camera looks through the place where the robot should be.
    """

    rendered: int          # pixels of the rendered robot
    agreeing: int
    nearer: int
    farther: int
    unknown: int           # without a depth
    offset: float          # [m] mean way from where the robot is rendered to where it is seen
    shift: tuple[float, float, float]    # [m] the same along x, y, z of the camera, mean
    turn: float            # [rad] by which the robot is seen turned
    pixels: float          # [px] mean way in the image
    distance: float        # [m] mean distance of the robot along z
    T_seen_rendered: np.ndarray    # (4, 4) camera frame
    shift_sigma: float     # [m] of the shift of the robot's middle, its worst direction
    turn_sigma: float      # [rad] the same of the turn
    links: tuple[LinkAgreement, ...] = ()
    #: (4, 4) likewise, where what the calibration says counts as well, and how well that is known
    T_likeliest: np.ndarray = field(default_factory=lambda: np.eye(4))
    placed: Placed | None = None

    @property
    def compared(self) -> int:
        """Pixels that speak for the robot or against it."""
        return self.agreeing + self.farther

    @property
    def share(self) -> float:
        """0..1 of the compared pixels that agree, NaN without any."""
        return self.agreeing / self.compared if self.compared else math.nan

    def why_not_compared(self) -> str | None:
        """Return why the two say nothing about each other; None where they do."""
        if not self.rendered:
            return 'the robot is outside of the image, by the pose of the camera and the joints'
        if self.rendered < FEWEST:
            return (f'the camera should see {self.rendered} pixels of the robot, at least {FEWEST} '
                    'are needed')
        there = self.compared + self.nearer
        if there + self.unknown < FEWEST:
            return (f'of {self.rendered} pixels that the camera should see of the robot all but '
                    f'{there + self.unknown} are at edges')
        if there < FEWEST:
            return 'there is no depth where the robot should be'
        if self.compared < max(FEWEST, 0.3 * there):
            return (f'something nearer hides {100 * self.nearer / max(there, 1):.0f} % of the '
                    'robot')
        return None

    def sigma_at(self, distance: float) -> float:
        """Return how well a place is known [m], this far from the middle of the robot [m]."""
        return math.hypot(self.shift_sigma, self.turn_sigma * distance)


def robot_agreement(live: np.ndarray, pointmap: np.ndarray, link_id: np.ndarray,
                    link_names: Sequence[str], camera: PinholeCamera, *,
                    calibration: tuple[float, float] = (0.005, 0.009),
                    noise: DepthNoise = DepthNoise()) -> RobotAgreement:
    """
    Lay the rendered robot over the live depth image by a small rigid motion, and compare.

    Then each link is laid over by itself, starting from there: links that do not go with the
    others have joints that are not where they are reported.

    :param live: (H, W) float32 [m], NaN unknown.
    :param pointmap: (H, W, 3) float32 [m] camera frame, of `RobotRenderer.render`.
    :param link_id: (H, W) int16, index into link_names, -1 where no robot.
    :param calibration: standard deviation of the camera's place [m] and orientation [rad].
    """
    mask = (link_id >= 0).view(np.uint8)
    rendered = cv2.countNonZero(mask)
    stride = max(1, int(math.sqrt(rendered / _SAMPLES)))
    live = np.ascontiguousarray(live, np.float32)
    surface, normals, links = surface_of(pointmap, link_id, stride)
    if not len(surface):
        return _nothing(rendered)
    perimeter = max(1, int(3 * math.sqrt(rendered)))
    outline_stride = max(1, perimeter // _OUTLINE_SAMPLES)
    pixels, away = outline_of(link_id, outline_stride, cv2.boundingRect(mask))
    columns, rows = pixels.T
    outline, outline_links = pointmap[rows, columns].astype(np.float64), link_id[rows, columns]
    pinhole = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    sigmas = np.array([noise.depth, noise.depth_square, max(noise.mesh, 1e-4)])
    sigmas[0] = max(sigmas[0], 1e-4)
    center, distance = surface.mean(axis=0), float(surface[:, 2].mean())
    place, turn = calibration
    prior = _LOOSE * np.repeat([max(math.hypot(place, turn * distance), 0.003), max(turn, 0.003)],
                               3)
    weights = np.minimum([stride ** 2 / _PATCH, outline_stride / _EDGE_PATCH], 1.0)
    T, covariance, of_surface = fit_pose(
        live, pinhole, surface, normals, outline, away, np.eye(4)[:3].copy(), center, sigmas,
        prior, _WIDEST, weights)
    counts = count_pixels(live, pinhole, surface, links, T, sigmas, _SLACK, len(link_names))
    found = []
    for link in np.flatnonzero(counts[:, 0] + counts[:, 2] >= _LINK_FEWEST).tolist():
        own, edge = np.flatnonzero(links == link), np.flatnonzero(outline_links == link)
        its_surface = surface.take(own, axis=0)
        middle = its_surface.mean(axis=0)
        moved = T[:, :3] @ middle + T[:, 3]
        T_link, known, _ = fit_pose(
            live, pinhole, its_surface, normals.take(own, axis=0), outline.take(edge, axis=0),
            away.take(edge, axis=0), T, moved, sigmas,
            np.repeat([_LINK_SHIFT, _LINK_TURN], 3), _LINK_SHIFT, weights)
        seen = T_link[:, :3] @ middle + T_link[:, 3]
        agree, _, far, _ = counts[link]
        step = seen - moved
        apart = math.sqrt(step @ step)
        along = step / apart if apart > 0 else np.array([0.0, 0.0, 1.0])
        found.append(LinkAgreement(
            link_names[link], int((agree + far) * stride ** 2), float(agree / (agree + far)),
            math.sqrt((seen - middle) @ (seen - middle)), apart,
            math.sqrt(float(along @ known[:3, :3] @ along))))
    # Pixels that are seen to err each for itself tell more than was reckoned with.
    alone = noise_of_pixels(live, noise.depth, noise.depth_square) ** 2
    patch = max(_PATCH - (_PATCH - 1.0) * alone, _LEAST_PATCH)
    more = of_surface * (1.0 - max(patch / _PATCH, min(1.0, stride ** 2 / _PATCH)))
    likeliest, placed = likeliest_motion(T, covariance, center, prior, calibration, more)
    moved = surface @ T[:, :3].T + T[:, 3]
    way = moved - surface
    in_image = np.linalg.norm(_project(moved, pinhole) - _project(surface, pinhole), axis=1)
    agree, near, far, unknown = (int(n) * stride ** 2 for n in counts.sum(axis=0))
    angle = math.acos(float(np.clip((np.trace(T[:, :3]) - 1) / 2, -1.0, 1.0)))
    sx, sy, sz = map(float, way.mean(axis=0))
    return RobotAgreement(
        rendered, agree, near, far, unknown, float(np.linalg.norm(way, axis=1).mean()),
        (sx, sy, sz), angle, float(in_image.mean()), distance, np.vstack([T, [0, 0, 0, 1]]),
        math.sqrt(float(np.linalg.eigvalsh(covariance[:3, :3])[-1])),
        math.sqrt(float(np.linalg.eigvalsh(covariance[3:, 3:])[-1])), tuple(found),
        np.vstack([likeliest, [0, 0, 0, 1]]), placed)


def in_front(live: np.ndarray, robot_depth: np.ndarray, rim: int, margin: float) -> np.ndarray:
    """
    Return the pixels of the robot, and up to `rim` beside, that show something in front of it.

    Such a thing hides the robot and is scene. What is no nearer than a part of the robot that is
    up to `rim` pixels away may be that part, seen beside its place.

    :param live: (H, W) float32 [m], NaN unknown.
    :param robot_depth: (H, W) float32 [m], NaN where no robot.
    :param margin: [m] a robot may stick out so far beyond its meshes.
    :return: (H, W) bool.
    """
    x, y, width, height = cv2.boundingRect(np.isfinite(robot_depth).view(np.uint8))
    found = np.zeros(live.shape, bool)
    if not width:
        return found
    window = (slice(max(y - rim, 0), y + height + rim), slice(max(x - rim, 0), x + width + rim))
    robot = robot_depth[window].copy()
    cv2.patchNaNs(robot, np.inf)
    nearest = cv2.erode(robot, np.ones((2 * rim + 1,) * 2, np.uint8))
    before, count = _before(live[window], nearest, np.float32(margin))
    if count > _ALONE:
        # A few alone are noise; registered depth has a value only every second pixel or so.
        around = cv2.boxFilter(before.view(np.uint8), -1, (5, 5), normalize=False,
                               borderType=cv2.BORDER_CONSTANT)
        found[window] = before & (around > _ALONE)
    return found


@numba.njit(cache=True, nogil=True)
def _before(live: np.ndarray, nearest: np.ndarray, margin: float) -> tuple[np.ndarray, int]:
    """Return where a depth is nearer than a robot, inf where there is none, and how often."""
    height, width = live.shape
    before = np.empty((height, width), np.bool_)
    count = 0
    for v in range(height):
        for u in range(width):
            robot = nearest[v, u]
            is_before = (robot < np.inf) & (live[v, u] > 0) & (live[v, u] < robot - margin)
            before[v, u] = is_before
            count += is_before
    return before, count


def _nothing(rendered: int) -> RobotAgreement:
    """Return that nothing of the rendered robot can be looked for."""
    return RobotAgreement(rendered, 0, 0, 0, 0, math.nan, (math.nan,) * 3, math.nan, math.nan,
                          math.nan, np.eye(4), math.inf, math.inf)


def _project(points: np.ndarray, pinhole: np.ndarray) -> np.ndarray:
    """Return the pixels (N, 2) of points (N, 3) in front of the camera."""
    return points[:, :2] / np.maximum(points[:, 2:], 0.02) * pinhole[:2] + pinhole[2:]
