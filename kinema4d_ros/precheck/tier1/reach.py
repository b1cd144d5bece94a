# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where points of the scene can matter to a motion; tier 1 looks at no others."""
from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from kinema4d_ros.foresight import Body, MovingBody, Story
from kinema4d_ros.foresight.hull import GRID
from kinema4d_ros.precheck.tier1.hanging import swing
from kinema4d_ros.robot import ball_around, DistanceFields
from kinema4d_ros.types import RobotRollout

#: [m] that a rule may look at beside a point that is near a link, or beside what is carried
BESIDE = 0.03
#: [m] that it may look at around what is held, at any height: for the ground below it
AROUND = 0.2


def boxes_in_reach(robot: RobotRollout, fields: DistanceFields, story: Story | None,
                   stood: Collection[np.ndarray] = ()) -> np.ndarray:
    """
    Return boxes outside of which no point of the scene changes what tier 1 finds.

    They are around what is within reach of the links' distance fields in the whole motion, and
    around what the hand moves.

    :param stood: links (L, 4, 4) of the rollout where the robot was besides.
    :return: (K, 2, 3) [m] lowest and highest corner, base frame.
    """
    index = [robot.link_names.index(name) for name in fields.link_names]
    boxes = [fields.swept(robot.T_base_link[:, index]),
             *(fields.swept(poses[None, index]) for poses in stood)]
    if story is not None:
        boxes += [np.array(list(_of_moving(moving))) for moving in story.bodies]
        boxes += [np.array([_around(target.body)]) for target in story.targets]
    return np.concatenate([each for each in boxes if len(each)]) + np.array(
        [[-BESIDE], [BESIDE]])


def _of_moving(moving: MovingBody) -> Iterator[np.ndarray]:
    """Yield boxes around a body where it was seen, and wherever it is moved to."""
    yield _around(moving.body)
    points = _finite(moving.body)
    if not len(points):
        return
    middle = points.mean(0)
    for center, radius in ((middle, float(np.linalg.norm(points - middle, axis=1).max())),
                           ball_around(points)):
        places = moving.T_base_body[:, :3] @ np.r_[center, 1.0]
        around = radius + swing(moving, radius) + GRID
        yield np.array([places.min(0) - around, places.max(0) + around])
    if moving.held is not None:
        low, high = moving.body.moved(points, moving.T_base_body[0])[:, :2].min(0), \
            moving.body.moved(points, moving.T_base_body[0])[:, :2].max(0)
        yield np.array([[*(low - AROUND), -np.inf], [*(high + AROUND), np.inf]])


def _around(body: Body) -> np.ndarray:
    """Return the box around a body as it was seen, (2, 3) [m]; one of nothing if it is nowhere."""
    points = _finite(body)
    return np.array([points.min(0, initial=np.inf), points.max(0, initial=-np.inf)])


def _finite(body: Body) -> np.ndarray:
    points: np.ndarray = body.vertices[np.isfinite(body.vertices).all(axis=1)]
    return points
