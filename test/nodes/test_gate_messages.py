# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages to requests, decisions to messages; what cannot be read lets nothing pass."""
import dataclasses

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from gate_driver import ahead, Driver
from gate_driver import swing as motion
from graph import swing
from kinema4d_ros.msg import Decision, Verdict
from rclpy.serialization import serialize_message
from unique_identifier_msgs.msg import UUID

from kinema4d_ros.bridge.motion import trajectory_from_message, trajectory_message
from kinema4d_ros.gate import GateSettings, Mode
from kinema4d_ros.gate.commands import DecisionKind, ReportDecision
from kinema4d_ros.nodes.trajectory_gate.messages import (request_from_bytes, request_from_goal,
                                                         submission_of)
from kinema4d_ros.nodes.trajectory_gate.parameters import gate_settings, TABLE
from kinema4d_ros.nodes.trajectory_gate.report import decision_message
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import Status

GOAL = FollowJointTrajectory.Goal
ID = UUID(uuid=list(range(16)))


def test_a_goal_and_what_came_by_topic():
    goal = GOAL(trajectory=swing())
    goal.trajectory.header.stamp.nanosec, goal.goal_time_tolerance.sec = 5, 3
    request = request_from_goal(7, goal, uuid=ID)
    assert (request.number, request.source, request.goal_id) == (7, 'action', bytes(range(16)))
    assert request.trajectory_hash == trajectory_hash(motion())
    assert (request.start_ns, request.time_tolerance, request.duration) == (5, 3.0, 4.0)
    assert submission_of(request).goal is goal and submission_of(request).uuid is ID
    raw = serialize_message(swing())
    topic = request_from_bytes(8, raw)
    assert (topic.source, topic.goal_id, topic.is_message) == ('topic', b'', True)
    assert topic.trajectory_hash == request.trajectory_hash and submission_of(topic).raw is raw
    odd = request_from_bytes(9, b'\x00\x01\x00\x00nonsense')
    assert 'cannot be read' in odd.problem and not odd.is_message and 'unreadable' in odd.name


def test_a_digest_is_of_all_that_the_goal_commands_whenever_it_is_to_start():
    def goal(effort=(), sec=0, frame='', joints=(), tolerance=None):
        made = GOAL(trajectory=swing())
        made.trajectory.points[0].effort = list(effort)
        made.trajectory.header.stamp.sec, made.trajectory.header.frame_id = sec, frame
        made.multi_dof_trajectory.joint_names = list(joints)
        if tolerance is not None:
            made.path_tolerance = [JointTolerance(name='elbow_joint', position=tolerance)]
        return request_from_goal(1, made).goal_digest

    different = [goal(), goal([1.0]), goal([50.0]), goal(joints=['base']), goal(tolerance=0.1),
                 goal(tolerance=0.2), goal(frame='base')]
    assert len(set(different)) == len(different)
    assert goal(sec=200) == goal()
    assert request_from_goal(1, GOAL(trajectory=swing(0.1))).goal_digest != goal()


@pytest.mark.parametrize('spoil', [
    lambda m: m.points[1].positions.pop(), lambda m: m.points[0].effort.append(1.0),
    lambda m: m.joint_names.__setitem__(1, m.joint_names[0]),
    lambda m: m.points[1].positions.__setitem__(2, np.nan),
    lambda m: m.points[1].positions.__setitem__(2, np.inf)],
    ids=['short', 'effort', 'twice', 'nan', 'inf'])
def test_a_message_with_odd_numbers_does_not_pass(spoil):
    gate, message = Driver(), swing()
    spoil(message)
    request = request_from_goal(1, GOAL(trajectory=message), uuid=ID)
    fields = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    gate.pass_(gate.submit(fields.pop('trajectory') or motion(), **{
        **fields, 'trajectory': request.trajectory}))
    assert 'send' not in gate.log and gate.ends


def test_what_is_asked_about_a_continued_motion_has_the_hash_that_shadow_sim_gives_it():
    gate = Driver(path_tolerance=3.0)
    gate.moving(motion(0.4, seconds=4.0))
    gate.follow(1.0 / 3.0)
    question = gate.question(gate.submit(motion(-0.1, start=ahead(0.3))))
    message = trajectory_message(question.question)
    assert trajectory_hash(trajectory_from_message(message)) == question.request.asked_hash


def test_decisions_as_messages():
    request = request_from_goal(7, GOAL(trajectory=swing()), uuid=ID)
    told = decision_message(ReportDecision(
        DecisionKind.ASK, 'approve it?', request, Mode.ADVISE, Status.UNSURE, 'r'), Time(sec=9))
    assert told == Decision(
        kind=Decision.ASK, sentence='approve it?', trajectory=7, goal_id=list(range(16)),
        trajectory_hash=request.trajectory_hash, source=Decision.ACTION, rollout_id='r',
        mode=Decision.MODE_ADVISE, verdict=Verdict.UNSURE, code=Decision.NO_CODE,
        header=told.header)
    assert told.header.stamp.sec == 9
    topic = decision_message(ReportDecision(
        DecisionKind.DONE, '', request_from_bytes(8, b''), Mode.MONITOR), Time())
    assert topic.source == Decision.TOPIC and not any(topic.goal_id)
    assert topic.verdict == Decision.NO_VERDICT and topic.mode == Decision.MODE_MONITOR
    for kind in DecisionKind:
        assert getattr(Decision, kind.name) == kind


def test_settings_are_the_parameters():
    values = TABLE.validate({'controller': '/c'})
    assert gate_settings(values) == GateSettings()
    assert gate_settings({**values, 'mode': 'advise'}).mode is Mode.ADVISE
