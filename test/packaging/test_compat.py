# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What other libraries do not offer is used in files named `..._compat.py` and nowhere else."""
import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / 'kinema4d_ros'
#: what is public in spite of its name, and the recorder of episodes, which needs its own simulator
ALLOWED = {'os._exit'}
OUTSIDE = SOURCE / 'episodes' / 'libero'
#: what rclpy and rosbags show without an underscore, though no documentation names it
UNDOCUMENTED = {'take_message', 'bio', 'close_chunk'}
#: names of the object itself, and of another one of its class
OWN = ('self', 'cls', 'other')


def is_private(name: str) -> bool:
    return name.startswith('_') and not name.startswith('__')


def privates(path: Path) -> list[str]:
    """Return what a file uses of others' privates, in the words of its source."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ''
            if node.attr in UNDOCUMENTED or is_private(node.attr) and owner not in OWN:
                found.append(ast.unparse(node))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            dotted = [getattr(node, 'module', None) or '', *names]
            parts = {part for name in dotted for part in name.split('.')}
            if 'unittest' in parts or any(map(is_private, parts)):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ('getattr', 'setattr'):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                found.append(ast.unparse(node))
    return sorted(set(found) - ALLOWED)


def test_only_compat_files_touch_privates_of_others():
    wrong = {str(path.relative_to(SOURCE)): found for path in SOURCE.rglob('*.py')
             if not path.name.endswith('_compat.py') and OUTSIDE not in path.parents
             and (found := privates(path))}
    assert wrong == {}


def test_every_compat_file_has_a_test_of_its_version():
    tests = '\n'.join(path.read_text() for path in SOURCE.parent.glob('test/**/test_*compat*.py'))
    for path in SOURCE.rglob('*_compat.py'):
        assert f'{path.stem.removesuffix("_compat").upper()}_VERSION' in tests, path


def test_privates_are_found(tmp_path):
    path = tmp_path / 'module.py'
    path.write_text('from rclpy._rclpy import Handle\nimport unittest.mock\nself._mine\n'
                    'self.node._theirs\nstrange._theirs\ngetattr(x, "_y")\nx.take_message()\n'
                    'x.__class__\n')
    assert privates(path) == [
        'from rclpy._rclpy import Handle', "getattr(x, '_y')", 'import unittest.mock',
        'self.node._theirs', 'strange._theirs', 'x.take_message']
