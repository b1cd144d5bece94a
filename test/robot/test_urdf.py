# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Descriptions that must load, and descriptions that must be refused with a useful sentence."""
import contextlib
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from robots import DEMO_ARM, example_robots, one_joint

from kinema4d_ros.errors import RobotDescriptionError, UnknownJointError
from kinema4d_ros.robot import Box, Capsule, Cylinder, JointType, Robot, UnreadShape
from kinema4d_ros.robot import urdf as urdf_module
from kinema4d_ros.types import JointLimit

LIMIT = '<limit lower="-1" upper="2" velocity="3" effort="4"/>'


def test_demo_arm_is_what_its_file_says():
    """Names, order, limits and hash of the robot that the examples use."""
    text = DEMO_ARM.read_text()
    robot = Robot.from_urdf(text)
    assert robot.name == 'demo_arm'
    assert robot.description_hash == hashlib.sha256(text.encode()).hexdigest()
    assert robot.root_link == robot.link_names[0] == 'base_link'
    assert robot.joint_names == (
        'shoulder_pan_joint', 'shoulder_lift_joint', 'elbow_joint', 'forearm_roll_joint',
        'wrist_pitch_joint', 'wrist_roll_joint', 'finger_joint')
    assert robot.limits['elbow_joint'].upper == 2.6
    assert robot.limits['elbow_joint'].velocity == 2.5
    assert robot.limits['elbow_joint'].acceleration is None
    assert robot.joints['right_finger_joint'].mimic.joint == 'finger_joint'
    assert robot.continuous == frozenset()
    assert robot.warnings == ()


def test_links_come_after_their_parents():
    """Topological order, whatever the order in the document."""
    robot = Robot.from_urdf(
        '<robot name="r"><link name="c"/><link name="b"/><link name="a"/>'
        '<joint name="bc" type="fixed"><parent link="b"/><child link="c"/></joint>'
        '<joint name="ab" type="fixed"><parent link="a"/><child link="b"/></joint></robot>')
    assert robot.link_names == ('a', 'b', 'c')
    assert [joint.name for joint in robot.path('c')] == ['ab', 'bc']
    assert [joint.name for joint in robot.path('b')] == ['ab'] and robot.path('a') == ()


@pytest.mark.parametrize('kind', JointType)
def test_every_joint_type_of_a_chain_loads(kind):
    """Fixed joints do not count among joint_names; continuous ones have no position limit."""
    robot = Robot.from_urdf(one_joint(f'<axis xyz="0 0 2"/>{LIMIT}', kind))
    assert robot.joint_names == (() if kind == 'fixed' else ('j',))
    assert robot.continuous == ({'j'} if kind == 'continuous' else set())
    np.testing.assert_allclose(robot.joints['j'].axis, [0, 0, 1])
    if kind == 'continuous':
        assert (robot.limits['j'].lower, robot.limits['j'].upper) == (None, None)
        assert robot.limits['j'].velocity == 3


@pytest.mark.parametrize('tag', [
    '<transmission/>', '<transmission name="t"><joint/></transmission>',
    '<gazebo reference="a"><sensor><plugin filename="x.so"/></sensor></gazebo>',
    '<xacro:property name="x" value="1"/>', '<gazebo:thing a:b="c"/>',
    '<ros2_control name="x" type="system"><hardware/></ros2_control>',
    '<!-- comment --><?instruction here?>', '<material name="m"/>',
    '<material name="m"><texture filename="x.png"/></material>'])
def test_what_we_do_not_use_is_left_out(tag):
    """Tags on which the parser would stop, and that RViz ignores."""
    assert Robot.from_urdf(one_joint(LIMIT, rest=tag)).joint_names == ('j',)


@pytest.mark.parametrize('text', [
    '<?xml version="1.0" encoding="latin-1"?>\n<!-- \xe9 -->' + one_joint(LIMIT),
    '<!DOCTYPE robot>' + one_joint(LIMIT),
    one_joint(LIMIT).replace('<link name="a"/>',
                             '<link name="a"><inertial><mass/></inertial></link>'),
    one_joint(LIMIT).replace('<robot', '<robot xmlns:xacro="http://ros.org/wiki/xacro"')])
def test_odd_but_harmless_documents_load(text):
    """Encodings, document types, broken inertias."""
    assert Robot.from_urdf(text).joint_names == ('j',)


@pytest.mark.parametrize('before', [
    '\n\n', '  \t', '\ufeff', '\r\n\ufeff ', '<!-- by a tool -->\n'])
@pytest.mark.parametrize('declaration', ['', '<?xml version="1.0"?>',
                                         "<?xml version='1.0' encoding='UTF-16'?>"])
def test_what_comes_before_the_robot_is_overlooked(before, declaration):
    """Blank lines, byte order marks and comments, where XML allows none."""
    assert Robot.from_urdf(before + declaration + one_joint(LIMIT)).joint_names == ('j',)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'iso-8859-1'])
def test_files_of_other_encodings(tmp_path, encoding):
    path = tmp_path / 'arm.urdf'
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
                     f'{one_joint(LIMIT).replace("<robot name=", "<robot by=")}'
                     .replace('by="r"', 'name="\xe9"').encode(encoding))
    assert Robot.from_file(path).name == '\xe9'


@pytest.mark.parametrize('rgba, color', [
    ('1 0 0', (255, 0, 0)), ('1 0 0 1', (255, 0, 0)), ('0.2 0.4 0.6 1 9', None),
    ('', None), ('red', None), ('1 0', None), ('nan 0 0 1', None), ('2 -1 0 1', (255, 0, 0))])
@pytest.mark.parametrize('at', ['<material name="m"><color rgba="{}"/></material>',
                                '<material><color rgba="{}"/></material>'])
def test_no_robot_is_refused_for_a_colour(rgba, color, at):
    visual = '<visual><geometry><sphere radius="1"/></geometry>{}</visual>'
    robot = Robot.from_urdf(f'<robot name="r"><link name="a">{visual.format(at.format(rgba))}'
                            '</link></robot>')
    assert robot.links['a'].visuals[0].color == color
    assert bool(robot.warnings) == (color is None)


@pytest.mark.parametrize('geometry, kept', [
    ('<box size="0 0 0"/>', None), ('<box size="0 0 1"/>', None), ('<sphere radius="0"/>', None),
    ('<cylinder radius="0" length="1"/>', None), ('<cylinder radius="0.0" length="0"/>', None),
    ('<capsule radius="0" length="1"/>', None), ('<mesh filename="a.stl" scale="0 0 0"/>', None),
    ('<box size="1 0 1"/>', Box((1, 1e-4, 1))),
    ('<cylinder radius="1" length="0"/>', Cylinder(1, 1e-4)),
    ('<mesh filename="a.stl" scale="1 0 1"/>', UnreadShape('a mesh with a scale of 0'))])
def test_shapes_of_size_zero_are_dropped_and_flat_ones_kept(geometry, kept):
    """The robot is fine, and is not refused; what is dropped or changed is told."""
    robot = Robot.from_urdf('<robot name="r"><link name="a"><visual><geometry>' + geometry
                            + '</geometry></visual></link></robot>')
    assert [shape.geometry for shape in robot.links['a'].visuals] == ([] if kept is None
                                                                      else [kept])
    assert '"a"' in robot.warnings[0]


@pytest.mark.parametrize('tag', ['capsule', 'drake:capsule'])
def test_capsules_are_a_shape(tag):
    robot = Robot.from_urdf(f'<robot name="r"><link name="a"><collision><geometry><{tag} '
                            'radius="0.05" length="0.3"/></geometry></collision></link></robot>')
    assert robot.links['a'].collisions[0].geometry == Capsule(0.05, 0.3)
    assert robot.warnings == ()


@pytest.mark.parametrize('tag', ['ellipsoid', 'drake:ellipsoid', 'heightmap', 'plane', 'capsule'])
def test_a_shape_that_is_not_known_is_there_all_the_same(tag):
    robot = Robot.from_urdf(f'<robot name="r"><link name="a"><collision><geometry><{tag}/>'
                            '</geometry></collision></link></robot>')
    assert isinstance(robot.links['a'].collisions[0].geometry, UnreadShape)
    assert f'<{tag}>' in robot.warnings[0]


def test_infinite_limits_are_none():
    limit = Robot.from_urdf(one_joint('<limit lower="-inf" upper="inf" velocity="inf" '
                                      'effort="inf"/>')).limits['j']
    assert limit == JointLimit()


@pytest.mark.parametrize('text, warning', [
    (one_joint(), 'states no limit'),
    (one_joint('<limit lower="-inf" upper="1"/>'), 'infinite'),
    (one_joint('<limit lower="0" upper="-0.0135"/>'), 'taken the other way round'),
    (one_joint('<limit effort="1" velocity="1"/>'), 'leaves no room'),
    (one_joint('<limit lower="0" upper="1" velocity="-1"/>'), 'is negative, taken for not known'),
    ('<robot name="r"><link name="a"><visual><geometry><sphere radius="1"/></geometry>'
     '<material name="m"><color rgba="1 0 0 1"/></material><material name="n"/></visual></link>'
     '</robot>', '<material "n"> of <visual> of <link "a"> is given twice'),
    (one_joint(LIMIT).replace(' name="r"', '', 1), 'no name'),
    ('<robot name="r"><link name="a"><visual><geometry><capsule/></geometry></visual></link>'
     '</robot>', 'capsule'),
    ('<robot name="r"><link name="a"><visual/></link></robot>', 'no geometry')])
def test_what_is_tolerated_is_reported(text, warning):
    """Deviations from the specification that real files have."""
    warnings = Robot.from_urdf(text).warnings
    assert any(warning in line for line in warnings), warnings


def test_zero_and_absent_velocity_limits_are_unknown():
    """Exporters write 0 or -1 where they know nothing; no robot moves at 0 rad/s."""
    for text in ('velocity="0" effort="0"', 'velocity="-1.0" effort="-1"', ''):
        limit = Robot.from_urdf(one_joint(f'<limit lower="-1" upper="1" {text}/>')).limits['j']
        assert limit.velocity is None and limit.effort is None and limit.upper == 1


BALL = '<collision><geometry><sphere radius="0.1"/></geometry></collision>'
ON_A_BASE = ('<joint name="k" type="revolute"><parent link="b"/><child link="c"/></joint>'
             '<link name="c"/>')


@pytest.mark.parametrize('kind', ['floating', 'planar'])
def test_a_base_that_is_free_in_the_world_is_the_root(kind):
    robot = Robot.from_urdf(one_joint(kind=kind, rest=ON_A_BASE))
    assert robot.root_link == 'b' and robot.joint_names == ('k',)
    assert any(f'"j"> of type {kind} is left out' in line and 'judged in "b"' in line
               for line in robot.warnings)


BAD = {
    'floating, of a shape': (one_joint(kind='floating', rest=ON_A_BASE).replace(
        '<link name="a"/>', f'<link name="a">{BALL}</link>'), r'"j"> has type "floating"'),
    'floating, of two': (one_joint(kind='floating', rest=ON_A_BASE.replace(
        'parent link="b"', 'parent link="a"')), r'"j"> has type "floating"'),
    'planar, on the way': (one_joint(rest=ON_A_BASE.replace('revolute', 'planar')),
                           r'"k"> has type "planar"'),
    'unknown type': (one_joint(kind='hinge'), r'"j"> has type "hinge".*revolute'),
    'nan': (one_joint('<origin xyz="0 nan 0"/>'), r'<origin> of <joint "j">: xyz.*finite'),
    'inf': (one_joint('<origin xyz="0 inf 0"/>'), r'<origin> of <joint "j">.*finite'),
    'words': (one_joint('<origin rpy="a b c"/>'), 'not made of numbers'),
    'xacro': (one_joint('<origin xyz="${x} 0 0"/>'), 'expand xacro'),
    'too few': (one_joint('<origin xyz="0 0"/>'), r'3 number\(s\), has 2'),
    'zero axis': (one_joint('<axis xyz="0 0 0"/>'), '"j"> has a zero axis'),
    'nameless axis': (one_joint('<axis xzy="0 0 1"/>'), '"j"> has a zero axis'),
    'no parent': ('<robot name="r"><link name="a"/><joint name="j" type="fixed">'
                  '<child link="a"/></joint></robot>', 'has no <parent>'),
    'unnamed child': (one_joint().replace('<child link="b"/>', '<child/>'), "no attribute 'link'"),
    'empty child': (one_joint().replace('"b"/></joint', '""/></joint'), "'link' is empty"),
    'missing link': (one_joint().replace('<link name="b"/>', ''), 'child link "b"'),
    'two roots': (one_joint(rest='<link name="lost"/>'), '"a", "lost"'),
    'no link': ('<robot name="r"/>', 'has no link'),
    'twice a link': (one_joint(rest='<link name="a"/>'), '<link "a"> is defined twice'),
    'twice a joint': (one_joint(rest='<link name="c"/><joint name="j" type="fixed">'
                                     '<parent link="b"/><child link="c"/></joint>'),
                      '<joint "j"> is defined twice'),
    'twice an origin': (one_joint('<origin/><origin/>'), 'given twice'),
    'two parents': (one_joint(rest='<joint name="k" type="fixed"><parent link="a"/>'
                                   '<child link="b"/></joint>'), 'hangs on one joint'),
    'cycle': (one_joint(rest='<joint name="k" type="fixed"><parent link="b"/>'
                             '<child link="a"/></joint>'), 'form a cycle'),
    'cycle beside a root': (one_joint(rest='<link name="c"/><link name="d"/>'
                            '<joint name="k" type="fixed"><parent link="c"/><child link="d"/>'
                            '</joint><joint name="l" type="fixed"><parent link="d"/>'
                            '<child link="c"/></joint>'), '"c", "d" form a cycle'),
    'mimic of nothing': (one_joint('<mimic joint="x"/>', rest='<link name="c"/>'
                                   '<joint name="k" type="revolute"><parent link="b"/>'
                                   '<child link="c"/></joint>'), 'not a joint; choose one of k'),
    'mimic of a fixed joint': (one_joint('<mimic joint="k"/>', rest='<link name="c"/>'
                                         '<joint name="k" type="fixed"><parent link="b"/>'
                                         '<child link="c"/></joint>'), 'which is fixed'),
    'mimic of itself': (one_joint('<mimic joint="j"/>'), 'closes a cycle'),
    'two shapes': ('<robot name="r"><link name="a"><visual><geometry><sphere radius="1"/>'
                   '<box size="1 1 1"/></geometry></visual></link></robot>', 'holds 2 shapes'),
    'negative box': ('<robot name="r"><link name="a"><visual><geometry><box size="1 -1 1"/>'
                     '</geometry></visual></link></robot>', 'must not be negative'),
    'shape of ours': ('<robot name="r"><link name="a"><visual><geometry><mesh '
                      'filename="kinema4d-shape:capsule 1 2"/></geometry></visual></link></robot>',
                      'is no mesh'),
    'not expanded': (one_joint(rest='<xacro:arm prefix="left_"/>'), 'xacro has not expanded'),
    'not a robot': ('<sdf/>', r'<sdf>, not <robot>'),
    'not xml': ('hello', 'not well-formed'),
    'cut off': (one_joint()[:-5], 'not well-formed'),
    'empty': (' \n', 'is empty'),
    'laughs': ('<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + one_joint(), 'entities'),
    'outside': ('<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
                '<robot name="&a;"/>', 'entities'),
}


@pytest.mark.parametrize('text, message', BAD.values(), ids=BAD.keys())
def test_bad_descriptions_are_refused_by_name(text, message):
    """The message names the element and what to do."""
    with pytest.raises(RobotDescriptionError, match=message):
        Robot.from_urdf(text)


def test_size_is_bounded(monkeypatch):
    """A description of any size must not take all memory."""
    monkeypatch.setattr(urdf_module, 'MAX_BYTES', 100)
    with pytest.raises(RobotDescriptionError, match='more than the 100 accepted'):
        Robot.from_urdf(one_joint())


def test_what_the_parser_refuses_is_our_error(monkeypatch):
    """The parser raises bare exceptions; none of them gets out."""
    def refuse(text):
        raise AssertionError('Invalid vector length')

    monkeypatch.setattr(urdf_module.urdf_parser.Robot, 'from_xml_string', refuse)
    with pytest.raises(RobotDescriptionError, match=r'urdf_parser_py refused.*vector length'):
        Robot.from_urdf(one_joint())


def test_a_description_is_text():
    """Bytes and None are refused by name."""
    with pytest.raises(RobotDescriptionError, match='is text, got bytes'):
        Robot.from_urdf(b'<robot/>')


@given(st.text(max_size=60), st.integers(0, 400))
def test_damaged_text_never_escapes_our_errors(noise, where):
    """Any text either loads or raises RobotDescriptionError."""
    text = one_joint(f'<axis xyz="0 0 1"/><origin xyz="1 2 3"/>{LIMIT}')
    with contextlib.suppress(RobotDescriptionError):
        Robot.from_urdf(text[:where] + noise + text[where:])


def test_configuration_by_name():
    """Names decide, defaults respect limits, mimic joints are accepted and not used."""
    robot = Robot.from_urdf(DEMO_ARM.read_text())
    q = robot.configuration({'elbow_joint': 0.5, 'right_finger_joint': 9.0})
    assert q.tolist() == [0, 0, 0.5, 0, 0, 0, 0]
    assert robot.configuration({}, default=5.0)[2] == robot.limits['elbow_joint'].upper
    assert robot.configuration({'x': 1.0}, strict=False).tolist() == [0] * 7
    with pytest.raises(UnknownJointError, match=r'x; the robot has: shoulder_pan_joint') as caught:
        robot.configuration({'x': 1.0})
    assert caught.value.unknown == ('x',)


# Every URDF of example-robot-data that does not load, with the reason.
REFUSED = {
    'alex/alex_psyonic_hands': r'<mimic> of <joint "Left_index_q2"> follows "index_q1"',
    'ur/ur3': 'has no link; was xacro expanded',
}


@pytest.mark.parametrize('name', example_robots())
def test_robots_of_the_field_load(name):
    """All of the 69, but for those listed with their reason."""
    text = example_robots()[name].read_text()
    if name in REFUSED:
        with pytest.raises(RobotDescriptionError, match=REFUSED[name]):
            Robot.from_urdf(text)
    else:
        robot = Robot.from_urdf(text)
        assert len(robot.link_names) == len(robot.joints) + 1


def test_too_many_links_are_refused_before_they_are_parsed():
    """A description of thousands of links is no robot, and would keep a node busy."""
    links = ''.join(f'<link name="l{i}"/>' for i in range(urdf_module.MAX_LINKS + 1))
    with pytest.raises(RobotDescriptionError, match='has 2001 links, more than the 2000 accepted'):
        Robot.from_urdf(f'<robot name="r">{links}</robot>')


def test_a_file_is_read_with_its_folder_for_meshes(tmp_path):
    path = tmp_path / 'arm.urdf'
    path.write_text(DEMO_ARM.read_text())
    robot = Robot.from_file(str(path), package_paths=[tmp_path / 'packages'])
    assert robot.description_hash == Robot.from_urdf(DEMO_ARM.read_text()).description_hash
    assert robot.mesh_finder.source_dir == tmp_path
    assert robot.mesh_finder.package_paths == (tmp_path / 'packages',)
    elsewhere = Robot.from_file(path, source_dir=tmp_path / 'meshes')
    assert elsewhere.mesh_finder.source_dir == tmp_path / 'meshes'


@pytest.mark.parametrize(('name', 'content', 'words'), [
    ('arm.urdf.xacro', b'<robot/>', 'ros2 run xacro xacro arm.urdf.xacro > arm.urdf'),
    ('gone.urdf', None, 'gone.urdf cannot be read: .*No such file'),
    ('latin.urdf', b'<robot name="\xe4"/>', 'latin.urdf cannot be read: .*utf-8'),
    ('empty.urdf', b'', 'is empty')])
def test_files_that_are_no_description(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RobotDescriptionError, match=words):
        Robot.from_file(tmp_path / name)
