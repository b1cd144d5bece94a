# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A verdict as markers."""
import collections
import math

import numpy as np
from builtin_interfaces.msg import Time
from clearances import clearances
from hypothesis import given, settings
from hypothesis import strategies as st
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.nodes.shadow_sim.markers import verdict_markers
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

RED, ORANGE, BLUE, GREEN = (0.9, 0.1, 0.1), (1.0, 0.6, 0.0), (0.3, 0.6, 1.0), (0.1, 0.8, 0.2)
PATH = np.array([[0.0, 0.0, 1.0], [0.1, 0.0, 1.0], [0.2, 0.0, 0.9]])


def timeline(*rows):
    """Return the timeline of a verdict; each row is distance, sigma, height of the robot [m]."""
    count = len(rows)
    return {'clearances': clearances(
        range(count), [row[0] for row in rows], [row[1] for row in rows],
        [f'link{index}' for index in range(count)], ((0.5, 0.0, 0.0),) * count,
        [(0.5, 0.0, row[2]) for row in rows])}


def made(path=None, frame='base', status=Status.FAIL, findings=(), **changes):
    """Return the markers of a verdict by namespace; DELETEALL comes first."""
    message = verdict_message(Verdict(status, 'why', tuple(findings), **changes),
                              Header(stamp=Time(sec=5), frame_id=frame))
    markers = verdict_markers(message, path).markers
    assert markers[0].action == Marker.DELETEALL
    for marker in markers:
        assert marker.header.frame_id == frame and marker.header.stamp == Time()
    kinds = collections.defaultdict(list)
    for marker in markers[1:]:
        kinds[marker.ns].append(marker)
    return kinds


def color(marker):
    return tuple(round(value, 3) for value in (marker.color.r, marker.color.g, marker.color.b))


def test_without_a_frame_the_old_ones_are_only_deleted():
    assert made(frame='', path=PATH) == {}


def test_the_sentence_is_in_the_verdicts_colour():
    sentence, = made(status=Status.PASS)['sentence']
    assert sentence.text == 'PASS: why' and color(sentence) == GREEN


def test_findings_are_where_they_happen():
    here = Finding(FindingCode.CONTACT, Severity.FAIL, 'hits', point_base=(1.0, 2.0, 3.0))
    nowhere = Finding(FindingCode.JERK_LIMIT, Severity.UNSURE, 'jerks')
    kinds = made(findings=[nowhere, here])
    ball, = kinds['contact_points']
    text, = kinds['findings']
    assert (ball.pose.position.x, ball.pose.position.y, ball.pose.position.z) == (1.0, 2.0, 3.0)
    assert color(ball) == RED and text.text == 'hits' and text.pose.position.z > 3.0


def test_arrows_go_from_the_robot_to_the_scene_in_the_colour_of_their_band():
    kinds = made(**timeline((0.2, 0.002, 0.2), (0.008, 0.001, 0.008), (0.003, 0.002, 0.003),
                            (-0.01, 0.002, -0.01), (math.inf, math.nan, math.nan)))
    arrows = kinds['clearance']
    assert [color(arrow) for arrow in arrows] == [GREEN, BLUE, ORANGE, RED]
    for arrow, height in zip(arrows, (0.2, 0.008, 0.003, -0.01), strict=True):
        begin, end = arrow.points
        assert (begin.x, begin.z, end.z) == (0.5, height, 0.0)
    assert [arrow.scale.x for arrow in arrows].index(max(a.scale.x for a in arrows)) == 3
    text, = kinds['clearance_text']
    assert text.text == 'link3: -10 mm at 3.00 s'


def test_the_path_of_the_tool_is_a_line():
    line, = made(PATH)['tool_path']
    assert line.type == Marker.LINE_STRIP
    np.testing.assert_array_equal([(p.x, p.y, p.z) for p in line.points], PATH)
    assert made(PATH[:1])['tool_path'] == [] == made()['tool_path']


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(-1, 1) | st.just(math.nan) | st.just(math.inf)] * 3),
                max_size=6))
def test_numbers_are_unique_in_their_namespace_and_all_is_finite(rows):
    for kind, markers in made(PATH, **timeline(*rows)).items():
        numbers = [marker.id for marker in markers]
        assert len(set(numbers)) == len(numbers), kind
        for marker in markers:
            assert marker.scale.x > 0 and marker.pose.orientation.w == 1.0
            assert all(math.isfinite(value) for point in marker.points
                       for value in (point.x, point.y, point.z))
