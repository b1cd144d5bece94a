# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the simulation is made of: robots that follow their motion, things cut out and completed."""
from __future__ import annotations

import numpy as np
import pytest
from gantry import motion, observe, ROBOT, simulator
from robots import DEMO_ARM, ROOT
from scenes import BLUE, bowl, box, can, Path, RED, World

from kinema4d_ros.evaluation.degraded_camera import degrade, REALISTIC
from kinema4d_ros.robot import (find_gripper, ForwardKinematics, load_meshes, Robot, robot_chain)
from kinema4d_ros.scene import Scene
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import PinholeCamera, RobotRollout
from kinema4d_ros.world_model.physics import reconstruct, why_not_available
from kinema4d_ros.world_model.physics.engine import mujoco
from kinema4d_ros.world_model.physics.motion import joint_positions, motion_of
from kinema4d_ros.world_model.physics.world import RigidWorld

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))
MIMIC = ('<robot name="m"><link name="base"/><link name="arm"/><link name="tip"/>'
         '<joint name="a" type="revolute"><parent link="base"/><child link="arm"/>'
         '<origin xyz="0 0 0.2" rpy="0.3 0 0"/><axis xyz="0 1 0"/>'
         '<limit lower="-3" upper="3" velocity="1" effort="1"/></joint>'
         '<joint name="b" type="revolute"><parent link="arm"/><child link="tip"/>'
         '<origin xyz="0 0 0.3"/><axis xyz="0 0.6 0.8"/><mimic joint="a" multiplier="-2" '
         'offset="0.1"/><limit lower="-7" upper="7" velocity="1" effort="1"/></joint></robot>')


def rolled(robot: Robot, positions: np.ndarray, seconds: float = 2.0) -> RobotRollout:
    """Return the rollout of joint positions (T, J) at even times, without pictures."""
    meshes = load_meshes(robot)
    gripper = find_gripper(robot)
    count = len(positions)
    return RobotRollout(
        np.linspace(0, seconds, count), robot.joint_names, positions, robot.link_names,
        ForwardKinematics(robot)(positions), PinholeCamera(4, 4, 4.0, 4.0, 2.0, 2.0),
        np.repeat(np.eye(4)[None], count, 0), np.empty((count, 0, 0, 3), np.float32),
        np.empty((count, 0, 0), np.int16), np.empty((count, 0, 0, 3), np.uint8),
        None if gripper is None else with_finger_boxes(gripper, meshes),
        chain=robot_chain(robot, meshes))


def smooth(robot: Robot, frames: int = 25) -> np.ndarray:
    """Return a motion between two places within the limits, at rest at both ends."""
    random, s = np.random.default_rng(0), np.linspace(0, 1, frames)[:, None]
    low = np.array([max(robot.limits[name].lower or -1.0, -1.5) for name in robot.joint_names])
    high = np.array([min(robot.limits[name].upper or 1.0, 1.5) for name in robot.joint_names])
    start, end = (low + (high - low) * random.uniform(0.3, 0.7, len(low)) for _ in range(2))
    return start + (10 * s**3 - 15 * s**4 + 6 * s**5) * (end - start)


def test_joints_are_read_back_from_the_poses_of_links_those_that_mimic_too():
    robot = Robot.from_urdf(MIMIC)
    q = np.linspace(-1.2, 1.4, 30)[:, None]
    motion_of_it = rolled(robot, q)
    np.testing.assert_allclose(joint_positions(motion_of_it, 1), q[:, 0], atol=1e-9)
    np.testing.assert_allclose(joint_positions(motion_of_it, 2), 0.1 - 2 * q[:, 0], atol=1e-9)


@needs_mujoco
@pytest.mark.parametrize('urdf', [DEMO_ARM, ROOT / 'urdf' / 'panda' / 'panda.urdf', None])
def test_a_simulated_robot_is_where_kinematics_puts_it(urdf):
    robot = ROBOT if urdf is None else Robot.from_file(urdf)
    exact = rolled(robot, smooth(robot))
    steps, mj = motion_of(exact, 0.0), mujoco()
    model = RigidWorld(-5.0, [], []).model(exact)
    data = mj.MjData(model)
    joints = [model.joint(f'joint{link}') for link in steps.links]
    data.qpos[[int(joint.qposadr[0]) for joint in joints]] = steps.positions[0]
    frames = {round(time / 0.002): frame for frame, time in enumerate(exact.times)}
    for step in range(1, len(steps.times)):
        data.ctrl[0::2], data.ctrl[1::2] = steps.positions[step], steps.velocities[step]
        mj.mj_step(model, data)
        if step in frames:
            mj.mj_kinematics(model, data)
            places = [data.xpos[model.body(f'link{link}').id]
                      for link in range(len(robot.link_names))]
            np.testing.assert_allclose(places, exact.T_base_link[frames[step], :, :3, 3],
                                       atol=0.003)


def cut(world: World):
    """Return what a view of a world is taken for."""
    path = Path.through((0.0, -0.3, 0.3, 0.25, 0.08), (1.0, -0.3, 0.3, 0.25, 0.08), frames=3)
    with simulator(None) as shadow:
        seen = observe(world, path)
        robot = shadow.roll_out(seen, motion(path))
    return reconstruct(Scene(seen, (robot.link_id[0] >= 0,)).view)


def test_things_are_cut_apart_and_completed():
    size = (0.06, 0.05, 0.07)
    found = cut(World().add(RED, box(size, (0.1, 0.15, 0))).add(BLUE, can(0.03, 0.1, (0, -.2, 0))))
    assert found.ground == pytest.approx(0.0, abs=0.002)
    assert len(found.things) == 2 and not any(each.pieces.is_hollow for each in found.things)
    thing = min(found.things, key=lambda each: np.linalg.norm(each.body.center[:2] - (0.1, 0.15)))
    corners = np.concatenate(thing.pieces.hulls)
    np.testing.assert_allclose(np.ptp(corners, axis=0), size, atol=0.012)
    np.testing.assert_allclose(thing.body.center, (0.1, 0.15, size[2] / 2), atol=0.006)


def test_a_bowl_is_hollow_and_has_no_lid():
    (thing,) = cut(World().add(RED, bowl(0.065, 0.05, (0.1, 0.1, 0)))).things
    assert thing.pieces.is_hollow
    middle = np.array([*thing.body.center[:2], 0.045])
    for hull in thing.pieces.hulls:       # none of them reaches over the middle of the opening
        assert not ((hull.min(0) < middle) & (middle < hull.max(0))).all()


@pytest.mark.parametrize('seed', range(2))
def test_as_a_stereo_camera_sees_it_only_what_is_open_is_hollow(seed):
    """Edges are ragged: points lie inside of solid things too."""
    path = Path.through((0.0, -0.3, 0.3, 0.25, 0.08), (1.0, -0.3, 0.3, 0.25, 0.08), frames=3)
    world = World().add(RED, box((0.06, 0.05, 0.09), (0.1, 0.15, 0))).add(
        BLUE, can(0.03, 0.1, (0.1, -0.2, 0))).add(RED, bowl(0.06, 0.05, (0.15, 0.0, 0)))
    clean = observe(world, path)
    with simulator(None) as shadow:
        robot = shadow.roll_out(clean, motion(path))
    seen = degrade(clean, REALISTIC, seed)
    found = reconstruct(Scene(seen, (robot.link_id[0] >= 0,)).view).things
    for place, is_open in (((0.1, 0.15), False), ((0.1, -0.2), False), ((0.15, 0.0), True)):
        at = [each for each in found if np.linalg.norm(each.body.center[:2] - place) < 0.05]
        assert [each.pieces.is_hollow for each in at] == [is_open]


def test_what_is_too_large_stays():
    found = cut(World().add(BLUE, box((0.2, 0.5, 0.15), (-0.15, 0.0, 0))))
    assert not found.things and len(found.fixtures) >= 1


def test_a_box_under_another_is_a_thing_of_its_own():
    found = cut(World().add(BLUE, box((0.12, 0.12, 0.04), (0.1, 0.1, 0))).add(
        RED, can(0.03, 0.06, (0.1, 0.1, 0.04))))
    heights = sorted(each.body.bottom for each in found.things)
    assert heights == [pytest.approx(0.0, abs=0.003), pytest.approx(0.04, abs=0.004)]
