# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that come to the gate, as the requests that its machine knows."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from control_msgs.action import FollowJointTrajectory
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage

from kinema4d_ros.bridge.motion import duration_seconds, stamp_ns, trajectory_from_message
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate import GateRequest
from kinema4d_ros.robot import trajectory_hash


@dataclass(frozen=True, eq=False)
class Submission:
    """What came, unchanged: it is forwarded as it is."""

    goal: FollowJointTrajectory.Goal | None
    uuid: Any = None              # unique_identifier_msgs/UUID; the controller's goal has the same
    raw: bytes | None = None      # serialised JointTrajectory, of one that came by topic


def submission_of(request: GateRequest) -> Submission:
    """Return what came as this request."""
    assert isinstance(request.payload, Submission)
    return request.payload


def request_from_goal(number: int, goal: FollowJointTrajectory.Goal, *, uuid: Any = None,
                      raw: bytes | None = None) -> GateRequest:
    """
    Return the request of a goal; what cannot be read is its problem and not an exception.

    :param uuid: unique_identifier_msgs/UUID of the client's goal; None for one by topic.
    """
    message, multi = goal.trajectory, goal.multi_dof_trajectory
    trajectory, digest, problem = None, '', None
    try:
        trajectory = trajectory_from_message(message)
        digest = trajectory_hash(trajectory)
    except Kinema4DError as error:
        problem = str(error)
    except Exception as error:   # not foreseen: what cannot be read cannot be checked
        problem = f'{type(error).__name__}: {error}'
    unchecked = None
    if any(len(point.effort) for point in message.points):
        unchecked = 'the trajectory commands efforts'
    if multi.joint_names or multi.points:
        unchecked = 'the goal has a multi_dof_trajectory'
    return GateRequest(
        digest, stamp_ns(message.header.stamp), problem, unchecked, number=number,
        source='action' if uuid is not None else 'topic',
        goal_id=b'' if uuid is None else bytes(uuid.uuid), trajectory=trajectory,
        goal_digest=goal_digest(goal, digest), payload=Submission(goal, uuid, raw),
        time_tolerance=duration_seconds(goal.goal_time_tolerance))


def request_from_bytes(number: int, raw: bytes) -> GateRequest:
    """Return the request of a serialised JointTrajectory that came by topic."""
    try:
        message = deserialize_message(raw, JointTrajectoryMessage)
    except Exception as error:   # whatever the middleware raises for bytes that are no message
        return GateRequest(problem=f'it cannot be read: {error}', number=number, source='topic',
                           payload=Submission(None, raw=raw), is_message=False)
    return request_from_goal(number, FollowJointTrajectory.Goal(trajectory=message), raw=raw)


def goal_digest(goal: FollowJointTrajectory.Goal, digest: str) -> str:
    """
    Return a digest of all that a goal commands, whenever it is to start.

    :param digest: hash of its trajectory, which stands for most of it.
    """
    efforts = [(index, list(point.effort)) for index, point in enumerate(goal.trajectory.points)
               if len(point.effort)]
    rest = [getattr(goal, name) for name in goal.get_fields_and_field_types()
            if name != 'trajectory']
    parts = digest, goal.trajectory.header.frame_id, efforts, rest
    return hashlib.sha256(repr(parts).encode()).hexdigest()
