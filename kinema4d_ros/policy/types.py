# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Words of this room: what a policy is shown, what it answers, and the world that it acts in."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from kinema4d_ros.policy.action_format import ActionFormat
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.types import JointTrajectory

NEAR = 0.02      # [m] a gripper that closes within this of an object nearly had it
LIFTED = 0.02    # [m] what rises by this with the gripper is grasped


@dataclass(frozen=True)
class PolicyObservation:
    """
    What a policy is shown before it answers with a chunk.

    :param images: name of the view, such as `exterior` or `wrist` -> (H, W, 3) uint8 RGB.
    :param joint_positions: [rad or m] by name, of all joints of the robot.
    :param time: [s] since the task began.
    :param unseen_shares: name of the view -> share of its pixels that nobody ever saw and that
        were filled in, 0 to 1; 0 for pictures of a real camera. A world that draws a picture when
        it is asked for has here those that were drawn.
    :param depths: name of the view -> (H, W) float32 [m] along optical z, NaN unknown; of the
        views that have it.
    :param drift: [s] since the last picture of a real camera that this rests on.
    """

    instruction: str
    images: Mapping[str, np.ndarray]
    joint_positions: Mapping[str, float]
    time: float = 0.0
    unseen_shares: Mapping[str, float] = field(default_factory=dict)
    depths: Mapping[str, np.ndarray] = field(default_factory=dict)
    drift: float = 0.0


class Policy(Protocol):
    """Whatever answers an observation with a chunk of actions."""

    action_format: ActionFormat

    def reset(self, instruction: str, seed: int) -> None:
        """Begin a task anew."""

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """
        Return the next chunk, (N, columns of `action_format`) float; (0, ...) to end the task.

        :raises PolicyError: names what is wrong with the answer of a policy elsewhere.
        """


@dataclass(frozen=True)
class TaskOutcome:
    """
    What came of a task, in a predicted or in a simulated world.

    :param success: None: nobody knows, for `reason`.
    :param probability: of success, 0 to 1; NaN where unknown.
    :param min_clearance: [m] least distance to what must not be touched; NaN where not measured.
    :param gap_at_closing: [m] between the gripper and the goal's object when it closed; infinite
        where it is known that it never closed, NaN where nobody knows. A world that gives NaN for
        both has runs that are neither near misses nor none.
    :param grasped: the goal's object was lifted by the gripper; None where unknown.
    """

    success: bool | None
    probability: float = float('nan')
    reason: str = ''
    min_clearance: float = float('nan')
    gap_at_closing: float = float('nan')
    grasped: bool | None = None

    @property
    def is_near_miss(self) -> bool | None:
        """Whether the gripper closed within 2 cm of the object and missed it; None unknown."""
        if self.grasped is None or math.isnan(self.gap_at_closing):
            return None
        return not self.grasped and self.gap_at_closing <= NEAR


class TaskWorld(Protocol):
    """A world in which a policy acts: predicted, simulated or real."""

    robot: Robot

    def reset(self) -> PolicyObservation:
        """Begin the task anew, and return what is seen first."""

    def execute(self, trajectory: JointTrajectory) -> PolicyObservation:
        """Let the robot follow a motion that begins where it is, and return what is seen then."""

    def is_solved(self) -> bool:
        """Return whether the task is solved as things stand; asked after each motion, so quick."""

    def outcome(self) -> TaskOutcome:
        """Return what has come of the task so far, with all that can be measured of it."""
