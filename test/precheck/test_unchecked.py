# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What no check can know of a robot is said in its verdicts, and forbids a PASS where it must."""
import numpy as np
import pytest

from kinema4d_ros.precheck import (CameraCheck, check_tier0, PrecheckSettings, Tier0Settings,
                                   Tier1Settings)
from kinema4d_ros.robot import load_meshes, Robot, SelfCollision
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (FindingCode, JointTrajectory, Observation, PinholeCamera, Severity,
                                Status)

BOX = '<visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual>'


def robot(fore: str = BOX, hand: str = BOX, base: str = BOX, tool: str = '0 0 0') -> Robot:
    """Return an arm of three links with these shapes, a tool fixed to its hand."""
    joints = ''.join(
        f'<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>'
        '<origin xyz="0.5 0 0"/><axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="9" '
        'effort="1"/></joint>' for name, parent, child in (('one', 'base', 'fore'),
                                                          ('two', 'fore', 'hand')))
    return Robot.from_urdf(
        f'<robot name="r"><link name="base">{base}</link><link name="fore">{fore}</link>'
        f'<link name="hand">{hand}</link><link name="tool"/>{joints}<joint name="f" type="fixed">'
        f'<parent link="hand"/><child link="tool"/><origin xyz="{tool}"/></joint></robot>')


def motion(joint: str = 'one') -> JointTrajectory:
    return JointTrajectory((joint,), np.array([0.0, 2.0]), np.array([[0.0], [0.5]]))


def findings(arm: Robot, joint: str = 'one'):
    return check_tier0(motion(joint), arm, {'one': 0.0, 'two': 0.0}, Tier0Settings(),
                       SelfCollision(arm, load_meshes(arm)))


@pytest.mark.parametrize('shape, words', [
    ('<visual><geometry><mesh filename="gone.stl"/></geometry></visual>', 'gone.stl not found'),
    ('<collision><geometry><mesh filename="gone.stl"/></geometry></collision>', 'not found'),
    ('<collision><geometry><superquadric/></geometry></collision>', '<superquadric>')])
@pytest.mark.parametrize('link', ['base', 'fore', 'hand'])
def test_a_shape_that_cannot_be_read_is_unsure(shape, words, link):
    """Of any link: what stands still may be hit too."""
    (found,) = findings(robot(**{link: shape}))
    assert (found.code, found.severity, found.link) == (FindingCode.NOT_CHECKED, Severity.UNSURE,
                                                        link)
    assert words in found.message and 'not checked against other links' in found.message


def test_a_link_that_plainly_has_no_shape_is_told_when_it_moves():
    (found,) = findings(robot(hand=''))
    assert (found.severity, found.link) == (Severity.INFO, 'hand')
    assert findings(robot(fore=''), joint='two') == ()
    assert findings(robot(base='')) == ()      # and the tool has the shape of the hand


@pytest.mark.parametrize('shapes, link, long', [
    ({'fore': ''}, 'fore', '50 cm'), ({'hand': '', 'tool': '0 0.3 0'}, 'hand', '30 cm')])
def test_a_long_link_without_a_shape_is_a_body_that_nobody_knows(shapes, link, long):
    """Half a metre between two joints is no mere frame, nor is what reaches to a tool."""
    (found,) = findings(robot(**shapes))
    assert (found.code, found.severity) == (FindingCode.NOT_CHECKED, Severity.UNSURE)
    assert found.link == link
    assert long in found.message and '<collision>' in found.message


def test_a_capsule_is_checked_like_any_shape():
    """A link whose only shape is one was not checked, and nobody was told."""
    # 0.3 m beside the base, along x; the second joint swings it around the hand's origin, 1 m away
    capsule = ('<collision><origin rpy="0 1.5708 0" xyz="-1 0.3 0"/><geometry><capsule '
               'radius="0.04" length="0.3"/></geometry></collision>')
    (found,) = findings(robot(hand=capsule), joint='two')
    assert (found.code, found.severity) == (FindingCode.SELF_COLLISION, Severity.FAIL)
    assert (found.link, found.other) == ('base', 'hand')


def test_pairs_that_are_left_out_are_told_when_they_move():
    wide = BOX.replace('0.1 0.1', '3 3')
    (found,) = findings(robot(base=wide, hand=wide))
    assert (found.severity, found.link, found.other) == (Severity.INFO, 'base', 'hand')
    assert 'overlap in most poses' in found.message


@pytest.mark.parametrize('tiers', [(0,), (1,), (0, 1)])
def test_no_verdict_passes_with_a_link_that_cannot_be_read(tiers):
    arm = robot(hand='<visual><geometry><mesh filename="gone.stl"/></geometry></visual>')
    T_base_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    T_base_camera[:3, 3] = 0.5, 0.0, 2.4
    seen = Observation.from_rgbd(
        np.full((60, 80, 3), 90, np.uint8), np.full((60, 80), 2.9, np.float32),
        PinholeCamera(80, 60, 60.0, 60.0, 39.5, 29.5), T_base_camera, {'one': 0.0, 'two': 0.0})
    anywhere = PrecheckSettings(tier1=Tier1Settings(camera_check=CameraCheck.OFF))
    with ShadowSimulator(arm, None, settings=anywhere) as simulator:
        verdict = simulator.precheck(seen, motion(), tiers=tiers)
    assert verdict.status == Status.UNSURE
    assert any('gone.stl' in finding.message for finding in verdict.findings)
    with ShadowSimulator(robot(), None, settings=anywhere) as simulator:
        assert simulator.precheck(seen, motion(), tiers=tiers).status == Status.PASS
