# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our motion as actions of the domains of Cosmos 3, against what is computed otherwise."""
from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from lacking import needs
from scipy.spatial.transform import Rotation
from shared_data import shared_data
from sliding_box import make_scene, NAMES, SPEED

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.types import Gripper
from kinema4d_ros.world_model.cosmos import decode_actions, encode_actions, find_domain
from kinema4d_ros.world_model.cosmos.actions import ActionPlan
from kinema4d_ros.world_model.cosmos.domains import DOMAINS

QUICK = hypothesis_settings(max_examples=20, deadline=None)
NUMBERS = st.floats(-1.0, 1.0, allow_subnormal=False)


def poses(positions, turns):
    """Return (N, 4, 4) of positions (N, 3) and rotation vectors (N, 3)."""
    T = np.repeat(np.eye(4)[None], len(positions), 0)
    T[:, :3, :3], T[:, :3, 3] = Rotation.from_rotvec(turns).as_matrix(), positions
    return T


def test_one_step_by_hand():
    """A quarter turn to the left about z, then 2 m ahead, seen from the pose before."""
    T = poses([[1, 1, 0], [1, 3, 0]], [[0, 0, np.pi / 2], [0, 0, np.pi]])
    action, = encode_actions(T, np.array([0.0, 0.25]))
    assert np.allclose(action, [2, 0, 0, 0, 1, 0, -1, 0, 0, 0.25], atol=1e-12)


def test_columns_and_not_rows():
    """The first two columns, one after the other: the pictures of the axes x and y."""
    turn = Rotation.from_euler('xyz', [0.3, -0.5, 0.7])
    action, = encode_actions(poses(np.zeros((2, 3)), [[0, 0, 0], turn.as_rotvec()]), np.zeros(2))
    assert np.allclose(action[3:6], turn.apply([1, 0, 0]), atol=1e-12)
    assert np.allclose(action[6:9], turn.apply([0, 1, 0]), atol=1e-12)


@QUICK
@given(arrays(np.float64, (6, 3), elements=NUMBERS), arrays(np.float64, (6, 3), elements=NUMBERS),
       arrays(np.float64, 6, elements=st.floats(0, 1)), st.sampled_from(sorted(DOMAINS)))
def test_actions_lead_back_to_the_poses(positions, turns, opening, name):
    domain, T = DOMAINS[name], poses(positions, turns)
    actions = encode_actions(T, opening)
    back, opened = decode_actions(domain.denormalise(domain.normalise(actions)), T[0])
    assert np.allclose(back, T, atol=1e-6) and np.allclose(opened, opening[1:], atol=1e-9)
    inverse = [np.linalg.solve(a, b) for a, b in itertools.pairwise(T)]
    assert np.allclose(actions[:, :3], [step[:3, 3] for step in inverse], atol=1e-9)
    assert np.allclose(actions[:, 3:9].reshape(-1, 2, 3),
                       [step[:3, :2].T for step in inverse], atol=1e-9)


@pytest.mark.parametrize('name', sorted(DOMAINS))
def test_quantiles_become_one_and_what_is_beyond_is_not_cut(name):
    domain = DOMAINS[name]
    assert np.allclose(domain.normalise(domain.q01), -1)
    assert np.allclose(domain.normalise(domain.q99), 1)
    beyond = domain.q99 + 2 * (domain.q99 - domain.q01)
    assert np.allclose(domain.normalise(beyond), 5)
    R = domain.T_link_hand[:3, :3]
    assert np.allclose(R @ R.T, np.eye(3), atol=1e-6) and np.linalg.det(R) == pytest.approx(1)


def test_frames_of_the_domains():
    """As the datasets of the framework turn their states; see `domains`."""
    droid, bridge = find_domain('droid'), find_domain('bridge_orig_lerobot')
    # x of the hand's frame is y of panda_link8, y is -x
    assert droid.T_link_hand[:3, 0].tolist() == [0, 1, 0]
    assert droid.T_link_hand[:3, 1].tolist() == [-1, 0, 0]
    # bridge looks along x of the gripper, from 93.6 mm behind its tip
    assert bridge.T_link_hand[:3, 2].tolist() == [1, 0, 0]
    assert bridge.T_link_hand[:3, 3].tolist() == [-0.093575, 0, 0]
    # the state of Bridge is FK times a fixed turn, which its dataset takes back: ours is FK
    default = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    R_fk = Rotation.from_euler('xyz', [0.1, 0.2, 0.3]).as_matrix()
    assert np.allclose((R_fk @ default.T) @ default, R_fk)
    assert (droid.rate, bridge.rate, find_domain('fractal').rate) == (15, 5, 3)


def test_real_motions_of_droid_are_in_the_range_of_its_table():
    """Eleven of its episodes, by our kinematics: unit, rate, link and order of the columns."""
    folder = shared_data('ctrl_world_droid') / 'droid_subset' / 'annotation' / 'train'
    path = sorted((share_dir() / 'data' / 'episodes').glob('libero*.mcap'))[0]
    robot = Robot.from_urdf(Episode.open(path).robot_description)
    kinematics, link = ForwardKinematics(robot), robot.link_names.index('panda_link8')
    droid, found = find_domain('droid'), []
    for file in sorted(folder.glob('*.json')):
        one = json.loads(file.read_text())
        measured = np.array(one['observation.state.joint_position'])
        joints = np.zeros((len(measured), len(robot.joint_names)))
        for number in range(7):
            joints[:, robot.joint_names.index(f'panda_joint{number + 1}')] = measured[:, number]
        found.append(encode_actions(kinematics(joints)[:, link] @ droid.T_link_hand,
                                    np.zeros(len(joints))))
    actions = np.concatenate(found)[:, :9]
    inside = np.abs(droid.normalise(np.pad(actions, ((0, 0), (0, 1))))[:, :9]) <= 1
    assert 0.93 < inside.mean() < 0.99 and len(actions) > 1500       # 98 % over all of DROID
    for share, table in ((0.01, droid.q01), (0.99, droid.q99)):
        ratio = (np.quantile(actions, share, axis=0) - np.eye(9)[[3, 7]].sum(0)) / (
            table[:9] - np.eye(9)[[3, 7]].sum(0) + 1e-9)
        assert (ratio[[0, 1, 2, 4, 5, 6, 8]] > 0.7).all() and (ratio[:9] < 1.7).all(), ratio


@needs('torch')
def test_domains_are_those_of_the_pipeline():
    from kinema4d_ros.world_model.kinema4d.diffusers_compat import action_domains
    known = action_domains()
    assert all(known[domain.name] == (domain.number, 10) for domain in DOMAINS.values())
    assert 'libero' not in known


@pytest.mark.parametrize('name, words', [
    ('libero', 'no width of its actions, .* choose one of: droid, bridge, fractal'),
    ('agibotworld', 'two arms and a head'), ('umi', 'fish-eye'),
    ('robomind-ur', 'neither the frame nor the range'), ('', "domain '' of cosmos does not exist"),
    ('mars', "'mars' of cosmos does not exist")])
def test_domains_without_preset_are_refused_with_the_reason(name, words):
    with pytest.raises(WorldModelError, match=words):
        find_domain(name)


# ------------------------------------------------------------------------------- resampling

@pytest.mark.parametrize('name, rate', [('droid', 15), ('bridge', 5), ('fractal', 3)])
def test_the_motion_is_resampled_to_the_rate_of_the_domain(name, rate):
    _, robot = make_scene(7, duration=2.1)
    plan = ActionPlan.of(robot, find_domain(name), link='panda_link8')
    assert len(plan.actions) == np.ceil(2.1 * rate)
    T = find_domain(name).T_link_hand
    along = T[:3, :3].T @ [SPEED / rate, 0, 0]        # of one step, in the domain's frame
    assert np.allclose(plan.actions[:-1, :3], along, atol=1e-9)
    # the last step is as long as what is left of the motion
    left = 2.1 - (len(plan.actions) - 1) / rate
    assert np.allclose(plan.actions[-1, :3], along * left * rate, atol=1e-9)
    assert np.allclose(plan.actions[:, [3, 7]], 1) and np.allclose(plan.actions[:, 9], 0.5)


def test_frames_get_the_picture_that_is_nearest_in_time():
    _, robot = make_scene(9, duration=2.0)           # every 0.25 s, the domain every 0.2 s
    plan = ActionPlan.of(robot, find_domain('bridge'), link='panda_link8')
    assert plan.shown_at.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert plan.is_nearest.all()
    assert list(plan.between[1]) == [0, 1, 2]         # shown is 0.2 s, between frames 0 and 1
    assert list(plan.between[0]) == [0, 1]
    _, robot = make_scene(9, duration=1.0)           # now two frames for each picture
    plan = ActionPlan.of(robot, find_domain('bridge'), link='panda_link8')
    assert plan.shown_at.tolist() == [0, 1, 1, 2, 2, 3, 4, 4, 5]
    assert plan.is_nearest.tolist() == [1, 0, 1, 1, 0, 1, 1, 0, 1]


def test_a_motion_without_length_is_one_action_of_rest():
    _, robot = make_scene(1, duration=0.0)
    plan = ActionPlan.of(robot, find_domain('droid'))
    assert np.allclose(plan.actions, [[0, 0, 0, 1, 0, 0, 0, 1, 0, 0.5]])
    assert plan.shown_at.tolist() == [0] and list(plan.between[0]) == [0]


def test_turns_are_interpolated_along_the_shortest_way():
    _, robot = make_scene(3, duration=0.4)
    T = robot.T_base_link.copy()
    T[:, 1, :3, :3] = Rotation.from_rotvec([[0, 0, 0], [0, 0, 0.3], [0, 0, 0.6]]).as_matrix()
    plan = ActionPlan.of(dataclasses.replace(robot, T_base_link=T), find_domain('droid'))
    assert np.allclose(plan.actions[:, 3:6], [np.cos(0.1), np.sin(0.1), 0], atol=1e-9)


# ------------------------------------------------------------------------------- link, gripper

def test_a_robot_without_the_link_is_told_which_it_has():
    _, robot = make_scene()
    with pytest.raises(WorldModelError, match='no link ee_gripper_link, .*set link to .*world'):
        ActionPlan.of(robot, find_domain('bridge'))
    prefixed = dataclasses.replace(robot, link_names=('world', 'arm/panda_link8'))
    assert len(ActionPlan.of(prefixed, find_domain('droid')).actions) == 15
    with pytest.raises(WorldModelError, match='no link tool'):
        ActionPlan.of(robot, find_domain('droid'), link='tool')
    assert NAMES[1] in robot.link_names


@pytest.mark.parametrize('closed, opened, expected', [
    (0.0, 0.0, 0.5), (0.0, 0.02, 1.0), (0.8, 0.0, 0.975), (0.02, 0.1, 0.0)])
def test_the_gripper_is_one_where_it_is_open(closed, opened, expected):
    _, robot = make_scene()
    plan = ActionPlan.of(robot, find_domain('droid'), closed=closed, opened=opened)
    assert np.allclose(plan.actions[:, 9], expected)


def test_an_unknown_finger_joint_has_to_be_told():
    _, robot = make_scene()
    strange = dataclasses.replace(robot, joint_names=('slide', 'claw'),
                                  gripper=Gripper('panda_link8', (), ('claw',)))
    with pytest.raises(WorldModelError, match='finger joint claw .*set gripper_closed and'):
        ActionPlan.of(strange, find_domain('droid'))
    plan = ActionPlan.of(strange, find_domain('droid'), closed=0.0, opened=0.04)
    assert np.allclose(plan.actions[:, 9], 0.5)
    bare = ActionPlan.of(dataclasses.replace(robot, gripper=None), find_domain('droid'))
    assert np.allclose(bare.actions[:, 9], 1.0)


def test_the_gripper_of_an_action_is_that_after_its_step():
    _, robot = make_scene(4, duration=0.2)
    positions = robot.positions.copy()
    positions[:, 1] = [0.04, 0.04, 0.0, 0.0]
    plan = ActionPlan.of(dataclasses.replace(robot, positions=positions), find_domain('droid'))
    assert plan.actions[:, 9].tolist() == pytest.approx([1.0, 0.0, 0.0])
