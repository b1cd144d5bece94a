# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the recorder decides before anything is simulated: goals, grasps, places, errors."""
from types import SimpleNamespace

import numpy as np
import pytest

from kinema4d_ros.episodes import EpisodeMetadata
from kinema4d_ros.episodes.libero.aim import AimErrors
from kinema4d_ros.episodes.libero.goal import task_goals, TaskGoal
from kinema4d_ros.episodes.libero.grasps import choose_grasp, Grasp
from kinema4d_ros.episodes.libero.happening import OutcomeMeter
from kinema4d_ros.episodes.libero.places import choose_spot, drop_height
from kinema4d_ros.episodes.libero.placing import miss
from kinema4d_ros.episodes.libero.plan import FINGERTIP, Kind, PALM
from kinema4d_ros.episodes.libero.solving import ordered, solution
from kinema4d_ros.errors import EpisodeError

RANDOM = np.random.default_rng(3)


class Things:
    """Things that stand around, as points of their surface (N, 3) [m], all upright."""

    def __init__(self, **surfaces):
        """Make a scene of things whose origin is at the middle of their bottom."""
        self._surfaces = {name: np.asarray(points) for name, points in surfaces.items()}
        self.objects = tuple(surfaces)

    def surface(self, name):
        return self._surfaces[name]

    def bounds(self, name):
        return self._surfaces[name].min(0), self._surfaces[name].max(0)

    def object_pose(self, name):
        low, high = self.bounds(name)
        pose = np.eye(4)
        pose[:3, 3] = [*(0.5 * (low + high))[:2], low[2]]
        return pose

    def heights(self, places, without=''):
        """Points are at most 5 mm apart on what is looked at from above."""
        points = np.concatenate([self.surface(name) for name in self.objects if name != without])
        near = np.abs(points[None, :, :2] - np.asarray(places)[:, None]).max(axis=2) < 0.006
        return np.where(near, points[:, 2], 0.0).max(axis=1)


def box(low, high, count=6000):
    """Return points all over the surface of a box."""
    low, high = np.array(low), np.array(high)
    points = RANDOM.uniform(low, high, (count, 3))
    side = RANDOM.integers(3, size=count)
    rows = np.arange(count)
    points[rows, side] = np.where(RANDOM.integers(2, size=count), low[side], high[side])
    return points


def mug(x, y, radius=0.045, height=0.10):
    """Return the surface of a mug with 4 mm of wall, wider than a hand opens, without a handle."""
    angle, z = RANDOM.uniform(0, 2 * np.pi, 5000), RANDOM.uniform(0, height, 5000)
    walls = [np.c_[x + r * np.cos(angle), y + r * np.sin(angle), z] for r in (radius,
                                                                             radius - 0.004)]
    return np.concatenate(walls)


def in_the_hand(scene, name, grasp):
    """Return the points of a thing as an open hand sees them: along, across, above the tips."""
    c, s = np.cos(grasp.yaw), np.sin(grasp.yaw)
    points = scene.surface(name) - grasp.point
    return np.c_[points[:, :2] @ [c, s], points[:, :2] @ [-s, c], points[:, 2] + FINGERTIP]


def test_wide_mug_is_taken_by_its_wall():
    scene = Things(mug=mug(0.5, 0.1))
    grasp = choose_grasp(scene, 'mug')
    along, across, above = in_the_hand(scene, 'mug', grasp).T
    between = (np.abs(along) < 0.008) & (np.abs(across) < 0.036) & (above > 0) & (above < 0.018)
    assert between.sum() > 5 and np.ptp(across[between]) < 0.012
    solid = (np.abs(along) < 0.01) & (np.abs(across) > 0.04) & (np.abs(across) < 0.055)
    assert not (solid & (above > 0)).any()      # both fingers go past it
    assert not ((np.abs(along) < 0.03) & (np.abs(across) < 0.1)
                & (above > PALM + FINGERTIP)).any()      # the palm comes down on nothing


def test_neighbour_leaves_the_other_side_of_a_mug():
    """Where a can stands 1 cm from the wall no finger goes down."""
    can = box([0.46, 0.155, 0.0], [0.54, 0.22, 0.12])
    scene = Things(mug=mug(0.5, 0.1), can=can)
    grasp = choose_grasp(scene, 'mug')
    along, across, above = in_the_hand(scene, 'can', grasp).T
    assert not ((np.abs(along) < 0.01) & (np.abs(across) < 0.055) & (above > 0)).any()


def test_block_wider_than_the_hand_cannot_be_taken():
    scene = Things(block=box([0.4, -0.1, 0.0], [0.6, 0.1, 0.1]))
    with pytest.raises(EpisodeError, match=r'get around no part of block .*\[0.2, 0.2, 0.1\]'):
        choose_grasp(scene, 'block')


@pytest.mark.parametrize(('half', 'yaw'), [((0.03, 0.03), 0.0), ((0.12, 0.02), 0.0),
                                           ((0.02, 0.12), 0.0), ((0.12, 0.02), 0.7)])
def test_missed_grasp_closes_on_nothing(half, yaw):
    """However long the thing is, and whichever way: the open fingers pass all of it."""
    middle = np.array([0.5, 0.0])
    scene = Things(thing=box([*(middle - half), 0.0], [*(middle + half), 0.05]))
    grasp = Grasp(np.array([0.5, 0.0, 0.03]), yaw)
    aside = miss(scene, 'thing', grasp)
    along, across, _ = in_the_hand(scene, 'thing', Grasp(grasp.point + aside, yaw)).T
    assert not ((np.abs(along) < 0.015) & (np.abs(across) < 0.065)).any()
    assert np.linalg.norm(aside) < 0.2


def test_miss_goes_where_no_other_thing_stands():
    thing = box([0.47, -0.03, 0.0], [0.53, 0.03, 0.05])
    others = {f'wall{sign}': box([0.5 + sign * 0.06 - 0.01, -0.1, 0.0],
                                 [0.5 + sign * 0.06 + 0.01, 0.1, 0.05]) for sign in (-1, 1)}
    aside = miss(Things(thing=thing, **others), 'thing', Grasp(np.array([0.5, 0.0, 0.03])))
    assert abs(aside[1]) > 0.08 and aside[0] == 0


def goal(relation, thing, place='', target='', joint=None):
    return TaskGoal(relation, thing, place, target, {}, joint)


def test_goals_are_ordered_so_that_each_can_be_met():
    into, shut = goal('in', 'bowl', 'low', 'cabinet', 'low'), goal('close', 'cabinet', 'low',
                                                                   'cabinet', 'low')
    pull, on = goal('open', 'cabinet', 'top', 'cabinet', 'top'), goal('on', 'mug', 'plate',
                                                                      'plate')
    assert ordered((shut, into)) == (into, shut)
    assert ordered((on, pull)) == (pull, on)
    assert ordered((shut, on)) == (shut, on)      # nothing goes into it
    stacked, below = goal('on', 'a', 'b', 'b'), goal('in', 'b', 'tray', 'tray')
    assert ordered((stacked, below)) == (below, stacked)
    door, food = goal('close', 'oven', '', 'oven', 'door'), goal('in', 'mug', 'oven_inside',
                                                                 'oven')
    assert ordered((door, food)) == (food, door)


def test_words_of_a_goal_are_the_simulators():
    assert goal('in', 'bowl', 'low', 'cabinet').words == ['in', 'bowl', 'low']
    assert goal('close', 'cabinet', 'low', 'cabinet').words == ['close', 'low']
    assert goal('turnon', 'stove', '', 'stove').words == ['turnon', 'stove']


def test_errors_of_aim_repeat_and_stay_within_what_is_said():
    names = [f'episode_{number}' for number in range(300)]
    drawn = [solution((goal('on', 'a', 'b', 'b'),), Kind.INACCURATE, name).errors
             for name in names]
    grasps, places = (np.array([getattr(error, side) for error in drawn])
                      for side in ('grasp', 'place'))
    assert np.linalg.norm(grasps[:, :2], axis=1).max() <= 0.04
    assert np.linalg.norm(places, axis=1).max() <= 0.12
    assert -0.01 <= grasps[:, 2].min() < 0 < grasps[:, 2].max() <= 0.03
    beside = np.linalg.norm(grasps[:, :2], axis=1)
    assert 0.1 < (beside > 0.02).mean() < 0.5      # neither all small nor all large
    again = solution((goal('on', 'a', 'b', 'b'),), Kind.INACCURATE, names[0]).errors
    np.testing.assert_array_equal(again.grasp, drawn[0].grasp)
    exact = solution((goal('on', 'a', 'b', 'b'),), Kind.SUCCESS, names[0]).errors
    assert not exact.grasp.any() and not exact.place.any() and exact.values == {}
    assert AimErrors(np.array([0.01, 0.0, 0.0]), np.zeros(3)).values == {
        'grasp': (0.01, 0.0, 0.0)}


def flat(low, high, z):
    """Return points of a level area, 5 mm apart."""
    grid = np.stack(np.meshgrid(*(np.arange(a, b, 0.005) for a, b in zip(low, high))), -1)
    return np.c_[grid.reshape(-1, 2), np.full(grid.size // 2, z)]


def test_place_in_a_region_is_where_nothing_stands():
    """Half of the region is taken by something 6 cm high: the can goes to the other half."""
    can = box([0.48, -0.02, 0.0], [0.52, 0.02, 0.1])
    scene = Things(can=can, taken=flat((0.55, 0.1), (0.65, 0.2), 0.06))
    pose = np.eye(4)
    pose[:3, 3] = [0.6, 0.2, 0.05]
    scene.site = lambda name: (pose, np.array([0.05, 0.1, 0.05]))
    wanted = goal('in', 'can', 'tray_inside', 'tray')
    spot = choose_spot(scene, wanted, Grasp(np.array([0.5, 0.0, 0.08])))
    assert spot.support == 0.0 and spot.origin[1] > 0.215 and abs(spot.origin[0] - 0.6) < 0.05
    # The hand is over the 6 cm: its palm is let go of the can above that.
    assert drop_height(spot, 0.08) == pytest.approx(max(0.09, spot.rim - PALM + 0.01))


def test_covered_place_says_so():
    can = box([0.48, -0.02, 0.0], [0.52, 0.02, 0.1])
    scene = Things(can=can, roof=flat((0.4, 0.0), (0.8, 0.4), 0.3))
    pose = np.eye(4)
    pose[:3, 3] = [0.6, 0.2, 0.05]
    scene.site = lambda name: (pose, np.array([0.05, 0.05, 0.05]))
    with pytest.raises(EpisodeError, match='oven_inside is covered from above'):
        choose_spot(scene, goal('in', 'can', 'oven_inside', 'oven'),
                    Grasp(np.array([0.5, 0.0, 0.08])))


@pytest.mark.parametrize('unit, position, end, rule', [
    ('m', 0.0, -0.14, {'slides_by': {'object': 'chest_top', 'distance': 0.14,
                                     'direction': [0.0, -1.0, 0.0]}}),
    ('m', -0.15, 0.0, {'slides_by': {'object': 'chest_top', 'distance': 0.15,
                                     'direction': [0.0, 1.0, 0.0]}}),
    ('rad', 0.1, 0.5, {'turns_by': {'object': 'chest_top', 'angle': 0.4,
                                    'axis': [0.0, 1.0, 0.0]}})])
def test_how_far_a_part_has_to_go(unit, position, end, rule):
    scene = SimpleNamespace(
        objects=('chest',), problem={'goal_state': [['Open', 'chest_top']]}, suite='', task=0,
        joint_of=lambda name: 'slide', joint_unit=lambda joint: unit, holds=lambda words: False,
        joint_position=lambda joint: position, joint_goal=lambda relation, joint: end,
        joint_frame=lambda joint: (np.zeros(3), np.array([0.0, 1.0, 0.0])),
        moving_part=lambda joint: [(np.zeros(3), np.ones(3)), (np.full(3, -0.5), np.zeros(3))])
    (found,) = task_goals(scene)
    assert found.rubric == {**rule, 'starts_in': {'low': [-0.5] * 3, 'high': [1.0] * 3}}
    scene.holds = lambda words: True
    assert task_goals(scene)[0].rubric == {}


def test_outcome_of_things_joints_and_goals_survives_a_file():
    """A can is lifted by 5 cm and ends 20 cm away; a drawer that nobody meant opens by 3 cm."""
    state = SimpleNamespace(z=0.0, x=0.5, drawer=0.0, met=False)

    def pose(name):
        T = np.eye(4)
        T[:3, 3] = [state.x, 0.0, state.z] if name == 'can' else [0.8, 0.0, 0.0]
        return T

    scene = SimpleNamespace(
        objects=('can', 'cabinet'), movable=('can',), object_pose=pose,
        object_box=lambda name: (np.zeros(3), np.full(3, 0.1)),
        fixture_joints={'top': 'cabinet'}, joint_unit=lambda joint: 'm',
        joint_position=lambda joint: state.drawer, holds=lambda words: state.met)
    meter = OutcomeMeter(scene, (goal('on', 'can', 'cabinet', 'cabinet'),))
    for state.z, state.x, state.drawer in ((0.0, 0.5, 0.0), (0.05, 0.6, -0.04), (0.01, 0.7,
                                                                                -0.03)):
        meter.measure()
    state.met = True
    found = meter.outcome({'grasp': (0.01, 0.0, 0.0)})
    metadata = EpisodeMetadata('panda', 'do it', 'inaccurate', True, 'agentview', 'can',
                               'cabinet', {}, 'here', 'none', 'planned', outcome=found)
    outcome = EpisodeMetadata.from_json(metadata.to_json()).outcome
    assert outcome == found
    can, cabinet = outcome.things['can'], outcome.things['cabinet']
    assert (can.risen, can.moved, can.is_fixture) == (0.05, pytest.approx(0.2003, abs=1e-4), False)
    assert cabinet.is_fixture and cabinet.is_target and cabinet.moved == 0.0
    drawer = outcome.joints['top']
    assert (drawer.begin, drawer.end, drawer.moved, drawer.is_meant) == (0.0, -0.03, 0.04, False)
    assert outcome.goals[0].lifted and outcome.goals[0].met and not outcome.goals[0].met_at_start
    assert 'outcome' not in EpisodeMetadata('panda', '', 'x', None, '', None, None, {}, '', '',
                                            '').to_json()
