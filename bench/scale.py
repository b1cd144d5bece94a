# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How the cost of each part grows with frames, pixels, triangles, scene points and links.

Each is varied alone; all sizes of all parts take turns in random order, so that what else the
machine does falls on large and small alike. The time is the least of all repeats, of all cores
together: other work only ever adds to it. The exponent is fitted in logarithms over the three
largest sizes, where no constant cost hides what grows. Nothing may grow worse than linearly; an
exponent up to 1.15 counts as that, for noise and for what outgrows the caches on its way.

Links are added as further arms. By nature, what follows grows worse when the same arm is instead
cut into more and more links than its thickness sets apart: the pairs of links that are within reach
of each other, and with them tier 0, grow with the square of the links; so do the links that are
near a place on the arm, of which tier 1 asks how much of it was hidden by the robot at the start.
A run draws docs/scale.svg.
"""
from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from std_msgs.msg import Header

from bench.plot import Panel, write_svg
from bench.precheck import END, observe, motion, START
from bench.render import looking_at, moving, PANDA, refined, sweep
from bench.robot_feed import pinhole
from bench.timing import interleave, least_of_cores
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.nodes.run import keep_freed_memory
from kinema4d_ros.precheck import (CameraCheck, PrecheckSettings, RobotChecker,
                                   Tier1Settings)
from kinema4d_ros.robot import find_gripper, ForwardKinematics, load_meshes, Robot
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import JointTrajectory

PLOT = Path(__file__).parents[1] / 'docs' / 'scale.svg'
LINKS_OF_ARM = 7
WORST = 1.15        # exponent
FITTED = 3          # sizes, the largest ones
SHORTEST = 0.02     # [s] what takes less is done several times in a row
SECONDS = 4.0       # [s] that every motion takes
EYE, TARGET = (1.3, 0.5, 0.9), (0.35, 0.0, 0.2)
SWEEPS = {
    'frames': (49, 98, 196, 343, 490),
    'pixels': ((426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080)),
    'triangles': (25_000, 50_000, 100_000, 200_000),
    'scene points': (0.03, 0.015, 0.008, 0.004),        # [m] voxels that thin the scene
    'links': (7, 14, 28, 56, 112)}
X_LABELS = {'frames': 'frames, or points of the trajectory', 'pixels': 'pixels of the camera',
            'triangles': 'triangles of the robot', 'scene points': 'points of the scene',
            'links': 'links of the robot'}
Ways = Mapping[str, Callable[[], object]]
Steps = Iterator[tuple[float, Ways]]


def measure(repeats: int) -> list[dict]:
    """Return a row per part and sweep, and draw them."""
    keep_freed_memory()      # as the executables do
    rows, panels = [], []
    for name, values in SWEEPS.items():
        found, series = grow(name, values, repeats)
        rows += found
        panels.append(Panel(f'over {name}', X_LABELS[name], 'CPU time [s]', series, True))
    write_svg(PLOT, panels)
    print(f'drawn: {PLOT}')
    return rows


def grow(name: str, values: tuple, repeats: int) -> tuple[list[dict], dict]:
    """Return rows and series (part -> [(size, seconds)]) of one sweep."""
    times, sizes = {}, {}
    for size, ways in _STEPS[name](values):
        for part, way in ways.items():
            times[part, size] = _several(way)
            sizes.setdefault(part, []).append(size)
    seconds = interleave({key: way for key, (way, _) in times.items()}, repeats)
    series = {part: [(size, least_of_cores(seconds[part, size]) / times[part, size][1])
                     for size in of_part] for part, of_part in sizes.items()}
    rows = []
    for part, points in series.items():
        sizes, seconds = np.array(points).T
        exponent = float(np.polyfit(np.log(sizes[-FITTED:]), np.log(seconds[-FITTED:]), 1)[0])
        rows.append({'case': f'{part} over {name}', 'from': sizes[0], 'to': sizes[-1],
                     'first_cpu_s': seconds[0], 'last_cpu_s': seconds[-1], 'exponent': exponent,
                     'worst_allowed': WORST, 'good': exponent <= WORST})
    return rows, series


def _several(way: Callable[[], object]) -> tuple[Callable[[], object], int]:
    """Return what does it as often as takes long enough to be timed, and how often that is."""
    way()
    started = time.process_time()
    way()
    count = math.ceil(SHORTEST / max(time.process_time() - started, 1e-6))

    def repeated():
        for _ in range(count):
            way()
    return (way if count == 1 else repeated), count


def over_frames(values: tuple) -> Steps:
    """Vary the frames of a rollout and the points of the trajectory alike; 320x240 pixels."""
    robot, meshes = panda()
    camera, T_base_camera = pinhole(320, 240), looking_at(EYE, TARGET)
    observation, checker = observe(robot, meshes, camera), make_checker(robot, meshes)
    checker.scene_of(observation)
    renderer, kinematics = RobotRenderer(meshes, robot.link_names), ForwardKinematics(robot)
    for frames in values:
        positions, poses = sweep(robot, frames), moving(robot, frames)
        trajectory = smooth(robot, frames, START, END)
        images = renderer.render(poses, camera, T_base_camera)
        yield frames, {
            'FK': lambda p=positions: kinematics(p),
            'render': lambda p=poses: renderer.render(p, camera, T_base_camera),
            'tier 0': lambda t=trajectory: checker.tier0(t, observation.joint_positions),
            'tier 1': lambda t=trajectory: checker.tier1(observation, t),
            'pack': lambda i=images: pack(i)}


def over_pixels(values: tuple) -> Steps:
    """Vary the size of the camera's images; 13 frames, too many for the caches at most sizes."""
    robot, meshes = panda()
    T_base_camera, checker = looking_at(EYE, TARGET), make_checker(robot, meshes)
    poses, trajectory = moving(robot, 13), motion(robot)
    for width, height in values:
        camera, renderer = pinhole(width, height), RobotRenderer(meshes, robot.link_names)
        observation = observe(robot, meshes, camera)
        kept, images = dataclasses.replace(observation), renderer.render(poses, camera,
                                                                         T_base_camera)
        another = make_checker(robot, meshes)     # one that keeps its scene
        another.scene_of(kept)
        yield width * height, {
            'render': lambda r=renderer, c=camera: r.render(poses, c, T_base_camera),
            'scene': lambda o=observation: look_anew(checker, o),
            'tier 1': lambda o=kept, e=another: e.tier1(o, trajectory),
            'pack': lambda i=images: pack(i)}


def over_triangles(values: tuple) -> Steps:
    """Vary how finely the robot's surface is cut; 9 frames of 320x240."""
    robot, meshes = panda()
    camera, T_base_camera, poses = pinhole(320, 240), looking_at(EYE, TARGET), moving(robot, 9)
    trajectory = motion(robot)
    observation = observe(robot, meshes, camera)
    for triangles in values:
        fine = refined(meshes, triangles)
        renderer, checker = RobotRenderer(fine, robot.link_names), make_checker(robot, fine)
        checker.scene_of(observation)
        yield sum(len(mesh.faces) for mesh in fine.values()), {
            'render': lambda r=renderer: r.render(poses, camera, T_base_camera),
            'tier 0': lambda e=checker: e.tier0(trajectory, observation.joint_positions),
            'tier 1': lambda e=checker: e.tier1(observation, trajectory)}


def over_scene_points(values: tuple) -> Steps:
    """Vary to how many points an image of 1280x720 is thinned."""
    robot, meshes = panda()
    observation, trajectory = observe(robot, meshes, pinhole(1280, 720)), motion(robot)
    for voxel in values:
        checker = make_checker(robot, meshes, voxel)
        yield len(checker.scene_of(observation).points), {
            'scene': lambda e=checker: look_anew(e, observation),
            'tier 1': lambda v=voxel, e=make_kept(robot, meshes, voxel, observation): e.tier1(
                observation, trajectory)}


def over_links(values: tuple) -> Steps:
    """Vary how many arms of seven links move side by side; 49 frames of 320x240."""
    camera, T_base_camera = pinhole(320, 240), looking_at(EYE, TARGET)
    for links in values:
        robot = Robot.from_urdf(arms(links))
        meshes = load_meshes(robot)
        start, end = np.full(links, 0.1), np.full(links, -0.1)
        positions = np.linspace(start, end, 49)
        poses = ForwardKinematics(robot)(positions)
        renderer, kinematics = RobotRenderer(meshes, robot.link_names), ForwardKinematics(robot)
        panda_view = observe(*panda(), camera)      # its scene; the arms stand in it
        observation = dataclasses.replace(
            panda_view, joint_positions=dict(zip(robot.joint_names, start)))
        checker, trajectory = make_checker(robot, meshes), smooth(robot, 50, start, end)
        checker.scene_of(observation)
        yield links, {
            'FK': lambda k=kinematics, p=positions: k(p),
            'render': lambda r=renderer, p=poses: r.render(p, camera, T_base_camera),
            'tier 0': lambda e=checker, o=observation, t=trajectory: e.tier0(
                t, o.joint_positions),
            'tier 1': lambda e=checker, o=observation, t=trajectory: e.tier1(o, t)}


_STEPS = {'frames': over_frames, 'pixels': over_pixels, 'triangles': over_triangles,
          'scene points': over_scene_points, 'links': over_links}


def panda() -> tuple[Robot, dict]:
    """Return the robot and its meshes."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    return robot, load_meshes(robot)


def make_checker(robot: Robot, meshes, voxel: float = 0.005) -> RobotChecker:
    """Return what checks this robot, warmed up."""
    gripper = find_gripper(robot)
    checker = RobotChecker(robot, meshes, None if gripper is None else with_finger_boxes(
        gripper, meshes), PrecheckSettings(tier1=Tier1Settings(
            # The arms that are put into a Panda's scene are not what its camera sees.
            voxel=voxel, camera_check=CameraCheck.OFF)))
    checker.warm_up()
    return checker


def make_kept(robot: Robot, meshes, voxel: float, observation) -> RobotChecker:
    """Return a checker that knows the scene already."""
    checker = make_checker(robot, meshes, voxel)
    checker.scene_of(observation)
    return checker


def look_anew(checker: RobotChecker, observation) -> None:
    """Do all that depends on the observation alone."""
    scene = checker.scene_of(dataclasses.replace(observation))
    _ = scene.points.cubes, scene.view.points_base


def smooth(robot: Robot, points: int, start, end) -> JointTrajectory:
    """Return a motion from rest to rest with so many points."""
    share = np.linspace(0.0, 1.0, points)
    positions = np.array(start) + (share ** 2 * (3 - 2 * share))[:, None] * np.subtract(end, start)
    velocities = np.gradient(positions, SECONDS * share, axis=0)
    velocities[[0, -1]] = 0.0
    return JointTrajectory(robot.joint_names, share * SECONDS, positions, velocities)


def pack(images) -> list:
    """Return the messages of all frames; all of them, so that they fit the caches at no size."""
    header = Header(frame_id='camera')
    return [(cloud_message(points, image, header), array_to_image(image, header))
            for points, image in zip(images.pointmap, images.image)]


def arms(links: int, reach: float = 1.05) -> str:
    """Return the URDF of arms of seven links each, side by side, until there are so many links."""
    step, parts = reach / LINKS_OF_ARM, ['<robot name="arms"><link name="base"/>']
    for i in range(links):
        arm, at = divmod(i, LINKS_OF_ARM)
        parent, origin = (f'link_{i - 1}', f'0 0 {step}') if at else (
            'base', f'0 {0.25 * (arm - links / LINKS_OF_ARM / 2)} 0')
        shape = (f'<origin xyz="0 0 {step / 2}"/><geometry><cylinder radius="0.04" '
                 f'length="{0.8 * step}"/></geometry>')
        parts.append(f'''
<link name="link_{i}"><visual>{shape}</visual><collision>{shape}</collision></link>
<joint name="joint_{i}" type="revolute"><parent link="{parent}"/><child link="link_{i}"/>
  <origin xyz="{origin}"/><axis xyz="{i % 2} {(i + 1) % 2} 0"/>
  <limit lower="-3" upper="3" velocity="3" effort="100"/></joint>''')
    return ''.join([*parts, '</robot>'])
