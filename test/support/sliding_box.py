# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A box on a slide, with fingers, before a wall: the smallest robot that a camera can follow."""
from __future__ import annotations

import dataclasses

import numpy as np

from kinema4d_ros.types import Gripper, Observation, PinholeCamera, RobotRollout

COLOUR = np.array([230, 200, 40], np.uint8)
WALL, BOX = 1.5, 1.0                    # [m] from the camera
SPEED = 0.1                             # [m/s] of the box, along x
NAMES = ('world', 'panda_link8')
_HALF = (0.12, 0.1)                     # [m] of the box


def make_scene(count=5, width=64, height=48, *, duration=1.0, depth=True, seed=0, speed=SPEED):
    """
    Return an observation of a wall with a smooth pattern, and the box's rollout before it.

    The picture is that of the robot and the wall exactly; base and camera frame are the same.
    """
    focal = 0.75 * width
    camera = PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    times = np.linspace(0, duration, count)
    x = -0.2 + speed * times
    rays = camera.rays()
    link_id = np.full((count, height, width), -1, np.int16)
    for index in range(count):
        inside = (np.abs(rays[..., 0] * BOX - x[index]) < _HALF[0]) \
            & (np.abs(rays[..., 1] * BOX) < _HALF[1])
        link_id[index][inside] = 1
    z = np.where(link_id >= 0, np.float32(BOX), np.float32(np.nan))
    image = np.where(link_id[..., None] >= 0, COLOUR, np.uint8(0))
    T_base_link = np.repeat(np.eye(4)[None, None], count, 0).repeat(2, 1)
    T_base_link[:, 1, 0, 3], T_base_link[:, 1, 2, 3] = x, BOX
    eye = np.repeat(np.eye(4)[None], count, 0)
    finger = np.full(count, 0.02)
    robot = RobotRollout(
        times, ('slide', 'panda_finger_joint1'), np.stack([x, finger], 1), NAMES, T_base_link,
        camera, eye, rays[None] * z[..., None], link_id, image,
        Gripper('panda_link8', (), ('panda_finger_joint1',)))
    phase = np.random.default_rng(seed).uniform(0, 6)
    wave = 90 + 40 * np.sin(phase + 6 * rays[..., :1] + np.array([0, 2, 4])) * np.cos(
        4 * rays[..., 1:2])
    picture = np.where(link_id[0][..., None] >= 0, COLOUR, wave.astype(np.uint8))
    seen = np.where(link_id[0] >= 0, np.float32(BOX), np.float32(WALL))
    return Observation.from_rgbd(picture, seen if depth else None, camera, np.eye(4)), robot


def wall_of(observation, robot):
    """Return the picture of the wall alone, (H, W, 3) uint8, from where the box is not at first."""
    image = observation.view.image.copy()
    hidden = robot.link_id[0] >= 0
    rows = np.flatnonzero(hidden.any(1))
    for row in rows:                    # what is beside the box continues behind it, nearly
        columns = np.flatnonzero(hidden[row])
        left, right = image[row, columns[0] - 1], image[row, columns[-1] + 1]
        share = np.linspace(0, 1, len(columns))[:, None]
        image[row, columns] = ((1 - share) * left + share * right).astype(np.uint8)
    return image


def picture_of(observation, robot, index, shift=0):
    """Return the wall with the box of frame `index`, `shift` pixels to the right."""
    image = wall_of(observation, robot)
    image[np.roll(robot.link_id[index] >= 0, shift, axis=1)] = COLOUR
    return image


def without_robot(robot):
    """Return the rollout with the box out of view."""
    return dataclasses.replace(robot, link_id=np.full_like(robot.link_id, -1),
                               pointmap=np.full_like(robot.pointmap, np.nan),
                               image=np.zeros_like(robot.image))
