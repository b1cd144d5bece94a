# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrows between rooms point inwards; neither rooms nor files form circles."""
import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / 'kinema4d_ros'

#: what every room may use
GROUND = {'types', 'errors', 'resources', 'serialization'}
#: room -> the rooms that it may use besides; none of them leads back, and none of the first part
#: leads to ROS
ROOMS = {
    'errors': set(),
    'types': set(),
    'resources': set(),
    'serialization': set(),
    'robot': set(),
    'camera': {'robot'},
    'scene': {'camera', 'robot'},
    'foresight': {'scene', 'camera', 'robot'},
    'episodes': {'camera', 'robot'},
    'policy': {'robot'},
    'gate': {'robot'},
    'world_model': {'foresight', 'scene', 'camera', 'robot', 'episodes'},
    'precheck': {'foresight', 'scene', 'camera', 'robot'},
    'simulator': {'precheck', 'world_model', 'scene', 'camera', 'robot'},
    'worker': {'simulator', 'precheck', 'world_model', 'scene', 'camera', 'robot'},
    'incident': {'simulator', 'precheck', 'world_model', 'camera', 'robot'},
    'evaluation': {'simulator', 'precheck', 'world_model', 'episodes', 'scene', 'camera', 'robot'},
    'viewer': {'precheck', 'scene', 'camera', 'robot'},
    'diagnosis': set(),
    # with ROS
    'bridge': {'robot', 'camera', 'interfaces'},
    'nodes': {'bridge', 'worker', 'gate', 'viewer', 'incident', 'episodes', 'precheck',
              'world_model', 'scene', 'camera', 'robot', 'diagnosis', 'interfaces'},
    # the command imports what it runs when it runs it
    'cli': {'nodes', 'incident', 'evaluation', 'viewer', 'simulator', 'precheck', 'world_model',
            'episodes', 'camera', 'robot', 'diagnosis'},
    # the public names, on first use
    '__init__': {'simulator', 'precheck', 'world_model', 'episodes', 'evaluation', 'policy',
                 'camera', 'robot'},
}
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


@pytest.mark.parametrize('room', sorted(ROOMS))
def test_arrows_point_inwards(room):
    allowed = ROOMS[room] | (GROUND - {room} if room not in GROUND else {'errors'}) | {room}
    wrong = sorted(
        f'{module} -> {name}' for module, path in MODULES.items() if room_of(module) == room
        for name in imports(path) if room_of(name) not in allowed
        and not (name == 'kinema4d_ros' and room in ('cli', 'worker', 'evaluation', 'nodes')))
    assert wrong == []


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
