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
