# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The control cycle of joint_trajectory_controller, without ROS and without a clock of its own.

It does what ros2_controllers 4.42 (jazzy) does with position commands, its oddities included: a
goal is blended from the measured state, a start in the future is not waited for, time jumps after
a stall, a joint that is named six times leaves the others where the last message had them, and
what is not a number is reached at once. `test_controller_contract` compares it with the real one.
"""
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from control_msgs.action import FollowJointTrajectory
from jtc_spline import NS, Point, Spline
from jtc_tolerances import Tolerances, violated

RESULT = FollowJointTrajectory.Result
_NONE = Tolerances()
_REST = 1.2e-7      # [rad/s or m/s] what counts as standing at the last point


@dataclass(frozen=True)
class Ending:
    """How a goal ends."""

    succeeded: bool
    code: int = RESULT.SUCCESSFUL
    text: str = ''


@dataclass
class Settings:
    """Parameters of the controller, by their meaning; the defaults are the controller's."""

    joints: tuple[str, ...]
    continuous: tuple[str, ...] = ()
    period: float = 0.005                   # [s]
    measures_speed: bool = True             # the state interface velocity
    partial_goals: bool = False             # allow_partial_joints_goal
    from_desired: bool = False              # interpolate_from_desired_state
    ends_moving: bool = False               # allow_nonzero_velocity_at_trajectory_end
    tolerances: Tolerances = _NONE          # constraints


class ControlLoop:
    """Follows one trajectory at a time; the newest."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.scaling = 1.0
        self.goal = None            # who has the trajectory under way; None: the topic, or nobody
        self.desired = self.command = self.place = None     # (J,) [rad or m]
        self._speed = None
        self._new, self._spline, self._holds = None, None, True
        self._tolerances, self._last, self._at = settings.tolerances, None, 0
        self._commanded_at, self._command_speed = None, None
        self._remap = np.zeros(len(settings.joints))
        self._continuous = np.array([n in settings.continuous for n in settings.joints])

    # ------------------------------------------------------------------ messages

    def why_rejected(self, message, now) -> str | None:
        """Return why a trajectory message is not taken at the time `now` [ns], or None."""
        names, points = message.joint_names, message.points
        if not self.settings.partial_goals and len(names) != len(self.settings.joints):
            return 'other joints than the controller has'
        if not names or not points:
            return 'no joints, or no points'
        if not set(names) <= set(self.settings.joints):
            return 'a joint that the controller does not have'
        if not self.settings.ends_moving and any(abs(v) > _REST for v in points[-1].velocities):
            return 'it still moves at its end'
        stamp = _ns(message.header.stamp)
        if stamp and stamp + _ns(points[-1].time_from_start) < now:
            return 'its end is in the past'
        times = [_ns(point.time_from_start) for point in points]
        if any(b <= a for a, b in pairwise(times)):
            return 'times that do not increase'
        if any(len(point.positions) != len(names) or point.effort
               or len(point.velocities) not in (0, len(names))
               or len(point.accelerations) not in (0, len(names)) for point in points):
            return 'points of another size, or with effort'
        return None

    def take(self, message, goal=None):
        """Go over to a trajectory message in the next cycle; `goal` is who sent it."""
        self._new, self._holds = message, False
        if goal is not None:
            self.goal = goal
            self._tolerances = self.settings.tolerances.of_goal(
                goal.request, self.settings.joints)

    def hold(self):
        """Stay where the joints were measured last, from the next cycle on."""
        if self.place is not None:
            self._new, self._holds = np.array(self.place), True

    # ------------------------------------------------------------------ cycles

    def cycle(self, now, place, speed=None) -> Ending | None:
        """
        Have one cycle at the time `now` [ns], with what is measured (J,); leave `command`.

        :return: the ending of `goal`, which is None from then on.
        """
        elapsed, self._last = now - (self._last or now), now
        self.place = np.array(place, float)
        if self._new is not None:
            self._spline, self._new = self._spline_of(self._new), None
        self._speed = np.array(speed, float) if self.settings.measures_speed else None
        if self._spline is None:
            return None
        first = not self._spline.begun
        if first:
            self._begin(now)
        else:
            self._at += round(elapsed * self.scaling)
        desired = self._spline.sample(self._at)
        wanted = self._spline.sample(self._at + round(self.settings.period * NS))
        self.desired = desired.positions
        return self._judged(wanted, desired.positions - self.place, first)

    @property
    def progress(self) -> float:
        """How far the trajectory under way has come [s]."""
        if self._new is not None or self._spline is None or not self._spline.begun:
            return 0.0
        return (self._at - self._spline.start) / NS

    def _begin(self, now):
        if self.settings.from_desired and self._commanded_at is not None:
            self._spline.begin(self._commanded_at, self.command, self._command_speed,
                               self._continuous)
        else:
            self._spline.begin(now, self.place, self._speed, self._continuous)
        self._at = now

    def _judged(self, wanted, errors, first):
        joints, limits = self.settings.joints, self._tolerances
        errors = np.where(self._continuous, np.remainder(errors + np.pi, 2 * np.pi) - np.pi,
                          errors)
        off = (first or not wanted.ended) and not self._holds and violated(
            limits.path, joints, errors)
        outside = wanted.ended and not self._holds and violated(limits.goal, joints, errors)
        over = (self._at - self._spline.start - self._spline.points[wanted.segment].after) / NS
        late = outside and limits.time > 0 and over > limits.time
        if not off and not late:
            self.command, self._command_speed = wanted.positions, wanted.velocities
            self._commanded_at = self._last
        if off:
            self.hold()
            return self._ended(Ending(False, RESULT.PATH_TOLERANCE_VIOLATED,
                                      'Aborted due to path tolerance violation'))
        if late:
            self.hold()
            return self._ended(Ending(
                False, RESULT.GOAL_TOLERANCE_VIOLATED,
                f'Aborted due to goal_time_tolerance exceeding by {over:f} seconds'))
        if wanted.ended and not outside and self.goal is not None:
            last = self._spline.points[-1]
            self._spline, self._holds = Spline([Point(
                0, last.positions, last.velocities, last.accelerations)]), True
            return self._ended(Ending(True, text='Goal successfully reached!'))
        return None

    def _ended(self, ending):
        had, self.goal = self.goal, None
        return ending if had is not None else None

    # ------------------------------------------------------------------ order of joints

    def _spline_of(self, message):
        if isinstance(message, np.ndarray):
            return Spline([Point(0, message)])
        names = list(message.joint_names)
        if len(names) < len(self.settings.joints):
            names += [name for name in self.settings.joints if name not in names]
        held = self.place if self.command is None else self.command
        index = [self.settings.joints.index(name) for name in names]
        rest = index[len(message.joint_names):]
        return Spline([Point(
            _ns(point.time_from_start), self._sorted([*point.positions, *held[rest]], index),
            self._sorted([*point.velocities, *np.zeros(len(rest))] if point.velocities else [],
                         index),
            self._sorted([*point.accelerations, *np.zeros(len(rest))] if point.accelerations
                         else [], index)) for point in message.points], _ns(message.header.stamp))

    def _sorted(self, values, index):
        """Put values in the controller's order; joints without one have what was there last."""
        if not len(values):
            return None
        self._remap[index] = values
        return self._remap.copy()


def _ns(time) -> int:
    return time.sec * NS + time.nanosec
