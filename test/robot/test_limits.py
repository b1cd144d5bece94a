# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Limits from all the places that state one: the tightest holds, and it is known where from."""
import math

import pytest
from robots import one_joint

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.robot import JointLimitsFile, Robot, tightest
from kinema4d_ros.types import JointLimit

LIMIT = '<limit lower="-3.142" upper="3.142" velocity="3" effort="4"/>'
SOFT = '<safety_controller k_velocity="0" soft_lower_limit="-2.992" soft_upper_limit="2.992"/>'


def control(*interfaces: str, inner: str = '', name: str = 'j') -> str:
    """Return a ros2_control element with command interfaces 'name min max'."""
    rows = [interface.split() for interface in interfaces]
    return f'<ros2_control name="x" type="system"><joint name="{name}">{inner}' + ''.join(
        f'<command_interface name="{kind}"><param name="min">{low}</param>'
        f'<param name="max">{high}</param></command_interface>' for kind, low, high in rows
    ) + '</joint></ros2_control>'


def test_the_soft_limits_of_a_real_elbow_hold():
    """UR5e with its safety limits: 0.15 rad less than <limit> says."""
    robot = Robot.from_urdf(one_joint(LIMIT + SOFT))
    assert robot.limits['j'] == JointLimit(-2.992, 2.992, velocity=3.0, effort=4.0)
    assert robot.joints['j'].limit.upper == 3.142
    assert robot.limit_sources['j'] == {
        'lower': 'safety_controller of the URDF', 'upper': 'safety_controller of the URDF',
        'velocity': 'URDF', 'effort': 'URDF'}


@pytest.mark.parametrize('safety', [
    '<safety_controller k_velocity="40"/>', '<safety_controller soft_lower_limit="-9" '
    'soft_upper_limit="9"/>', '<safety_controller soft_lower_limit="0" soft_upper_limit="0"/>'])
def test_soft_limits_that_say_nothing(safety):
    robot = Robot.from_urdf(one_joint(LIMIT + safety))
    assert (robot.limits['j'].lower, robot.limits['j'].upper) == (-3.142, 3.142)
    assert robot.warnings == ()


@pytest.mark.parametrize('interfaces, want', [
    (('position -1 2',), JointLimit(-1.0, 2.0, velocity=3.0, effort=4.0)),
    (('position -9 2', 'velocity -1.5 1.5'), JointLimit(-3.142, 2.0, velocity=1.5, effort=4.0)),
    (('velocity 0 0.5',), JointLimit(-3.142, 3.142, velocity=0.5, effort=4.0)),
    (('acceleration -5 5',), JointLimit(-3.142, 3.142, velocity=3.0, acceleration=5.0,
                                        effort=4.0)),
    (('effort -1 1', 'gpio -1 1'), JointLimit(-3.142, 3.142, velocity=3.0, effort=4.0))])
def test_command_interfaces_limit_a_joint(interfaces, want):
    robot = Robot.from_urdf(one_joint(LIMIT, rest=control(*interfaces)))
    assert robot.limits['j'] == want and robot.warnings == ()
    assert 'ros2_control of the URDF' in robot.limit_sources['j'].values() \
        or want == robot.joints['j'].limit


def test_disabled_limits_of_a_command_interface_do_not_hold():
    robot = Robot.from_urdf(one_joint(LIMIT, rest=control('position -1 1',
                                                          inner='<limits enable="false"/>')))
    assert robot.limits['j'].upper == 3.142


@pytest.mark.parametrize('rest, words', [
    (control('position {-2*pi} {2*pi}'), 'min="{-2*pi}" is not a number'),
    (control('position 1 -1'), 'min=1.0 is not below max=-1.0'),
    (control('position 180 360'), 'lies outside of its <limit>')])
def test_what_cannot_be_a_limit_is_told(rest, words):
    robot = Robot.from_urdf(one_joint(LIMIT, rest=rest))
    assert (robot.limits['j'].lower, robot.limits['j'].upper) == (-3.142, 3.142)
    assert words in robot.warnings[0]


def test_a_continuous_joint_has_no_end():
    robot = Robot.from_urdf(one_joint(LIMIT + SOFT, 'continuous', control('position -1 1',
                                                                          'velocity -2 2')))
    assert robot.limits['j'] == JointLimit(velocity=2.0, effort=4.0)


FILE = """
default_velocity_scaling_factor: 0.1
joint_limits:
  j:
    has_position_limits: true
    min_position: !degrees -90.0
    max_position: !radians 1.5
    has_velocity_limits: true
    max_velocity: 2
    has_acceleration_limits: false
    max_acceleration: 0.0
    has_jerk_limits: true
    max_jerk: 80.0
  k: {has_velocity_limits: false, max_velocity: 1.0}
"""


@pytest.mark.parametrize('text', [
    FILE, '/**:\n  ros__parameters:\n    robot_description_planning:\n'
    + FILE.replace('\n', '\n      ')], ids=['plain', 'parameters'])
def test_a_file_of_moveit(text, tmp_path):
    """As MoveIt reads it; the scaling factor is a default for plans and no limit."""
    path = tmp_path / 'joint_limits.yaml'
    path.write_text(text)
    file = JointLimitsFile.load(path)
    assert file.name == 'joint_limits.yaml'
    assert file.limits == {'j': JointLimit(-math.pi / 2, 1.5, velocity=2.0, jerk=80.0),
                           'k': JointLimit()}


def test_soft_limits_of_a_file_hold_where_it_says_so():
    text = ('joint_limits: {j: {min_position: -3, max_position: 3, soft_lower_limit: -2, '
            'soft_upper_limit: 2, has_soft_limits: %s}}')
    assert JointLimitsFile.parse(text % 'true').limits['j'] == JointLimit(-2.0, 2.0)
    assert JointLimitsFile.parse(text % 'false').limits['j'] == JointLimit(-3.0, 3.0)


@pytest.mark.parametrize('text, words', [
    ('{', 'is not YAML'), ('a: 1', "has no mapping 'joint_limits'"), ('', 'has no mapping'),
    ('joint_limits: {j: 3}', "joint 'j' holds 3"),
    ('joint_limits: {j: {max_velocity: fast}}', "max_velocity must be a finite number, got 'fast'"),
    ('joint_limits: {j: {max_velocity: .nan}}', 'finite'),
    ('joint_limits: {j: {max_velocity: -1}}', 'must not be negative'),
    ('joint_limits: {j: {has_velocity_limits: true}}', 'true, but no max_velocity'),
    ('joint_limits: {j: {min_position: 2, max_position: 1}}', 'above max_position'),
    ('joint_limits: {j: {max_velocity: !degrees [1]}}', 'an angle is a number'),
    ('joint_limits: {j: {max_velocity: !!python/object/apply:os.getcwd []}}', 'is not YAML')])
def test_bad_files_are_refused_by_name(text, words):
    with pytest.raises(ConfigurationError, match=words):
        JointLimitsFile.parse(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match='gone.yaml cannot be read: No such .*; name a '):
        JointLimitsFile.load(tmp_path / 'gone.yaml')


def test_of_equal_limits_the_first_is_named():
    limit, sources = tightest([('a', JointLimit(upper=1.0)), ('b', JointLimit(0.0, 1.0))])
    assert (limit, sources) == (JointLimit(0.0, 1.0), {'upper': 'a', 'lower': 'b'})
    assert tightest([]) == (JointLimit(), {})
