# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What pip installs works where there is no ROS and no source tree."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ('kinema4d_ros', 'requirements', 'urdf', 'config', 'launch')
EPISODES = ('libero_object_0_0_success', 'libero_spatial_0_0_into_table')    # those of the demo


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """Install a copy of the tree, for pip builds in place."""
    source, target = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('target')
    for name in ('setup.py', 'pyproject.toml', 'package.xml', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name,
                            ignore=shutil.ignore_patterns('__pycache__'))
    (source / 'data' / 'episodes').mkdir(parents=True)
    for name in EPISODES:
        shutil.copy(ROOT / 'data' / 'episodes' / f'{name}.mcap', source / 'data' / 'episodes')
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-build-isolation',
         '--no-index', '--no-compile', '--target', target, source], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return target


def test_installed_core_finds_its_files(installed):
    code = '''
import sys
for name in ('rclpy', 'sensor_msgs', 'ament_index_python'):
    sys.modules[name] = None
import kinema4d_ros
from kinema4d_ros import robot
from kinema4d_ros.resources import share_dir
print(kinema4d_ros.__file__)
text = (share_dir() / 'urdf' / 'demo_arm.urdf').read_text()
print(robot.Robot.from_urdf(text).root_link, share_dir())
'''
    done = subprocess.run([sys.executable, '-c', code], cwd=installed, text=True,
                          capture_output=True, env={'PYTHONPATH': str(installed), 'HOME': '/tmp'})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
    report = Path('kinema4d_ros', 'evaluation', 'report', 'templates')
    assert {path.name for path in (installed / report).iterdir()} == {
        path.name for path in (ROOT / report).iterdir()}
    assert done.stdout.split()[-1] == str(installed / 'share' / 'kinema4d_ros')


def test_description_names_extras(installed):
    metadata = next(installed.glob('kinema4d_ros-*.dist-info')) / 'METADATA'
    extras = {line.split(': ')[1] for line in metadata.read_text().splitlines()
              if line.startswith('Provides-Extra')}
    assert extras == {'cluster', 'model', 'physics', 'policy', 'datasets', 'rerun', 'viewer', 'sim',
                      'dev'}


def test_command_is_installed_and_says_what_it_lacks(installed):
    script = installed / 'bin' / 'kinema4d'
    env = {'PYTHONPATH': str(installed), 'HOME': '/tmp', 'COLUMNS': '100'}
    done = subprocess.run([script, '--help'], text=True, capture_output=True, env=env)
    assert done.returncode == 0 and 'replay-incident' in done.stdout, done.stderr
    code = """
import sys
sys.modules['rclpy'] = None
from kinema4d_ros.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    for command in (['view'], ['record', 'x']):
        done = subprocess.run([sys.executable, '-c', code, *command], text=True,
                              capture_output=True, env=env, cwd=installed)
        assert done.returncode == 4
        assert len(done.stderr.splitlines()) == 1 and 'source a ROS 2 Jazzy' in done.stderr


def test_the_episodes_of_the_demo_come_along(installed):
    """Where neither ROS nor a source tree is, and the demo plays them from there."""
    there = installed / 'share' / 'kinema4d_ros' / 'data' / 'episodes'
    assert {path.stem for path in there.iterdir()} == set(EPISODES)
    code = """
import sys
sys.modules['rclpy'] = None
from kinema4d_ros.cli import demo
from kinema4d_ros.cli.main import main
from kinema4d_ros.episodes import Episode
for name in demo.EPISODES:
    print(Episode.open(name).path)
sys.exit(main(['demo', 'nothing']))
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=installed, text=True,
                          capture_output=True, env={'PYTHONPATH': str(installed), 'HOME': '/tmp'})
    assert done.stdout.split() == [str(there / f'{name}.mcap') for name in EPISODES]
    assert done.returncode == 2 and f'bundled: {", ".join(EPISODES)}' in done.stderr
