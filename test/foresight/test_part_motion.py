# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the way of a hand tells of the joint that it moves, against joints that are known."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.foresight import FixturePart
from kinema4d_ros.foresight.part_motion import slide_or_turn

CONTACT = np.array([0.6, 0.2, 0.3])
STEPS = np.linspace(0.0, 1.0, 30)


def hand(rotations, places):
    """Return poses (T, 4, 4) of a hand whose contact is at places (T, 3)."""
    poses = np.repeat(np.eye(4)[None], len(places), axis=0)
    poses[:, :3, :3] = rotations
    offset = np.array([0.01, -0.02, 0.1])      # from the contact to the hand, in the hand
    poses[:, :3, 3] = places + poses[:, :3, :3] @ offset
    return poses


def moved(poses, point):
    """Return where a point ends."""
    return poses[-1][:3, :3] @ point + poses[-1][:3, 3]


def test_a_straight_way_slides():
    way = CONTACT + np.outer(0.16 * STEPS, [0.6, 0.8, 0.0])
    poses = slide_or_turn(hand(np.eye(3), way), CONTACT)
    assert poses[0] == pytest.approx(np.eye(4))
    assert poses[-1][:3, 3] == pytest.approx([0.096, 0.128, 0.0])
    assert poses[-1][:3, :3] == pytest.approx(np.eye(3))


@pytest.mark.parametrize('angle', [1.2, -1.9])
def test_an_arc_turns_about_its_middle(angle):
    """A door that is pushed by a hand which does not turn itself: its far corner is known."""
    hinge, corner = np.array([0.4, 0.1, 0.0]), np.array([0.7, 0.25, 0.1])
    turn = Rotation.from_rotvec(np.outer(angle * STEPS, [0, 0, 1])).as_matrix()
    poses = slide_or_turn(hand(np.eye(3), hinge + turn @ (CONTACT - hinge)), CONTACT)
    assert moved(poses, corner) == pytest.approx(hinge + turn[-1] @ (corner - hinge), abs=1e-6)
    assert Rotation.from_matrix(poses[-1][:3, :3]).magnitude() == pytest.approx(abs(angle))


def test_a_hand_that_turns_turns_what_it_holds():
    """A knob, held beside its middle: it turns about where the hand turns, not where it holds."""
    knob = np.array([0.59, 0.21, 0.28])
    turn = Rotation.from_rotvec(np.outer(0.8 * STEPS, [0, 0, -1])).as_matrix()
    poses = slide_or_turn(hand(turn, knob + turn @ (CONTACT - knob)), CONTACT)
    assert Rotation.from_matrix(poses[-1][:3, :3]).as_rotvec() == pytest.approx([0, 0, -0.8])
    assert moved(poses, knob)[:2] == pytest.approx(knob[:2], abs=1e-6)


def part(**joint):
    return FixturePart((0.5, 0.1, 0.2), (0.7, 0.3, 0.4), **joint)


def test_it_stays_where_its_joint_does_not_let_it():
    way = CONTACT + np.outer(0.16 * STEPS, [0.0, 1.0, 0.0])
    straight = hand(np.eye(3), way)
    assert part(direction=(0.0, -1.0, 0.0)).moved(straight, CONTACT)[-1][:3, 3] \
        == pytest.approx([0, 0.16, 0])
    for stays in part(direction=(0.0, 0.0, 1.0)), part(axis=(0.0, 0.0, 1.0)):
        assert stays.moved(straight, CONTACT) == pytest.approx(np.repeat(np.eye(4)[None], 30, 0))


def test_only_the_way_along_its_joint_counts():
    aside = CONTACT + np.outer(0.1 * STEPS, [0.2, 1.0, 0.0])
    poses = part(direction=(0.0, 1.0, 0.0)).moved(hand(np.eye(3), aside), CONTACT)
    assert poses[-1][:3, 3] == pytest.approx([0, 0.1, 0])


def test_what_is_in_it_goes_by_where_it_is_now():
    pose = np.eye(4)
    pose[0, 3] = 0.5
    assert part().holds(np.array([0.6, 0.2, 0.3]), np.eye(4))
    assert not part().holds(np.array([0.6, 0.2, 0.3]), pose)
    assert part().holds(np.array([1.1, 0.2, 0.3]), pose)
