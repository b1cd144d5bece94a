# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 1 on a robot of two boxes above a table, where every distance is known by hand."""
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight import Backdrop
from kinema4d_ros.precheck import check_tier1, Tier1Settings, TouchRule
from kinema4d_ros.robot import DistanceFields, ForwardKinematics, load_meshes, Robot
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import (FindingCode, Gripper, Observation, PinholeCamera,
                                RobotRollout, Severity)

HALF = 0.05       # [m] of the boxes
URDF = '''<robot name="lift">
<link name="base"/>
<link name="hand"><visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual></link>
<link name="finger"><visual><origin xyz="0 0.3 0"/><geometry><box size="0.1 0.1 0.1"/></geometry>
</visual></link>
<joint name="down" type="prismatic"><parent link="base"/><child link="hand"/>
<axis xyz="0 0 1"/><limit lower="-1" upper="1" velocity="9" effort="1"/></joint>
<joint name="grip" type="prismatic"><parent link="hand"/><child link="finger"/>
<axis xyz="0 0 1"/><limit lower="-1" upper="1" velocity="9" effort="1"/></joint>
</robot>'''
EXACT = Tier1Settings(depth_sigma=0.0, depth_sigma_square=0.0, calibration_sigma=0.001,
                      mesh_sigma=0.0, mask_growth=0)
CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
# 1.5 m above the table z = 0, looking straight down.
T_BASE_CAMERA = np.array([[1, 0, 0, 0.0], [0, -1, 0, 0.0], [0, 0, -1, 1.5], [0, 0, 0, 1]], float)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Return robot, distance fields and link surfaces."""
    robot = Robot.from_urdf(URDF)
    meshes = load_meshes(robot)
    fields = DistanceFields(meshes, cache_dir=tmp_path_factory.mktemp('fields'))
    return robot, fields, {name: mesh.vertices for name, mesh in meshes.items()}


def table(block: float = 0.0) -> Observation:
    """Return what the camera sees of the table; `block` [m] raises its part with x > 0.15 m."""
    depth = np.full((120, 160), 1.5, np.float32)
    image = np.zeros((120, 160, 3), np.uint8)
    if block:
        u = np.arange(160)
        at = (u - CAMERA.cx) / CAMERA.fx * (1.5 - block)
        depth[:, at > 0.15] = 1.5 - block
    return Observation.from_rgbd(image, depth, CAMERA, T_BASE_CAMERA)


def rollout(robot: Robot, hand, finger=0.0, seconds: float = 1.0) -> RobotRollout:
    """Return the motion with these heights [m] of hand and finger centres."""
    hand = np.atleast_1d(np.asarray(hand, float))
    finger = np.broadcast_to(np.asarray(finger, float), hand.shape)
    positions = np.stack([hand, finger], axis=1)
    steps = len(hand)
    nothing = np.zeros((steps, 1, 1), np.int16) - 1
    return RobotRollout(
        np.linspace(0, seconds, steps), robot.joint_names, positions, robot.link_names,
        ForwardKinematics(robot)(positions), CAMERA, np.repeat(T_BASE_CAMERA[None], steps, 0),
        np.full((steps, 1, 1, 3), np.nan, np.float32), nothing,
        np.zeros((steps, 1, 1, 3), np.uint8), Gripper('hand', ('finger',), ('grip',)))


def check(world, motion, settings=EXACT, observation=None, story=None):
    """Run tier 1; return the findings and what they come from in one."""
    _, fields, surfaces = world
    mask = np.zeros((120, 160), bool)
    observation = table() if observation is None else observation
    scene = Scene(observation, (mask,), settings.scene)
    findings, clearance = check_tier1(scene, motion, fields, surfaces, settings, story=story)
    return SimpleNamespace(findings=findings, link_names=clearance.link_names,
                           track=clearance.track, minimum=clearance.minimum,
                           minimum_sigma=clearance.minimum_sigma, timeline=clearance.timeline)


def taken_away(observation, frame, where):
    """Return a story in which the fingers begin to close at `frame` on the pixels `where`."""
    gone = observation.view.depth.copy()
    gone[where] = np.nan
    return SimpleNamespace(
        backdrops=[Backdrop(0, observation.view.image, observation.view.depth),
                   Backdrop(frame, observation.view.image, gone)],
        bodies=[], events=[], targets=[], source=0, openings=list)


def worst(clearance) -> Severity:
    """Return the worst severity of the findings about distance."""
    return max((f.severity for f in clearance.findings
                if f.code is not FindingCode.UNSEEN_SPACE), default=Severity.INFO)


def test_distance_to_the_table_is_height_minus_half_the_box(world):
    robot = world[0]
    heights = np.array([0.3, 0.1, 0.08, 0.06])
    clearance = check(world, rollout(robot, heights, finger=0.5))
    track = clearance.track('hand')
    np.testing.assert_allclose(track.distance[1:], heights[1:] - HALF, atol=1e-4)
    assert np.isinf(track.distance[0])      # beyond reach
    assert clearance.minimum == pytest.approx(0.01, abs=1e-4)
    assert clearance.minimum_sigma == pytest.approx(0.001, abs=1e-6)
    assert track.point_base[3][2] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize('height, severity, code', [
    (0.30, Severity.INFO, None),
    (0.058, Severity.INFO, FindingCode.NEAR_MISS),      # 8 mm, near miss below 10 mm
    (0.051, Severity.UNSURE, FindingCode.NEAR_MISS),    # 1 mm +- 2 x 1 mm: may touch
    (0.049, Severity.UNSURE, FindingCode.NEAR_MISS),    # -1 mm +- 2 x 1 mm: may not touch
    (0.045, Severity.FAIL, FindingCode.CONTACT),        # -5 mm
])
def test_bands_of_a_link_that_must_not_touch(world, height, severity, code):
    clearance = check(world, rollout(world[0], [0.3, height], finger=0.5))
    found = [f for f in clearance.findings if f.link == 'hand'
             and f.code is not FindingCode.UNSEEN_SPACE]
    assert worst(clearance) == severity
    assert [f.code for f in found] == ([code] if code is not None else [])
    if found:
        assert found[0].value == pytest.approx(height - HALF, abs=2e-4)
        assert found[0].time == 1.0 and found[0].unit == 'm' and found[0].other == 'scene'


@pytest.mark.parametrize('height, severity', [
    (0.048, Severity.INFO),      # 2 mm in, 10 mm allowed
    (0.0405, Severity.UNSURE),   # 9.5 mm +- 2 mm
    (0.035, Severity.FAIL),      # 15 mm
])
def test_fingers_may_touch_but_not_be_pressed_in(world, height, severity):
    motion = rollout(world[0], [0.6, 0.6], finger=[-0.4, height - 0.6], seconds=100.0)
    clearance = check(world, motion)
    assert worst(clearance) == severity
    if severity is Severity.FAIL:
        finding = clearance.findings[0]
        assert finding.link == 'finger' and 'pressed into the scene' in finding.message
        assert finding.limit == -0.01


def test_fingers_must_touch_slowly(world):
    slow = rollout(world[0], [0.6, 0.6], finger=[-0.4, -0.552], seconds=1.0)    # 0.15 m/s
    fast = rollout(world[0], [0.6, 0.6], finger=[-0.4, -0.552], seconds=0.4)    # 0.38 m/s
    assert worst(check(world, slow)) == Severity.INFO
    finding = check(world, fast).findings[0]
    assert finding.severity is Severity.FAIL and finding.unit == 'm/s'
    assert finding.value == pytest.approx(0.38, abs=0.01) and finding.limit == 0.3


@pytest.mark.parametrize('above, severity', [(0.0002, Severity.UNSURE), (0.0015, Severity.INFO)])
def test_fingers_that_are_fast_keep_half_a_standard_deviation_away(world, above, severity):
    # The finger's end is `above` the table, the sigma of which is 1 mm.
    fast = rollout(world[0], [0.6, 0.6], finger=[-0.4, -0.55 + above], seconds=0.4)
    found = [finding for finding in check(world, fast).findings if 'm/s' in finding.message]
    assert [finding.severity for finding in found] == [Severity.UNSURE] * (severity is
                                                                          Severity.UNSURE)
    assert all('may touch the scene at 0.37 m/s' in finding.message for finding in found)


def test_fingers_that_draw_back_may_be_fast(world):
    # 0.1 mm above the table they stand still, and are at 0.35 m/s before they are 0.5 mm away.
    away = rollout(world[0], [0.6] * 4, finger=[-0.5499, -0.5499, -0.54955, -0.549], seconds=0.003)
    found = check(world, away)
    assert found.track('finger').speed[2] > 0.3 and found.track('finger').distance[2] < 0.0005
    assert not [each for each in found.findings if 'm/s' in each.message]


def test_links_that_may_touch_can_be_named(world):
    motion = rollout(world[0], [0.3, 0.045], finger=0.5, seconds=100.0)
    assert worst(check(world, motion)) == Severity.FAIL

    def allowed(**rule):
        return dataclasses.replace(EXACT, touch={'hand': TouchRule(**rule)})
    assert worst(check(world, motion, allowed())) == Severity.INFO
    assert worst(check(world, motion, allowed(depth=0.002))) == Severity.FAIL      # 5 mm deep
    here, elsewhere = (-0.1, -0.1, -0.1, 0.1, 0.1, 0.1), (0.2, -0.1, -0.1, 0.4, 0.1, 0.1)
    assert worst(check(world, motion, allowed(within=here))) == Severity.INFO
    assert worst(check(world, motion, allowed(within=elsewhere))) == Severity.FAIL


def test_a_thin_link_is_pressed_in_as_far_as_it_went_on(world):
    # The box is 5 cm from its middle to any side, but 8 cm of it go into the table.
    motion = rollout(world[0], [0.6] * 5, finger=np.array([0.1, 0.06, 0.04, 0.0, -0.03]) - 0.6,
                     seconds=100.0)
    finding = check(world, motion).findings[0]
    assert finding.severity is Severity.FAIL and finding.link == 'finger'
    # It touches first with 1 cm in, and goes on by 7 cm from there.
    assert finding.value == pytest.approx(-0.08, abs=2e-3)


def test_what_is_taken_away_is_an_obstacle_until_the_fingers_close(world):
    observation = table(block=0.05)
    motion = rollout(world[0], [0.3, 0.3, 0.06], finger=0.5)
    block = observation.view.depth < 1.46
    beside = dataclasses.replace(motion, T_base_link=motion.T_base_link.copy())
    beside.T_base_link[..., 0, 3] += 0.25      # over the block, 4 cm in it at last
    assert worst(check(world, beside, observation=observation)) == Severity.FAIL
    before = taken_away(observation, 2, block)
    assert worst(check(world, beside, observation=observation, story=before)) == Severity.INFO
    after = taken_away(observation, 3, block)
    assert worst(check(world, beside, observation=observation, story=after)) == Severity.FAIL


def test_the_palm_may_come_close_to_what_the_fingers_take(world):
    observation = table(block=0.05)
    block = observation.view.depth < 1.46
    for height, without, with_story in ((0.101, Severity.UNSURE, Severity.INFO),
                                        (0.0995, Severity.UNSURE, Severity.UNSURE),
                                        (0.095, Severity.FAIL, Severity.FAIL)):
        motion = rollout(world[0], [0.3, height, 0.3], finger=0.5)
        motion.T_base_link[..., 0, 3] += 0.25
        story = taken_away(observation, 2, block)
        assert worst(check(world, motion, observation=observation)) == without
        assert worst(check(world, motion, observation=observation, story=story)) == with_story


def test_what_the_mask_missed_of_the_robot_is_no_obstacle(world):
    # The robot stands 2 cm in the table at first (a wrong calibration), and moves out.
    clearance = check(world, rollout(world[0], [0.03, 0.2], finger=0.5))
    assert worst(clearance) < Severity.FAIL


def test_a_single_flying_pixel_is_no_obstacle_but_a_post_is(world):
    observation = table()
    depth = observation.view.depth.copy()
    depth[60, 80] = 1.2
    motion = rollout(world[0], [0.5, 0.3], finger=0.5)
    flying = observation.with_view(depth=depth)
    assert worst(check(world, motion, observation=flying)) == Severity.INFO
    depth[58:62, 78:82] = 1.2
    post = observation.with_view(depth=depth)
    assert worst(check(world, motion, observation=post)) == Severity.FAIL


@pytest.mark.parametrize('nonsense', [0.0, -1.0, np.inf, 1e30])
def test_depths_that_are_none_are_unseen_and_spoil_nothing(world, nonsense):
    observation = table()
    depth = observation.view.depth.copy()
    depth[:, :40] = nonsense      # x < -0.4 m
    spoilt = observation.with_view(depth=depth)
    clearance = check(world, rollout(world[0], [0.3, 0.06], finger=0.5), observation=spoilt)
    assert clearance.minimum == pytest.approx(0.01, abs=1e-4)
    scene = Scene(spoilt, (np.zeros(depth.shape, bool),), EXACT.scene)
    assert scene.unseen(np.array([[-0.6, 0.0, 0.5], [0.0, 0.0, 0.5]]), 0.0).tolist() == [True,
                                                                                        False]


def test_the_clearance_over_time_by_hand(world):
    heights = np.array([0.3, 0.1, 0.07, 0.09])       # at 0, 1, 2, 3 s; 25 cm away at first
    timeline = check(world, rollout(world[0], heights, finger=0.5, seconds=3.0)).timeline
    np.testing.assert_allclose(timeline.times, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(timeline.distance, heights[1:] - HALF, atol=1e-4)
    np.testing.assert_allclose(timeline.sigma, 0.001, atol=1e-6)
    assert timeline.link_names == ('hand',) * 3
    np.testing.assert_allclose(timeline.points_base[:, 2], 0.0, atol=1e-6)
    np.testing.assert_allclose(timeline.robot_points_base[:, 2], heights[1:] - HALF, atol=1e-3)
    np.testing.assert_allclose(timeline.robot_points_base[:, :2], timeline.points_base[:, :2],
                               atol=1e-3)
    sample = timeline.samples[1]
    assert len(timeline.samples) == 3 and sample.time == 2.0 and sample.link == 'hand'
    assert sample.distance == timeline.distance[1] and sample.sigma == timeline.sigma[1]
    assert sample.point_base == tuple(timeline.points_base[1])
    assert sample.robot_point_base == tuple(timeline.robot_points_base[1])


def test_a_long_timeline_is_thinned_and_keeps_the_smallest(world):
    heights = np.full(300, 0.1)
    heights[137] = 0.0712
    clearance = check(world, rollout(world[0], heights, finger=0.5))
    assert len(clearance.timeline.times) <= 50
    assert clearance.timeline.distance.min() == clearance.minimum == pytest.approx(0.0212, abs=1e-4)
    high = check(world, rollout(world[0], [0.5, 0.4], finger=0.5)).timeline
    assert len(high.times) == 0 and high.link_names == ()


@pytest.mark.parametrize('point, on_surface', [
    ((0.08, 0.01, -0.02), (0.05, 0.01, -0.02)), ((0.01, 0.0, 0.04), (0.01, 0.0, 0.05)),
    ((-0.02, -0.09, 0.01), (-0.02, -0.05, 0.01))])
def test_the_nearest_point_on_a_box(world, point, on_surface):
    place = np.eye(4)
    place[:3, :3], place[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (1, 2, 3)
    moved = place[:3, :3] @ point + place[:3, 3]
    found = world[1].surface_points(['hand'], moved[None], place[None])[0]
    np.testing.assert_allclose(place[:3, :3].T @ (found - place[:3, 3]), on_surface, atol=1e-3)


def test_the_robot_is_taken_out_and_memory_stands_in(world):
    observation, mask = table(), np.zeros((120, 160), bool)
    mask[40:80, 60:100] = True
    grown = dataclasses.replace(EXACT, mask_growth=4)
    scene = Scene(observation, (mask,), grown.scene).view
    assert np.isnan(scene.measured_depth[36:84, 60:100]).all()
    assert np.isfinite(scene.measured_depth[:35]).all()
    from kinema4d_ros.types import Background
    memory = Background(observation.view.image, observation.view.depth, np.ones((120, 160), bool))
    scene = Scene(observation.with_view(background=memory), (mask,), grown.scene).view
    assert np.isfinite(scene.measured_depth).all()
    # What a driver writes where nothing came back is no depth, remembered or not: far points
    # would leave the near ones no precision.
    for nothing in (0.0, -1.0, 1e7, np.finfo(np.float32).max):
        told = np.full_like(observation.view.depth, nothing)
        bad = Background(observation.view.image, told, np.ones((120, 160), bool))
        scene = Scene(observation.with_view(background=bad), (mask,), grown.scene).view
        assert np.isnan(scene.measured_depth[36:84, 60:100]).all() and len(scene.points)
        assert np.abs(scene.points.points_base).max() < 100.0


@hypothesis_settings(max_examples=25, deadline=None)
@given(height=st.floats(0.03, 0.12), near=st.floats(0.0, 0.03), sigma=st.floats(0.0, 0.01))
def test_tightening_never_helps(world, height, near, sigma):
    motion = rollout(world[0], [0.3, height], finger=0.5)
    loose = dataclasses.replace(EXACT, near_miss=near, calibration_sigma=0.0)
    tight = dataclasses.replace(EXACT, near_miss=near + 0.01, calibration_sigma=sigma)
    wide = check(world, motion, loose)
    assert (worst(wide) is Severity.INFO) or (worst(check(world, motion, tight)) > Severity.INFO)


@hypothesis_settings(max_examples=10, deadline=None)
@given(height=st.floats(0.02, 0.07), seconds=st.floats(0.2, 5.0), depth=st.floats(0.0, 0.03),
       speed=st.floats(0.0, 1.0), share=st.floats(0.0, 1.0))
def test_a_tighter_touch_rule_never_helps(world, height, seconds, depth, speed, share):
    motion = rollout(world[0], [0.6, 0.6, 0.6], finger=np.array([0.2, 0.1, height]) - 0.6,
                     seconds=seconds)

    def by(**rule):
        touch = {'finger': TouchRule(**rule)}
        return worst(check(world, motion, dataclasses.replace(EXACT, touch=touch)))
    box, smaller = (-1, -1, -1, 1, 1, 1), (-1, -1, -1, 1, 0.3, 1)
    loose = by(depth=depth, speed=speed, within=box)
    assert by(depth=share * depth, speed=speed, within=box) >= loose
    assert by(depth=depth, speed=share * speed, within=box) >= loose
    assert by(depth=depth, speed=speed, within=smaller) >= loose


@hypothesis_settings(max_examples=8, deadline=None)
@given(height=st.floats(0.02, 0.1), factor=st.floats(0.2, 5.0))
def test_a_slower_motion_has_the_same_clearance_and_slower_touches(world, height, factor):
    places = np.array([0.2, 0.1, height]) - 0.6
    one, other = (check(world, rollout(world[0], [0.6] * 3, finger=places, seconds=seconds))
                  for seconds in (1.0, factor))
    a, b = one.track('finger'), other.track('finger')
    np.testing.assert_array_equal(a.distance, b.distance)
    np.testing.assert_allclose(a.speed, b.speed * factor, rtol=1e-9)
    np.testing.assert_allclose(a.times * factor, b.times, rtol=1e-9)
    if factor > 1:
        assert worst(other) <= worst(one)


@hypothesis_settings(max_examples=25, deadline=None)
@given(height=st.floats(0.06, 0.12), block=st.floats(0.005, 0.1))
def test_more_scene_never_gives_more_clearance(world, height, block):
    motion = rollout(world[0], [0.3, height], finger=0.5)
    fewer = check(world, motion).minimum
    assert check(world, motion, observation=table(block)).minimum <= fewer + 1e-6


@pytest.mark.parametrize('bad', [
    {'near_miss': -1.0}, {'near_miss': 0.07}, {'unseen_hand': -0.1}, {'least_neighbours': 9},
    {'confidence': float('nan')}, {'voxel': 0.0}, {'least_neighbours': -1},
    {'memory_age': -1.0}, {'depth_min': 11.0}, {'depth_max': 0.0}, {'voxel': 0.1},
    {'travel': 10.0},
    {'mask_growth': 1000},      # with either of these a hand pushed into the table passed
    {'known_free': (0.0, 1.0, 2.0)}, {'known_free': (0, 0, 0, 1, -1, 1)}])
def test_settings_that_switch_a_rule_off_are_refused(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        Tier1Settings(**bad)


@pytest.mark.parametrize('bad', [
    {'depth': -0.1}, {'speed': float('inf')}, {'within': (0, 0, 0, 1, 1)},
    {'within': (0, 0, 0, 1, -1, 1)}])
def test_touch_rules_that_switch_a_rule_off_are_refused(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        TouchRule(**bad)
