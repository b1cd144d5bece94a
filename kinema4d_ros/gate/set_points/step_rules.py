# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0 of a single set point: its numbers, the joints' limits, and the robot against itself."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.gate.set_points.posture import Posture
from kinema4d_ros.gate.set_points.settings import SetPointSettings
from kinema4d_ros.robot import JointType, PostureBound, Robot, SelfCollision

_TRAVEL = 0.02      # [m] a point of a link moves between two postures that are checked
_MOST = 48          # of them; a set point that leads farther is refused
_APART = 0.03       # [m] up to which it is looked how far links are apart


@dataclass(frozen=True, eq=False)
class _Apart:
    """A posture in which no two links that are checked are nearer to each other than this."""

    origin: np.ndarray      # T_base_link (L, 4, 4)
    distance: float         # [m]


class StepRules:
    """Judges set points of one robot; not thread-safe."""

    def __init__(self, robot: Robot, joints: Sequence[str], bound: PostureBound,
                 self_collision: SelfCollision | None) -> None:
        """
        Make the rules of a controller.

        :param joints: of the controller, in its order.
        :param bound: of the boxes around all links.
        :param self_collision: None where links are not to be checked against each other.
        """
        self.robot, self.joints = robot, tuple(joints)
        self.columns = np.array([robot.joint_names.index(name) for name in joints], np.int64)
        limits = [robot.limits[name] for name in joints]
        self._lower = np.array([-np.inf if limit.lower is None else limit.lower
                                for limit in limits])
        self._upper = np.array([np.inf if limit.upper is None else limit.upper
                                for limit in limits])
        self._velocity = np.array([np.nan if limit.velocity is None else limit.velocity
                                   for limit in limits])
        self._units = ['m' if robot.joints[name].type is JointType.PRISMATIC else 'rad'
                       for name in joints]
        self._bound, self._self_collision = bound, self_collision
        self._apart: _Apart | None = None

    def velocity_limits(self, settings: SetPointSettings) -> np.ndarray:
        """Return how fast each joint of the controller may be, (n,) [rad/s or m/s]."""
        limits: np.ndarray = np.where(np.isnan(self._velocity), settings.max_velocity,
                                      self._velocity * settings.velocity_scale)
        return limits

    def why_no_numbers(self, values: np.ndarray) -> str | None:
        """Return why values are no set point of the controller's joints."""
        if values.shape != self.columns.shape:
            return f'it has {values.size} values for the {len(self.joints)} joints ' \
                   f'{", ".join(self.joints)}: a controller is deactivated by that'
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            return f'{self.joints[bad[0]]} is to be {values[bad[0]]}'
        return None

    def why_position(self, target: np.ndarray, before: np.ndarray, budget: np.ndarray,
                     posture: Posture, settings: SetPointSettings) -> str | None:
        """
        Return why a position is refused, by the limits of the joints.

        :param target: (n,) [rad or m].
        :param before: (n,) [rad or m], the set point before, or where the joints are.
        :param budget: (n,) [rad or m] that the velocity limits allow since then.
        """
        live = posture.positions[self.columns]
        over = self._beyond(target)
        # What stands beyond a limit may be brought back.
        bad = np.flatnonzero((over > settings.position_tolerance) & (over >= self._beyond(live)))
        if len(bad):
            at = int(bad[0])
            return f'{self.joints[at]} is to be at {target[at]:.3f} {self._units[at]}, its ' \
                   f'limits are {self._lower[at]:.3f} and {self._upper[at]:.3f}'
        lead = np.abs(target - live)
        if (j := _first(lead > settings.max_lead)) is not None:
            return f'{self.joints[j]} is to be at {target[j]:.3f}, {lead[j]:.3f} ' \
                   f'{self._units[j]} from where it is (max_lead {settings.max_lead})'
        step = np.abs(target - before)
        if (j := _first(step > settings.max_step)) is not None:
            return f'{self.joints[j]} is to jump by {step[j]:.3f} {self._units[j]} ' \
                   f'(max_step {settings.max_step})'
        if (j := _first(step > budget + 1e-9)) is not None:
            return f'{self.joints[j]} would be faster than ' \
                   f'{self.velocity_limits(settings)[j]:.3f} {self._units[j]}/s, its limit'
        return None

    def why_velocity(self, wanted: np.ndarray, before: np.ndarray, low: np.ndarray,
                     high: np.ndarray, settings: SetPointSettings) -> str | None:
        """
        Return why a velocity is refused, by the limits of the joints.

        :param wanted: (n,) [rad/s or m/s].
        :param before: (n,) [rad/s or m/s], the set point before.
        :param low: (J,) [rad or m], the smallest positions that joints can have by it.
        :param high: (J,) [rad or m], the largest.
        """
        limits = self.velocity_limits(settings)
        if (j := _first(np.abs(wanted) > limits * (1 + 1e-6))) is not None:
            return f'{self.joints[j]} is to move at {wanted[j]:.3f} {self._units[j]}/s, its ' \
                   f'limit is {limits[j]:.3f}'
        step = np.abs(wanted - before)
        brakes = (np.abs(wanted) <= np.abs(before)) & (wanted * before >= 0)
        if (j := _first((step > settings.max_velocity_step) & ~brakes)) is not None:
            return f'the velocity of {self.joints[j]} is to jump by {step[j]:.3f} ' \
                   f'{self._units[j]}/s (max_velocity_step {settings.max_velocity_step})'
        tolerance = settings.position_tolerance
        out = ((low[self.columns] < self._lower - tolerance) & (wanted < 0)) \
            | ((high[self.columns] > self._upper + tolerance) & (wanted > 0))
        if (j := _first(out)) is not None:
            return f'{self.joints[j]} could not stop within its limits, {self._lower[j]:.3f} ' \
                   f'and {self._upper[j]:.3f}'
        return None

    def why_self_contact(self, posture: Posture, ends: Sequence[np.ndarray],
                         settings: SetPointSettings) -> str | None:
        """
        Return why the robot would touch itself on its way to a posture.

        :param ends: each (J,) [rad or m], to which it may go straight. Those that no point of the
            robot is farther from the first one than postures are apart that are checked say no
            more than that.
        """
        if self._self_collision is None:
            return None
        first, *others = ends
        reason = self._why_contact(posture.positions, first, settings)
        if reason is not None or not others:
            return reason
        there = self._bound.poses(first)
        for end in others:
            if float(self._bound(there, end, end).max(initial=0.0)) > _TRAVEL:
                reason = reason or self._why_contact(posture.positions, end, settings)
        return reason

    def _why_contact(self, start: np.ndarray, end: np.ndarray,
                     settings: SetPointSettings) -> str | None:
        """
        Return why the robot would touch itself on a straight way.

        Nothing is looked at while no link can have moved by half of what kept the links apart when
        it was looked at last.
        """
        checker, margin = self._self_collision, settings.self_margin
        assert checker is not None
        if self._apart is not None:
            moved = self._bound(self._apart.origin, np.minimum(start, end), np.maximum(start, end))
            if 2 * float(moved.max(initial=0.0)) + margin <= self._apart.distance:
                return None
        origin = self._bound.poses(start)
        way = float(self._bound(origin, end, end).max(initial=0.0))
        count = int(np.ceil(way / _TRAVEL)) or 1
        if count > _MOST:
            return f'it leads {way:.2f} m away, too far to be checked at once'
        shares = np.arange(1, count + 1) / count
        poses = np.stack([self._bound.poses(start + share * (end - start)) for share in shares])
        near = checker(poses, max(margin, _APART))
        contacts = [each for each in near if each.distance <= margin]
        self._apart = None if contacts else _Apart(poses[-1], min(
            (each.distance for each in near if each.index == count - 1), default=_APART))
        if contacts:
            # Links that touch where a robot is parked may move until they part.
            stand = {frozenset(each.links) for each in checker(origin[None], margin)}
            contacts = [each for each in contacts if frozenset(each.links) not in stand
                        or frozenset(each.links) not in checker.touching_at_rest]
        if contacts:
            one, other = contacts[0].links
            return f"'{one}' and '{other}' would touch" if contacts[0].distance <= 0 else \
                f"'{one}' and '{other}' would come within {1000 * contacts[0].distance:.0f} mm " \
                'of each other'
        return None

    def _beyond(self, positions: np.ndarray) -> np.ndarray:
        """Return how far positions (n,) are beyond their limits."""
        beyond: np.ndarray = np.maximum(np.maximum(self._lower - positions,
                                                   positions - self._upper), 0.0)
        return beyond


def _first(bad: np.ndarray) -> int | None:
    found = np.flatnonzero(bad)
    return int(found[0]) if len(found) else None
