# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every file of the tree keeps to."""
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import kinema4d_ros

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / 'kinema4d_ros'
RING_A = ('types', 'errors', 'resources', 'pixels', 'plain', 'shadow', 'incident',
          'incident_file', 'incident_mesh', 'cli', 'robot', 'camera', 'world_model', 'precheck',
          'episodes', 'evaluation', 'viewer')
# Packages that an extra brings; a module that needs one imports it when it is used.
EXTRAS = {'accelerate', 'diffusers', 'libero', 'mujoco', 'robosuite', 'safetensors', 'torch',
          'transformers', 'viser'}


def tracked() -> list[Path]:
    done = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip('not a git checkout')
    return [ROOT / name for name in done.stdout.split('\0') if name and (ROOT / name).is_file()]


def test_source_files_have_their_header():
    lacking = []
    for path in tracked():
        is_source = path.suffix in {'.py', '.msg', '.action', '.yaml', '.toml'} or path.name in {
            'CMakeLists.txt', 'Makefile', 'package.xml'} or path.parent.name == 'executables'
        if is_source and 'SPDX-License-Identifier: Apache-2.0' not in path.read_text()[:400]:
            lacking.append(str(path.relative_to(ROOT)))
    assert lacking == []


def test_files_are_small_enough():
    big = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked()
           if path.stat().st_size > 8 * 2**20}
    assert big == {}


def test_no_source_file_is_long():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines())
             for folder in (SOURCE, ROOT / 'test') for path in folder.rglob('*.py')}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_style():
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '.'], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def importable(names) -> list[str]:
    return [name for name in names if (SOURCE / name).is_dir() or (SOURCE / f'{name}.py').is_file()]


@pytest.mark.parametrize('name', sorted(
    info.name for info in pkgutil.iter_modules([str(SOURCE)]) if info.ispkg))
def test_public_names_resolve(name):
    if name in ('bridge', 'nodes'):
        pytest.importorskip('rclpy')
    package = importlib.import_module(f'kinema4d_ros.{name}')
    names = getattr(package, '__all__', [])
    assert sorted(set(names)) == sorted(names)
    assert [item for item in names if not hasattr(package, item)] == []


def test_version_is_public():
    assert kinema4d_ros.__version__


def test_core_imports_without_ros():
    """Ring a, module by module, where rclpy and all message packages are out of reach."""
    code = f"""
import importlib, importlib.abc, pkgutil, sys
sys.path.insert(0, {str(ROOT)!r})

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        if top in ('rclpy', 'ament_index_python') or top.endswith(('_msgs', '_interfaces')) \\
                or name in ('kinema4d_ros.msg', 'kinema4d_ros.action', 'kinema4d_ros.bridge',
                            'kinema4d_ros.nodes'):
            raise ModuleNotFoundError('blocked: ' + name, name=name)

sys.meta_path.insert(0, Block())
import kinema4d_ros.errors
for ring in {importable(RING_A)!r}:
    module = importlib.import_module('kinema4d_ros.' + ring)
    for info in pkgutil.walk_packages(getattr(module, '__path__', []), module.__name__ + '.'):
        try:
            importlib.import_module(info.name)
        except (ModuleNotFoundError, kinema4d_ros.errors.Kinema4DError) as error:
            lacking = getattr(error, 'name', None) or getattr(error.__cause__, 'name', None) or ''
            if lacking.partition('.')[0] not in {EXTRAS!r}:
                raise
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
