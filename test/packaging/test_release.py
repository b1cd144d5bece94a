# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What release and continuous integration of others need stands in one place, and fits together."""
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from catkin_pkg.package import parse_package

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'scripts' / 'ci_ros.sh'
PACKAGE = parse_package(str(ROOT / 'package.xml'))


@pytest.fixture(scope='module')
def release_check():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location('release_check',
                                                  ROOT / 'scripts' / 'release_check.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_is_one_that_rosdep_knows(release_check):
    assert list(release_check.unknown_dependencies(PACKAGE)) == []


def test_none_of_them_is_of_pip(release_check):
    """Bloom makes no package that depends on one."""
    assert not [name for name in (*release_check.KEYS, *release_check.PACKAGES)
                if name.endswith('-pip')]


def test_the_maintainer_is_written_once():
    done = subprocess.run([sys.executable, 'setup.py', '--quiet', '--maintainer',
                           '--maintainer-email', '--author'], cwd=ROOT, text=True, check=True,
                          capture_output=True)
    (person,), (author,) = PACKAGE.maintainers, PACKAGE.authors
    assert done.stdout.splitlines() == [person.name, person.email, author.name]


def test_open_points_are_named(release_check, tmp_path):
    text = (ROOT / 'package.xml').read_text()
    shutil.copy(ROOT / 'CHANGELOG.rst', tmp_path)
    shutil.copy(ROOT / 'LICENSE', tmp_path)

    def found(text):
        (tmp_path / 'package.xml').write_text(text)
        return '\n'.join(release_check.open_points(tmp_path))

    good = re.sub(r'<maintainer.*?</maintainer>', '<maintainer email="a@b.org">A</maintainer>'
                  '<url type="repository">https://b.org/a</url>',
                  re.sub(r'<url.*?</url>', '', text))
    assert found(good) == ''
    for wrong, right, said in (
            ('a@b.org', 'a@b.example.org', 'which is an example: put in who answers'),
            ('type="repository"', 'type="website"', 'put in where the sources are'),
            (f'<version>{PACKAGE.version}', '<version>99.0.0', 'package.xml is 99.0.0'),
            ('<depend>std_msgs', '<depend>python3-trimesh-pip', 'no result that is pip'),
            ('<license file', '<licence file', 'package.xml: ')):
        assert said in found(good.replace(wrong, right)), said


def steps() -> set[str]:
    """Return the steps that the script has."""
    return set(re.search(r'of: ([a-z ]+)\n', SCRIPT.read_text()).group(1).split())


def test_the_script_has_the_steps_that_it_names():
    text = SCRIPT.read_text()
    assert subprocess.run(['bash', '-n', SCRIPT]).returncode == 0
    assert steps() == set(re.search(r'\n        ([a-z|]+)\) ;;', text).group(1).split('|'))
    assert steps() <= set(re.findall(r'^(\w+)\(\) \{', text, re.M))
    done = subprocess.run([SCRIPT], text=True, capture_output=True)
    assert done.returncode == 2 and 'of: dependencies' in done.stdout
    done = subprocess.run([SCRIPT, 'build', 'nothing'], text=True, capture_output=True)
    assert done.returncode == 2 and done.stdout == '' and 'unknown step: nothing' in done.stderr


def called(text: str) -> list[str]:
    """Return the steps that a file asks the script for."""
    return [step for words in re.findall(r'ci_ros\.sh((?: [a-z]+)+)', text)
            for step in words.split()]


def test_workflow_docker_and_dev_container_call_the_same_script():
    workflow = (ROOT / '.github' / 'workflows' / 'ros.yaml').read_text()
    assert called(workflow) == ['dependencies', 'environment', 'build', 'test', 'launch', 'rviz']
    container = (ROOT / '.devcontainer' / 'devcontainer.json').read_text()
    assert json.loads(container)['image'] == 'ros:jazzy'
    for text in ((ROOT / 'Dockerfile').read_text(), container):
        assert called(text) == ['dependencies', 'environment', 'build']
    for path in re.findall(r'scripts/\w+\.sh', container + (ROOT / 'Dockerfile').read_text()):
        assert (ROOT / path).stat().st_mode & 0o100, path


def test_workflows_run_both_distributions():
    for name in ('ros', 'wheels'):
        text = (ROOT / '.github' / 'workflows' / f'{name}.yaml').read_text()
        (job,) = yaml.safe_load(text)['jobs'].values()
        assert job['strategy']['matrix'] == {'ros_distro': ['jazzy', 'kilted']}


def test_pip_is_never_called_without_the_constraints():
    texts = {path: path.read_text() for path in (SCRIPT, ROOT / 'Dockerfile', *(
        ROOT / '.github' / 'workflows').iterdir(), *(ROOT / '.devcontainer').iterdir())}
    calls = [command for text in texts.values() for command in
             re.findall(r'pip"? install(?:\\\n|[^\n])*', text)]
    assert calls and all('requirements/constraints-ros.txt' in command for command in calls)
