# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the robot holds against the robot itself."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.foresight import MovingBody, Story
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.robot import DistanceFields, PointCubes
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity

_MOST = 1500      # points of an object
_STEPS = 97       # frames that are looked at, at most
_DEEPER = 0.005   # [m] what overlaps a link from the beginning may do so by this much more


def check_held_contact(robot: RobotRollout, story: Story, fields: DistanceFields,
                       settings: Tier1Settings) -> list[Finding]:
    """
    Report where something that is held from the beginning touches another link of the robot.

    The link that holds it may, those that are declared as `touch_links`, the fingers where they
    hold it, and links that do not move against it.
    """
    found = []
    for moving in story.bodies:
        if moving.held is not None:
            found += _contacts(robot, moving, fields, settings)
    return found


def _contacts(robot: RobotRollout, moving: MovingBody, fields: DistanceFields,
              settings: Tier1Settings) -> list[Finding]:
    held = moving.held
    if held is None:
        return []
    vertices = held.vertices[::max(1, len(held.vertices) // _MOST)]
    carrier = robot.link_names.index(held.link)
    index = [robot.link_names.index(name) for name in fields.link_names]
    # As long as it is held it stands still in the frame of the link that holds it.
    steps = np.unique(np.linspace(0, _held_until(moving), _STEPS).round().astype(int))
    T_held_link = np.linalg.inv(robot.T_base_link[steps, carrier])[:, None] \
        @ robot.T_base_link[steps][:, index]
    distance, nearest = fields.closest(PointCubes(vertices), T_held_link)
    may = {held.link, *held.touch_links}
    if held.in_fingers and robot.gripper is not None:
        may |= {robot.gripper.palm_link, *robot.gripper.finger_links}
    still = np.abs(T_held_link - T_held_link[:1]).max(axis=(0, 2, 3)) < 1e-6
    found = []
    for number, name in enumerate(fields.link_names):
        if name in may or still[number]:
            continue
        apart = distance[:, number].astype(np.float64)
        limit = min(0.0, float(apart[0]) - _DEEPER) if apart[0] <= 0 else 0.0
        certain = apart + settings.confidence * settings.carried_sigma <= limit
        doubtful = apart <= limit
        if not doubtful.any():
            continue
        bad = certain if certain.any() else doubtful
        worst = int(np.where(bad, apart, np.inf).argmin())
        frame = steps[worst]
        point = robot.T_base_link[frame, carrier] @ np.r_[vertices[nearest[worst, number]], 1.0]
        found.append(Finding(
            FindingCode.SELF_COLLISION, Severity.FAIL if certain.any() else Severity.UNSURE,
            f"what '{held.link}' holds {'would' if certain.any() else 'may'} touch '{name}': "
            f'{1000 * apart[worst]:.0f} mm (+-{1000 * settings.carried_sigma:.0f}) at '
            f'{robot.times[frame]:.2f} s', link=held.link, other=name,
            point_base=plain_point(point[:3]), time=float(robot.times[steps[bad.argmax()]]),
            value=float(apart[worst]), limit=limit, sigma=settings.carried_sigma, unit='m'))
    return found


def _held_until(moving: MovingBody) -> int:
    """Return the last frame in which it is held: until it is let go, or the end."""
    return len(moving.T_base_body) - 1 if moving.let_go is None else moving.let_go
