# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A gate's machine in a world that obeys the test, and so does time; nothing here is ROS."""
import dataclasses
import itertools
from pathlib import Path

import numpy as np

from kinema4d_ros.gate import (GateMachine, GateRequest, GateSettings, GraphState, JointTracker,
                               Mode, ShadowSimAnswer, World)
from kinema4d_ros.gate.commands import (AbandonQuestion, AnswerOperator, AskShadowSim,
                                        CancelAtController, EndGoal, Forward, PingController,
                                        ReportDecision, TellGates)
from kinema4d_ros.gate.events import (ClientCancelled, Closed, ControllerAccepted,
                                      ControllerFinished, JointsChanged, OperatorActed,
                                      OperatorAction, Tick, TrajectorySubmitted, VerdictAnswered,
                                      VerdictHeard)
from kinema4d_ros.gate.events import GoalEnd
from kinema4d_ros.robot import Robot, trajectory_hash
from kinema4d_ros.types import JointTrajectory, Status, Verdict

ROOT = Path(__file__).resolve().parents[2]
ROBOT = Robot.from_urdf((ROOT / 'urdf' / 'demo_arm.urdf').read_text())
NS = 1_000_000_000
READY = dict(zip(
    ('shoulder_pan_joint', 'shoulder_lift_joint', 'elbow_joint', 'forearm_roll_joint',
     'wrist_pitch_joint', 'wrist_roll_joint', 'finger_joint', 'right_finger_joint'),
    (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.044, 0.044)))
NAMES = {AskShadowSim: 'ask', AbandonQuestion: 'abandon', Forward: 'send',
         CancelAtController: 'cancel at controller', EndGoal: 'end', AnswerOperator: 'answer'}
QUIET = PingController, TellGates     # come again and again, and are not in the log


def swing(angle=0.3, start=None, seconds=1.0, first=0.0) -> JointTrajectory:
    """Return a good trajectory: the shoulder turns by `angle` in a second, or in `seconds`."""
    begin = np.array(list((start or READY).values()))
    end = begin.copy()
    end[0] += angle
    return JointTrajectory(tuple(READY), np.array([first, first + seconds]),
                           np.stack([begin, end]))


def ahead(angle: float) -> dict[str, float]:
    """Return joints whose shoulder is `angle` further than at the start."""
    return READY | {'shoulder_pan_joint': READY['shoulder_pan_joint'] + angle}


class Driver:
    """Sends events to a machine and keeps what it commands; time stands still unless moved."""

    def __init__(self, **settings):
        self.machine = GateMachine()
        self.settings = GateSettings(mode=Mode(settings.pop('mode', 'enforce')), **settings)
        self.now, self.graph, self.robot = 100.0, GraphState(), ROBOT
        self.joints, self.age = dict(READY), 0.0      # [rad or m], [s]
        self.speed_scaling, self.robot_problem, self.others = None, None, ()
        self._tracker = JointTracker()
        self.log: list[str] = []                      # what was commanded, in order
        self.commands: list = []
        self._numbers = itertools.count(1)

    # ------------------------------------------------------------------ the world

    @property
    def now_ns(self) -> int:
        return round(self.now * NS)

    def world(self) -> World:
        stamp = self.now_ns - round(self.age * NS)
        gone = set(self._tracker.readings) - set(self.joints)
        if gone:
            self._tracker = JointTracker()
        joints = self._tracker.take(self.joints, stamp, self.now - self.age)
        return World(self.now_ns, self.robot, joints, self.graph, self.settings, None,
                     self.speed_scaling, self.robot_problem, '/gate', self.others)

    def look(self, **problems):
        """Have the graph look so from now on; without arguments everything is there."""
        self.graph = GraphState(**problems)

    def handle(self, event) -> list:
        commands = self.machine.handle(event, self.now, self.world())
        for command in commands:
            self.commands.append(command)
            if isinstance(command, QUIET):
                continue
            self.log.append(command.kind.name.lower() if isinstance(command, ReportDecision)
                            else NAMES[type(command)])
        return commands

    # ------------------------------------------------------------------ what was commanded

    @property
    def sentence(self) -> str:
        return [c.sentence for c in self.commands if isinstance(c, ReportDecision)][-1]

    @property
    def ends(self) -> list[EndGoal]:
        return [command for command in self.commands if isinstance(command, EndGoal)]

    def told(self, request) -> str | None:
        """Return what the client of a trajectory is told in the end; None before it."""
        return next((end.error_string for end in self.ends if end.number == request.number), None)

    def question(self, request) -> AskShadowSim:
        """Return what shadow_sim is asked about a trajectory."""
        return next(c for c in reversed(self.commands) if isinstance(c, AskShadowSim)
                    and c.request.number == request.number)

    # ------------------------------------------------------------------ events

    def request(self, trajectory=None, /, **fields) -> GateRequest:
        trajectory = swing() if trajectory is None else trajectory
        digest = trajectory_hash(trajectory)
        return GateRequest(**{'trajectory_hash': digest, 'goal_digest': digest,
                              'number': next(self._numbers), 'goal_id': bytes(16),
                              'trajectory': trajectory, **fields})

    def submit(self, trajectory=None, /, **fields) -> GateRequest:
        request = self.request(trajectory, **fields)
        self.handle(TrajectorySubmitted(request))
        return request

    def asked_hash(self, request) -> str:
        """Return the hash that a verdict on a trajectory must carry."""
        asked = [c.request for c in self.commands if isinstance(c, AskShadowSim)
                 and c.request.number == request.number]
        return asked[-1].asked_hash if asked else request.asked_hash

    def answer(self, request, answer) -> None:
        self.handle(VerdictAnswered(request.number, answer))

    def pass_(self, request, seconds=1, rollout_id='', **fields) -> None:
        verdict = Verdict(
            Status.PASS, 'fine', tiers_passed=(0, 1), scene_stamp_ns=self.now_ns,
            trajectory_hash=self.asked_hash(request), robot_hash=ROBOT.description_hash)
        self.answer(request, ShadowSimAnswer(dataclasses.replace(verdict, **fields),
                                             self.now_ns + seconds * NS, rollout_id=rollout_id))

    def hear(self, verdict, rollout_id='') -> None:
        self.handle(VerdictHeard(ShadowSimAnswer(verdict, rollout_id=rollout_id)))

    def accept(self, request, **fields) -> None:
        self.handle(ControllerAccepted(request, **fields))

    def finish(self, request, how=GoalEnd.SUCCEED, code=0, text='') -> None:
        self.handle(ControllerFinished(request.number, how, code, text))

    def moving(self, trajectory=None, /, **fields) -> GateRequest:
        request = self.submit(trajectory, **fields)
        self.pass_(request)
        self.accept(request)
        return request

    def wait(self, seconds=0.0) -> None:
        """Have time pass, then tick."""
        self.now += seconds
        self.handle(Tick())

    def follow(self, seconds) -> None:
        """Have time pass and the joints follow 0.1 rad/s."""
        self.now += seconds
        self.joints['shoulder_pan_joint'] += 0.1 * seconds
        self.handle(JointsChanged())

    def move(self, **joints) -> None:
        """Have joints be somewhere else."""
        self.joints |= joints
        self.handle(JointsChanged())

    def cancel(self, request) -> None:
        self.handle(ClientCancelled(request.number))

    def close(self, reason) -> None:
        self.handle(Closed(reason))

    def operate(self, event) -> tuple[bool, str]:
        answer, = (c for c in self.handle(event) if isinstance(c, AnswerOperator))
        return answer.success, answer.sentence

    def approve(self, digest) -> tuple[bool, str]:
        return self.operate(OperatorActed(OperatorAction.APPROVE, digest))

    def deny(self, digest) -> tuple[bool, str]:
        return self.operate(OperatorActed(OperatorAction.DENY, digest))

    def override(self, digest) -> tuple[bool, str]:
        return self.operate(OperatorActed(OperatorAction.OVERRIDE, digest))
