# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder of a second engine: what it draws, and a recording where Bullet is installed."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from kinema4d_ros.episodes import Episode
from kinema4d_ros.episodes.bullet.cell import BulletCell
from kinema4d_ros.episodes.bullet.things import draw_things, CellThing
from kinema4d_ros.episodes.displacement import Displacement, Happened
from kinema4d_ros.robot import Robot

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'record_second_engine.py'
URDF = ROOT / 'urdf' / 'panda' / 'panda.urdf'
with_bullet = pytest.mark.skipif(importlib.util.find_spec('pybullet') is None,
                                 reason='Bullet is not installed (optional)')
without_bullet = pytest.mark.skipif(importlib.util.find_spec('pybullet') is not None,
                                    reason='Bullet is installed')


def run(*arguments):
    """Run the script to its end."""
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], text=True, timeout=300,
                          capture_output=True, check=False)


def test_things_are_drawn_anew_and_again():
    things = draw_things(np.random.default_rng(3), None)
    again = draw_things(np.random.default_rng(3), None)
    other = draw_things(np.random.default_rng(4), None)
    assert [thing.mass for thing in things] == [thing.mass for thing in again]
    assert {thing.mass for thing in things}.isdisjoint(thing.mass for thing in other)
    for thing in things:
        assert 0.05 <= thing.mass <= 1.0 and 0.2 <= thing.friction <= 0.9
        assert (thing.center_of_mass > thing.low).all()
        assert (thing.center_of_mass < thing.high).all()


def test_faces_look_outwards():
    """A mesh that is inside out has a negative volume."""
    for thing in draw_things(np.random.default_rng(5), None):
        a, b, c = (thing.vertices[thing.faces[:, k]].astype(float) for k in range(3))
        volume = (np.cross(a, b) * c).sum() / 6
        assert volume == pytest.approx(ConvexHull(thing.vertices).volume, rel=1e-3)


def test_a_folder_that_is_not_liberos_is_refused():
    done = run('--kind', 'dance')
    assert done.returncode == 2 and 'unknown kind dance; known: push, topple' in done.stderr


@without_bullet
def test_missing_bullet_says_what_to_install(tmp_path):
    done = run('--out', tmp_path)
    assert done.returncode == 1 and 'requirements/second_engine.txt' in done.stderr
    assert 'Traceback' not in done.stderr


@with_bullet
@pytest.mark.parametrize(('pull', 'happened'), [(0.4, Happened.STAY), (0.6, Happened.PUSH)])
def test_friction_holds_what_a_tilted_gravity_pulls(tmp_path, pull, happened):
    """A box on a table of friction 0.5 stays up to a slope of 0.5, and slides beyond."""
    box = draw_things(np.random.default_rng(0), None)[0]
    box = CellThing('box_1', box.vertices * [1, 1, 0.3], box.faces, box.colors, 0.5, 0.5,
                np.zeros(3))
    robot = Robot.from_file(URDF)
    with BulletCell(robot, URDF, [box], np.random.default_rng(0), tmp_path) as cell:
        cell.settle()
        before = cell.object_pose('box_1')
        cell.pull(np.array([9.81 * pull, 0.0, -9.81]))
        cell.settle(0.5)
        after = cell.object_pose('box_1')
    moved = Displacement.of(np.array([0.0, 0.5]), np.stack([before, after]), np.zeros(3))
    assert moved.happened() is happened


@with_bullet
def test_a_recording_repeats_and_keeps_its_secrets(tmp_path):
    common = ('--count', 1, '--kind', 'push', '--size', 60, 90)
    for folder in 'ab':
        done = run(*common, '--out', tmp_path / folder)
        assert done.returncode == 0, done.stderr + done.stdout
    name = 'second_0_push.mcap'
    assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
    episode = Episode.open(tmp_path / 'a' / name)
    depth = episode.frames[0].depth
    assert 0.1 < np.isnan(depth).mean() and depth.shape == (60, 90)
    text = episode.metadata.to_json()
    assert 'mass"' not in text and 'friction"' not in text
    pose = episode.truth.object_poses[episode.metadata.carried_object][1][0]
    assert pose[2, 2] == pytest.approx(1.0, abs=1e-3)
