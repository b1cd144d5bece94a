# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the launch file starts, what it refuses before that, and how all of it ends."""
import ast
import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import launched
import pytest
import yaml
from graph import FakeRobot, LIMIT, made, ROOT
from kinema4d_ros.msg import Verdict
from launched import FILE, launch_file, make_package, what_starts

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.episodes import Episode
from kinema4d_ros.nodes.episode_player import TABLE as PLAYER_TABLE
from kinema4d_ros.nodes.chunks.parameters import ACTION_CHUNK_PROXY, POLICY_PROXY
from kinema4d_ros.nodes.launch_arguments import main as launch_arguments
from kinema4d_ros.nodes.recorder.node import TABLE as RECORDER_TABLE
from kinema4d_ros.nodes.set_point_gate.parameters import TABLE as SET_POINT_TABLE
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.trajectory_gate.parameters import TABLE as GATE_TABLE
from kinema4d_ros.nodes.viewer import TABLE as VIEWER_TABLE
from kinema4d_ros.robot import Robot

pytestmark = pytest.mark.timeout(180)
EPISODE = 'libero_object_0_0_success'
URDF = str(ROOT / 'urdf' / 'demo_arm.urdf')
TABLES = {'shadow_sim': TABLE, 'episode_player': PLAYER_TABLE, 'trajectory_gate': GATE_TABLE,
          'set_point_gate': SET_POINT_TABLE, 'viewer': VIEWER_TABLE, 'recorder': RECORDER_TABLE,
          'policy_proxy': POLICY_PROXY, 'action_chunk_proxy': ACTION_CHUNK_PROXY}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Install stand-ins of the packages of others, and return the prefix that has them."""
    prefix = tmp_path / 'prefix'
    make_package(prefix, 'robot_state_publisher', launched.ROBOT_STATE_PUBLISHER)
    make_package(prefix, 'rviz2', launched.RVIZ)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{prefix}:{os.environ["AMENT_PREFIX_PATH"]}')
    return prefix


@pytest.fixture
def said(caplog):
    """Return what the launch file logs, as a function; the real launch does not propagate it."""
    logger = logging.getLogger('shadow_sim.launch')
    logger.addHandler(caplog.handler)
    yield lambda: caplog.text
    logger.removeHandler(caplog.handler)


def names(**arguments):
    """Return the names of the executables that would be started, in order."""
    return [each.name for each in what_starts(**arguments)]


def one(name, **arguments):
    """Return the one process of this name that would be started."""
    found, = [each for each in what_starts(**arguments) if each.name == name]
    return found


# ------------------------------------------------------------------------ what is started

@pytest.mark.parametrize(('arguments', 'started'), [
    ({}, ['shadow_sim', 'rviz2']),
    ({'rviz': 'false'}, ['shadow_sim']),
    ({'urdf': URDF}, ['shadow_sim', *['robot_state_publisher'] * 2, 'rviz2']),
    ({'controller': '/arm'}, ['shadow_sim', 'trajectory_gate', 'rviz2']),
    ({'set_points': '/arm'}, ['shadow_sim', 'set_point_gate', 'rviz2']),
    ({'policy_server': 'ws://a:1', 'policy': 'droid'}, ['shadow_sim', 'policy_proxy', 'rviz2']),
    ({'policy_service': '/policy'}, ['shadow_sim', 'action_chunk_proxy', 'rviz2']),
    ({'viewer': 'true', 'record': 'true'}, ['shadow_sim', 'rviz2', 'viewer', 'recorder'])], ids=str)
def test_what_is_started(packages, arguments, started):
    assert names(**arguments) == started


def test_every_parameter_that_is_set_exists_and_every_node_ends_with_its_launcher(packages):
    started = what_starts(episode=EPISODE, record='true', controller='/arm', viewer='true',
                          set_points='/hand', set_point_kind='velocity',
                          world_model='frozen', device='cpu', autostart='false',
                          policy_server='ws://a:1', policy='droid', policy_service='/policy')
    assert [each.name for each in started] == [
        'shadow_sim', 'episode_player', 'trajectory_gate', 'set_point_gate', 'policy_proxy',
        'action_chunk_proxy',
        *['robot_state_publisher'] * 2, 'rviz2', 'viewer', 'recorder']
    assert started[0].parameters['world_model'] == 'frozen'
    assert started[1].parameters['publish_clock'] is False
    # the player publishes the description, so nobody else may
    assert [each.remappings['robot_description'] for each in started[6:8]] == [
        'played/robot_description', 'shadow/robot_description']
    for each in started:
        if each.name in TABLES:
            given = each.parameters
            assert (given.pop('launcher_pid'), given.pop('use_sim_time')) == (os.getpid(), False)
            text = yaml.safe_dump({'/**': {'ros__parameters': given}})
            checked = TABLES[each.name].check_yaml(text, each.name)
            assert checked.get('device', 'cpu') == 'cpu'


def test_what_the_arguments_do(packages):
    plain = one('shadow_sim')
    assert plain.parameters['world_model'] == TABLE.validate({})['world_model']
    assert plain.parameters['autostart'] is True
    assert plain.command[1:4] == ['--ros-args', '--log-level', 'info']
    assert plain.environment[profile := 'FASTRTPS_DEFAULT_PROFILES_FILE'].endswith('/fastdds.xml')
    assert plain.remappings == {'__ns': '/', '/tf': 'tf', '/tf_static': 'tf_static'}
    for name, by in ('trajectory_gate', 'controller'), ('viewer',) * 2, ('recorder', 'record'):
        assert one(name, **{by: 'true'}).environment[profile].endswith('_small.xml')
    own = one('shadow_sim', device='cpu', autostart='false', namespace='cell/left',
              large_messages='false', camera_file=str(ROOT / 'config' / 'camera.yaml'))
    assert own.parameters['device'] == 'cpu' and own.parameters['autostart'] is False
    assert len(own.parameters['extrinsics']) == 7 and own.remappings['__ns'] == '/cell/left'
    assert own.environment.get(profile) == os.environ.get(profile)
    rviz = one('rviz2', namespace='cell')
    assert rviz.remappings['/predicted/points'] == 'predicted/points'
    assert one('recorder', record='true', recording='2026').parameters['output'] == '2026'


def test_cameras_are_named_to_all_who_see(packages):
    started = {each.name: each.parameters for each in what_starts(
        cameras='front, wrist', viewer='true', record='true', episode=EPISODE,
        camera_file=str(ROOT / 'config' / 'cameras.yaml'))}
    for name in ('shadow_sim', 'viewer', 'recorder', 'episode_player'):
        assert started[name]['cameras'] == ['front', 'wrist']
    assert started['viewer']['front'] == started['shadow_sim']['front']
    assert one('recorder', record='true').parameters['cameras'] == ['camera']
    assert one('shadow_sim', cameras='[eye]').parameters['cameras'] == ['eye']


def test_two_robots_one_seen_one_predicted(packages):
    live, shadow = [each for each in what_starts(urdf=URDF)
                    if each.name == 'robot_state_publisher']
    text = live.parameters['robot_description']
    assert text == shadow.parameters['robot_description']
    assert Robot.from_urdf(text).description_hash == Robot.from_urdf(
        Path(URDF).read_text()).description_hash
    assert 'frame_prefix' not in live.parameters
    assert shadow.parameters['frame_prefix'] == TABLE.validate({})['shadow_prefix']
    assert shadow.remappings['joint_states'] == 'predicted/joint_states'
    assert live.remappings['robot_description'] == 'robot_description'


def test_an_episode_is_played_as_the_robot(packages):
    started = {each.name: each for each in what_starts(
        episode=EPISODE, use_sim_time='true', record='true', at_end='hold')}
    player = started['episode_player'].parameters
    assert player['wait_for_ready'] == ['shadow_sim'] and player['subscribers'] == 2
    assert player['publish_clock'] is True and player['at_end'] == 'hold'
    assert started['shadow_sim'].parameters['use_sim_time'] is True


def documented():
    """Return what the docs say to type after `ros2 launch kinema4d_ros shadow_sim.launch.py`."""
    pages = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), FILE]
    found = {match.strip() for page in pages for match in re.findall(
        r'ros2 launch kinema4d_ros shadow_sim\.launch\.py([^\n#`]*)', page.read_text())}
    return sorted(line for line in found if '--show-args' not in line)


@pytest.mark.parametrize('line', documented())
def test_every_documented_command_starts_something(packages, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)       # with the files in it that a reader would have
    for name in ('camera.yaml', 'cameras.yaml'):
        shutil.copy(ROOT / 'config' / name, tmp_path)
    for name in ('my.urdf.xacro', 'my.urdf'):
        shutil.copy(URDF, tmp_path / name)
    arguments = dict(word.split(':=', 1) for word in shlex.split(line))
    if arguments.get('episode', EPISODE) == 'my_session':
        arguments['episode'] = EPISODE
    assert 'shadow_sim' in names(**arguments)


def test_what_rviz_shows_follows_the_namespace():
    text = (ROOT / 'config' / 'shadow_sim.rviz').read_text()
    in_config = {line.partition(': ')[2] for line in text.splitlines()
                 if line.partition(': ')[2].startswith('/')}
    assert in_config <= {f'/{topic}' for topic in launch_file().SHOWN}


def test_arguments_are_described_and_used():
    module, text = launch_file(), FILE.read_text()
    for argument in module.ARGUMENTS:
        uses = len(re.findall(rf"'{argument.name}'", text))
        assert uses > 1, f'{argument.name} is declared, and nothing else'
    described = re.findall(r'DeclareLaunchArgument\(.*?description=', text, re.S)
    assert len(described) == len(module.ARGUMENTS)


def test_nothing_is_started_before_all_is_checked():
    """The order of the launch file: arguments, the check, and only then a group with nodes."""
    tree = ast.parse(FILE.read_text())
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    description = next(each for each in ast.walk(functions['generate_launch_description'])
                       if isinstance(each, ast.List))
    first, second, *others = description.elts
    assert ast.unparse(first) == '*ARGUMENTS'
    assert ast.unparse(second) == 'OpaqueFunction(function=check)'
    assert not any('Node(' in ast.unparse(each) for each in others)
    assert 'OpaqueFunction(function=nodes)' in ast.unparse(others[-1])
    for name, function in functions.items():
        if name not in ('ours', 'robot_state_publishers', 'nodes'):
            assert not re.search(r'\bNode\(', ast.unparse(function)), name
    # no substitution that runs a program, or may fail, is left for later
    assert not re.search(r'\b(Command|FindExecutable|PythonExpression)\b', FILE.read_text())


# ------------------------------------------------------------------------ what is refused

@pytest.mark.parametrize(('arguments', 'words'), [
    ({'episode': EPISODE, 'urdf': URDF}, 'exclude each other'),
    ({'urdf': 'urdf/demo_arm.urfd'}, r'urdf:=urdf/demo_arm.urfd is no file'),
    ({'urdf': 'README.md'}, 'README.md'),
    ({'urdf': 'urdf/panda.urdf'}, r'beside it there are: demo_arm.urdf'),
    ({'controller': '/arm', 'gate_file': 'gate.yaml'}, 'gate_file:=gate.yaml is no file'),
    ({'set_points': '/arm', 'set_point_file': 'a.yaml'}, 'set_point_file:=a.yaml is no file'),
    ({'policy_server': 'ws://a:1'}, 'go together'), ({'policy': 'droid'}, 'go together'),
    ({'cameras': 'front,front'}, 'each once: letters, digits and _, with commas'),
    ({'cameras': 'left/eye'}, 'such as front,wrist'),
    ({'params_file': 'config/shadow.yaml'}, r'there are: .*camera.yaml, .*shadow_sim.yaml'),
    ({'camera_file': 'data'}, 'camera_file:=data is no file'),
    ({'camera_file': 'LICENSE'}, 'camera_file:=LICENSE cannot be used'),
    ({'world_model': 'frosen'}, 'world_model:=frosen is none, valid: cosmos, frozen, kinema4d'),
    ({'rviz_config': 'none.rviz'}, 'rviz_config:=none.rviz is no file'),
    ({'record': 'true', 'recording': 'docs'}, 'recording:=docs is there already'),
    ({'namespace': 'my robot'}, 'namespace:=my robot is no ROS name'),
    ({'at_end': 'never'}, 'at_end.*never.*exit'),
], ids=str)
def test_a_wrong_argument_is_refused_before_anything_is_started(
        packages, monkeypatch, arguments, words):
    monkeypatch.chdir(ROOT)
    with pytest.raises(RuntimeError, match=f'(?s){words}'):
        what_starts(**arguments)


def test_packages_that_are_missing(packages, said):
    shutil.rmtree(packages / 'lib' / 'rviz2')
    assert names() == ['shadow_sim']      # nobody needs RViz2
    assert 'rviz2' in said() and 'going on without it' in said()
    (packages / 'share/ament_index/resource_index/packages/robot_state_publisher').unlink()
    if shutil.which('ros2') is None:      # where ROS is installed there is a real one
        with pytest.raises(RuntimeError, match='apt-get install ros-.*-robot-state-publisher'):
            what_starts(urdf=URDF)


def xacro(folder, monkeypatch, code):
    """Have a program `xacro` that does what `code` says, in a shell."""
    path = folder / 'bin' / 'xacro'
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\n{code}\n')
    path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{path.parent}:{os.environ["PATH"]}')


def test_a_xacro_that_only_warns(packages, tmp_path, monkeypatch, said):
    xacro(tmp_path, monkeypatch, 'echo "deprecated: load_yaml" >&2; cat "$1"')
    live = what_starts(urdf=URDF)[1]
    assert '<robot' in live.parameters['robot_description']
    assert 'deprecated: load_yaml' in said()


def test_a_xacro_that_fails(packages, tmp_path, monkeypatch):
    xacro(tmp_path, monkeypatch, 'echo "undefined macro: arm" >&2; exit 2')
    with pytest.raises(RuntimeError, match='undefined macro: arm'):
        what_starts(urdf=URDF)


def test_a_robot_that_needs_xacro_where_there_is_none(packages, tmp_path, monkeypatch):
    path = tmp_path / 'arm.urdf.xacro'
    path.write_text('<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="arm"/>')
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    with pytest.raises(RuntimeError, match='needs xacro.*apt-get install'):
        what_starts(urdf=str(path))
    path.write_text(Path(URDF).read_text())
    assert names(urdf=str(path)).count('robot_state_publisher') == 2


def test_what_the_launch_file_asks_the_package(capsys):
    assert launch_arguments([f'--episode={EPISODE}', '--world-model=frozen']) == 0
    assert '<robot' in capsys.readouterr().out
    assert launch_arguments(['--episode=no_such_episode']) == 1
    assert 'no such episode' in capsys.readouterr().err
    assert launch_arguments(['--world-model=mine:Own']) == 0
    assert launch_arguments([]) == 0


# ------------------------------------------------------------------------ started for real

class Launched:
    """A launcher in a process group of its own, as of a terminal, and what it has started."""

    def __init__(self, *arguments):
        self._log = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(
            [sys.executable, launched.__file__, *arguments], stdout=self._log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, process_group=0,
            env={**os.environ, 'PYTHONUNBUFFERED': '1'})

    def output(self):
        """Return what all of them wrote so far."""
        self._log.seek(0)
        return self._log.read()

    def started(self):
        """Return name and number of each process that was started, as it is told."""
        return [(name, int(pid)) for name, pid in re.findall(
            r'\[([a-z_0-9]+)-\d+\]: process started with pid \[(\d+)\]', self.output())]

    def running(self, *names):
        """Return which of these, or of all that were started, run."""
        return [name for name, pid in self.started() if runs(pid) and (not names or name in names)]

    def interrupt(self):
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def clean(self):
        """Return whether nothing that was written is a complaint."""
        return not re.search(
            r'Traceback|never awaited|never retrieved|signal 2|\[ERROR\] \[\d', self.output())


@contextlib.contextmanager
def launching(*arguments):
    """Give a launcher, and leave nothing of it behind."""
    launcher = Launched(*arguments)
    try:
        yield launcher
    finally:
        for _, pid in [('launcher', launcher.process.pid), *launcher.started()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        launcher.process.wait()


def runs(pid):
    """Return whether a process runs, and is no zombie."""
    try:
        return Path('/proc', str(pid), 'stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_an_episode_in_a_namespace_with_all_that_goes_with_it(ros_domain, packages, tmp_path):
    with made() as graph, launching(
            f'episode:={EPISODE}', 'namespace:=cell', 'controller:=/arm', 'record:=true',
            f'recording:={tmp_path / "bag"}', 'use_sim_time:=true', 'at_end:=hold') as launcher:
        verdicts = graph.listen('/cell/verdict', Verdict, qos.VERDICT)
        graph.wait(lambda: [v for v in verdicts if v.final], launcher.output)
        first = verdicts[0]
        assert first.status == Verdict.PASS, first.summary      # and so it is from the beginning
        recorded = Episode.open(EPISODE).frames[0].stamp_ns
        assert abs(stamp_ns(first.header.stamp) - recorded) < 60e9      # the time of the episode
        assert sorted(launcher.running()) == [
            'episode_player', 'recorder', *['robot_state_publisher'] * 2, 'rviz2', 'shadow_sim',
            'trajectory_gate']
        launcher.interrupt()
        launcher.process.wait(LIMIT)
        assert launcher.running() == [], launcher.output()
        assert (tmp_path / 'bag' / 'metadata.yaml').is_file()
        assert launcher.clean(), launcher.output()


def test_nodes_end_with_a_launcher_that_is_killed(ros_domain, packages):
    with made() as graph, launching(f'urdf:={URDF}', 'controller:=/arm', 'rviz:=false') as launcher:
        robot = FakeRobot(graph)
        graph.wait(lambda: robot.trajectory.get_subscription_count() and 'mode enforce'
                   in launcher.output(), 'the nodes')
        assert launcher.running(*TABLES) == ['shadow_sim', 'trajectory_gate']
        launcher.process.kill()
        launcher.process.wait()
        graph.wait(lambda: not launcher.running(*TABLES), 'the end of its nodes')


def test_ctrl_c_while_everything_still_starts(ros_domain, packages):
    with made() as graph, launching(f'episode:={EPISODE}', 'viewer:=true') as launcher:
        graph.wait(lambda: 'loading the world model' in launcher.output(), 'a worker')
        launcher.interrupt()
        launcher.process.wait(LIMIT)
        assert launcher.running() == [] and launcher.started()
        assert launcher.clean(), launcher.output()


def test_a_wrong_argument_ends_the_launch_and_starts_nothing(ros_domain, packages):
    with launching('episode:=no_such', 'controller:=/arm') as launcher:
        assert launcher.process.wait(LIMIT) == 1
        assert launcher.started() == []
        assert re.search('no such episode.*no_such.*bundled.*' + EPISODE, launcher.output())
