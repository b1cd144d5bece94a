# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Simulations with other robots than a fixed arm with two fingers; the oracle is arithmetic."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gantry import GRIPPER, JOINTS, motion, observe, ROBOT, URDF
from scenes import box, Path, pick_and_place, RED, World

from kinema4d_ros.foresight.attached import declared
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import AttachedObject, AttachedShape, EventKind, Gripper, JointTrajectory
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.physics import why_not_available

pytestmark = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))
SIZE, AT, TO = (0.08, 0.08, 0.05), (0.05, 0.1), 0.12
WORLD = World().add(RED, box(SIZE, (*AT, 0)))
PUSH = Path.through((0.0, -0.15, AT[1], 0.12, 0.0), (0.5, -0.15, AT[1], 0.02, 0.0),
                    (1.5, TO - 0.01, AT[1], 0.02, 0.0), (1.8, TO - 0.01, AT[1], 0.02, 0.0),
                    frames=37)
#: the second finger follows the first one
MIMIC = URDF.replace('<parent link="palm"/><child link="right"/>',
                     '<mimic joint="left_joint"/><parent link="palm"/><child link="right"/>')
#: wheels that stand, and a slide that carries everything and stands
MOBILE = URDF.replace('<link name="base"/>', (
    '<link name="base"/><link name="car"/><link name="wheel"><visual><geometry><cylinder '
    'radius="0.05" length="0.03"/></geometry></visual></link>'
    '<joint name="drive" type="prismatic"><parent link="base"/><child link="car"/>'
    '<axis xyz="1 0 0"/><limit lower="-9" upper="9" velocity="1" effort="1"/></joint>'
    '<joint name="roll" type="continuous"><parent link="car"/><child link="wheel"/>'
    '<origin xyz="-0.7 0 0.05"/><axis xyz="0 1 0"/></joint>')).replace(
        '<parent link="base"/><child link="bridge"/>',
        '<parent link="car"/><child link="bridge"/>')


def predicted(robot: Robot, path: Path, gripper: Gripper | None, world=WORLD, held=(),
              **joints: float):
    """Return the frames, their events and the rollout; `joints` stand where they are told to."""
    moved = [name for name in JOINTS if name in robot.joint_names]
    whole = motion(path)
    trajectory = JointTrajectory(tuple(moved), path.times, whole.positions[:, :len(moved)])
    seen = observe(world, path)
    start = {name: seen.joint_positions[name] for name in moved}
    seen = dataclasses.replace(seen, joint_positions={**start, **joints})
    model = load_world_model('physics', members=1)
    with ShadowSimulator(robot, None, frames=25, gripper=gripper) as shadow:
        rollout = shadow.roll_out(seen, trajectory)
    rollout = dataclasses.replace(rollout, held=held,
                                  gripper=None if gripper is None else rollout.gripper)
    frames = list(model.predict(seen, rollout))
    return frames, [event.kind for frame in frames for event in frame.events], rollout


def place(thing) -> np.ndarray:
    """Return where the middle of a thing is in its frame, (3,) [m]."""
    return thing.T_base_thing[:3, :3] @ thing.center_base + thing.T_base_thing[:3, 3]


def ends(frames) -> list[np.ndarray]:
    """Return where things are in the last frame that have moved."""
    return [place(thing) for thing in frames[-1].things]


def test_what_a_suction_cup_holds_moves_with_it_to_the_end_and_pushes_what_is_in_its_way():
    hanging = declared(AttachedObject('palm', (AttachedShape(
        'box', (0.04, 0.04, 0.06), (0.0, 0.0, -0.031, 0.0, 0.0, 0.0, 1.0)),), 'carton'), None)
    # The tips of the fingers would be 6 cm below the palm; the box reaches as far down.
    frames, kinds, robot = predicted(ROBOT, PUSH, None, held=(hanging,))
    assert EventKind.RELEASE not in kinds and EventKind.SLIPPED_OUT not in kinds
    assert {EventKind.PUSHED, EventKind.DRAGGED} & set(kinds)
    palm = robot.T_base_link[:, robot.link_names.index('palm'), :3, 3]
    carried, other = sorted(frames[-1].things, key=lambda thing: -thing.center_base[2])
    for frame in frames:
        (at,) = (place(thing) for thing in frame.things
                 if np.array_equal(thing.center_base, carried.center_base))
        np.testing.assert_allclose(at, palm[frame.index] - [0, 0, 0.031], atol=0.006)
    front = PUSH.positions[-1, 0] + 0.02       # of what it holds
    assert front + SIZE[0] / 2 - 0.004 < place(other)[0] < front + SIZE[0] / 2 + 0.015


def test_a_finger_that_mimics_the_other_one_grasps_with_it():
    world = World().add(RED, box((0.06, 0.05, 0.07), (0.1, 0.15, 0)))
    gripper = dataclasses.replace(GRIPPER, finger_joints=('left_joint',))
    frames, kinds, _ = predicted(Robot.from_urdf(MIMIC), pick_and_place(
        (0.1, 0.15), (-0.05, -0.2), 0.02, 0.022), gripper, world)
    assert kinds[:2] == [EventKind.GRASP, EventKind.RELEASE]
    (end,) = ends(frames)
    np.testing.assert_allclose(end, (-0.05, -0.2, 0.035), atol=0.012)


def test_a_mobile_base_that_stands_pushes_as_a_fixed_one_does():
    fixed, kinds, _ = predicted(ROBOT, PUSH, GRIPPER)
    mobile, also, rollout = predicted(Robot.from_urdf(MOBILE), PUSH, GRIPPER, drive=0.0, roll=1.0)
    assert kinds == also and EventKind.PUSHED in kinds
    # After the finger has stopped the box slides on by half a centimetre to one.
    np.testing.assert_allclose(ends(mobile), ends(fixed), atol=0.012)
    wheel = rollout.T_base_link[:, rollout.link_names.index('wheel')]
    assert np.abs(wheel - wheel[0]).max() < 1e-9
