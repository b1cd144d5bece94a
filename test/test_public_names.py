# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The names of the package itself: lazy, complete, and seen by type checkers."""
import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import kinema4d_ros as k4d
from kinema4d_ros.on_demand import shown

SOURCE = Path(k4d.__file__)


def for_type_checkers() -> dict[str, str]:
    """Return name -> module of what stands behind TYPE_CHECKING."""
    (block,) = (node for node in ast.parse(SOURCE.read_text()).body
                if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING')
    return {alias.asname: node.module for node in block.body for alias in node.names}


def test_importing_it_imports_nothing_else():
    code = ('import sys; before = set(sys.modules); import kinema4d_ros as k4d; dir(k4d); '
            'print(*sorted(name.split(".")[0] for name in set(sys.modules) - before))')
    said = subprocess.run([sys.executable, '-c', code], cwd=SOURCE.parents[1], check=True,
                          capture_output=True, text=True).stdout.split()
    assert set(said) - set(sys.stdlib_module_names) == {'kinema4d_ros'}
    assert said.count('kinema4d_ros') == 1


@pytest.mark.parametrize('name', ['Verdict', 'JointTrajectory', 'WorldModelError', 'share_dir'])
def test_a_name_costs_no_more_than_it_needs(name):
    code = f'import sys, kinema4d_ros; kinema4d_ros.{name}; print(*sys.modules)'
    said = subprocess.run([sys.executable, '-c', code], cwd=SOURCE.parents[1], check=True,
                          capture_output=True, text=True).stdout.split()
    assert not {'cv2', 'open3d', 'scipy', 'torch', 'rclpy', 'PyKDL', 'rosbags'} & set(said)


@pytest.mark.parametrize('name', k4d.__all__)
def test_every_name_is_there_and_what_type_checkers_are_told(name):
    value = getattr(k4d, name)
    assert name in dir(k4d)
    if name != '__version__':
        module = for_type_checkers()[name]
        if module == 'kinema4d_ros':
            assert value is importlib.import_module(f'kinema4d_ros.{name}')
        else:
            assert value is getattr(importlib.import_module(module), name)


def test_type_checkers_are_told_of_no_other_name():
    assert {*for_type_checkers(), '__version__'} == set(k4d.__all__)


def test_all_errors_are_public():
    errors = {name for name, value in vars(k4d.errors).items()
              if isinstance(value, type) and issubclass(value, k4d.Kinema4DError)}
    assert errors <= set(k4d.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'kinema4d_ros' has no attribute 'Simulater'"):
        _ = k4d.Simulater
    with pytest.raises(ImportError):
        exec('from kinema4d_ros import Simulater')


FACES = sorted(str(path.parent.relative_to(SOURCE.parents[1])).replace('/', '.')
               for path in SOURCE.parent.rglob('__init__.py')
               if 'on_demand(__name__)' in path.read_text())


@pytest.mark.parametrize('name', FACES)
def test_the_face_of_a_room_shows_what_it_says(name):
    room = importlib.import_module(name)
    told = shown(name)
    modules = {path.stem for path in Path(room.__file__).parent.iterdir()} - {'__init__'}
    assert told.keys() <= set(room.__all__)
    assert told.keys() & modules == set(), 'once such a module is imported, it hides the name'
    for each in room.__all__:
        value = getattr(room, each)
        assert not hasattr(value, '__path__') and not hasattr(value, '__spec__')
        if each in told:
            assert value is getattr(importlib.import_module(told[each]), each)
    with pytest.raises(AttributeError, match='has no attribute'):
        _ = room.Misspelt


def test_rooms_have_such_faces():
    assert {'kinema4d_ros.robot', 'kinema4d_ros.precheck', 'kinema4d_ros.scene'} <= set(FACES)
