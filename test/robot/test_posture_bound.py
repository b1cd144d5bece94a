# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""No point of any link ever moves farther than the bound says."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.robot.posture_bound import link_boxes, LinkBox, PostureBound

SLIDING = """<robot name="crane"><link name="base"/>
<link name="beam"><visual><geometry><box size="0.1 1.2 0.1"/></geometry></visual></link>
<link name="trolley"><visual><geometry><box size="0.2 0.1 0.1"/></geometry></visual></link>
<link name="hook"><visual><geometry><cylinder radius="0.05" length="0.3"/></geometry></visual>
</link>
<link name="copy"><visual><geometry><sphere radius="0.1"/></geometry></visual></link>
<joint name="turn" type="continuous"><parent link="base"/><child link="beam"/>
<origin xyz="0 0 1" rpy="0.2 0 0"/><axis xyz="0 0 1"/></joint>
<joint name="slide" type="prismatic"><parent link="beam"/><child link="trolley"/>
<origin xyz="0 0.3 0"/><axis xyz="0 1 0"/><limit lower="-0.4" upper="0.5" velocity="1" effort="1"/>
</joint>
<joint name="swing" type="revolute"><parent link="trolley"/><child link="hook"/>
<origin xyz="0 0 -0.3"/><axis xyz="1 0 0"/><limit lower="-2" upper="2" velocity="1" effort="1"/>
</joint>
<joint name="follow" type="revolute"><parent link="hook"/><child link="copy"/>
<origin xyz="0 0.2 0"/><axis xyz="0.6 0 0.8"/><mimic joint="swing" multiplier="-1.5" offset="0.1"/>
<limit lower="-9" upper="9" velocity="1" effort="1"/></joint></robot>"""
ROBOTS = {'demo_arm': Robot.from_file(share_dir() / 'urdf' / 'demo_arm.urdf'),
          'crane': Robot.from_urdf(SLIDING)}
MESHES = {name: load_meshes(robot) for name, robot in ROBOTS.items()}
BOUNDS = {name: PostureBound(robot, link_boxes(MESHES[name])) for name, robot in ROBOTS.items()}
FK = {name: ForwardKinematics(robot) for name, robot in ROBOTS.items()}


def within(robot, rng):
    low = [-3.0 if robot.limits[name].lower is None else robot.limits[name].lower
           for name in robot.joint_names]
    high = [3.0 if robot.limits[name].upper is None else robot.limits[name].upper
            for name in robot.joint_names]
    return rng.uniform(low, high)


@pytest.mark.parametrize('name', ROBOTS)
def test_poses_are_those_of_kdl(name):
    rng = np.random.default_rng(3)
    for _ in range(10):
        q = within(ROBOTS[name], rng)
        assert np.abs(BOUNDS[name].poses(q) - FK[name](q[None])[0]).max() < 1e-12


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ROBOTS)), st.integers(0, 2**32 - 1),
       st.sampled_from([0.0, 0.003, 0.05, 0.4, 2.0]), st.sampled_from([0.0, 0.01, 0.3]))
def test_no_vertex_of_a_mesh_moves_farther_than_the_bound(name, seed, width, away):
    """Postures in a box of joint positions against another one, which need not be in it."""
    robot, bound, rng = ROBOTS[name], BOUNDS[name], np.random.default_rng(seed)
    origin = within(robot, rng)
    one = origin + away * rng.uniform(-1, 1, len(origin))
    other = one + width * rng.uniform(-1, 1, len(origin))
    low, high = np.minimum(one, other), np.maximum(one, other)
    found = bound(bound.poses(origin), low, high)
    inside = rng.uniform(low, high, (20, len(low)))
    corners = np.where(rng.random((20, len(low))) < 0.5, low, high)
    poses = FK[name](np.concatenate([inside, corners, [one, other]]))
    here = FK[name](origin[None])[0]
    for box, limit in zip(bound.boxes, found):
        vertices = MESHES[name][box.link].vertices
        link = robot.link_names.index(box.link)
        there = np.einsum('tij,vj->tvi', poses[:, link, :3, :3], vertices) \
            + poses[:, link, None, :3, 3]
        place = vertices @ here[link, :3, :3].T + here[link, :3, 3]
        assert np.linalg.norm(there - place, axis=-1).max() <= limit + 1e-6


def test_a_single_posture_is_exact_at_a_corner():
    robot, bound = ROBOTS['crane'], BOUNDS['crane']
    q = np.zeros(len(robot.joint_names))
    turned = q + [0.0, 0.25, 0.0]
    found = dict(zip([box.link for box in bound.boxes], bound(bound.poses(q), turned, turned)))
    assert found == pytest.approx({'beam': 0.0, 'trolley': 0.25, 'hook': 0.25, 'copy': 0.25})


def test_the_bound_of_a_range_is_close_for_small_ranges():
    """It must be of use: for a turning base it is what the farthest corner really moves."""
    robot, bound = ROBOTS['crane'], BOUNDS['crane']
    q = np.zeros(len(robot.joint_names))
    half = np.array([0.02, 0.0, 0.0])
    number = [box.link for box in bound.boxes].index('beam')
    corner = np.hypot(0.05, 0.6)
    assert bound(bound.poses(q), q - half, q + half)[number] == pytest.approx(
        0.02 * corner, rel=0.01)


def test_what_moves_each_box_is_told():
    bound = BOUNDS['crane']
    moved = dict(zip([box.link for box in bound.boxes], bound.joints_of))
    assert moved['beam'] == {'turn'} and moved['copy'] == {'turn', 'slide', 'swing'}


@pytest.mark.parametrize('box, words', [
    (LinkBox('nose', (0, 0, 0), (1, 1, 1)), 'there is no link "nose"'),
    (LinkBox('hook', (0, 0, 0), (1, -1, 1)), 'is no box'),
    (LinkBox('hook', (0, 0, np.nan), (1, 1, 1)), 'is no box')])
def test_what_is_no_box_of_the_robot_is_refused(box, words):
    with pytest.raises(KinematicsError, match=words):
        PostureBound(ROBOTS['crane'], [box])
