# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Test modules that need a package which is not installed here: each of their tests is skipped.

Such a module imports what it needs as any other does. A skip of the whole module would do too, but
plugins that import modules while a folder is read (that of ROS's launch_testing) let it end the
folder: none of its tests is run, and nothing tells.
"""
from __future__ import annotations

import ast
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

_BUILD = 'the interfaces are not built: colcon build, then source install/setup.bash'
_ROS = 'it comes with ROS 2'
#: package -> where it comes from; any other that is missing is an error
OPTIONAL = {
    'PyKDL': 'apt install python3-pykdl', 'mujoco': 'the extra [physics]',
    'h5py': 'the extra [datasets]', 'pyarrow': 'the extra [datasets]',
    'torch': 'the extra [model]', 'viser': 'the extra [viewer]',
    'websockets': 'the extra [policy] or [viewer]', 'msgpack': 'the extra [policy]',
    'rclpy': _ROS,
    **{f'kinema4d_ros.{kind}': _BUILD for kind in ('action', 'msg', 'srv')},
    **dict.fromkeys(('action_msgs', 'builtin_interfaces', 'control_msgs', 'diagnostic_msgs',
                     'geometry_msgs', 'lifecycle_msgs', 'rcl_interfaces', 'rosgraph_msgs',
                     'sensor_msgs', 'std_msgs', 'std_srvs', 'tf2_msgs', 'trajectory_msgs',
                     'visualization_msgs'), _ROS)}


#: the browser that tests of pages use, None for none
BROWSER = shutil.which('chromium') or shutil.which('chromium-browser')


def why_skipped(error: BaseException | None) -> str | None:
    """Return why the tests of a module are skipped that ended with this, None if they are not."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    for name in (error.name, error.name.partition('.')[0]):
        if name in OPTIONAL:
            return f'{name} is not installed here: {OPTIONAL[name]}'
    return None


def what_is_missing() -> list[str]:
    """Return a line for each thing for want of which tests are skipped here."""
    lines = [f'not here: {name} ({brings}); its tests are skipped' for name, brings in
             {name: OPTIONAL[name] for name in ('PyKDL', 'rclpy', 'torch', 'viser')}.items()
             if importlib.util.find_spec(name) is None]
    if BROWSER is None:
        lines.append('not here: a browser (apt-get install chromium); tests of pages are skipped')
    return lines


def needs(name: str) -> pytest.MarkDecorator:
    """Return the mark of tests of what imports `name` only when it runs."""
    return pytest.mark.skipif(importlib.util.find_spec(name) is None,
                              reason=f'{name} is not installed here: {OPTIONAL[name]}')


def test_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield name and line of the tests in a file, which is read and not run."""
    body = list(ast.parse(path.read_text(encoding='utf-8')).body)
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith('Test'):
            body += node.body
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and \
                node.name.startswith('test'):
            yield node.name, node.lineno


class Module(pytest.Module):
    """A test module whose tests are skipped, one by one, where it cannot be imported here."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        """Return its tests."""
        try:
            return list(super().collect())
        except self.CollectError as error:
            reason = why_skipped(error.__cause__)
            if reason is None:
                raise
            return [Skipped.from_parent(self, name=name, line=line, reason=reason)
                    for name, line in test_functions(self.path)]


class Skipped(pytest.Item):
    """A test that cannot run here."""

    def __init__(self, *, line: int, reason: str, **rest):
        """Take its line and why it cannot run."""
        super().__init__(**rest)
        self._line, self._reason = line, reason

    def runtest(self) -> None:
        """Skip it."""
        pytest.skip(self._reason)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it is."""
        return self.path, self._line - 1, self.name
