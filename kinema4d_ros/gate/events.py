# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can happen to a gate; the node makes these of its callbacks."""
from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from kinema4d_ros.gate.request import GateRequest, ShadowSimAnswer


class GoalEnd(enum.StrEnum):
    """How a goal ends, at the controller or for the client."""

    SUCCEED = 'succeed'
    ABORT = 'abort'
    CANCEL = 'cancel'


@dataclass(frozen=True)
class TrajectorySubmitted:
    """A client sent a goal, or somebody published a trajectory."""

    request: GateRequest


@dataclass(frozen=True)
class VerdictAnswered:
    """shadow_sim answered the question about a trajectory."""

    number: int
    answer: ShadowSimAnswer


@dataclass(frozen=True)
class VerdictHeard:
    """shadow_sim published a verdict, to whomever: possibly late evidence."""

    answer: ShadowSimAnswer


@dataclass(frozen=True)
class JointsChanged:
    """joint_states came; where the joints are is in the world."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class ControllerAccepted:
    """The controller executes it from now on; or it was published to the controller's topic."""

    request: GateRequest
    can_be_cancelled: bool = True      # not so by topic, where nothing more is heard of it


@dataclass(frozen=True)
class ControllerRejected:
    """The controller refused the goal."""

    number: int


@dataclass(frozen=True)
class ControllerFinished:
    """The controller's goal ended."""

    number: int
    how: GoalEnd
    error_code: int = 0
    error_string: str = ''


@dataclass(frozen=True)
class ControllerHeard:
    """
    The controller gave a sign of life about a motion.

    `desired` [rad or m] is where it wants the joints now, as its feedback has it, and None where
    it answered when it was asked.
    """

    number: int
    desired: Mapping[str, float] | None = None


@dataclass(frozen=True)
class OthersChanged:
    """Other gates told something new; what is under way is in the world."""


@dataclass(frozen=True)
class ClientCancelled:
    """The client wants no more of its goal."""

    number: int


class OperatorAction(enum.StrEnum):
    """What an operator does; the names of the services."""

    APPROVE = 'approve'      # let the trajectory that is shown pass (mode advise)
    DENY = 'deny'            # refuse it
    OVERRIDE = 'override'    # let the one that was refused pass once (mode enforce)


@dataclass(frozen=True)
class OperatorActed:
    """An operator called a service for the trajectory with this hash."""

    action: OperatorAction
    trajectory_hash: str


@dataclass(frozen=True)
class Closed:
    """The gate ends or has failed: everything is cancelled and nothing passes any more."""

    reason: str


Event = (TrajectorySubmitted | VerdictAnswered | VerdictHeard | JointsChanged | Tick
         | ControllerAccepted | ControllerRejected | ControllerFinished | ControllerHeard
         | OthersChanged | ClientCancelled | OperatorActed | Closed)
