# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawers, doors and knobs where the hand has left them, as obstacles to what comes after."""
from __future__ import annotations

from collections.abc import Collection

import numpy as np

from kinema4d_ros.foresight import MovingBody, Story
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.robot.point_cubes import PointCubes
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity


def check_moved_parts(robot: RobotRollout, story: Story, fields: DistanceFields,
                      settings: Tier1Settings, touching: Collection[str]) -> list[Finding]:
    """
    Report where links touch parts of fixtures that the hand has moved, once they stand again.

    Where the part is now is known as well as where something is that is carried.

    :param touching: links that may touch, as fingers do; they are not looked at.
    """
    found = []
    for moving in story.bodies:
        if moving.part is not None:
            found += _contacts(robot, moving, fields, settings, touching)
    return found


def _contacts(robot: RobotRollout, moving: MovingBody, fields: DistanceFields,
              settings: Tier1Settings, touching: Collection[str]) -> list[Finding]:
    frames = np.arange(moving.stands_from, len(robot.times))
    if not len(frames):
        return []
    points = moving.vertices(-1)
    index = [robot.link_names.index(name) for name in fields.link_names]
    distance, nearest = fields.closest(PointCubes(points), robot.T_base_link[frames][:, index])
    found = []
    for number, name in enumerate(fields.link_names):
        apart = distance[:, number].astype(np.float64)
        if name in touching or not (apart <= 0.0).any() or apart[0] <= 0.0:
            continue
        certain = apart + settings.confidence * settings.carried_sigma <= 0.0
        bad = certain if certain.any() else apart <= 0.0
        worst = int(np.where(bad, apart, np.inf).argmin())
        times = robot.times[frames]
        found.append(Finding(
            FindingCode.CONTACT, Severity.FAIL if certain.any() else Severity.UNSURE,
            f"'{name}' {'would' if certain.any() else 'may'} touch what the hand has moved before: "
            f'{1000 * apart[worst]:.0f} mm (+-{1000 * settings.carried_sigma:.0f}) at '
            f'{times[worst]:.2f} s', link=name, other='moved part',
            point_base=plain_point(points[nearest[worst, number]]),
            time=float(times[bad.argmax()]), value=float(apart[worst]), limit=0.0,
            sigma=settings.carried_sigma, unit='m'))
    return found
