# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts over the wire: round trips, NumPy scalars, numbers of newer senders."""
import dataclasses
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

messages = pytest.importorskip(
    'kinema4d_ros.msg', reason='the interfaces are not built (colcon build, then source install)')
from kinema4d_ros import bridge  # noqa: E402
from kinema4d_ros.bridge import motion, verdicts  # noqa: E402
from kinema4d_ros.errors import VerdictError  # noqa: E402
from kinema4d_ros.precheck import decide, trajectory_hash  # noqa: E402
from kinema4d_ros.types import Finding, FindingCode, JointTrajectory, Severity, Status, Verdict  # noqa: E402

HEADER = Header(stamp=Time(sec=7, nanosec=5), frame_id='base')
NUMBER = st.none() | st.floats(allow_nan=False)
TEXT = st.text(st.characters(codec='utf-8', exclude_characters='\0'))   # a C string ends at NUL
FINDINGS = st.builds(
    Finding, code=st.sampled_from(FindingCode), severity=st.sampled_from(Severity),
    message=TEXT, link=TEXT, other=TEXT, unit=TEXT, time=NUMBER,
    value=NUMBER, limit=NUMBER, sigma=NUMBER,
    point_base=st.none() | st.tuples(*[st.floats(allow_nan=False)] * 3))


def over_the_wire(message):
    """Return what a subscriber gets."""
    return deserialize_message(serialize_message(message), type(message))


def test_public_names_resolve():
    assert all(getattr(bridge, name).__name__.endswith(name) for name in bridge.__all__)
    with pytest.raises(AttributeError, match='no attribute .nothing.'):
        _ = bridge.nothing


@given(FINDINGS)
def test_finding_round_trip(finding):
    message = over_the_wire(verdicts.finding_message(finding))
    assert verdicts.finding_from_message(message) == finding


def test_verdict_round_trip():
    findings = {0: [Finding(FindingCode.POSITION_LIMIT, Severity.FAIL, 'too far', link='elbow',
                            time=1.5, value=2.1, limit=2.0, unit='rad')]}
    verdict = decide(findings, required=(0,), trajectory_hash='ab', robot_hash='cd',
                     scene_stamp_ns=7_000_000_005, latencies={'tier 0': 0.25},
                     world_model='kinematic', seed=3)
    message = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert message.header == HEADER and message.status == messages.Verdict.FAIL
    assert message.valid_until == Time() and math.isnan(message.min_clearance)
    assert list(message.latency_stages) == ['tier 0'] and list(message.latencies) == [0.25]
    assert verdicts.verdict_from_message(message) == verdict


TIMELINE = {'clearance_times': [0.0, 0.5], 'clearances': [0.25, -0.125],
            'clearance_sigmas': [0.01, float('inf')], 'clearance_links': ['hand', 'elbow'],
            'clearance_points_base': [(1, 2, 3), (4, 5, 6)],
            'clearance_robot_points_base': np.array([[1, 2, 3.5], [4, 5, 6.5]], np.float32)}


def test_the_rest_of_a_verdict_round_trip():
    verdict = decide({0: []}, required=(0, 2), final=False, checkpoint_hash='ef', success=0.75,
                     min_clearance=-0.125, clearance_sigma=0.01, action_following=0.02,
                     speed_factor=0.5, outcome='something falls', scene_stamp_ns=7_000_000_005,
                     **TIMELINE)
    assert verdict.clearance_robot_points_base == ((1.0, 2.0, 3.5), (4.0, 5.0, 6.5))
    message = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert not message.final and message.clearance_points[1] == Point(x=4.0, y=5.0, z=6.0)
    assert verdicts.verdict_from_message(message) == verdict


def test_a_clearance_timeline_is_whole_or_none():
    with pytest.raises(VerdictError, match="differ in length.*'clearance_links': 1"):
        decide({0: []}, required=(0,), **{**TIMELINE, 'clearance_links': ['hand']})
    message = verdicts.verdict_message(decide({0: []}, required=(0,), **TIMELINE), HEADER)
    message.clearance_links.pop()
    got = verdicts.verdict_from_message(message)
    assert got.status == Status.PASS and {getattr(got, key) for key in TIMELINE} == {()}


def test_candidates_over_the_wire():
    trajectories = [motion.trajectory_message(JointTrajectory(('a',), [0.0], [[angle]]))
                    for angle in (0.1, 0.2)]
    judged = [verdicts.verdict_message(decide({0: []}, required=(0,)), HEADER)] * 2
    message = over_the_wire(verdicts.candidates_message('7', trajectories, judged,
                                                        np.array([1, 0])))
    assert message.header == HEADER and list(message.ranking) == [1, 0]
    assert message.trajectories == trajectories
    assert [verdict.tier for verdict in message.verdicts] == [0, 0]


def test_every_field_of_a_verdict_has_its_place_in_the_message():
    ours = {field.name for field in dataclasses.fields(Verdict)}
    theirs = set(messages.Verdict.get_fields_and_field_types())
    same = ours & theirs
    assert ours - same == {'deciding_tier', 'scene_stamp_ns', 'clearance_points_base',
                           'clearance_robot_points_base'}      # by another name
    assert theirs - same == {'header', 'rollout_id', 'tier', 'latency_stages', 'valid_until',
                             'clearance_points', 'clearance_robot_points'}


def test_pass_and_nothing_run():
    passed = over_the_wire(verdicts.verdict_message(decide({0: []}, required=(0,)), HEADER))
    assert passed.status == messages.Verdict.PASS and math.isnan(passed.safe_prefix)
    assert list(passed.tiers_passed) == [0] and passed.tier == 0
    nothing = verdicts.verdict_message(decide({}, required=(0,)), HEADER)
    assert nothing.status == messages.Verdict.UNSURE and nothing.tier == messages.Verdict.NO_TIER


def test_a_message_never_filled_in_is_not_read_as_a_pass_by_its_time():
    # PASS is 0, the default of the field; valid_until 0 is what keeps it from being acted on
    assert messages.Verdict().valid_until == Time()


def test_numpy_scalars_do_not_reach_the_message():
    finding = Finding(FindingCode.CONTACT, Severity.FAIL, 'm', time=np.float32(1.5),
                      value=np.float64(2), point_base=tuple(np.float32([1, 2, 3])))
    message = verdicts.finding_message(finding)
    assert type(message.time_from_start) is float and message.time_from_start == 1.5
    assert message.point == Point(x=1.0, y=2.0, z=3.0)
    verdict = decide({0: [finding]}, required=(0,), seed=np.int64(2),
                     latencies={'x': np.float32(0.5)})
    sent = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert sent.seed == 2 and sent.latencies[0] == 0.5 and sent.safe_prefix == 1.5


def test_unknown_numbers_of_a_newer_sender_are_never_good_news():
    message = messages.Verdict(status=9, findings=[messages.Finding(code=999, severity=7)])
    verdict = verdicts.verdict_from_message(message)
    assert verdict.status == Status.UNSURE
    assert verdict.findings[0].severity == Severity.UNSURE
    assert verdict.findings[0].code == FindingCode.NOT_CHECKED


@pytest.mark.parametrize('ours, theirs', [
    (Status, 'Verdict'), (Severity, 'Finding'), (FindingCode, 'Finding')])
def test_enums_have_the_numbers_of_the_messages(ours, theirs):
    kind = getattr(messages, theirs)
    assert {name: getattr(kind, name) for name in ours.__members__} == \
        {name: int(value) for name, value in ours.__members__.items()}


def test_trajectory_hash_survives_the_wire():
    there = JointTrajectory(('a', 'b'), [0.1, 1.3], [[0.1, 0.2], [1 / 3, 1e-9]], [[0, 0], [0, 0]])
    message = motion.trajectory_message(there, HEADER)
    once = motion.trajectory_from_message(message)
    twice = motion.trajectory_from_message(over_the_wire(message))
    assert trajectory_hash(once) == trajectory_hash(twice)
    message.points[1].positions[0] = np.nextafter(1 / 3, 1)
    assert trajectory_hash(motion.trajectory_from_message(message)) != trajectory_hash(once)
