# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which set points go to the controller, and what goes there in place of others.

A set point is relayed as it came, or not at all. It must pass tier 0 by itself, and lie within a
licence: the free space around a look at the scene, or the tube around a trajectory that passed. A
robot that is held needs nothing where it takes positions, since the last one stays, unless the way
to that has lost its licence too: then it is told to stay where it is. One that takes velocities is
brought to a stand. It is let go by the first set point that may pass.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.gate.joints import JointReading
from kinema4d_ros.gate.set_points.path_licence import PathLicence
from kinema4d_ros.gate.set_points.posture import (cubic_overshoot, Posture, posture_of,
                                                  reachable_by_position, stops_by_velocity)
from kinema4d_ros.gate.set_points.scene_licence import SceneLicence
from kinema4d_ros.gate.set_points.settings import SetPointKind, SetPointSettings
from kinema4d_ros.gate.set_points.step_rules import StepRules
from kinema4d_ros.robot import PostureBound, Robot, SelfCollision

_FIRST = 0.01       # [s] for which a brake acts when it is first told
_STANDS = 0.01      # [rad/s or m/s] slower than this a joint stands
_AGAIN = 1.0        # [s] after which a position may begin where the robot is by then, too
_PATHS = 8          # trajectories that are licences at a time


@dataclass(frozen=True, eq=False)
class SetPointSituation:
    """The world outside at the moment of a decision."""

    now: float                                # steady time [s]
    now_ns: int                               # ROS time
    readings: Mapping[str, JointReading] = field(default_factory=dict)
    problem: str | None = None                # why nothing may be relayed; None for nothing


@dataclass(frozen=True, eq=False)
class SetPointRuling:
    """What happens to a set point, or what the gate does by itself."""

    relays: bool = False
    reason: str | None = None                 # why it is held back; None where it is not
    #: (n,) [rad, m or per s] that is to be published in its place; None for nothing
    own: np.ndarray | None = None
    share: float = 1.0                        # that a velocity of our own is of the last one


class SetPointMachine:
    """Decides on one set point after the other; one thread at a time."""

    def __init__(self, kind: SetPointKind) -> None:
        """Begin without robot, licence or set point."""
        self.kind = kind
        self.scene: SceneLicence | None = None
        self.paths: dict[str, PathLicence] = {}          # by the hash of the trajectory
        self.relayed = self.held_back = 0                # set points
        self.is_held, self.reason = False, ''            # why it is held
        self._rules: StepRules | None = None
        self._forget()

    def _forget(self) -> None:
        self._last: np.ndarray | None = None             # (n,) what the controller was told last
        self._last_at = self._heard_at = self._braked_at = 0.0     # steady time [s]
        self._budget = np.zeros(0)                       # (n,) [rad or m] not yet used
        self._is_stopped = True                          # nothing is left to be stopped
        self._live = self._live_at = np.zeros(0)         # (n,) as measured, steady times [s]
        self._sure = np.zeros(0, bool)                   # (n,) of that, by the measurement before

    @property
    def rules(self) -> StepRules | None:
        """The rules of tier 0; None before the robot is known."""
        return self._rules

    @property
    def is_moving(self) -> bool:
        """Whether the controller was told something that is not yet brought to its end."""
        return not self._is_stopped

    def set_robot(self, robot: Robot | None, joints: Sequence[str] = (),
                  bound: PostureBound | None = None,
                  self_collision: SelfCollision | None = None) -> None:
        """
        Take a robot and the joints of its controller; None forgets them, and every licence.

        :param bound: of the boxes around all links.
        """
        self.scene, self.paths = None, {}
        self._forget()
        self._rules = None if robot is None or bound is None else StepRules(
            robot, joints, bound, self_collision)

    def add_path(self, digest: str, licence: PathLicence | None) -> None:
        """
        Take the licence of a trajectory by its hash; None ends it.

        One that is under way goes on beside a newer one, which is to be begun at its beginning.
        """
        before, under_way = self.paths.pop(digest, None), f'{digest} under way'
        if licence is None:
            self.paths.pop(under_way, None)
        else:
            if before is not None and before.has_begun:
                self.paths[under_way] = before
            self.paths[digest] = licence
            while len(self.paths) > _PATHS:
                del self.paths[next(iter(self.paths))]

    # ------------------------------------------------------------------ set points

    def take(self, values: np.ndarray | str, situation: SetPointSituation,
             settings: SetPointSettings, *, lasts: float = 0.0,
             beyond: np.ndarray | None = None) -> SetPointRuling:
        """
        Decide on a set point.

        :param values: (n,) [rad, m or per s] of the controller's joints, or why it is none.
        :param lasts: [s] that the robot may take to get there, at least.
        :param beyond: (n,) [rad or m] by which it may overshoot for its velocity at the end; with
            that, a controller fits a cubic from the velocity that it has. None where it has none.
        """
        now = self._heard_at = situation.now
        reason = situation.problem
        if reason is None:
            reason = values if isinstance(values, str) else self._why_not(
                values, situation, settings, lasts, beyond)
        if reason is not None:
            self.held_back += 1
            self.is_held, self.reason = True, reason
            return self._hold(reason, situation, settings)
        assert not isinstance(values, str)
        self._spend(values, now, settings)
        self._last, self._last_at = np.array(values), now
        self._is_stopped, self._braked_at = False, 0.0
        self.relayed += 1
        self.is_held, self.reason = False, ''
        return SetPointRuling(relays=True)

    def tick(self, situation: SetPointSituation,
             settings: SetPointSettings) -> SetPointRuling | None:
        """Look at the robot that is held, or whose source is silent; None where nothing is due."""
        silent = situation.now - self._heard_at
        if self._last is None or self._is_stopped \
                or not self.is_held and silent <= settings.timeout:
            return None
        if not self.is_held:
            self.is_held = True
            self.reason = f'the source has been silent for {silent:.2f} s, limit ' \
                          f'{settings.timeout} s'
        return self._hold(self.reason, situation, settings)

    def _why_not(self, values: np.ndarray, situation: SetPointSituation, settings: SetPointSettings,
                 lasts: float, beyond: np.ndarray | None) -> str | None:
        rules = self._rules
        if rules is None:
            return 'the robot is not known yet'
        reason = rules.why_no_numbers(values)
        if reason is not None:
            return reason
        posture = posture_of(rules.robot, situation.readings, situation.now,
                             settings.max_joint_age)
        if isinstance(posture, str):
            return posture
        self._note(rules, posture, situation, settings)
        before = self._before(rules, posture, values, situation.now)
        off = np.zeros(len(rules.robot.joint_names))
        if self.kind.is_velocity:
            low, high, ends = self._by_velocity(rules, values, posture, settings)
            start, end = posture.positions, posture.positions + self._full(
                rules, values) * settings.timeout
            reason = rules.why_velocity(values, before, low, high, settings)
            step = settings.timeout
        else:
            low, high, end, start = self._by_position(rules, values, before, posture, settings)
            ends = [end]
            budget = np.maximum(self._left(situation.now, settings),
                                rules.velocity_limits(settings) * lasts)
            reason = rules.why_position(values, before, budget, posture, settings)
            # A position is executed at once, however long ago the one before was.
            step = max(min(situation.now - self._last_at, settings.burst), lasts)
            if beyond is not None and reason is None:
                beyond = beyond + cubic_overshoot(posture.velocities[rules.columns], lasts)
                low[rules.columns] -= beyond
                high[rules.columns] += beyond
                off[rules.columns] = beyond
        return reason or rules.why_self_contact(posture, ends, settings) \
            or self._why_no_licence(rules, posture, low, high, start, end, ends, step, situation,
                                    settings, off)

    def _by_position(self, rules: StepRules, values: np.ndarray, before: np.ndarray,
                     posture: Posture, settings: SetPointSettings) -> tuple[np.ndarray, ...]:
        end, start = posture.positions.copy(), posture.positions.copy()
        end[rules.columns], start[rules.columns] = values, before
        return *reachable_by_position(posture, end, settings), end, start

    def _by_velocity(self, rules: StepRules, values: np.ndarray, posture: Posture,
                     settings: SetPointSettings
                     ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        stops = stops_by_velocity(posture, self._full(rules, values), settings)
        places = (posture.positions, *stops)
        return np.minimum.reduce(places), np.maximum.reduce(places), list(stops)

    @staticmethod
    def _full(rules: StepRules, values: np.ndarray) -> np.ndarray:
        """Return velocities (J,) of all joints; those that are not the controller's stand."""
        full = np.zeros(len(rules.robot.joint_names))
        full[rules.columns] = values
        return full

    def _why_no_licence(self, rules: StepRules, posture: Posture, low: np.ndarray,
                        high: np.ndarray, start: np.ndarray, end: np.ndarray,
                        ends: Sequence[np.ndarray], step: float, situation: SetPointSituation,
                        settings: SetPointSettings, off: np.ndarray | None = None
                        ) -> str | None:
        """
        Return why no licence holds: why the scene's does not, and the newest path's.

        :param ends: to which the robot may go before it stands still again.
        :param off: (J,) [rad or m] by which it may be off the straight way there.
        """
        if 1 not in settings.required_tiers:
            return None
        reason = 'there is no licence: shadow_sim has not told the free space around the robot' \
            if self.scene is None else self.scene.why_not(
                low, high, start, end, step, situation.now_ns, settings)
        if reason is None:
            return None
        here = posture.positions
        reference = here if self.kind.is_velocity else end
        # [s] until all joints stand still: sqrt(2 s / a) is at least the time to brake on a way s
        ahead = settings.timeout + max(float(np.sqrt(
            2 * np.abs(each - here).max(initial=0.0) / settings.deceleration)) for each in ends)
        scene, why = self.scene, ''
        if scene is not None and not scene.is_current(situation.now_ns, settings):
            scene = None
        look, blocked = (None, ()) if scene is None or not self.paths else (
            scene.clearance, scene.blocked(low, high, settings))
        for licence in reversed(self.paths.values()):
            why_off = licence.why_not(
                reference, ends, rules.columns, here, situation.now, situation.now_ns, settings,
                ahead=ahead, look=look, blocked=blocked, aside=off)
            if why_off is None:
                return None
            why = why or f'; and not by the trajectory that passed last: {why_off}'
        return reason + why

    # ------------------------------------------------------------------ what is left to be used

    def _before(self, rules: StepRules, posture: Posture, values: np.ndarray,
                now: float) -> np.ndarray:
        """
        Return the set point before, (n,), or what is the same to a robot that had none.

        A position of long ago may be what the controller still holds, or something else may have
        moved the robot since: then where it is counts, if that is nearer to what is asked.
        """
        if self.kind.is_velocity:
            return np.zeros(len(rules.joints)) if self._last is None else self._last
        live: np.ndarray = posture.positions[rules.columns]
        last = self._last
        if last is None or now - self._last_at > _AGAIN \
                and np.abs(values - live).max() < np.abs(values - last).max():
            return live
        return last

    def _left(self, now: float, settings: SetPointSettings) -> np.ndarray:
        """Return how far each joint may be told to go by now, (n,) [rad or m]."""
        assert self._rules is not None
        limits = self._rules.velocity_limits(settings)
        most: np.ndarray = limits * settings.burst
        if self._last is None or self._budget.shape != most.shape:
            return most
        return np.minimum(self._budget + limits * (now - self._last_at), most)

    def _spend(self, values: np.ndarray, now: float, settings: SetPointSettings) -> None:
        left = self._left(now, settings)
        step = np.zeros(1) if self._last is None or self.kind.is_velocity \
            else np.abs(values - self._last)
        self._budget = np.maximum(left - step, 0.0)

    # ------------------------------------------------------------------ holding

    def _hold(self, reason: str, situation: SetPointSituation,
              settings: SetPointSettings) -> SetPointRuling:
        """Return what the controller is to be told while set points are held back."""
        if self._last is None or self._is_stopped:
            return SetPointRuling(reason=reason)
        if self.kind.is_velocity:
            return self._brake(reason, situation.now, settings)
        rules = self._rules
        if rules is None:
            return SetPointRuling(reason=reason)
        posture = posture_of(rules.robot, situation.readings, situation.now,
                             settings.max_joint_age)
        if isinstance(posture, str):
            # Where it is now, nobody knows: the last one stays.
            return SetPointRuling(reason=reason)
        self._note(rules, posture, situation, settings)
        low, high, end, start = self._by_position(rules, self._last, self._last, posture, settings)
        live = posture.positions[rules.columns]
        speed = np.abs(posture.velocities[rules.columns])
        if (np.abs(live - self._last) <= settings.start_tolerance).all() \
                and (speed <= _STANDS).all():
            self._is_stopped = True            # it stands where it was told to be
            return SetPointRuling(reason=reason)
        if self._why_no_licence(rules, posture, low, high, start, end, [end], 1.0, situation,
                                settings) is None:
            return SetPointRuling(reason=reason)       # the last one is still good
        if not self._sure.all() or (np.abs(live - self._last) > settings.max_lead).any():
            return SetPointRuling(reason=reason)       # it would be sent where it may not be
        self._is_stopped = True
        self._last, self._last_at = live.copy(), situation.now
        self._budget = np.zeros(len(live))
        return SetPointRuling(reason=reason, own=live.copy())

    def _note(self, rules: StepRules, posture: Posture, situation: SetPointSituation,
              settings: SetPointSettings) -> None:
        """
        Note where the controller's joints are measured, and whether that can be.

        A servo bus now and then tells a place where a joint is not, once. Who is told to stay there
        goes there.
        """
        live = posture.positions[rules.columns]
        at = np.array([situation.readings[name].arrival for name in rules.joints])
        if self._live.shape == live.shape:
            most = rules.velocity_limits(settings) * (at - self._live_at) + settings.start_tolerance
            can_be = np.abs(live - self._live) <= most
            self._sure = np.where(at > self._live_at, can_be, self._sure)
        else:
            self._sure = np.zeros(live.shape, bool)
        self._live, self._live_at = live, at

    def _brake(self, reason: str, now: float, settings: SetPointSettings) -> SetPointRuling:
        """Slow all joints down alike, by as much as the fastest can brake."""
        assert self._last is not None
        step = min(max(now - self._braked_at, 0.0), 0.1) if self._braked_at else _FIRST
        self._braked_at = now
        fastest = float(np.abs(self._last).max(initial=0.0))
        share = 0.0 if fastest <= 0.0 else max(0.0, 1.0 - settings.deceleration * step / fastest)
        if share * fastest <= _STANDS:
            share = 0.0
        own = self._last * share
        self._last, self._last_at = own, now
        self._is_stopped = share == 0.0
        return SetPointRuling(reason=reason, own=own.copy(), share=share)
