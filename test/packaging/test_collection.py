# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every test is found by every run, whatever else is installed; what cannot run is seen to skip."""
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lacking import test_functions as functions_of
from lacking import why_skipped

TEST = Path(__file__).resolve().parents[1]
FILES = sorted(TEST.rglob('test_*.py'))
#: folder -> how many test functions it has at least; lower one on purpose only
FLOORS = {'bench': 20, 'bridge': 125, 'calibration': 25, 'camera': 61, 'cli': 20, 'curation': 25,
          'datasets': 80,
          'episodes': 65, 'evaluation': 63, 'examples': 4, 'foresight': 16, 'gate': 99,
          'incident': 15, 'jobs': 12, 'ledger': 20, 'nodes': 270, 'packaging': 64, 'policy': 60,
          'precheck': 185,
          'robot': 160, 'scene': 30, 'security': 10, 'training': 20, 'types': 1, 'viewer': 34,
          'worker': 45, 'world_model': 150}
#: what the plugin of ROS's launch_testing does with each file, in a place that lacks viser
PLUGIN = """
import sys
from _pytest.pathlib import import_path

sys.modules['viser'] = None


def pytest_pycollect_makemodule(module_path, parent):
    try:
        import_path(module_path, root=None, consider_namespace_packages=False)
    except SyntaxError:
        pass
"""


def test_no_folder_has_lost_its_tests():
    found = dict.fromkeys(FLOORS, 0)
    for path in FILES:
        folder = path.relative_to(TEST).parts[0]
        if path.parent != TEST:
            assert folder in FLOORS, f'name the folder {folder} in FLOORS'
            found[folder] += len(list(functions_of(path)))
    few = {name: (found[name], least) for name, least in FLOORS.items() if found[name] < least}
    assert not few, few


def test_this_run_has_collected_every_test_that_it_was_given(request):
    config = request.config
    if config.getoption('keyword') or config.getoption('markexpr') or \
            config.getoption('lf', False):
        pytest.skip('this run was asked for some of the tests only')
    given = [config.invocation_params.dir / word for word in config.args if '::' not in word]
    collected = {(item.path, getattr(item, 'originalname', item.name))
                 for item in request.session.items}
    lost = [f'{path.relative_to(TEST)}: {name}' for path in FILES
            if any(path.is_relative_to(place.resolve()) for place in given)
            for name, _ in functions_of(path) if (path, name) not in collected]
    assert lost == []


def test_the_plugins_of_a_ros_are_kept_out(pytestconfig):
    for name in ('launch_testing', 'launch_ros', 'launch_pytest'):
        assert pytestconfig.pluginmanager.is_blocked(name)


def test_what_lacks_a_package_is_skipped_test_by_test_and_takes_no_other_away(tmp_path):
    """Although a plugin imports each file; and what is missing without being optional is told."""
    (tmp_path / 'importing_plugin.py').write_text(PLUGIN)
    for name, first in ('lacks', 'import viser'), ('wrong', 'import nowhere'), ('works', ''):
        (tmp_path / f'test_{name}.py').write_text(
            f'{first}\n\n\ndef test_one():\n    pass\n\n\n'
            'class TestMore:\n    def test_two(self):\n        pass\n')
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-v', '-rs', '--continue-on-collection-errors',
         '-p', 'conftest', '-p', 'importing_plugin', '-p', 'no:cacheprovider',
         '-p', 'no:hypothesispytest', '-c', os.devnull, '--rootdir', tmp_path, tmp_path],
        cwd=tmp_path, text=True, capture_output=True, env=os.environ | {
            'PYTHONPATH': os.pathsep.join(map(str, (tmp_path, TEST, TEST / 'support')))})
    assert '2 passed, 2 skipped, 1 error' in done.stdout, done.stdout + done.stderr
    assert 'viser is not installed here: the extra [viewer]' in done.stdout
    assert "No module named 'nowhere'" in done.stdout


def test_only_optional_packages_may_be_missing():
    assert why_skipped(ImportError('x', name='viser')) is None      # it is there, and broken
    assert 'colcon build' in why_skipped(ModuleNotFoundError('x', name='kinema4d_ros.msg'))
    assert why_skipped(ModuleNotFoundError('x', name='kinema4d_ros.other')) is None


def calls_while_imported(tree: ast.Module):
    """Yield the calls of a file that are made when it is imported."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += getattr(node, 'decorator_list', [])
        else:
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize('text, count', [
    ("import pytest\npytest.importorskip('x')", 1), ("x = pytest.importorskip('x')", 1),
    ("if a:\n    pytest.skip('x', allow_module_level=True)", 1),
    ("def test_x():\n    pytest.importorskip('x')\n    pytest.skip('x')", 0),
    ("@pytest.mark.skipif(a, reason='')\ndef test_x():\n    pass", 0)])
def test_skips_of_modules_are_found(text, count):
    assert len(skips_of_module(ast.parse(text))) == count


def skips_of_module(tree: ast.Module) -> list[str]:
    return [ast.unparse(call) for call in calls_while_imported(tree)
            if ast.unparse(call.func).split('.')[-1] in ('importorskip', 'skip', 'exit', 'fail')
            and ast.unparse(call.func) not in ('sys.exit', 'pytest.mark.skip')]


def test_no_module_skips_itself_as_a_whole():
    found = {str(path.relative_to(TEST)): skips for path in TEST.rglob('*.py')
             if (skips := skips_of_module(ast.parse(path.read_text())))}
    assert found == {}
