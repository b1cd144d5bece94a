# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a real camera makes of a clean observation; pure functions of their input and a seed.

Sizes are those of stereo depth cameras on robot arms: noise that grows with the distance squared,
disparities in steps, no depth at edges and on dark surfaces, points between two surfaces at an
edge, depth that was registered to a larger colour image and is sparse in it, a pose from a
hand-eye calibration, and joint states that are a little late.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.types import CameraView, Observation

_EDGE = 0.03          # [m] neighbouring pixels farther apart in depth are an edge
_EDGE_WIDTH = 2       # [px] around an edge, what it spoils
_GRAIN = 1.0          # [px] of holes: a dark surface is speckled with them, not gone


@dataclass(frozen=True)
class Degradation:
    """What is wrong with a camera and with what is known of it; 0 for nothing."""

    noise: float = 0.0           # [m] standard deviation of a depth at any distance
    noise_square: float = 0.0    # [1/m] what distance squared times this adds
    holes: float = 0.0           # 0..1 of the pixels have no depth: edges and the dark first
    dark_loss: float = 0.5       # how much rather on the dark; from 3 on it has no depth at all
    flying: float = 0.0          # 0..1 of the pixels at edges lie between the two surfaces
    quantum: float = 0.0         # [m] step of the depth at 1 m; it grows with distance squared
    sparse: int = 1              # only every n-th row and column has a depth
    shift: float = 0.0           # [m] the camera is said to be this far from where it is
    turn: float = 0.0            # [rad] and turned by this
    #: [rad or m] by name, what is added to the joints that are reported with the image
    joint_errors: Mapping[str, float] = dataclasses.field(default_factory=dict)


CLEAN = Degradation()
#: noise, holes and edges of a stereo camera as it is
REALISTIC = Degradation(noise=0.001, noise_square=0.0015, holes=0.2, flying=0.1, quantum=0.001)


def degrade(observation: Observation, how: Degradation, seed: int = 0) -> Observation:
    """
    Return the observation as a worse camera gives it, with what is falsely known of it.

    The directions of shift and turn are drawn, for each camera its own; their sizes are exact. A
    view without depth keeps having none.
    """
    random = np.random.default_rng(seed)
    views = tuple(_degraded(view, how, random) for view in observation.views)
    return dataclasses.replace(observation, views=views, joint_positions=_off(
        observation.joint_positions, how))


def _degraded(view: CameraView, how: Degradation, random: np.random.Generator) -> CameraView:
    T_base_camera = misplaced(view.T_base_camera, how, random)
    depth = None if view.depth is None else worse_depth(view.depth, view.image, how, random)
    joints = None if view.joint_positions is None else _off(view.joint_positions, how)
    return dataclasses.replace(view, T_base_camera=T_base_camera, depth=depth,
                               joint_positions=joints)


def _off(joint_positions: Mapping[str, float], how: Degradation) -> dict[str, float]:
    """Return joints as they are reported."""
    return {name: position + how.joint_errors.get(name, 0.0)
            for name, position in joint_positions.items()}


def worse_depth(depth: np.ndarray, image: np.ndarray, how: Degradation,
                random: np.random.Generator) -> np.ndarray:
    """
    Return a depth image as a worse camera measures it, (H, W) float32 [m], NaN unknown.

    :param depth: (H, W) float32 [m].
    :param image: (H, W, 3) uint8, whose dark surfaces lose their depth.
    """
    out = depth.astype(np.float64)
    edge = at_edges(depth)
    if how.flying:
        low, high = _around(depth)
        flies = edge & (random.random(depth.shape) < how.flying) & np.isfinite(depth)
        out[flies] = (low + (high - low) * random.random(depth.shape))[flies]
    out += random.normal(size=depth.shape) * (how.noise + how.noise_square * out ** 2)
    if how.quantum:
        out = 1 / (np.round(1 / out / how.quantum) * how.quantum)
    if how.holes:
        out[_holes(edge, image, how.holes, how.dark_loss, random)] = np.nan
    if how.sparse > 1:
        kept = np.zeros(depth.shape, bool)
        kept[::how.sparse, ::how.sparse] = True
        out[~kept] = np.nan
    return out.astype(np.float32)


def misplaced(T_base_camera: np.ndarray, how: Degradation,
              random: np.random.Generator) -> np.ndarray:
    """Return a camera pose (4, 4) that is wrong by the shift and the turn, each in a direction."""
    error = np.eye(4)
    error[:3, 3] = how.shift * _direction(random)
    error[:3, :3] = Rotation.from_rotvec(how.turn * _direction(random)).as_matrix()
    wrong: np.ndarray = T_base_camera @ error
    return wrong


def with_ball(observation: Observation, center_base: np.ndarray,
              radius: float) -> tuple[Observation, int]:
    """
    Return the observation with a grey ball in the scene, and how many pixels of it are seen.

    Every camera that measures depth sees it; the pixels are those of the first.

    :param center_base: (3,) [m].
    :param radius: [m].
    """
    balls = [_with_ball(view, center_base, radius) for view in observation.views]
    return dataclasses.replace(observation, views=tuple(view for view, _ in balls)), balls[0][1]


def _with_ball(view: CameraView, center_base: np.ndarray,
               radius: float) -> tuple[CameraView, int]:
    if view.depth is None:
        return view, 0
    center = (np.linalg.inv(view.T_base_camera) @ np.r_[center_base, 1.0])[:3]
    rays = view.camera.rays().astype(np.float64)
    square = (rays ** 2).sum(-1)
    along = rays @ center
    inside = along ** 2 - square * (center @ center - radius ** 2)
    with np.errstate(invalid='ignore'):
        ball = np.where(inside >= 0, (along - np.sqrt(inside)) / square, np.nan)
        seen = (ball > 0) & ~(view.depth <= ball)
    depth, image = view.depth.copy(), view.image.copy()
    depth[seen] = ball[seen]
    image[seen] = 128
    return dataclasses.replace(view, depth=depth, image=image), int(seen.sum())


def at_edges(depth: np.ndarray) -> np.ndarray:
    """Return the pixels at a jump of the depth, (H, W) bool."""
    low, high = _around(depth)
    return high - low > _EDGE


def _around(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest depth around each pixel, (H, W) [m]."""
    far = np.nan_to_num(depth, nan=float(np.nanmax(depth, initial=1.0)))
    kernel = np.ones((2 * _EDGE_WIDTH - 1,) * 2, np.uint8)
    return cv2.erode(far, kernel), cv2.dilate(far, kernel)


def _holes(edge: np.ndarray, image: np.ndarray, share: float, dark_loss: float,
           random: np.random.Generator) -> np.ndarray:
    """Return which pixels have no depth: that share, most of them at edges and where it is dark."""
    grain = cv2.GaussianBlur(random.normal(size=edge.shape), (0, 0), _GRAIN)
    grain /= grain.std()
    grey = image.mean(axis=-1)
    # By rank, so that the share is made up of the darkest that there is.
    darkness = 1.0 - np.searchsorted(np.sort(grey, axis=None), grey, 'right') / grey.size
    score = grain + 1.5 * edge + dark_loss * darkness
    holes: np.ndarray = score >= np.quantile(score, 1.0 - share)
    return holes


def _direction(random: np.random.Generator) -> np.ndarray:
    drawn = random.normal(size=3)
    direction: np.ndarray = drawn / np.linalg.norm(drawn)
    return direction
