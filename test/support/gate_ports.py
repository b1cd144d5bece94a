# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The core of a gate without a graph: everything around it obeys the test, and so does time."""
import dataclasses

from control_msgs.action import FollowJointTrajectory
from graph import READY, swing, URDF

from kinema4d_ros.gate.rules import Answer, farthest, Situation
from kinema4d_ros.nodes.trajectory_gate.core import Gate
from kinema4d_ros.nodes.trajectory_gate.parameters import TABLE
from kinema4d_ros.nodes.trajectory_gate.ticket import Ticket
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Status, Verdict

ROBOT = Robot.from_urdf(URDF)
NS = 1_000_000_000
RESULT = FollowJointTrajectory.Result


class Ports:
    """Everything around the core; time stands still unless a test moves it."""

    def __init__(self, **values):
        self.values = TABLE.validate({'controller': '/c', **values})
        self.now, self.log, self.raising = 100.0, [], set()
        self.sentence = ''
        self.robot, self.missing, self.stale, self.is_settled, self.is_ready = \
            ROBOT, '', '', True, True
        self.joints, self.problems = dict(READY), {}
        self.gate = Gate(lambda: self.values, self, self, self, lambda: self.now)
        self.gate.execution.controller = self
        self.ends = []

    def note(self, what, ticket=None):
        self.log.append(what)
        if what in self.raising:
            raise RuntimeError(f'{what} is broken')

    # verdicts and controller
    def ask(self, ticket, deadline):
        self.note('ask')

    def abandon(self, ticket):
        self.note('abandon')

    def problem(self):
        return self.missing

    def send(self, ticket):
        self.note('send')

    def cancel(self, ticket):
        self.note('cancel')

    # state
    def now_ns(self):
        return round(self.now * NS)

    def positions(self, names):
        return self.joints

    def newest(self, names):
        return self.joints, self.now_ns()

    def joints_problem(self, names, max_age):
        return self.stale

    def controller_problem(self):
        return ''

    def situation(self, ticket):
        self.note('situation')
        joint, moved = farthest((), ticket.start, self.joints)
        return Situation(self.now_ns(), ROBOT.description_hash, moved=moved, moved_joint=joint,
                         **self.problems)

    # report
    def decision(self, what, sentence, ticket, **_):
        self.log.append(what)
        self.sentence = sentence

    def failure(self, text):
        self.log.append('failure')

    # driving
    def ticket(self, trajectory=None):
        ticket = Ticket('action', FollowJointTrajectory.Goal(trajectory=trajectory or swing()),
                        on_end=lambda how, result: self.ends.append((how, result)))
        self.gate.submit(ticket)
        return ticket

    def pass_(self, ticket, seconds=1, rollout_id='', **fields):
        verdict = Verdict(
            Status.PASS, 'fine', tiers_passed=(0, 1), scene_stamp_ns=self.now_ns(),
            trajectory_hash=ticket.request.asked_hash, robot_hash=ROBOT.description_hash)
        self.gate.answered(ticket, Answer(dataclasses.replace(verdict, **fields),
                                          self.now_ns() + seconds * NS, rollout_id=rollout_id))

    def moving(self, trajectory=None):
        ticket = self.ticket(trajectory)
        self.pass_(ticket)
        self.gate.execution.accepted(ticket, 'handle')
        return ticket
