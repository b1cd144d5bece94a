# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The descriptions of the package (package.xml, CMake, setup.py, Python, messages) agree."""
import ast
import fnmatch
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

import kinema4d_ros
from kinema4d_ros import types
from kinema4d_ros.gate.commands import DecisionKind

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = parse_package(str(ROOT / 'package.xml'))
CMAKE = (ROOT / 'CMakeLists.txt').read_text()
EXECUTABLES = sorted(path for path in (ROOT / 'executables').iterdir() if path.is_file())


def setup_py(*what: str) -> list[str]:
    done = subprocess.run([sys.executable, 'setup.py', '--quiet', *what], cwd=ROOT, text=True,
                          capture_output=True, check=True)
    return done.stdout.split()


def constants(text: str) -> dict[str, dict[str, int]]:
    """Return type -> name -> number of the constants in a message definition."""
    found: dict[str, dict[str, int]] = {}
    for kind, name, number in re.findall(r'^(u?int\d+) ([A-Z][A-Z0-9_]*)=(-?\d+)', text, re.M):
        found.setdefault(kind, {})[name] = int(number)
    return found


def test_package_xml_is_valid():
    warnings = []
    PACKAGE.validate(warnings=warnings)
    assert warnings == []
    assert PACKAGE.package_format == 3
    assert [str(text) for text in PACKAGE.licenses] == ['Apache-2.0']
    assert (ROOT / PACKAGE.licenses[0].file).read_text().lstrip().startswith('Apache License')


def test_names_and_versions_agree():
    assert setup_py('--name', '--version') == [PACKAGE.name, PACKAGE.version]
    assert f'project({PACKAGE.name})' in CMAKE
    assert kinema4d_ros.__version__ == PACKAGE.version


def test_every_interface_file_is_generated():
    written = {f'{path.parent.name}/{path.name}' for folder in ('msg', 'srv', 'action')
               for path in (ROOT / folder).iterdir()}
    assert set(re.findall(r'(?:msg|srv|action)/\w+\.\w+', CMAKE)) == written


def test_cmake_dependencies_are_declared():
    block = re.search(r'set\(interface_dependencies([^)]*)\)', CMAKE).group(1).split()
    assert set(block) <= {depend.name for depend in PACKAGE.build_depends}


@pytest.mark.parametrize('path', EXECUTABLES, ids=lambda path: path.name)
def test_executable_runs_a_main_that_exists(path):
    text = path.read_text()
    assert text.startswith('#!/usr/bin/env python3\n')
    assert os.access(path, os.X_OK)
    module = re.search(r'from (kinema4d_ros\.(?:nodes|cli)\.\w+) import main', text).group(1)
    tree = ast.parse((ROOT / (module.replace('.', '/') + '.py')).read_text())
    assert 'main' in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_enums_have_the_numbers_of_the_messages():
    finding = constants((ROOT / 'msg' / 'Finding.msg').read_text())
    verdict = constants((ROOT / 'msg' / 'Verdict.msg').read_text())
    assert finding['uint16'] == {code.name: code.value for code in types.FindingCode}
    assert finding['uint8'] == {level.name: level.value for level in types.Severity}
    assert verdict['uint8'] == {status.name: status.value for status in types.Status}
    decision = constants((ROOT / 'msg' / 'Decision.msg').read_text())
    assert {item.name: item.value for item in DecisionKind}.items() <= decision['uint8'].items()


@pytest.mark.skipif(importlib.util.find_spec('rclpy') is None, reason='no ROS here')
def test_generated_messages_have_the_numbers_of_the_enums():
    from kinema4d_ros.msg import Finding, Verdict
    for enum, message in ((types.FindingCode, Finding), (types.Severity, Finding),
                          (types.Status, Verdict)):
        assert {item.name: getattr(message, item.name) for item in enum} == {
            item.name: item.value for item in enum}


def test_requirements_are_pinned():
    def pinned(name):
        lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
        return {re.sub(r'[-_.]+', '-', line.split('==')[0]).lower() for line in lines
                if '==' in line}

    of = dict.fromkeys(('base', 'build', 'cluster', 'datasets', 'docs', 'physics', 'policy', 'test',
                        'model', 'rerun', 'viewer'),
                       'constraints') | {f'wheels-{distro}': f'constraints-wheels-{distro}'
                                         for distro in ('jazzy', 'kilted')}
    for name, constraints in of.items():
        for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines():
            word = re.match(r'[A-Za-z0-9_][A-Za-z0-9_.-]*', line)
            if word:
                assert re.sub(r'[-_.]+', '-', word.group()).lower() in pinned(constraints), line


def test_each_ros_has_its_constraints_and_no_file_pins_what_they_pin():
    common = (ROOT / 'requirements' / 'constraints.txt').read_text()
    for distro in ('jazzy', 'kilted'):
        lines = (ROOT / 'requirements' / f'constraints-wheels-{distro}.txt').read_text()
        names = re.findall(r'^([^#=\n]+)==', lines, re.M)
        assert len(names) > 100 and all(name.startswith('ros-') for name in names)
        assert not [name for name in names if f'\n{name}==' in common]


def test_the_two_versions_of_mujoco_never_meet():
    """[sim] records with one release, [physics] predicts with another: no command may want both."""
    folder = ROOT / 'requirements'
    physics, sim = (re.search(r'^mujoco==(\S+)', (folder / name).read_text(), re.M).group(1)
                    for name in ('physics.txt', 'constraints-sim.txt'))
    assert not fnmatch.fnmatch(sim, physics), 'they agree: the environments can be one'
    pinned = re.search(r'^mujoco==(\S+)', (folder / 'constraints.txt').read_text(), re.M).group(1)
    assert fnmatch.fnmatch(pinned, physics)
    for path in folder.iterdir():
        words = re.findall(r'^-[rc] *(\S+)', path.read_text(), re.M)
        assert words == {'beside_ros': ['physics.txt', 'policy.txt', 'viewer.txt']}.get(
            path.stem, [f'constraints-{path.name}'] if path.stem.startswith(('sim', 'wheels'))
            else []), path
    texts = [*(ROOT / 'docs').glob('*.md'), ROOT / 'README.md', ROOT / 'CONTRIBUTING.md',
             *(ROOT / 'scripts').glob('*.*')]
    commands = [command for path in texts for command in
                re.findall(r'pip"? install(?:\\\n|[^\n`])*', path.read_text())]
    assert any('beside_ros' in command for command in commands)     # physics is among it
    for command in commands:
        assert not (re.search(r'\bsim\b', command) and
                    re.search('physics|beside_ros', command)), command
