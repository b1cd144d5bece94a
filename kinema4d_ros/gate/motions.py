# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trajectory on its way through the gate: first as it waits, then at the controller."""
from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.commands import Command, DecisionKind, LogLevel, ReportDecision
from kinema4d_ros.gate.handover import Handover
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.request import GateRequest, ShadowSimAnswer
from kinema4d_ros.gate.rules import farthest, Objection, Situation
from kinema4d_ros.gate.settings import GateSettings
from kinema4d_ros.gate.world import World

_NS = 1e-9


class Phase(enum.Enum):
    """How far a trajectory has come."""

    RECEIVED = enum.auto()     # shadow_sim is yet to be asked
    ASKED = enum.auto()        # shadow_sim is asked
    SHOWN = enum.auto()        # an operator is asked
    HELD = enum.auto()         # it passed, and the robot is not yet where it begins
    SENT = enum.auto()         # the controller is yet to accept it
    EXECUTING = enum.auto()    # the controller has accepted it
    STOPPING = enum.auto()     # it is being cancelled
    ENDED = enum.auto()


@dataclass(eq=False)
class PendingMotion:
    """One that has not been forwarded, or is judged only for the record (mode monitor)."""

    request: GateRequest
    settings: GateSettings              # of when it came
    deadline: float                     # steady time [s] for a verdict or an approval
    start: Mapping[str, float]          # [rad or m] joints that the verdict takes it to start at
    phase: Phase = Phase.RECEIVED
    answer: ShadowSimAnswer = field(
        default_factory=lambda: ShadowSimAnswer(problem='no verdict has been asked for'))
    handover: Handover | None = None    # where it continues the motion `after`
    after: ForwardedMotion | None = None
    overridden: bool = False            # an operator's override has been used up for it
    confirm_again: str | None = None    # why an approval may be meant for what was shown before
    monitor: PathMonitor | None = None
    watch_problem: str | None = None    # why `prepare_monitor` could not make it

    @property
    def has_ended(self) -> bool:
        """Whether it was refused or cancelled."""
        return self.phase is Phase.ENDED

    def prepare_monitor(self, world: World) -> None:
        """Make the monitor of its path, or set `watch_problem` where that cannot be done."""
        if self.monitor is not None:
            return
        if world.robot is None or self.request.trajectory is None:
            self.watch_problem = self.request.problem or 'the gate has no robot description'
            return
        try:
            self.monitor = PathMonitor(self.request.trajectory, world.robot, self.start,
                                       self.settings.path_window)
            self.watch_problem = None
        except Kinema4DError as error:
            self.watch_problem = str(error)

    def distance(self, world: World) -> tuple[str, float]:
        """Return the joint that is farthest from where it is to start, and how far [rad or m]."""
        names = self.request.joint_names
        return farthest(names, self.start, world.positions({*names, *self.start}))

    def situation(self, context: EventContext, watch_problem: str | None = None) -> Situation:
        """Return what a decision about it is to be based on."""
        world, graph = context.world, context.world.graph
        joint, moved = self.distance(world)
        return Situation(
            now_ns=world.now_ns,
            robot_hash='' if world.robot is None else world.robot.description_hash,
            gate_problem=graph.gate_problem, controller_problem=graph.controller_problem,
            shadow_sim_problem=graph.shadow_sim_problem,
            joints_problem=world.why_joints_unknown(
                self.request.joint_names, self.settings.max_joint_age, context.now),
            moved=moved, moved_joint=joint, watch_problem=watch_problem)


@dataclass(eq=False)
class ForwardedMotion:
    """One that was forwarded."""

    request: GateRequest
    settings: GateSettings
    answer: ShadowSimAnswer
    sent_at: float                      # steady time [s]
    sent_ns: int                        # ROS time
    monitor: PathMonitor | None = None
    overridden: bool = False
    phase: Phase = Phase.SENT
    accepted_ns: int | None = None      # ROS time; None before it
    can_be_cancelled: bool = True
    stop: Objection | None = None       # why it is being stopped
    stopped_at: float = 0.0             # steady time [s] of the first attempt
    cancelled_at: float = 0.0           # steady time [s] of the last attempt
    by_client: bool = False             # its client cancelled it
    client_knows: bool = False          # how it ended
    succeeded: bool = False
    is_problem_reported: bool = False   # the problem of its controller is reported

    @property
    def due(self) -> float:
        """The steady time [s] at which its motion should be over."""
        ahead = max(0.0, (self.request.start_ns - self.sent_ns) * _NS)
        return self.sent_at + ahead + self.request.duration

    def elapsed(self, now_ns: int) -> tuple[float, float]:
        """Return how long it has been executed at ROS time `now_ns` [s]: at least, at most."""
        accepted_ns = self.sent_ns if self.accepted_ns is None else self.accepted_ns
        start_ns = self.request.start_ns
        return ((now_ns - (start_ns or accepted_ns)) * _NS,
                (now_ns - (start_ns or self.sent_ns)) * _NS)


@dataclass
class EventContext:
    """The handling of one event: when, in what world, and the commands it comes to."""

    now: float                          # steady time [s]
    world: World
    commands: list[Command] = field(default_factory=list)

    def do(self, command: Command) -> None:
        """Add a command; they are carried out in order."""
        self.commands.append(command)

    def report(self, kind: DecisionKind, sentence: str, motion: PendingMotion | ForwardedMotion,
               level: LogLevel = LogLevel.INFO) -> None:
        """Add the report of a decision about a motion."""
        verdict = motion.answer.verdict
        self.do(ReportDecision(
            kind, sentence, motion.request, motion.settings.mode,
            None if verdict is None else verdict.status, motion.answer.rollout_id, level))
