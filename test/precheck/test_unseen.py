# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Space that nobody vouches for: a hand of 10 cm over a table, seen from above."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hand_over_table import (ALONG, CAMERA, GRIPPER, NOW, pixels, ROBOT, SETTINGS, table, way)
from kinema4d_ros.precheck import check_tier1, Unseen
from kinema4d_ros.robot import (DistanceFields, find_gripper, hand_links_of,
                                load_meshes, Robot)
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import (Background, CameraView, FindingCode, Observation,
                                Severity)

@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    """Return the distance fields of the links."""
    return DistanceFields(load_meshes(ROBOT), cache_dir=tmp_path_factory.mktemp('fields'))


def judge(fields, motion, observation=None, settings=SETTINGS, mask=None):
    """Return the findings of tier 1 about unseen space, and the worst severity of all."""
    observation = table() if observation is None else observation
    masks = [np.zeros(view.image.shape[:2], bool) if mask is None else mask
             for view in observation.views]
    findings, _ = check_tier1(
        Scene(observation, masks, settings.scene), motion, fields, {}, settings,
        hand_links=hand_links_of(ROBOT, GRIPPER))
    return ([f for f in findings if f.code is FindingCode.UNSEEN_SPACE],
            max((f.severity for f in findings), default=Severity.INFO))


def spoilt(value, side=0.12, at=(0.1, 0.0)) -> Observation:
    """Return the table with a value in the pixels that would show a box on the hand's way."""
    depth = table().view.depth.copy()
    depth[pixels(np.subtract(at, side / 2), np.add(at, side / 2), 0.4)] = value
    return table(depth)


def test_in_view_over_the_table_nothing_is_unknown(fields):
    assert judge(fields, way(*ALONG)) == ([], Severity.INFO)


@pytest.mark.parametrize('value', [
    0.0, np.nan, -1.0, 0.05, 65.535, np.inf, -np.inf, 10.0, 20.0, 1e30, np.finfo(np.float32).max,
    6.0, 4.5], ids=str)
def test_a_box_without_a_measured_depth_on_the_way_is_no_pass(fields, value):
    found, worst = judge(fields, way(*ALONG), spoilt(value))
    assert worst is Severity.UNSURE and len(found) == 1
    finding = found[0]
    assert finding.link in ('arm', 'hand') and 'has no values' in finding.message
    assert 'tier1.known_free' in finding.message and finding.unit == 'm'
    assert 0.03 < finding.value < 0.1 and finding.limit == 0.03
    assert finding.point_base[0] == pytest.approx(0.1, abs=0.1)
    assert 2.0 < finding.time < 8.0      # x = 0.1 is passed at 6.7 s, and the ray spreads
    told, worst = judge(fields, way(*ALONG), spoilt(value),
                        dataclasses.replace(SETTINGS, unseen=Unseen.REPORT))
    assert worst is Severity.INFO and told[0].severity is Severity.INFO


def test_fingers_too_are_held_back_by_what_was_not_measured(fields):
    # Only the finger reaches sideways into the hole.
    motion = way((0.1, 0.0, 0.75), (0.1, 0.0, 0.75))
    motion.T_base_link[:, ROBOT.link_names.index('finger'), 0, 3] += np.linspace(0, 0.3, 40)
    found, worst = judge(fields, motion, spoilt(0.0, 0.15, (0.35, 0.0)))
    assert worst is Severity.UNSURE and found[0].link == 'finger'


def test_behind_what_the_camera_sees_is_unknown(fields):
    depth = table().view.depth.copy()
    depth[pixels((0.0, -0.1), (0.2, 0.1), 0.4)] = 0.6      # a board at z = 0.9, over the way
    found, worst = judge(fields, way(*ALONG), table(depth))
    assert worst is Severity.UNSURE and 'behind what the camera sees' in found[0].message
    below, worst = judge(fields, way((0.0, 0.0, 0.4), (0.0, 0.0, -0.2)))
    assert 'behind what the camera sees' in below[0].message


def test_a_second_camera_vouches_for_what_the_first_cannot_see(fields):
    side = np.array([[0, 0, -1, 1.5], [1, 0, 0, 0.0], [0, -1, 0, 0.4], [0, 0, 0, 1]], float)
    other = CameraView(np.zeros((120, 160, 3), np.uint8), np.full((120, 160), 2.5, np.float32),
                       CAMERA, side, NOW, 'side')
    hole = spoilt(0.0)
    both = Observation(NOW, (hole.view, other))
    assert judge(fields, way(*ALONG), both)[1] is Severity.INFO
    blind = dataclasses.replace(other, depth=np.zeros((120, 160), np.float32))
    assert judge(fields, way(*ALONG), Observation(NOW, (hole.view, blind)))[1] is Severity.UNSURE


def test_what_is_declared_free_is_known(fields):
    for box in ((-0.1, -0.2, 0.2, 0.4, 0.2, 0.9), ((-0.1, -0.2, 0.2, 0.4, 0.2, 0.9),) * 2):
        free = dataclasses.replace(SETTINGS, known_free=box)
        assert judge(fields, way(*ALONG), spoilt(0.0), free)[1] is Severity.INFO
    elsewhere = dataclasses.replace(SETTINGS, known_free=(1.0, 1.0, 1.0, 2.0, 2.0, 2.0))
    assert judge(fields, way(*ALONG), spoilt(0.0), elsewhere)[1] is Severity.UNSURE


@pytest.mark.parametrize('side, severity', [(0.02, Severity.INFO), (0.04, Severity.UNSURE),
                                            (0.06, Severity.UNSURE)])
@pytest.mark.parametrize('value', [0.0, np.nan, 65.535, 20.0, 0.6], ids=str)
def test_a_small_box_in_a_hole_or_behind_a_board_is_no_pass(fields, side, value, severity):
    seen = spoilt(value, side, (0.11, 0.01))
    found, worst = judge(fields, way(*ALONG), seen)
    assert worst is severity
    for finding in found:
        assert finding.link in ('arm', 'hand')
        assert ('behind what' if value == 0.6 else 'has no values') in finding.message
        if value != 0.6:         # it goes nowhere far, but through enough for that box
            assert finding.unit == 'm^3' and finding.value > finding.limit == 0.000064
    anything = dataclasses.replace(SETTINGS, unseen_hole=1000.0, unseen_hidden=10.0)
    assert judge(fields, way(*ALONG), seen, anything)[1] is Severity.INFO


@pytest.mark.parametrize('far, severity', [(0.02, Severity.INFO), (0.3, Severity.UNSURE)])
def test_the_place_where_the_robot_stands_vouches_for_what_is_beside_it(fields, far, severity):
    start = (0.1, 0.0, 0.4)
    motion = way(start, (0.1, 0.0 + far, 0.4))
    assert judge(fields, motion, spoilt(0.0, 1.0))[1] is severity


@pytest.mark.parametrize('link, far, severity', [
    ('hand', 0.03, Severity.INFO), ('hand', 0.12, Severity.UNSURE),
    ('arm', 0.12, Severity.INFO), ('arm', 0.35, Severity.UNSURE)])
def test_outside_of_the_view_the_arm_may_go_farther_than_the_hand(fields, link, far, severity):
    edge = 1.1 * CAMERA.cx / CAMERA.fx          # of the view, at the height of the hand
    other = ROBOT.link_names.index('arm' if link == 'hand' else 'hand')
    finger = ROBOT.link_names.index('finger')
    motion = way((edge - 0.06, 0.0, 0.4), (edge + far - 0.05, 0.0, 0.4))
    motion.T_base_link[:, [other, finger]] = motion.T_base_link[:1, [other, finger]]
    found, worst = judge(fields, motion)
    assert worst is severity
    if found:
        assert found[0].link == link and "outside of the camera's view" in found[0].message


@pytest.mark.parametrize('seconds, severity', [
    (5.0, Severity.INFO), (59.0, Severity.INFO), (61.0, Severity.UNSURE), (600.0, Severity.UNSURE),
    (-0.5, Severity.INFO), (None, Severity.UNSURE), (-2.0, Severity.UNSURE),
    (-600.0, Severity.UNSURE)])
def test_what_the_robot_hides_is_known_as_long_as_memory_is_young(fields, seconds, severity):
    # The hand goes down into its own shadow.
    mask = pixels((-0.07, -0.07), (0.07, 0.07), 0.5)
    depth = table().view.depth.copy()
    depth[mask] = 0.85
    stamp = None if seconds is None else np.full((120, 160), NOW - int(seconds * 1e9), np.int64)
    memory = Background(np.zeros((120, 160, 3), np.uint8), table().view.depth,
                        np.ones((120, 160), bool), stamp)
    motion = way((0.0, 0.0, 0.5), (0.0, 0.0, 0.2))
    found, worst = judge(fields, motion, table(depth, background=memory), mask=mask)
    assert worst is severity
    if severity is Severity.INFO:
        assert f'up to {seconds:.1f} s old' in found[0].message
        assert found[0].value == pytest.approx(seconds, abs=1e-3)
    else:
        assert 'was last seen ' + (
            'nobody knows when' if seconds is None else f'{seconds:.0f} s ago' if seconds > 0 else
            f'{-seconds:.0f} s after this look') in found[0].message
    nothing, worst = judge(fields, motion, table(depth), mask=mask)
    assert worst is Severity.UNSURE and 'the robot itself hides' in nothing[0].message


def test_an_old_obstacle_stays_one(fields):
    mask = pixels((-0.07, -0.07), (0.07, 0.07), 0.5)
    depth = table().view.depth.copy()
    depth[mask] = 0.85
    remembered = np.where(mask, np.float32(1.2), table().view.depth)      # a block of 30 cm
    memory = Background(np.zeros((120, 160, 3), np.uint8), remembered, np.ones((120, 160), bool),
                        np.full((120, 160), NOW - int(6e11), np.int64))
    motion = way((0.0, 0.0, 0.5), (0.0, 0.0, 0.3))
    assert judge(fields, motion, table(depth, background=memory), mask=mask)[1] is Severity.FAIL


def sparse(step, seed=None):
    """Return which pixels an image that was registered has, (120, 160) bool."""
    keep = np.zeros((120, 160), bool)
    keep[::step[0], ::step[1]] = True
    return keep if seed is None else np.random.default_rng(seed).random(keep.shape) < 0.5


@pytest.mark.parametrize('keep', [
    sparse((1, 2)), sparse((2, 1)), sparse((2, 2)), sparse((3, 3)), sparse((1, 3)), sparse((3, 2)),
    np.add.outer(np.arange(120), np.arange(160)) % 2 == 0, sparse((1, 1), 1)],
    ids=['columns', 'rows', 'both', 'thirds', 'third columns', 'mixed', 'chequers', 'half'])
def test_sparse_depth_is_depth(fields, keep):
    depth = table().view.depth.copy()
    depth[pixels((-0.1, 0.1), (0.1, 0.3), 0.1)] = 1.4
    dense, thin = table(depth), table(np.where(keep, depth, np.nan))
    scene = Scene(thin, (np.zeros(keep.shape, bool),), SETTINGS.scene)
    assert scene.measured > 0.95
    assert len(scene.points) > 0.9 * keep.sum()
    assert judge(fields, way(*ALONG), thin)[1] is Severity.INFO
    into = way((0.0, 0.2, 0.6), (0.0, 0.2, 0.12))      # 3 cm into the block
    assert judge(fields, into, dense)[1] is judge(fields, into, thin)[1] is Severity.FAIL
    # A hole in it is one all the same.
    depth = np.where(pixels((0.04, -0.06), (0.16, 0.06), 0.4), np.nan, thin.view.depth)
    assert judge(fields, way(*ALONG), table(depth))[1] is Severity.UNSURE


@hypothesis_settings(max_examples=30, deadline=None)
@given(height=st.floats(-0.1, 0.6), x=st.integers(0, 150), y=st.integers(0, 110),
       width=st.integers(1, 160), tall=st.integers(1, 120),
       value=st.sampled_from([0.0, np.nan, 65.535, 30.0]))
def test_less_measured_never_makes_a_pass(fields, height, x, y, width, tall, value):
    depth = table().view.depth.copy()
    depth[pixels((-0.1, -0.1), (0.1, 0.1), 0.2)] = 1.3      # a block
    motion = way((-0.25, 0.1, 0.6), (0.1, 0.05, height))
    worst = judge(fields, motion, table(depth))[1]
    fewer = depth.copy()
    fewer[y:y + tall, x:x + width] = value
    assert min(worst, Severity.UNSURE) <= judge(fields, motion, table(fewer))[1]


@hypothesis_settings(max_examples=10, deadline=None)
@given(height=st.floats(-0.2, 0.5), hidden=st.floats(0.0, 0.1), more=st.floats(0.0, 0.1),
       name=st.sampled_from(['unseen_hidden', 'unseen_hand', 'unseen_outside', 'unseen_hole']))
def test_a_narrower_limit_never_allows_more(fields, height, hidden, more, name):
    motion = way((0.5, 0.0, 0.5), (0.75, 0.0, height))

    def worst(limit):
        return judge(fields, motion, settings=dataclasses.replace(SETTINGS, **{name: limit}))[1]
    assert worst(hidden) >= worst(hidden + more)


def test_the_hand_is_what_is_fixed_to_the_palm():
    assert hand_links_of(ROBOT, GRIPPER) == {'hand', 'finger'}
    assert hand_links_of(ROBOT, None) == {'finger'}


def test_the_hand_of_a_panda_begins_at_its_last_joint():
    from robots import example_robots
    path = example_robots().get('panda/panda')
    if path is None:
        pytest.skip('example-robot-data is not installed')
    robot = Robot.from_file(path)
    hand = hand_links_of(robot, find_gripper(robot))
    assert {'panda_link7', 'panda_hand', 'panda_leftfinger', 'panda_rightfinger'} <= hand
    assert 'panda_link6' not in hand
