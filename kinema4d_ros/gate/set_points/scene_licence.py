# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A licence for all that stays within the free space around the posture of one look."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.gate.set_points.settings import SetPointSettings
from kinema4d_ros.robot import LinkBox, PostureBound, Robot
from kinema4d_ros.types import LinkSpace, LocalClearance
from kinema4d_ros.types.local_clearance import UNSEEN

_NS = 1e-9
_STAYS = 5e-4       # [m] by which noise of the joints may displace a link that does not move


class SceneLicence:
    """
    Holds while no point of the robot can be displaced by more than is free around it.

    The displacement is bounded for all postures that the robot can have before it stands still, so
    the way there does not matter. Free space is what shadow_sim measured; see `LocalClearance`.
    """

    def __init__(self, clearance: LocalClearance, robot: Robot, *,
                 before: SceneLicence | None = None) -> None:
        """
        Make the licence of a look.

        :param before: of an earlier look, to share what both need.
        """
        self.clearance = clearance
        self.problem = clearance.problem or _why_unusable(clearance, robot) or ''
        self.bound: PostureBound | None = None
        if self.problem:
            return
        boxes = tuple(LinkBox(each.link, each.low, each.high) for each in clearance.links)
        try:
            kept = None if before is None else before.bound
            self.bound = kept if kept is not None and kept.robot is robot \
                and kept.boxes == boxes else PostureBound(robot, boxes)
        except KinematicsError as error:
            self.problem = f'it cannot be used: {error}'
            return
        self._space = np.array([each.space for each in clearance.links])
        self._touch = np.array([each.touch for each in clearance.links])
        self._touch_speed = np.array([each.touch_speed for each in clearance.links])
        here = robot.configuration(clearance.joint_positions, strict=False)
        self._origin = self.bound.poses(here)

    def why_not(self, low: np.ndarray, high: np.ndarray, before: np.ndarray, target: np.ndarray,
                step: float, now_ns: int, settings: SetPointSettings) -> str | None:
        """
        Return why postures are not within the free space.

        :param low: (J,) [rad or m], the smallest positions that joints can have.
        :param high: (J,) [rad or m], the largest.
        :param before: (J,) [rad or m] to which the set point before leads.
        :param target: (J,) [rad or m] to which this one leads.
        :param step: [s] between them.
        :param now_ns: ROS time.
        """
        if self.problem:
            return f'the free space around the robot is not known: {self.problem}'
        age = (now_ns - self.clearance.stamp_ns) * _NS
        if abs(age) > settings.max_scene_age:
            return f'the free space around the robot was measured {age:.2f} s ago, limit ' \
                   f'{settings.max_scene_age} s'
        bound = self.bound
        assert bound is not None
        moved = bound(self._origin, low, high)
        room = self._space - settings.clearance_margin
        over = np.flatnonzero(~((moved <= room) | (moved <= 0.0)))
        if len(over):
            worst = int(over[(moved - room)[over].argmax()])
            return f'{self._name(worst)} could be displaced by {1000 * moved[worst]:.0f} mm ' \
                   f'where {1000 * max(room[worst], 0.0):.0f} mm are free ' \
                   f'({self.clearance.links[worst].reason or "the scene"})'
        near = np.flatnonzero(moved > self._touch - settings.clearance_margin)
        if len(near):
            speed = bound(bound.poses(before), target, target) / max(step, 1e-3)
            fast = near[speed[near] > self._touch_speed[near]]
            if len(fast):
                worst = int(fast[0])
                return f'{self._name(worst)} may touch something and would move at ' \
                       f'{speed[worst]:.2f} m/s, allowed {self._touch_speed[worst]:.2f} m/s'
        return None

    def is_current(self, now_ns: int, settings: SetPointSettings) -> bool:
        """Return whether the free space is known, and was measured lately."""
        return not self.problem and abs(now_ns - self.clearance.stamp_ns) * _NS \
            <= settings.max_scene_age

    def blocked(self, low: np.ndarray, high: np.ndarray, settings: SetPointSettings
                ) -> tuple[LinkSpace, ...]:
        """
        Return what must not touch and has too little space for postures, for the scene itself.

        :param low: see `why_not`; the licence must be current.
        :param high: likewise.
        """
        assert self.bound is not None
        moved = self.bound(self._origin, low, high)
        over = (moved > np.maximum(self._space - settings.clearance_margin, _STAYS)) \
            & np.isinf(self._touch)
        return tuple(each for each, bad in zip(self.clearance.links, over)
                     if bad and each.reason != UNSEEN)

    def _name(self, number: int) -> str:
        each = self.clearance.links[number]
        return f"{each.held} ('{each.link}' holds it)" if each.held else f"'{each.link}'"


def _why_unusable(clearance: LocalClearance, robot: Robot) -> str | None:
    if clearance.robot_hash != robot.description_hash:
        return 'it is of another robot description'
    if not clearance.links:
        return 'it tells of no link'
    lacking = [name for name in robot.joint_names
               if not np.isfinite(clearance.joint_positions.get(name, np.nan))]
    if lacking:
        return f'it does not tell where {lacking[0]} was'
    if any(np.isnan(each.space) or np.isnan(each.touch) for each in clearance.links):
        return 'it has a space that is no number'
    if any(not 0 <= each.touch_speed < np.inf for each in clearance.links):
        return 'it has a speed that is no speed'
    return None
