# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Self-collision against distances computed by hand, and the pairs that are left out."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot, SelfCollision
from kinema4d_ros.types import Gripper


def box(name: str, size: str = '0.1 0.1 0.1') -> str:
    """Return a link that is one box."""
    return (f'<link name="{name}"><visual><geometry><box size="{size}"/></geometry></visual>'
            '</link>')


def slide(name: str, parent: str, child: str, xyz: str, axis: str = '1 0 0') -> str:
    """Return a prismatic joint."""
    return (f'<joint name="{name}" type="prismatic"><parent link="{parent}"/>'
            f'<child link="{child}"/><origin xyz="{xyz}"/><axis xyz="{axis}"/>'
            '<limit lower="-2" upper="2" velocity="1" effort="1"/></joint>')


# `base` and `probe` are 1 m apart and not neighbours; `lifter` between them lies high above.
URDF = ('<robot name="boxes">' + box('base') + box('lifter') + box('probe')
        + slide('up', 'base', 'lifter', '0 0 1', '0 0 1')
        + slide('along', 'lifter', 'probe', '1 0 -1') + '</robot>')


@pytest.fixture(scope='module')
def robot() -> Robot:
    """Return the robot of three boxes of 10 cm."""
    return Robot.from_urdf(URDF)


@pytest.fixture(scope='module')
def check(robot) -> SelfCollision:
    """Return its self-collision check."""
    return SelfCollision(robot, load_meshes(robot))


def poses(robot: Robot, *along: float) -> np.ndarray:
    """Return link poses with the probe moved along x by these [m]."""
    return ForwardKinematics(robot)(np.array([(0.0, x) for x in along]))


def test_only_pairs_that_can_meet_are_checked(check):
    assert check.pairs == (('base', 'probe'),)


def test_overlap_is_found_where_it_is(robot, check):
    contacts = check(poses(robot, 0.0, -0.5, -0.95, -1.0))
    assert [contact.index for contact in contacts] == [2, 3]
    assert contacts[0].links == ('base', 'probe') and contacts[0].distance == 0.0
    # Probe from x = 0.0 to 0.1, base from -0.05 to 0.05: they share 0 to 0.05.
    assert -0.01 <= contacts[0].point_base[0] <= 0.06
    assert np.abs(contacts[0].point_base[1:]).max() <= 0.05 + 1e-9


@settings(max_examples=50, deadline=None)
@given(x=st.floats(-1.6, 0.6), margin=st.floats(0.0, 0.3))
def test_distance_is_that_of_the_faces(robot, check, x, margin):
    gap = max(abs(1.0 + x) - 0.1, 0.0)     # between centres, minus two halves of 10 cm
    contacts = check(poses(robot, x), margin)
    if abs(gap - margin) > 1e-6:
        assert bool(contacts) == (gap <= margin)
    if contacts:
        assert contacts[0].distance == pytest.approx(gap, abs=1e-6)


def test_a_wider_margin_never_finds_less(robot, check):
    motion = poses(robot, *np.linspace(-1.5, 0.5, 40))
    found = [{(c.index, c.links) for c in check(motion, margin)} for margin in (0, 0.01, 0.1)]
    assert found[0] <= found[1] <= found[2]


def test_a_pair_that_touches_at_rest_and_nowhere_else_is_checked():
    # 4 m of travel, of which 0.2 m touch: a robot whose joints are all at 0 stands in a collision
    robot = Robot.from_urdf(URDF.replace('1 0 -1', '0.05 0 -1'))
    check = SelfCollision(robot, load_meshes(robot))
    assert check.pairs == (('base', 'probe'),)
    assert check.warnings == ()
    assert [contact.index for contact in check(poses(robot, 0.5, 0.1))] == []
    assert [contact.index for contact in check(poses(robot, 0.5, 0.0))] == [1]


def overlapping() -> Robot:
    """Return a robot whose links overlap wherever the probe goes."""
    return Robot.from_urdf(URDF.replace('1 0 -1', '0 0 -1').replace(
        box('base'), box('base', '9 0.1 0.1')).replace(
            slide('up', 'base', 'lifter', '0 0 1', '0 0 1'),
            slide('up', 'base', 'lifter', '0 0 1', '0 0 1').replace('"2"', '"0.01"').replace(
                '"-2"', '"-0.01"')))


def test_pairs_that_overlap_in_most_poses_are_left_out_and_told():
    robot = overlapping()
    check = SelfCollision(robot, load_meshes(robot))
    assert check.pairs == () and check.overlapping == (('base', 'probe'),)
    assert frozenset(('base', 'probe')) in check.excluded
    assert 'base and probe' in check.warnings[0] and 'SRDF' in check.warnings[0]


def test_an_srdf_decides_what_is_left_out():
    robot = overlapping()
    srdf = '<robot name="boxes"><enable_collisions link1="probe" link2="base"/></robot>'
    check = SelfCollision(robot, load_meshes(robot), srdf=srdf)
    assert check.pairs == (('base', 'probe'),) and check.warnings == ()
    check = SelfCollision(robot, load_meshes(robot), srdf=srdf.replace('enable', 'disable'))
    assert check.pairs == () and check.overlapping == () and check.warnings == ()


FINGERS = ('<robot name="hand">' + box('palm') + box('left_finger') + box('right_finger')
           + slide('left', 'palm', 'left_finger', '0.4 0 0.5')
           + slide('right', 'palm', 'right_finger', '-0.4 0 0.5') + '</robot>')


def test_fingers_may_close_on_each_other():
    """By their names, or because the caller says so; any other pair fails in the same place."""
    for name, gripper, pairs in (
            ('finger', None, ()), ('paw', None, (('left_paw', 'right_paw'),)),
            ('paw', Gripper('palm', ('left_paw', 'right_paw'), ('left', 'right')), ())):
        robot = Robot.from_urdf(FINGERS.replace('_finger', f'_{name}').replace(
            'type="prismatic"', 'type="revolute"'))
        assert SelfCollision(robot, load_meshes(robot), gripper=gripper).pairs == pairs


def test_links_without_a_shape_are_told():
    robot = Robot.from_urdf(URDF.replace(box('lifter'), '<link name="lifter"/>').replace(
        box('base'), '<link name="base"/>').replace('</robot>', '<link name="tool"/>'
        '<joint name="f" type="fixed"><parent link="probe"/><child link="tool"/></joint></robot>'))
    check = SelfCollision(robot, load_meshes(robot))
    assert check.shapeless == ('lifter',)     # no joint moves the base, and the tool is the probe's
    assert 'lifter' in check.warnings[0]


def test_srdf_and_allowed_pairs_are_left_out(robot):
    meshes = load_meshes(robot)
    srdf = '<robot name="boxes"><disable_collisions link1="probe" link2="base"/></robot>'
    assert SelfCollision(robot, meshes, srdf=srdf).pairs == ()
    assert SelfCollision(robot, meshes, allowed=[('base', 'probe')]).pairs == ()


def test_bad_srdf_is_refused(robot):
    meshes = load_meshes(robot)
    with pytest.raises(RobotDescriptionError, match='unknown link "nobody".*base, lifter, probe'):
        SelfCollision(robot, meshes, allowed=[('base', 'nobody')])
    with pytest.raises(RobotDescriptionError, match='SRDF cannot be read'):
        SelfCollision(robot, meshes, srdf='<robot')
    bomb = '<!DOCTYPE r [<!ENTITY a "b">]><robot>&a;</robot>'
    with pytest.raises(RobotDescriptionError, match='SRDF cannot be read'):
        SelfCollision(robot, meshes, srdf=bomb)


def test_a_flat_mesh_is_examined_without_hull():
    flat = URDF.replace(box('probe'), box('probe', '0.1 0.1 0.0000001'))
    robot = Robot.from_urdf(flat)
    contacts = SelfCollision(robot, load_meshes(robot))(poses(robot, -0.95))
    assert [contact.links for contact in contacts] == [('base', 'probe')]
