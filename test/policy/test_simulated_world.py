# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The LIBERO simulator as a world for policies, where it is installed."""
import importlib.util
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros import __version__
from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.closed_loop.records import read_records
from kinema4d_ros.types import JointTrajectory

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'evaluate_policies.py'
with_simulator = pytest.mark.skipif(importlib.util.find_spec('libero') is None,
                                    reason='the LIBERO simulator is not installed (optional)')
without_simulator = pytest.mark.skipif(importlib.util.find_spec('libero') is not None,
                                       reason='the LIBERO simulator is installed')


@pytest.fixture(scope='module')
def world():
    from kinema4d_ros.episodes.libero.scene import LiberoScene
    from kinema4d_ros.policy.simulated.libero_world import LiberoWorld
    from kinema4d_ros.robot.robot import Robot
    robot = Robot.from_file(ROOT / 'urdf' / 'panda' / 'panda.urdf')
    return LiberoWorld(LiberoScene('libero_object', 0), robot, 10)


@pytest.fixture(scope='module')
def start(world, tmp_path_factory):
    from kinema4d_ros.episodes import Episode
    from kinema4d_ros.policy.task_start import TaskStart
    path = tmp_path_factory.mktemp('starts') / f'{world.name}.mcap'
    world.reset()
    world.write_start(path, (ROOT / 'urdf' / 'panda' / 'panda.urdf').read_text())
    return TaskStart.of(Episode.open(path))


def run(world, start, errors=None):
    """Return what comes of a script in the simulator."""
    from kinema4d_ros.policy.closed_loop.run import run_task
    from kinema4d_ros.policy.scripted import ScriptedErrors, ScriptedPolicy
    return run_task(ScriptedPolicy(start, errors or ScriptedErrors()), world).outcome


@with_simulator
def test_the_first_observation_is_written_as_it_is(world, start):
    observation = world.reset()
    assert start.name == world.name == 'libero_object_0_10'
    assert start.instruction == observation.instruction
    assert start.joint_positions == pytest.approx(observation.joint_positions)


@with_simulator
def test_the_expert_solves_the_task_the_same_way_twice(world, start):
    first, second = run(world, start), run(world, start)
    assert first.success and first.grasped and first.gap_at_closing == 0.0
    assert first == second or np.isnan(first.min_clearance)
    assert first.gap_at_closing == second.gap_at_closing


@with_simulator
def test_fingers_that_close_above_the_object_have_a_gap_and_no_grasp(world, start):
    from kinema4d_ros.policy.scripted import ScriptedErrors
    outcome = run(world, start, ScriptedErrors(early_closing=1.0))
    assert outcome.success is False and outcome.grasped is False
    assert 0.0 < outcome.gap_at_closing < 0.09


@with_simulator
def test_fingers_that_stay_open_have_no_gap(world, start):
    world.reset()
    here = [start.joint_positions[name] for name in start.joint_positions]
    world.execute(JointTrajectory(tuple(start.joint_positions), np.array([0.0, 0.5]),
                                  np.array([here, here])))
    outcome = world.outcome()
    assert np.isinf(outcome.gap_at_closing) and outcome.is_near_miss is False
    assert outcome.success is False


@with_simulator
def test_a_joint_that_the_robot_lacks_is_named(world):
    world.reset()
    with pytest.raises(PolicyError, match='no joint wheel'):
        world.execute(JointTrajectory(('wheel',), np.array([0.0, 1.0]), np.zeros((2, 1))))


@with_simulator
def test_an_object_that_was_put_elsewhere_stands_there_in_each_run(world, start):
    from kinema4d_ros.policy.simulated.libero_world import LiberoWorld
    world.reset()
    scene, thing = world._scene, world.goal.thing
    assert world.put_aside(np.array([0.03, -0.02]))
    there = scene.object_pose(thing)
    np.testing.assert_allclose(there[:2, 3] - start.T_base_object[:2, 3], [0.03, -0.02], atol=5e-3)
    again = LiberoWorld(scene, world.robot, 10, T_base_object=there)
    for _ in range(2):
        again.reset()
        np.testing.assert_allclose(scene.object_pose(thing), there, atol=2e-3)
    world.reset()
    np.testing.assert_allclose(scene.object_pose(thing), start.T_base_object, atol=1e-6)
    # into the object beside it: no place to stand
    other = next(name for name in scene.objects if name != thing and 'basket' not in name)
    aside = (scene.object_pose(other) - scene.object_pose(thing))[:2, 3]
    assert not world.put_aside(aside)


def command(*arguments):
    """Run the script to its end."""
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], text=True, timeout=120,
                          capture_output=True, check=False)


def test_initial_states_that_are_kept_apart_are_refused(tmp_path):
    done = command('starts', '--task', 'libero_object/0', '--init', '29-31', '--out', tmp_path)
    assert done.returncode == 1 and '[30, 31] are kept apart' in done.stderr


@without_simulator
def test_a_missing_simulator_says_what_to_install(tmp_path):
    done = command('starts', '--task', 'libero_object/0', '--init', '0', '--out', tmp_path)
    assert done.returncode == 1
    assert 'requirements/sim.txt' in done.stderr and 'Traceback' not in done.stderr


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('evaluate_policies', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(('arguments', 'words'), [
    (('--task', 'bowl', '--init', '0'), '--task bowl is not of the form SUITE/NUMBER'),
    (('--task', 'libero_object/0', '--init', '9-0'), "invalid numbers value: '9-0'"),
    (('--task', 'libero_object/0', '--init', '0', '--copies', '2'), 'alike without --displaced')])
def test_starts_that_mean_nothing_are_wrong_usage(script, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(sys, 'argv', ['evaluate_policies.py', 'starts', *arguments, '--out', 'o'])
    with pytest.raises(SystemExit, match='2'):
        script.arguments()
    assert words in capsys.readouterr().err


def test_two_files_of_one_name_are_no_two_policies(script, tmp_path):
    (tmp_path / 'start.mcap').touch()
    asked = Namespace(command='predict', world='kinematic', starts=tmp_path, out=tmp_path / 'out',
                      policy='a/seeing_400.npz,b/seeing_400.npz', seed=[0], horizon=0.5, workers=0,
                      ray='')
    with pytest.raises(PolicyError, match='two policies are called seeing_400.*a/see.*b/see'):
        script.run_all(asked)


def test_each_client_is_served_a_policy_of_its_own(script, monkeypatch):
    """What one policy remembers of one run is no matter of another run at the same time."""
    from kinema4d_ros.episodes import Episode
    from kinema4d_ros.policy.scripted import ScriptedPolicy
    from kinema4d_ros.policy.task_start import TaskStart
    from kinema4d_ros.policy.types import PolicyObservation
    from kinema4d_ros.policy.wire import ObservationKeys, PolicyClient, PolicyServer, StateKey
    start = TaskStart.of(Episode.open('libero_object_0_0_success'))
    seen = PolicyObservation(start.instruction, {}, start.joint_positions)
    keys = ObservationKeys(states=(StateKey(('observation/joint_position',),
                                            tuple(start.joint_positions)),))
    alone = ScriptedPolicy(start)
    alone.reset(start.instruction, 0)
    expected = [alone.act(seen) for _ in range(3)]
    found = []

    def ask(server):
        with PolicyClient(server.address, alone.action_format, keys) as one, \
                PolicyClient(server.address, alone.action_format, keys) as other:
            one.reset(start.instruction, 0)
            found.extend(one.act(seen) for _ in range(2))
            other.reset(start.instruction, 0)
            other.act(seen)
            found.append(one.act(seen))

    monkeypatch.setattr(PolicyServer, 'wait', ask)
    script.serve(Namespace(start='libero_object_0_0_success', policy='expert', port=0))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_runs_are_made_by_the_pool_and_go_on_where_they_were(tmp_path, capsys, script):
    """Records tell what world and policy were; what is damaged stops no other run."""
    starts, out = tmp_path / 'starts', tmp_path / 'kinematic'
    starts.mkdir()
    name = 'libero_object_0_0_success.mcap'
    (starts / name).symlink_to(ROOT / 'data' / 'episodes' / name)
    damaged = starts / 'damaged.mcap'
    damaged.write_bytes(b'no recording')
    asked = Namespace(command='predict', world='kinematic', starts=starts, out=out, policy='weak',
                      seed=[0], horizon=0.5, workers=0, ray='')
    with pytest.raises(PolicyError, match='1 of 2 runs gave no result.*damaged.mcap'):
        script.run_all(asked)
    record, broken = sorted(read_records(out), key=lambda record: record.error)
    assert broken.start == 'damaged' and 'damaged.mcap' in broken.error
    assert record.policy == 'weak' and 'scripted?name=weak&aim=0.0&' in record.policy_address
    assert 'grip=0.0&' not in record.policy_address      # it is the one whose fingers stop
    assert record.world.endswith('state_policies:predicted?world_model=kinematic')
    version = json.loads(record.world_version)
    assert version['package'] == __version__ and version['limits']['horizon'] == 0.5
    damaged.unlink()
    script.run_all(asked)
    assert '1 of 1 runs are there already' in capsys.readouterr().out
    asked.horizon = 1.0
    with pytest.raises(ConfigurationError, match='made otherwise'):
        script.run_all(asked)
