# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tolerances of joint_trajectory_controller: those it is started with, and those of a goal."""
from dataclasses import dataclass, field, replace

import numpy as np

_KEEP, _ERASE = 0.0, -1.0       # as control_msgs/JointTolerance has it


@dataclass(frozen=True)
class Tolerances:
    """Of positions [rad or m], by joint; a joint that is not there is not watched."""

    path: dict[str, float] = field(default_factory=dict)
    goal: dict[str, float] = field(default_factory=dict)
    time: float = 0.0       # [s] to reach the goal after the end; 0: for ever

    def of_goal(self, goal, joints) -> 'Tolerances':
        """
        Return those that a goal is executed with.

        One name that the controller does not have, or a value below 0 that is not -1, and all that
        the goal says is dropped.
        """
        time = goal.goal_time_tolerance.sec + goal.goal_time_tolerance.nanosec * 1e-9
        try:
            return replace(
                self, path=_merged(self.path, goal.path_tolerance, joints),
                goal=_merged(self.goal, goal.goal_tolerance, joints),
                time=_resolved(self.time, time))
        except ValueError:
            return self


def violated(limits: dict[str, float], joints, errors: np.ndarray) -> bool:
    """Return whether an error (J,) is beyond its limit; one that is not a number never is."""
    return any(limits.get(name, 0.0) > 0 and abs(error) > limits[name]
               for name, error in zip(joints, errors))


def _merged(default, said, joints):
    merged = dict(default)
    for tolerance in said:
        if tolerance.name not in joints:
            raise ValueError(tolerance.name)
        merged[tolerance.name] = _resolved(default.get(tolerance.name, 0.0), tolerance.position)
    return merged


def _resolved(default, said):
    if said < 0 and abs(said - _ERASE) > 1e-7:
        raise ValueError(said)
    return 0.0 if said < 0 else default if said == _KEEP else said
