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
#: file of less than 40 lines -> why it stands alone; the others are a fragment of a neighbour
SHORT = {
    'bridge/parameters/watched.py': 'settings that threads read while parameters change',
    'diagnosis.py': 'what three rooms find, shared by them and nothing else',
    'episodes/libero/simulator.py': 'the one place that imports what is optional, and what it says',
    'ledger/motions.py': 'what is compared, for a node that keeps it and compares nothing',
    'nodes/recorder/rosbags_compat.py': 'the only place that touches what rosbags keeps private',
    'precheck/numbers.py': 'how messages of every tier show a number beside its limit',
    'precheck/ranking.py': 'the one rule of preference, for node and plain Python',
    'precheck/tier1/bands.py': 'for who draws distances, without the libraries that measure them',
    'resources.py': 'where the files of the package lie, for every room',
    'robot/distances.py': 'a number for settings, without the libraries that measure distances',
    'robot/trajectory_hash.py': 'the identity that gate, precheck and nodes agree on',
    'scene/settings.py': 'for who settles them, without the libraries that make scenes',
}


def tracked() -> list[Path]:
    done = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip('not a git checkout')
    return [ROOT / name for name in done.stdout.split('\0') if name and (ROOT / name).is_file()]


def test_source_files_have_their_header():
    endings = {'.py', '.msg', '.action', '.srv', '.yaml', '.toml', '.html', '.css', '.js'}
    names = {'CMakeLists.txt', 'Makefile', 'package.xml'}
    lacking = []
    for path in tracked():
        is_source = (path.suffix in endings or path.name in names
                     or path.parent.name == 'executables')
        if is_source and 'SPDX-License-Identifier: Apache-2.0' not in path.read_text()[:400]:
            lacking.append(str(path.relative_to(ROOT)))
    assert lacking == []


def test_files_are_small_enough():
    big = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked()
           if path.stat().st_size > 8 * 2**20}
    assert big == {}


def lengths(folder: Path) -> dict[str, int]:
    """Return path below the folder -> lines, of every Python file."""
    return {str(path.relative_to(folder)): len(path.read_text().splitlines())
            for path in folder.rglob('*.py')}


@pytest.mark.parametrize('folder', [SOURCE, ROOT / 'test'], ids=['package', 'tests'])
def test_no_source_file_is_long(folder):
    assert {name: count for name, count in lengths(folder).items() if count > 400} == {}


def test_no_source_file_is_a_fragment():
    short = {name for name, count in lengths(SOURCE).items()
             if count < 40 and Path(name).name != '__init__.py'}
    assert short - SHORT.keys() == set()
    assert SHORT.keys() <= short, 'a file that is gone or has grown needs no reason'


def test_style():
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '.'], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


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
