# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrows between rooms point inwards; neither rooms nor files form circles."""
import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / 'kinema4d_ros'

#: what every room may use
GROUND = {'types', 'errors', 'resources', 'serialization'}
#: room -> the rooms that it may use besides; none of them leads back
ROOMS = {
    'errors': set(),
    'types': set(),
    'resources': set(),
    'serialization': set(),
    'jobs': set(),
    'robot': set(),
    'camera': set(),
    'scene': {'camera', 'robot'},
    'foresight': {'scene', 'camera'},
    'episodes': {'camera', 'robot'},
    'calibration': {'episodes', 'camera', 'robot'},
    'datasets': {'calibration', 'episodes', 'camera', 'robot'},
    'gate': {'robot'},
    'world_model': {'foresight', 'scene', 'camera', 'episodes', 'diagnosis'},
    'precheck': {'world_model', 'foresight', 'scene', 'camera', 'robot'},
    'simulator': {'precheck', 'world_model', 'foresight', 'camera', 'robot'},
    'policy': {'jobs', 'simulator', 'precheck', 'world_model', 'foresight', 'scene', 'episodes',
               'robot'},
    'worker': {'simulator', 'precheck', 'world_model', 'scene', 'robot'},
    'incident': {'simulator', 'precheck', 'world_model', 'camera', 'robot'},
    'evaluation': {'policy', 'simulator', 'precheck', 'world_model', 'episodes', 'scene', 'camera',
                   'robot', 'jobs'},
    'ledger': {'evaluation', 'simulator', 'precheck', 'episodes', 'foresight', 'scene', 'camera',
               'robot', 'policy'},
    'training': {'evaluation', 'world_model', 'datasets', 'episodes', 'camera', 'robot'},
    'curation': {'jobs', 'training', 'evaluation', 'world_model', 'datasets', 'episodes',
                 'camera', 'robot'},
    'viewer': {'precheck', 'scene', 'camera', 'robot', 'ledger'},
    'diagnosis': set(),
    'security': set(),
    # with ROS
    'bridge': {'robot', 'camera', 'interfaces'},
    'nodes': {'bridge', 'worker', 'gate', 'policy', 'viewer', 'incident', 'ledger', 'episodes',
              'precheck', 'world_model', 'calibration', 'camera', 'robot', 'diagnosis',
              'interfaces'},
    # the command imports what it runs when it runs it
    'cli': {'nodes', 'incident', 'evaluation', 'viewer', 'simulator', 'precheck', 'world_model',
            'episodes', 'calibration', 'camera', 'robot', 'diagnosis', 'security', 'training',
            'datasets', 'policy', 'ledger', 'curation', 'jobs'},
    # the public names, on first use
    '__init__': {'simulator', 'precheck', 'world_model', 'episodes', 'evaluation', 'policy',
                 'camera', 'robot'},
}
#: rooms that cannot be imported without ROS; `cli` leads to one of them, and imports it when it
#: runs a node
WITH_ROS = {'bridge', 'nodes'}
#: packages that an extra brings; a module that needs one imports it when it is used
EXTRAS = {'accelerate', 'diffusers', 'h5py', 'libero', 'msgpack', 'mujoco', 'peft', 'pyarrow',
          'pybullet', 'ray', 'rerun', 'robosuite', 'safetensors', 'tensorboardX', 'torch',
          'transformers', 'viser', 'websockets'}
#: made by rosidl
INTERFACES = {'msg', 'action', 'srv'}


def modules() -> dict[str, Path]:
    """Return dotted name -> file of every module of the package."""
    found = {}
    for path in SOURCE.rglob('*.py'):
        parts = path.relative_to(SOURCE.parent).with_suffix('').parts
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file names in an import, wherever it stands."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} has a relative import'
            for alias in node.names:
                dotted = f'{node.module}.{alias.name}'
                named.add(dotted if dotted in MODULES else node.module)
    return {name for name in named if name.split('.')[0] == 'kinema4d_ros'}


def room_of(module: str) -> str:
    parts = module.split('.')
    if len(parts) == 1:
        return '__init__'
    return 'interfaces' if parts[1] in INTERFACES else parts[1]


def test_every_room_is_in_the_table():
    assert {room_of(module) for module in MODULES} == set(ROOMS)


def test_the_table_has_no_circle():
    TopologicalSorter(ROOMS).prepare()


def test_the_table_keeps_ros_outside():
    """No arrow of the core leads to ROS, but that of the command."""
    reaching = {room for room, allowed in ROOMS.items()
                if allowed & (WITH_ROS | {'interfaces'})}
    assert reaching == WITH_ROS | {'cli'}
    assert not any('cli' in allowed for allowed in ROOMS.values())


def test_core_imports_without_ros():
    """The oracle of the table: all that it calls core, where ROS and messages cannot be had."""
    core = sorted(module for module in MODULES
                  if room_of(module) not in WITH_ROS and not module.endswith('__main__'))
    assert len(core) > 100
    blocked = sorted(f'kinema4d_ros.{name}' for name in WITH_ROS | INTERFACES)
    code = f"""
import importlib, importlib.abc, sys
sys.path.insert(0, {str(SOURCE.parent)!r})

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        if top in ('rclpy', 'ament_index_python') or top.endswith(('_msgs', '_interfaces')) \\
                or name in {blocked!r}:
            raise ModuleNotFoundError('blocked: ' + name, name=name)

sys.meta_path.insert(0, Block())
import kinema4d_ros.errors
for name in {core!r}:
    try:
        importlib.import_module(name)
    except (ModuleNotFoundError, kinema4d_ros.errors.Kinema4DError) as error:
        lacking = getattr(error, 'name', None) or getattr(error.__cause__, 'name', None) or ''
        if lacking.partition('.')[0] not in {EXTRAS!r}:
            raise
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('room', sorted(ROOMS))
def test_arrows_point_inwards(room):
    allowed = ROOMS[room] | (GROUND - {room} if room not in GROUND else {'errors'}) | {room}
    wrong = sorted(
        f'{module} -> {name}' for module, path in MODULES.items() if room_of(module) == room
        for name in imports(path) if room_of(name) not in allowed
        and not (name == 'kinema4d_ros' and room in ('cli', 'worker', 'evaluation', 'nodes',
                                                         'policy', 'jobs')))
    assert wrong == []


@pytest.mark.parametrize('room', sorted(ROOMS))
def test_every_arrow_is_used(room):
    used = {room_of(name) for module, path in MODULES.items() if room_of(module) == room
            for name in imports(path)}
    assert ROOMS[room] - used == set(), 'no import needs them any more'


def test_files_form_no_circle():
    """Importing a package's face (`__init__`) is importing all that the face shows."""
    graph = {module: {name for name in imports(path) if name in MODULES and name != 'kinema4d_ros'}
             for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(' -> '.join(reversed(error.args[1])))


def test_circles_are_found(tmp_path):
    """The finder of imports sees those in functions and behind TYPE_CHECKING too."""
    path = tmp_path / 'module.py'
    path.write_text('from typing import TYPE_CHECKING\n'
                    'if TYPE_CHECKING:\n    from kinema4d_ros.robot import Robot\n'
                    'def f():\n    import kinema4d_ros.types\n'
                    '    from kinema4d_ros import errors\n')
    assert imports(path) == {'kinema4d_ros.robot', 'kinema4d_ros.types', 'kinema4d_ros.errors'}
