# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a gate has done by its node: calls to shadow_sim, controller, client and people."""
from __future__ import annotations

import enum
from dataclasses import dataclass

from kinema4d_ros.gate.events import GoalEnd
from kinema4d_ros.gate.request import GateRequest
from kinema4d_ros.gate.settings import Mode
from kinema4d_ros.types import FindingCode, JointTrajectory, Status


class DecisionKind(enum.IntEnum):
    """What was decided; same numbers as msg/Decision."""

    FORWARD = 0
    HOLD = 1
    REFUSE = 2
    ASK = 3
    OVERRIDE = 4
    CANCEL = 5
    STOP = 6
    DOUBT = 7
    MONITOR = 8
    UNWATCHED = 9
    DONE = 10
    RELAY = 11      # of set points
    HELD = 12


class LogLevel(enum.IntEnum):
    """At which level a decision is logged."""

    INFO = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, eq=False)
class AskShadowSim:
    """Ask for a verdict."""

    request: GateRequest
    question: JointTrajectory | None    # None: the trajectory as it came
    timeout: float                      # [s]


@dataclass(frozen=True)
class AbandonQuestion:
    """Drop a question whose answer nobody needs; nothing when there is none."""

    number: int


@dataclass(frozen=True, eq=False)
class Forward:
    """Hand a trajectory to the controller as it came."""

    request: GateRequest


@dataclass(frozen=True)
class CancelAtController:
    """Cancel what was forwarded; nothing while the controller has not accepted it."""

    number: int


@dataclass(frozen=True)
class EndGoal:
    """End the client's goal with its result; nothing for a trajectory that came by topic."""

    number: int
    how: GoalEnd
    error_code: int = 0
    error_string: str = ''


@dataclass(frozen=True, eq=False)
class ReportDecision:
    """Report to people and programs what was decided and why, in one sentence."""

    kind: DecisionKind
    sentence: str
    request: GateRequest
    mode: Mode
    status: Status | None = None        # of the verdict; None without one
    rollout_id: str = ''
    level: LogLevel = LogLevel.INFO
    code: FindingCode | None = None     # of the reason, where it has one


@dataclass(frozen=True)
class PingController:
    """Ask the controller for a sign of life, without any effect."""

    number: int


@dataclass(frozen=True, eq=False)
class TellGates:
    """Tell the other gates of this robot of a motion of ours, or that it is over."""

    request: GateRequest
    sent_ns: int
    at: float = 0.0                     # [s] on its path
    over: bool = False
    together: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AnswerOperator:
    """Answer the service that an operator called."""

    success: bool
    sentence: str


Command = (AskShadowSim | AbandonQuestion | Forward | CancelAtController | EndGoal
           | ReportDecision | PingController | TellGates | AnswerOperator)
