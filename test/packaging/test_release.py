# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What release and continuous integration of others need stands in one place, and fits together."""
import importlib.util
import json
import os
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


def test_workflows_name_no_path_of_the_host_and_no_index():
    """In a container job github.workspace is a path of the host, which is not there."""
    for path in (ROOT / '.github' / 'workflows').iterdir():
        text = path.read_text()
        assert '${{ github.workspace }}' not in text and 'https://' not in text
    steps = yaml.safe_load((ROOT / '.github/workflows/ros.yaml').read_text())[
        'jobs']['workspace']['steps']
    runs = [step.get('run', '') for step in steps]
    assert all(f'echo "{name}=$GITHUB_WORKSPACE/' in runs[0] for name in ('WS', 'OUT'))
    assert next(at for at, run in enumerate(runs) if 'safe.directory' in run) < next(
        at for at, run in enumerate(runs) if run.endswith(' test'))


def test_what_is_run_where_only_kilted_is_set_up_needs_no_environment():
    assert '.venv/' not in (ROOT / '.ci' / 'run').read_text()


LAUNCH = '''#!{python}
import os, signal, subprocess, sys, time
if sys.argv[1:3] == ['topic', 'echo']:
    while not os.path.exists('{folder}/child'):
        time.sleep(0.01)
    sys.exit(int('{code}'))
if '--show-args' in sys.argv:
    sys.exit()
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: None)
# As launch, it leaves SIGINT to who sends it to the group.
child = subprocess.Popen([sys.executable, '-c', """import os, time
with open('{folder}/new', 'w') as file:
    file.write(str(os.getpid()))
os.rename('{folder}/new', '{folder}/child')
time.sleep(60)
"""])
child.wait()
'''


@pytest.mark.parametrize('code', [0, 1], ids=['verdict', 'no verdict'])
def test_ctrl_c_reaches_all_that_was_launched(tmp_path, code):
    (tmp_path / 'ros' / 'jazzy').mkdir(parents=True)
    for name in ('ros/jazzy/setup.bash', 'environment/bin/activate', 'install/setup.bash'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('')
    tools = {'ros2': LAUNCH.format(python=sys.executable, folder=tmp_path, code=code),
             'pgrep': '#!/bin/sh\nexit 1\n'}     # others of this machine are not of this test
    (tmp_path / 'tools').mkdir()
    for name, text in tools.items():
        (tmp_path / 'tools' / name).write_text(text)
        (tmp_path / 'tools' / name).chmod(0o755)
    script = tmp_path / 'ci_ros.sh'
    script.write_text(SCRIPT.read_text().replace('/opt/ros/', f'{tmp_path}/ros/'))
    done = subprocess.run(['bash', script, 'launch'], text=True, capture_output=True, timeout=30,
                          env={**os.environ, 'ROS_DISTRO': 'jazzy', 'WS': str(tmp_path),
                               'OUT': str(tmp_path / 'out'),
                               'PATH': f'{tmp_path / "tools"}:{os.environ["PATH"]}'})
    assert done.returncode == code, done.stdout + done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'child').read_text()), 0)
