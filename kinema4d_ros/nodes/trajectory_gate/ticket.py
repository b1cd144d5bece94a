# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One trajectory on its way through the gate."""
from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from control_msgs.action import FollowJointTrajectory
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage

from kinema4d_ros.bridge.motion import (duration_seconds, stamp_ns, trajectory_from_message,
                                        trajectory_message)
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.handover import Handover
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.rules import Answer, Objection, Request
from kinema4d_ros.precheck import trajectory_hash
from kinema4d_ros.types import JointTrajectory

Result = FollowJointTrajectory.Result


class End(enum.StrEnum):
    """How a goal ends for the client."""

    SUCCEED = 'succeed'
    ABORT = 'abort'
    CANCEL = 'cancel'


class Ticket:
    """
    A trajectory, what is known of it, and how far it has come.

    `goal` (and `raw`, for one that came by topic) is forwarded as it is; nothing else here is.
    The core writes the rest, from one thread at a time.
    """

    _numbers = itertools.count(1)

    def __init__(self, source: str, goal: FollowJointTrajectory.Goal | None, *,
                 raw: bytes | None = None, uuid=None, problem: str = '',
                 feedback: Callable[[Any], None] = lambda _: None,
                 on_forwarded: Callable[[], None] = lambda: None,
                 on_end: Callable[[End, Result], None] = lambda *_: None):
        """
        Read the trajectory; what cannot be read is a problem and not an exception.

        :param source: 'action' or 'topic'.
        :param raw: the serialised JointTrajectory that came by topic.
        :param uuid: id of the goal; the controller's goal has the same.
        """
        self.number, self.source, self.uuid = next(self._numbers), source, uuid
        self.goal, self.raw = goal, raw
        self.feedback, self.on_forwarded, self.on_end = feedback, on_forwarded, on_end
        self.trajectory: JointTrajectory | None = None
        self.request = self._read(problem)
        # set by the core
        self.values: Mapping[str, Any] = {}
        self.answer = Answer(problem='no verdict has been asked for')
        self.start: Mapping[str, float] = {}      # joints that the verdict takes it to start at
        #: what shadow_sim is asked about; more than the trajectory where it continues a motion
        self.question = None if goal is None else goal.trajectory
        self.handover: Handover | None = None     # where it continues the motion `after`
        self.after: Ticket | None = None
        self.deadline = float('inf')              # steady time [s] for a verdict or an approval
        self.asked = self.shown = False           # shadow_sim has it; the operator sees it
        self.held = False                         # until the robot is where it begins
        self.overridden = False
        self.shown_at = 0.0                       # steady time [s]
        self.refused_at = 0.0                     # steady time [s]
        self.took_place = False                   # of another that the operator may mean
        self.stop: Objection | None = None        # why it is being stopped
        self.cancelled = False                    # by the client
        self.done = False                         # the controller has executed it to its end
        self.ended = False                        # the client knows how it ended
        # set by the core once it is forwarded
        self.handle = None                        # the controller's goal
        self.sent_at = self.accepted_at = 0.0     # steady time [s]
        self.sent_ns = self.accepted_ns = 0       # ROS time
        self.watch: PathMonitor | None = None

    def _read(self, problem: str) -> Request:
        if self.goal is None:
            return Request(problem=problem)
        message = self.goal.trajectory
        try:
            self.trajectory = trajectory_from_message(message)
            digest = trajectory_hash(self.trajectory)
        except Exception as error:   # foreseen or not: what cannot be read cannot be checked
            kind = '' if isinstance(error, Kinema4DError) else f'{type(error).__name__}: '
            return Request(problem=f'{kind}{error}')
        unchecked = ''
        if any(len(point.effort) for point in message.points):
            unchecked = 'the trajectory commands efforts'
        multi = self.goal.multi_dof_trajectory
        if multi.joint_names or multi.points:
            unchecked = 'the goal has a multi_dof_trajectory'
        return Request(digest, stamp_ns(message.header.stamp), problem, unchecked)

    def continue_from(self, after: Ticket, handover: Handover) -> None:
        """Make it one that begins where the robot will be on its way along `after`."""
        self.after, self.handover, self.start = after, handover, {**self.start, **handover.start}
        self.question = trajectory_message(handover.motion)
        digest = trajectory_hash(trajectory_from_message(self.question))   # times are rounded
        self.request = dataclasses.replace(self.request, motion_hash=digest)

    @property
    def name(self) -> str:
        """How people tell it from others."""
        digest = self.request.trajectory_hash[:12] or 'unreadable'
        return f'trajectory {self.number} ({digest}, by {self.source})'

    @functools.cached_property
    def goal_digest(self) -> str:
        """Digest of all that the goal commands, whenever it is to start; '' without a goal."""
        if self.goal is None:
            return ''
        rest = [getattr(self.goal, name) for name in self.goal.get_fields_and_field_types()
                if name != 'trajectory']
        message = self.goal.trajectory
        parts = message.header.frame_id, message.joint_names, message.points, rest
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def duration(self) -> float:
        """How long it takes with the tolerance that the client gives it [s]."""
        length = 0.0 if self.trajectory is None else self.trajectory.duration
        return length + max(0.0, duration_seconds(self.goal.goal_time_tolerance))

    def end(self, how: End, result: Result) -> None:
        """Tell the client, once."""
        if not self.ended:
            self.ended = True
            self.on_end(how, result)


def ticket_from_topic(raw: bytes) -> Ticket:
    """Return the ticket of a serialised JointTrajectory."""
    try:
        message = deserialize_message(raw, JointTrajectoryMessage)
    except Exception as error:   # whatever the middleware raises for bytes that are no message
        return Ticket('topic', None, raw=raw, problem=f'it cannot be read: {error}')
    return Ticket('topic', FollowJointTrajectory.Goal(trajectory=message), raw=raw)
