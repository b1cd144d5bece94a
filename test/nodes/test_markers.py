# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A verdict as markers."""
import collections
import dataclasses
import itertools
import math

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from clearances import clearances
from hypothesis import given, settings
from hypothesis import strategies as st
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from kinema4d_ros.bridge.verdicts import verdict_message
from kinema4d_ros.nodes.shadow_sim.marker_text import box_of, MOST_PLACES
from kinema4d_ros.nodes.shadow_sim.markers import verdict_markers
from kinema4d_ros.resources import share_dir
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

RVIZ = yaml.safe_load(
    (share_dir() / 'config' / 'shadow_sim.rviz').read_text())['Visualization Manager']
RED, ORANGE, BLUE, GREEN = (0.9, 0.1, 0.1), (1.0, 0.6, 0.0), (0.3, 0.6, 1.0), (0.1, 0.8, 0.2)
PATH = np.array([[0.0, 0.0, 1.0], [0.1, 0.0, 1.0], [0.2, 0.0, 0.9]])


def timeline(*rows):
    """Return the timeline of a verdict; each row is distance, sigma, height of the robot [m]."""
    count = len(rows)
    return {'clearances': clearances(
        range(count), [row[0] for row in rows], [row[1] for row in rows],
        [f'link{index}' for index in range(count)], ((0.5, 0.0, 0.0),) * count,
        [(0.5, 0.0, row[2]) for row in rows])}


def made(path=None, frame='base', status=Status.FAIL, findings=(), summary='why', **changes):
    """Return the markers of a verdict by namespace; DELETEALL comes first."""
    message = verdict_message(Verdict(status, summary, tuple(findings), **changes),
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


def box(marker):
    """Return what a text covers, whoever looks."""
    at = marker.pose.position
    return box_of(marker.text, marker.scale.z, (at.x, at.y, at.z))


places = st.tuples(*[st.floats(-0.3, 0.3)] * 3) | st.just((0.1, 0.0, 0.2))
told = st.builds(lambda words, severity, at: Finding(
    FindingCode.CONTACT, severity, ' '.join(words), point_base=at),
    st.lists(st.text('abcdefghij_', min_size=1, max_size=60), max_size=40),
    st.sampled_from(Severity), places)


@settings(deadline=None, max_examples=60)
@given(st.lists(told, max_size=25), st.text(max_size=400), places)
def test_no_text_covers_another_and_no_line_is_long(findings, summary, nearest):
    message = verdict_message(Verdict(
        Status.FAIL, summary, tuple(findings), clearances=clearances(
            (0.0,), (0.01,), (0.001,), ('a_link_with_a_long_name' * 3,), (nearest,), (nearest,))),
        Header(frame_id='base'))
    markers = verdict_markers(message).markers[1:]
    texts = [marker for marker in markers if marker.type == Marker.TEXT_VIEW_FACING]
    assert sum(marker.type == Marker.SPHERE for marker in markers) == len(findings)
    for one, other in itertools.combinations(texts, 2):
        assert not box(one).overlaps(box(other)), (one.text, other.text)
    for text in texts:
        lines = text.text.splitlines()
        assert lines and max(map(len, lines)) <= 44 and len(lines) <= 4
        assert 0 < text.scale.x < text.scale.z


def test_of_findings_at_one_place_the_worst_is_written_and_the_others_counted():
    told = [Finding(FindingCode.CONTACT, severity, words, point_base=(0.5, 0.0, z))
            for severity, words, z in ((Severity.INFO, 'is near', 0.2),
                                       (Severity.FAIL, 'touches', 0.22),
                                       (Severity.UNSURE, 'may touch', 0.18),
                                       (Severity.UNSURE, 'goes unseen', 0.6))]
    kinds = made(findings=told)
    assert len(kinds['contact_points']) == 4
    first, second = kinds['findings']
    assert first.text == 'touches\n(and 2 more here)' and color(first) == RED
    assert second.text == 'goes unseen' and color(second) == ORANGE
    many = [dataclasses.replace(told[0], point_base=(x, 0.0, 0.0)) for x in range(20)]
    assert len(made(findings=many)['findings']) == MOST_PLACES


def in_the_shipped_view(places, aspect):
    """
    Return where points (N, 3) are in the picture of the shipped view, -1 to 1 across and up.

    As RViz2's Orbit places its camera; 45 degrees are Ogre's.
    """
    view = RVIZ['Views']['Current']
    focal = np.array([view['Focal Point'][axis] for axis in 'XYZ'], float)
    yaw, pitch = view['Yaw'], view['Pitch']
    back = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    ray = np.asarray(places) - (focal + view['Distance'] * back)
    scale = np.tan(np.pi / 8) * -(ray @ back)
    return np.stack([ray @ right / scale / aspect, ray @ np.cross(back, right) / scale], -1)


@pytest.mark.parametrize('aspect', [1.1, 1.6])
def test_the_longest_sentence_is_inside_of_the_shipped_view(aspect):
    sentence, = made(summary='W' * 1000)['sentence']
    assert len(sentence.text.splitlines()) == 4
    covered, view = box(sentence), RVIZ['Views']['Current']
    center = np.array([covered.x, covered.y, covered.z])
    across = np.array([-np.sin(view['Yaw']), np.cos(view['Yaw']), 0.0]) * covered.width / 2
    up = np.array([0.0, 0.0, covered.height / 2])
    corners = [center + x * across + y * up for x in (-1, 1) for y in (-1, 1)]
    assert np.abs(in_the_shipped_view(corners, aspect)).max() < 0.95
    # and it is above the robot, whose hand is over the table
    hand = in_the_shipped_view([(0.5, 0.0, 0.6)], aspect)
    assert in_the_shipped_view(corners, aspect)[:, 1].min() > hand[0, 1]


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
