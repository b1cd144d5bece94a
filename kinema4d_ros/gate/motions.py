# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trajectory on its way through the gate: first as it waits, then at the controller."""
from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.commands import Command, DecisionKind, LogLevel, ReportDecision
from kinema4d_ros.gate.handover import Handover
from kinema4d_ros.gate.other_motions import why_not_together
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.request import GateRequest, ShadowSimAnswer
from kinema4d_ros.gate.rules import farthest, Objection, Situation
from kinema4d_ros.gate.settings import GateSettings
from kinema4d_ros.gate.watch import MotionWatch
from kinema4d_ros.gate.world import World
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, JointTrajectory, StartState

_NS = 1e-9
_BLEND = 0.2     # of velocity times duration: the most that a cubic or quintic spline makes of it


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
    speeds: Mapping[str, float] = field(default_factory=dict)   # [rad/s or m/s] then
    phase: Phase = Phase.RECEIVED
    answer: ShadowSimAnswer = field(
        default_factory=lambda: ShadowSimAnswer(problem='no verdict has been asked for'))
    handover: Handover | None = None    # where it continues the motion `after`
    after: ForwardedMotion | None = None
    question: JointTrajectory | None = None     # what is asked about, where that is more
    offset: float = 0.0                 # [s] in the question at which it begins
    together: frozenset[str] = frozenset()      # keys of other gates' motions in the question
    asked: int = 0                      # how often shadow_sim was asked about it
    overridden: bool = False            # an operator's override has been used up for it
    confirm_again: str | None = None    # why an approval may be meant for what was shown before
    path: PathMonitor | None = None
    watch_problem: str | None = None    # why `prepare_path` could not make it
    made_of: tuple[Robot | None, Mapping[str, float]] | None = None     # the path

    @property
    def has_ended(self) -> bool:
        """Whether it was refused or cancelled."""
        return self.phase is Phase.ENDED

    def prepare_path(self, world: World) -> None:
        """
        Make its path, or set `watch_problem` where that cannot be done.

        It is made once for a robot and a start: before the decision, if there is time.
        """
        if self.made_of is not None and self.made_of[0] is world.robot \
                and self.made_of[1] is self.start:
            return
        self.made_of, self.path = (world.robot, self.start), None
        if world.robot is None or self.request.trajectory is None:
            self.watch_problem = self.request.problem or 'the gate has no robot description'
            return
        try:
            self.path = PathMonitor(self.request.trajectory, world.robot, self.start)
            self.watch_problem = None
        except Kinema4DError as error:
            self.watch_problem = str(error)

    @property
    def _judged_start(self) -> StartState:
        """
        The joints that the verdict says it was judged from [rad or m], with their `velocities`.

        Empty where it says none, and where it was judged with what the robot does before it, since
        then it starts elsewhere.
        """
        verdict = self.answer.verdict
        found = None if verdict is None or self.question is not None else verdict.start
        return StartState() if found is None else found

    def distance(self, world: World) -> tuple[str, float]:
        """
        Return the joint that is farthest from where it is to start, and how far [rad or m].

        Joints of motions that were judged with it are to be on their paths instead.
        """
        elsewhere = {name for other in world.others if other.told.key in self.together
                     for name in other.joints}
        names, judged = self.request.joint_names, self._judged_start
        start = {name: judged.get(name, place) for name, place in self.start.items()
                 if name not in elsewhere}
        joint, moved = farthest(names, start, world.positions({*names, *start}),
                                world.continuous)
        for other in world.others:
            if other.told.key in self.together and other.off > moved:
                joint, moved = f'a joint of the motion of {other.told.gate}', other.off
        return joint, moved

    def blend(self, world: World) -> tuple[str, float]:
        """
        Return the joint that is taken farthest off by how much faster it is now, and how far.

        The way to a first point that states a velocity and is later than 0 depends on how fast the
        joints are before. The splines of the controller make at most a fifth of the difference
        times that time of it [rad or m].
        """
        trajectory = self.request.trajectory
        if trajectory is None or trajectory.velocities is None or not len(trajectory.times) \
                or not trajectory.times[0] > 0:
            return '', 0.0
        off, speeds = {}, {**self.speeds, **{
            name: value for name, value in self._judged_start.velocities.items()
            if not math.isnan(value)}}
        for name in trajectory.joint_names:
            reading = world.joints.get(name)
            now = math.nan if reading is None else reading.velocity
            by = _BLEND * float(trajectory.times[0]) * abs(now - speeds.get(name, math.nan))
            off[name] = math.inf if math.isnan(by) else by
        joint = max(off, key=lambda name: off[name], default='')
        return joint, off.get(joint, 0.0)

    def why_other_motion(self, world: World, now: float) -> str | None:
        """Return which other motion of the robot the verdict cannot have covered."""
        names = frozenset(self.request.joint_names)
        reason = why_not_together(names, world.others, world.fingers)
        if reason is not None or world.robot is None:
            return reason
        keys = {other.told.key: other.told.gate for other in world.others}
        begun = sorted({gate for key, gate in keys.items() if key not in self.together})
        if begun:
            return f'a motion of {", ".join(begun)} has begun since it was judged'
        if self.together - set(keys):
            return 'a motion that it was judged together with has ended'
        known = names.union(world.fingers, *(other.joints for other in world.others))
        moving = world.moving((name for name in world.robot.joint_names if name not in known), now)
        if not moving:
            return None
        return f'{", ".join(moving)} moves meanwhile, which the trajectory does not name, and no ' \
               'gate tells where to'

    def situation(self, context: EventContext, watch_problem: str | None = None) -> Situation:
        """Return what a decision about it is to be based on."""
        world, graph = context.world, context.world.graph
        joint, moved = self.distance(world)
        blend_joint, blend = self.blend(world)
        return Situation(
            now_ns=world.now_ns,
            robot_hash='' if world.robot is None else world.robot.description_hash,
            gate_problem=graph.gate_problem,
            controller_problem=graph.controller_problem or context.why_controller_silent,
            shadow_sim_problem=graph.shadow_sim_problem,
            joints_problem=world.why_joints_unknown(
                self.request.joint_names, self.settings.max_joint_age, context.now,
                may_pause=False),
            robot_problem=world.robot_problem,
            other_problem=self.why_other_motion(world, context.now),
            waits_at=_first_point_away(self.request, self.start), blend=blend,
            blend_joint=blend_joint,
            moved=moved, moved_joint=joint, watch_problem=watch_problem)


def _first_point_away(request: GateRequest, start: Mapping[str, float]) -> float:
    """
    Return by how much the robot would move before the trajectory begins at its header.stamp.

    Until then the controller blends to the first point. That is no motion where the robot is there
    already, and where the first point does not move.
    """
    trajectory = request.trajectory
    if trajectory is None or not len(trajectory.times):
        return 0.0
    away = [abs(float(place) - start.get(name, float(place)))
            for name, place in zip(trajectory.joint_names, trajectory.positions[0])]
    for values in (trajectory.velocities, trajectory.accelerations):
        if values is not None:
            away += [abs(float(value)) for value in values[0]]
    return max(away, default=0.0)


@dataclass(eq=False)
class ForwardedMotion:
    """One that was forwarded."""

    request: GateRequest
    settings: GateSettings
    answer: ShadowSimAnswer
    sent_at: float                      # steady time [s]
    sent_ns: int                        # ROS time
    watch: MotionWatch | None = None
    overridden: bool = False
    together: frozenset[str] = frozenset()      # keys of motions that it was judged together with
    phase: Phase = Phase.SENT
    is_accepted: bool = False
    can_be_cancelled: bool = True
    stop: Objection | None = None       # why it is being stopped
    stopped_at: float = 0.0             # steady time [s] of the first attempt
    cancelled_at: float = 0.0           # steady time [s] of the last attempt
    by_client: bool = False             # its client cancelled it
    client_knows: bool = False          # how it ended
    succeeded: bool = False
    is_problem_reported: bool = False   # the problem of its controller is reported
    heard_at: float = 0.0               # steady time [s] of the controller's last word
    pinged_at: float = 0.0              # steady time [s] at which it was asked for one
    answers: bool = False               # whether it ever answered that
    had_time: bool = False              # the controller had time to end it before it was stopped
    stamps_off_since: float | None = None       # steady time [s]
    replaced_at: float = math.inf       # steady time [s] at which a newer one was accepted
    told_at: float = 0.0                # steady time [s] at which other gates were told

    @property
    def due(self) -> float:
        """The steady time [s] at which its motion should be over."""
        ahead = max(0.0, (self.request.start_ns - self.sent_ns) * _NS)
        return self.sent_at + ahead + self.request.duration

    @property
    def described(self) -> str:
        """Its name, and whether its controller has given a sign of life when asked."""
        return f'{self.request.name}; the controller answers' if self.answers else self.request.name

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints that tell whether it moves."""
        return self.watch.path.names if self.watch is not None else self.request.joint_names


@dataclass
class EventContext:
    """The handling of one event: when, in what world, and the commands it comes to."""

    now: float                          # steady time [s]
    world: World
    why_controller_silent: str | None = None
    commands: list[Command] = field(default_factory=list)

    @property
    def clock(self) -> float:
        """The clock by which the robot moves [s], as in World."""
        return self.now if self.world.clock is None else self.world.clock

    def do(self, command: Command) -> None:
        """Add a command; they are carried out in order."""
        self.commands.append(command)

    def report(self, kind: DecisionKind, sentence: str, motion: PendingMotion | ForwardedMotion,
               level: LogLevel = LogLevel.INFO, code: FindingCode | None = None) -> None:
        """Add the report of a decision about a motion; `code` is of its reason, if it has one."""
        verdict = motion.answer.verdict
        self.do(ReportDecision(
            kind, sentence, motion.request, motion.settings.mode,
            None if verdict is None else verdict.status, motion.answer.rollout_id, level, code))
