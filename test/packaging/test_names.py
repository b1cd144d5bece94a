# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names: one for one thing, in the words of the field."""
import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / 'kinema4d_ros'
TREES = {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob('*.py'))}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
#: words that say what somebody does, and not what a thing is
FORBIDDEN = {'Aside', 'Examiner', 'Inbox', 'Judge', 'Listener', 'Looker', 'Misfits', 'Pause',
             'Poller', 'Quiet'}
#: type variables, which stand for nothing outside of their module
TYPE_VARIABLES = ('TypeVar', 'ParamSpec')


def types_in(tree: ast.Module) -> list[str]:
    """Return the public classes of a module, and the CamelCase names that it assigns."""
    found = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for node in tree.body:
        value = getattr(node, 'value', None)
        if isinstance(value, ast.Call) and ast.unparse(value.func) in TYPE_VARIABLES:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else \
            [node.target] if isinstance(node, ast.AnnAssign) else []
        found += [target.id for target in targets if isinstance(target, ast.Name)
                  and re.fullmatch('[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*', target.id)]
    return [name for name in found if not name.startswith('_')]


def test_no_name_of_a_type_stands_for_two_things():
    found = defaultdict(list)
    for path, tree in TREES.items():
        for name in types_in(tree):
            found[name].append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_types_are_classes_and_aliases():
    tree = ast.parse('class A: pass\nclass _B: pass\nReport = Callable[[], None]\nLIMIT = 1\n'
                     'T = TypeVar("T")\nSettings = TypeVar("Settings")\n'
                     'Event: object = A | B\ndef f():\n    Local = 1')
    assert types_in(tree) == ['A', 'Report', 'Event']


def defined(tree: ast.Module) -> set[str]:
    """Return what a module defines: classes, functions, and names that are assigned."""
    return {node.id if isinstance(node, ast.Name) else node.name for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef | FUNCTION)
            or isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def words(name: str) -> set[str]:
    """Return the words of CamelCase."""
    return set(re.findall('[A-Z][a-z]+', name))


def test_names_say_what_a_thing_is():
    bad = {f'{path.relative_to(ROOT)}: {name}' for path, tree in TREES.items()
           for name in defined(tree) if words(name) & FORBIDDEN}
    assert bad == set()


def test_words_of_names():
    tree = ast.parse('class GraphListener: pass\nInbox = 1\ndef f():\n    paused = Pause()')
    assert defined(tree) == {'GraphListener', 'Inbox', 'f', 'paused'}
    assert words('GraphListener') == {'Graph', 'Listener'} and words('paused') == set()


def test_a_reason_is_a_sentence_or_none():
    """`why_x()` returns why x, or None where it is not so; '' would read as a reason."""
    wrong = {f'{path.relative_to(ROOT)}: {node.name} -> '
             f'{ast.unparse(node.returns) if node.returns else "nothing"}'
             for path, tree in TREES.items() for node in ast.walk(tree)
             if isinstance(node, FUNCTION) and node.name.lstrip('_').startswith('why_')
             and (node.returns is None or ast.unparse(node.returns) != 'str | None')}
    assert wrong == set()


@pytest.mark.parametrize('folder', ['kinema4d_ros', 'test', 'bench', 'scripts', 'examples'])
def test_imports_are_absolute(folder):
    relative = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob('*.py')
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.ImportFrom) and node.level}
    assert relative == set()
