# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded arms whose robot description ends too early: what they carry is seen, and not known."""
import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.precheck import PrecheckSettings, RobotChecker, Tier1Settings, TouchRule
from kinema4d_ros.precheck.tier1.bare_end import bare_end_of
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import find_gripper, hand_links_of, load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import AttachedObject, AttachedShape, FindingCode, JointTrajectory, Severity

BOX = '<visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual>'


def shortened(description: str, gone: tuple[str, ...]) -> str:
    """Return a description without the links whose names have these words, nor what they carry."""
    root = ElementTree.fromstring(description)
    names = {link.get('name') for link in root.iter('link')
             if any(word in link.get('name') for word in gone)}
    for tag in 'joint', 'link':
        for element in root.findall(tag):
            ends = {element.get('name')} if tag == 'link' else {
                element.find('parent').get('link'), element.find('child').get('link')}
            if ends & names:
                root.remove(element)
    return ElementTree.tostring(root, encoding='unicode')


def cell(gone, attached=(), **tier1):
    """Return a checker of the recorded robot, its observation and a motion that raises the arm."""
    episode = Episode.open(share_dir() / 'data' / 'episodes' / 'libero_object_0_0_success.mcap')
    robot = Robot.from_urdf(shortened(episode.robot_description, gone))
    simulator = ShadowSimulator(robot, None, meshes=load_meshes(robot),
                                settings=PrecheckSettings(attached=attached,
                                                          tier1=Tier1Settings(**tier1)),
                                camera_poses=LinkPose(episode.camera_frame).poses)
    seen = episode.observation()
    seen = dataclasses.replace(seen, joint_positions={
        name: value for name, value in seen.joint_positions.items() if name in robot.joints})
    times = np.linspace(0.0, 2.0, 21)
    names = tuple(name for name in seen.joint_positions if 'finger' not in name)
    here = np.array([seen.joint_positions[name] for name in names])
    raised = here - 0.25 * (np.array(names) == 'panda_joint2')
    share = (times / 2.0) ** 2 * (3.0 - times)
    return simulator.checker(), seen, JointTrajectory(
        names, times, here + share[:, None] * (raised - here))


def doubts(checker: RobotChecker, seen, motion):
    return [finding for finding in checker.tier1(seen, motion).findings
            if finding.code is FindingCode.NOT_CHECKED]


@pytest.mark.parametrize('gone, end', [(('hand', 'finger'), 'panda_link7'),
                                       (('finger',), 'panda_hand')])
def test_a_hand_or_fingers_that_the_description_lacks_are_no_pass(gone, end):
    """Raised, they go away from all that is seen; before, that passed."""
    found, = doubts(*cell(gone))
    assert (found.severity, found.link) == (Severity.UNSURE, end)
    assert 'attached_collision_object' in found.message and f'touch.{end}.depth' in found.message
    assert found.value < found.limit


def test_who_has_fingers_or_declares_what_is_there_or_lets_it_touch_may_begin_near():
    assert doubts(*cell(('nothing',))) == []
    assert doubts(*cell(('hand', 'finger'), touch={'panda_link7': TouchRule()})) == []
    hand = AttachedObject('panda_link7', (AttachedShape(
        'box', (0.22, 0.22, 0.24), (0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0)),))
    assert doubts(*cell(('hand', 'finger'), attached=(hand,))) == []


@pytest.mark.parametrize('ends, bare', [(('one',), {'one', 'cup'}), (('one', 'two'), set())])
def test_ends_that_move_against_each_other_are_none(ends, bare):
    joints = ''.join(f'<joint name="to_{end}" type="continuous"><parent link="base"/>'
                     f'<child link="{end}"/></joint><link name="{end}">{BOX}</link>'
                     for end in ends)
    robot = Robot.from_urdf(
        f'<robot name="r"><link name="base">{BOX}</link><link name="cup">{BOX}</link>{joints}'
        '<joint name="f" type="fixed"><parent link="one"/><child link="cup"/></joint></robot>')
    assert find_gripper(robot) is None
    assert bare_end_of(robot, hand_links_of(robot, None), robot.links) == bare
