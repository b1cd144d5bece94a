# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts over the wire: round trips, NumPy scalars, numbers of newer senders."""
import dataclasses
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Duration, Time
from clearances import clearances
from geometry_msgs.msg import Point
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

import kinema4d_ros.msg as messages
from kinema4d_ros import bridge
from kinema4d_ros.bridge import motion, verdicts
from kinema4d_ros.precheck import decide
from kinema4d_ros.robot import trajectory_hash
from kinema4d_ros.types import (ClearanceSample, Finding, FindingCode, JointTrajectory,
                                Severity, StartState, Status, Verdict)

HEADER = Header(stamp=Time(sec=7, nanosec=5), frame_id='base')
NUMBER = st.none() | st.floats(allow_nan=False)
#: [s] as a Duration can hold them
TIME = st.integers(-2**60, 2**60).map(
    lambda ns: motion.duration_seconds(Duration(sec=ns // 10**9, nanosec=ns % 10**9)))
PLACE = st.tuples(*[st.floats(allow_nan=False)] * 3)
TEXT = st.text(st.characters(codec='utf-8', exclude_characters='\0'))   # a C string ends at NUL
FINDINGS = st.builds(
    Finding, code=st.sampled_from(FindingCode), severity=st.sampled_from(Severity),
    message=TEXT, link=TEXT, other=TEXT, unit=TEXT, time=st.none() | TIME,
    value=NUMBER, limit=NUMBER, sigma=NUMBER,
    point_base=st.none() | PLACE)
CLEARANCES = st.lists(st.builds(
    ClearanceSample, time=TIME, distance=st.floats(allow_nan=False),
    sigma=st.floats(allow_nan=False), link=TEXT, point_base=PLACE, robot_point_base=PLACE),
    max_size=3).map(tuple)
VERDICTS = st.builds(
    Verdict, status=st.sampled_from(Status), summary=TEXT,
    findings=st.lists(FINDINGS, max_size=2).map(tuple),
    tiers_passed=st.lists(st.integers(0, 2), max_size=3).map(tuple),
    deciding_tier=st.integers(-1, 2), trajectory_hash=TEXT, robot_hash=TEXT,
    scene_stamp_ns=st.just(7_000_000_005), outcome=TEXT, safe_prefix=st.none() | TIME,
    latencies=st.dictionaries(TEXT, TIME, max_size=3), world_model=TEXT,
    seed=st.integers(0, 2**64 - 1), speed_factor=NUMBER, min_clearance=NUMBER,
    clearance_sigma=NUMBER, success=NUMBER, action_following=NUMBER, checkpoint_hash=TEXT,
    final=st.booleans(), clearances=CLEARANCES)


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


@given(VERDICTS)
def test_any_verdict_round_trip(verdict):
    message = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert verdicts.verdict_from_message(message) == verdict


def test_verdict_round_trip():
    findings = {0: [Finding(FindingCode.POSITION_LIMIT, Severity.FAIL, 'too far', link='elbow',
                            time=1.5, value=2.1, limit=2.0, unit='rad')]}
    verdict = decide(findings, required=(0,), trajectory_hash='ab', robot_hash='cd',
                     scene_stamp_ns=7_000_000_005, latencies={'tier 0': 0.25},
                     world_model='kinematic', seed=3)
    message = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert message.header == HEADER and message.status == messages.Verdict.FAIL
    assert message.valid_until == Time() and math.isnan(message.min_clearance)
    assert message.latencies == [messages.StageLatency(
        stage='tier 0', duration=Duration(nanosec=250_000_000))]
    assert (message.has_safe_prefix, message.safe_prefix.sec) == (True, 1)
    assert message.findings[0].time_from_start == Duration(sec=1, nanosec=500_000_000)
    assert verdicts.verdict_from_message(message) == verdict


TIMELINE = clearances(
    [0.0, 0.5], [0.25, -0.125], [0.01, float('inf')], ['hand', 'elbow'], [(1, 2, 3), (4, 5, 6)],
    np.array([[1, 2, 3.5], [4, 5, 6.5]], np.float32))


def test_the_rest_of_a_verdict_round_trip():
    verdict = decide({0: []}, required=(0, 2), final=False, checkpoint_hash='ef', success=0.75,
                     min_clearance=-0.125, clearance_sigma=0.01, action_following=0.02,
                     speed_factor=0.5, outcome='something falls', scene_stamp_ns=7_000_000_005,
                     clearances=list(TIMELINE))
    assert verdict.clearances[1].robot_point_base == (4.0, 5.0, 6.5)
    message = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert not message.final and message.clearances[1].point == Point(x=4.0, y=5.0, z=6.0)
    assert message.clearances[1].time_from_start == Duration(nanosec=500_000_000)
    assert verdicts.verdict_from_message(message) == verdict


@pytest.mark.parametrize('time', [math.nan, math.inf, -math.inf, 1e12, None])
def test_a_time_that_no_duration_holds_is_told_as_unknown(time):
    finding = Finding(FindingCode.NOT_FINITE, Severity.FAIL, 'm', time=time)
    message = verdicts.finding_message(finding)
    assert (message.has_time_from_start, message.time_from_start) == (False, Duration())
    assert verdicts.finding_from_message(message).time is None
    if time is not None:
        (sample,) = clearances([time], [0.1])
        verdict = Verdict(Status.PASS, '', clearances=(sample, TIMELINE[0]), safe_prefix=time)
        sent = verdicts.verdict_message(verdict, HEADER)
        assert len(sent.clearances) == 1 and not sent.has_safe_prefix


def test_times_that_are_told_as_unknown_are_not_read():
    message = messages.Verdict(safe_prefix=Duration(sec=5), findings=[
        messages.Finding(time_from_start=Duration(sec=5))])
    verdict = verdicts.verdict_from_message(message)
    assert verdict.safe_prefix is None and verdict.findings[0].time is None


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
    assert ours - same == {'deciding_tier', 'scene_stamp_ns', 'start'}      # by another name
    assert theirs - same == {'header', 'rollout_id', 'tier', 'has_safe_prefix', 'valid_until',
                             'start_joints', 'start_positions', 'start_velocities'}


def test_the_start_state_survives_the_wire():
    start = StartState({'a': 0.5, 'b': np.float64(-1)}, {'a': 0.25})
    sent = over_the_wire(verdicts.verdict_message(decide({0: []}, required=(0,), start=start),
                                                  HEADER))
    assert list(sent.start_velocities) == [0.25, 0.0]        # what stands still is told to
    there = verdicts.verdict_from_message(sent).start
    assert there.positions == {'a': 0.5, 'b': -1.0} and there.velocities == {'a': 0.25, 'b': 0.0}
    sent.start_velocities = [math.nan, 0.0]
    assert verdicts.verdict_from_message(sent).start.of_unknown_velocity == ('a',)
    sent.start_velocities = [0.0]
    assert not verdicts.verdict_from_message(sent).start     # lists that contradict each other


def test_pass_and_nothing_run():
    passed = over_the_wire(verdicts.verdict_message(decide({0: []}, required=(0,)), HEADER))
    assert passed.status == messages.Verdict.PASS and not passed.has_safe_prefix
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
    assert message.time_from_start == Duration(sec=1, nanosec=500_000_000)
    assert message.point == Point(x=1.0, y=2.0, z=3.0)
    verdict = decide({0: [finding]}, required=(0,), seed=np.int64(2),
                     latencies={'x': np.float32(0.5)})
    sent = over_the_wire(verdicts.verdict_message(verdict, HEADER))
    assert sent.seed == 2 and sent.latencies[0].duration.nanosec == 500_000_000
    assert sent.safe_prefix == Duration(sec=1, nanosec=500_000_000)


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
