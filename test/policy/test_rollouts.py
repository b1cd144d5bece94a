# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plans of runs: in processes, killed, resumed, and from the command line."""
import dataclasses
import json
import os
import re

import numpy as np
import pytest
import rollout_policies

from kinema4d_ros.cli.main import main
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy import PolicyPreset, TaskOutcome
from kinema4d_ros.policy.closed_loop import RolloutRecord, RunEnd, RunLimits
from kinema4d_ros.policy.closed_loop.film import film_name
from kinema4d_ros.policy.closed_loop.makers import make_policy, make_world, RunContext
from kinema4d_ros.policy.closed_loop.plan import (address_parts, named_policies, planned_runs,
                                                  RolloutSettings)
from kinema4d_ros.policy.closed_loop.records import read_records, RecordFile
from kinema4d_ros.policy.closed_loop.rollouts import run_rollouts
from kinema4d_ros.policy.wire import preset_keys, serve_policy
from kinema4d_ros.policy.wire.pictures import resized_with_pad
from kinema4d_ros.robot import Robot

GOOD = str(find_episode('libero_object_0_0_success'))
MISSED = str(find_episode('libero_object_0_0_missed_grasp'))
SHORT = RolloutSettings(limits=RunLimits(horizon=0.4))
HERE = f'python:{rollout_policies.__name__}'


# ----------------------------------------------------------------------------- plans


def test_a_plan_is_every_policy_from_every_start():
    runs = planned_runs({'a': 'still', 'b': 'recorded'}, ['x.mcap', 'y.mcap', 'x.mcap'], (0, 7))
    assert len(runs) == len(set(runs)) == 8
    assert [run.policy for run in runs[:2]] == ['a', 'b'] and runs[0].start == runs[1].start
    with pytest.raises(ConfigurationError, match='one of each or more'):
        planned_runs({}, ['x.mcap'])


def test_policies_have_names_or_are_called_as_their_address():
    text = 'openpi://localhost:8000?preset=droid'
    assert named_policies([f'pi05={text}', 'still', text]) == {
        'pi05': text, 'still': 'still', text: text}
    with pytest.raises(ConfigurationError, match='two policies are called a'):
        named_policies(['a=still', 'a=recorded'])
    assert address_parts('python:m:f?x=1&y=') == ('python:m:f', {'x': '1', 'y': ''})
    with pytest.raises(ConfigurationError, match='KEY=VALUE'):
        address_parts('python:m:f?x')


@pytest.fixture(scope='module')
def context():
    episode = Episode.open(GOOD)
    return RunContext(Robot.from_urdf(episode.robot_description), episode)


@pytest.mark.parametrize('address, said', [
    ('nowhere', "nothing at 'nowhere'"), ('python:no_such_module:make', 'cannot be loaded'),
    ('python:math:tau2', 'cannot be loaded'), (f'{HERE}:RunContext', "has no act"),
    ('openpi://localhost:1', 'needs .preset=NAME'),
    ('openpi://localhost:1?preset=droid&speed=2', 'unknown options speed'),
    ('openpi://localhost:1?preset=mars', 'no policy preset'),
    ('openpi://localhost:1?preset=libero&timeout=soon', 'no number')])
def test_an_address_without_a_policy_is_refused(context, address, said):
    if address.endswith('RunContext'):
        address = f'{HERE}:still_world'
    with pytest.raises(ConfigurationError, match=said):
        make_policy(address, context)


def test_a_preset_makes_a_client_for_this_robot(context):
    pytest.importorskip('websockets')
    policy = make_policy('openpi://localhost:1?preset=libero&timeout=2', context)
    assert policy.action_format.tip_link == 'panda_hand' and policy.keys.executed == 5
    assert policy.connection.address == 'ws://localhost:1'


def test_what_is_no_world_is_refused(context):
    with pytest.raises(ConfigurationError, match='is no world'):
        make_world(f'{HERE}:killing?folder=x', context)
    assert make_world(f'{HERE}:still_world?succeeds=no', context).outcome().success is False


# --------------------------------------------------------------------------- records


def record(policy='a', error='', start='s'):
    made = RolloutRecord(policy, 't', start, 0, 'w', TaskOutcome(True, 1.0), RunEnd.SOLVED)
    return made.with_error(error) if error else made


def test_records_are_appended_and_the_last_with_a_result_counts(tmp_path):
    with RecordFile(tmp_path) as file:
        assert file.before == []
        for each in (record(), record('b', 'no server'), record('b'), record('b', 'no server')):
            file.add(each)
    assert [(each.policy, each.error) for each in read_records(tmp_path)] == [('a', ''), ('b', '')]


def test_a_line_that_was_cut_off_is_dropped_and_the_rest_stays(tmp_path):
    with RecordFile(tmp_path) as file:
        file.add(record())
        path = file.path
    with path.open('a') as torn:
        torn.write(record('b').to_json()[:40])
    with RecordFile(tmp_path) as file:
        assert [each.policy for each in file.before] == ['a']
        file.add(record('c'))
    assert [each.policy for each in read_records(path)] == ['a', 'c']


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / 'records.jsonl').write_text(record().to_json() + '\n{}\n')
    with pytest.raises(PolicyError, match=r'records.jsonl, line 2'):
        read_records(tmp_path)
    with pytest.raises(PolicyError, match='line 2'):
        RecordFile(tmp_path)


def test_two_do_not_write_one_file(tmp_path):
    with RecordFile(tmp_path), pytest.raises(PolicyError, match='another process'):
        RecordFile(tmp_path)


# ------------------------------------------------------------------------------ runs


def test_runs_are_made_in_this_process_and_kept(tmp_path):
    runs = planned_runs({'still': 'still'}, [GOOD, MISSED])
    seen = []
    first = run_rollouts(runs, SHORT, tmp_path, jobs=0,
                         progress=lambda *all: seen.append(all[1:]))
    assert [each.success for each in first] == [False, False]
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert first[0].task == 'libero_object/0' and first[0].world == 'predicted:kinematic'
    assert first[0].instruction.startswith('pick up the alphabet soup')
    again = run_rollouts(runs, SHORT, tmp_path, jobs=0)
    assert [each.to_json() for each in again] == [each.to_json() for each in first]
    assert len((tmp_path / 'records.jsonl').read_text().splitlines()) == 2


def test_what_breaks_is_in_the_record_and_the_other_runs_go_on(tmp_path):
    runs = planned_runs({'broken': f'{HERE}:broken', 'still': 'still'}, [GOOD])
    first, second = run_rollouts(runs, SHORT, tmp_path, jobs=0)
    assert 'the weights are not there' in first.error and 'Traceback' in first.error
    assert first.success is None and not second.error


def test_another_goal_may_judge(tmp_path):
    settings = dataclasses.replace(RolloutSettings(limits=RunLimits(horizon=2.4)), goal='lift')
    (made,) = run_rollouts(planned_runs({'recorded': 'recorded'}, [GOOD]), settings, tmp_path,
                           jobs=0)
    assert made.success is True and made.ended is RunEnd.SOLVED      # it is not yet in the basket
    wrong = dataclasses.replace(settings, goal='fly')
    with pytest.raises(ConfigurationError, match="unknown goal rubric 'fly'; name a YAML file"):
        run_rollouts(planned_runs({'still': 'still'}, [GOOD]), wrong, tmp_path, jobs=0)


def test_any_world_can_be_named(tmp_path):
    settings = dataclasses.replace(SHORT, world=f'{HERE}:still_world?succeeds=yes')
    (made,) = run_rollouts(planned_runs({'still': 'still'}, [GOOD]), settings, tmp_path, jobs=0)
    assert made.success is True and made.world == settings.world
    filmed = dataclasses.replace(settings, videos=str(tmp_path))
    with pytest.raises(ConfigurationError, match='has no film'):
        run_rollouts(planned_runs({'other': 'still'}, [GOOD]), filmed, tmp_path, jobs=0)


class Rests:
    """A policy of LIBERO's kind on a server, which keeps what it was shown."""

    def __init__(self, robot):
        self.action_format = PolicyPreset.load('libero').action_format(robot)
        self.seen = []

    def reset(self, instruction, seed):
        pass

    def act(self, observation):
        self.seen.append(observation)
        return np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0], (10, 1))


def test_a_policy_on_a_server_acts_in_the_predicted_world(tmp_path, context):
    """Through the wire: pictures there, chunks back, of which the preset's part is executed."""
    needed = 'Python packages of the extra [policy] are not installed here'
    pytest.importorskip('websockets', reason=needed), pytest.importorskip('msgpack', reason=needed)
    policy = Rests(context.robot)
    keys = preset_keys(PolicyPreset.load('libero'), context.robot, policy.action_format)
    settings = RolloutSettings(limits=RunLimits(horizon=0.75), wrist='libero')
    with serve_policy(policy, keys, robot=context.robot, port=0) as server:
        address = server.address.replace('ws://', 'openpi://') + '?preset=libero'
        (made,) = run_rollouts(planned_runs({'rests': address}, [GOOD]), settings, tmp_path,
                               jobs=0)
    assert not made.error and made.success is False
    assert (made.chunks, made.actions, made.duration) == (3, 15, pytest.approx(0.75))
    first = policy.seen[0]
    assert first.instruction == context.episode.metadata.task_text
    np.testing.assert_array_equal(first.images['exterior'], resized_with_pad(
        context.episode.observation().primary.image, 224, 224))
    assert first.images['wrist'].shape == (224, 224, 3)
    assert set(made.unseen) == {'exterior', 'wrist'} and 0 < made.unseen['wrist'] < 0.5
    again = run_rollouts(planned_runs({'gone': address}, [GOOD]), settings, tmp_path, jobs=0)
    assert 'cannot be reached' in again[0].error      # no result, which is no failure


def test_a_run_is_an_episode_and_a_video(tmp_path):
    settings = dataclasses.replace(SHORT, episodes=str(tmp_path / 'e'), videos=str(tmp_path / 'v'),
                                   wrist='libero')
    (made,) = run_rollouts(planned_runs({'recorded': 'recorded'}, [GOOD]), settings, tmp_path,
                           jobs=0)
    episode = Episode.open(made.episode)
    assert [camera.name for camera in episode.cameras] == ['camera', 'wrist']
    assert episode.metadata.success is made.success and episode.metadata.kind == 'rollout'
    assert episode.trajectory.duration == pytest.approx(made.duration)
    observation = episode.observation()
    assert observation.views[1].mount_link and observation.views[1].depth is not None
    first = Episode.open(GOOD)
    error = episode.frames[0].image.astype(int) - first.frames[first.start_index].image
    assert np.abs(error).mean() < 4
    assert os.path.getsize(made.video) > 1000


def test_files_of_two_runs_have_two_names():
    """Whatever differs: the world, or what a file name cannot show."""
    runs = [RolloutRecord(policy, 't', 's', 0, world, TaskOutcome(True), RunEnd.SOLVED)
            for policy in ('a', 'a/b', 'a?b', 'p' * 300) for world in ('predicted:kinematic',
                                                                      'predicted:frozen')]
    names = [film_name(run) for run in runs]
    assert len(set(names)) == len(runs) and names[0].startswith('predicted-kinematic_s_a_0_')
    assert all(re.fullmatch(r'[\w.-]{1,240}', name) for name in names)


# ---------------------------------------------------------------------- command line


def test_the_command_runs_shows_and_goes_on(tmp_path, capsys):
    words = ['--start', 'libero_object_0_0_success', '--out', str(tmp_path), '--horizon', '0.4',
             '--jobs', '1']
    assert main(['rollout', 'still', 'no=recorded', f'bad={HERE}:broken', *words]) == 1
    out, said = capsys.readouterr()
    assert '3 of 3 runs' in said and 'failure   no from libero_object_0_0_success' in out
    assert 'no result: bad' in said and 'the weights are not there' in said
    assert main(['rollout', 'still', 'no=recorded', *words, '--json']) == 0
    out, said = capsys.readouterr()
    assert '2 of 2 runs are there already' in said
    assert [each['policy'] for each in json.loads(out)] == ['still', 'no']


def test_kept_runs_without_the_files_that_are_asked_for_are_told(tmp_path, capsys):
    words = ['rollout', 'still', '--start', GOOD, '--out', str(tmp_path), '--horizon', '0.4',
             '--jobs', '1']
    assert main(words) == 0
    assert 'kept runs' not in capsys.readouterr().err
    assert main([*words, '--videos']) == 0
    said = capsys.readouterr().err
    assert '1 kept runs have no video' in said and '--out' in said and 'no episode' not in said


def test_the_command_tells_intervals_and_compares_with_the_truth(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    true, out = tmp_path / 'true', tmp_path / 'out'
    words = ['rollout', 'a=still', '--start', GOOD, '--horizon', '0.4', '--jobs', '1']
    assert main([*words, '--out', str(true), '--world', f'{HERE}:still_world?succeeds=no']) == 0
    capsys.readouterr()
    assert main([*words, '--out', str(out), '--compare', str(true / 'records.jsonl')]) == 0
    told = capsys.readouterr()
    assert '0 to 79 %' in told.out and '0 to 0 %' in told.out      # Wilson's of 0 of 1; bounds
    assert 'from 1 pairs of runs' in told.err
    figures = json.loads((out / 'policies.json').read_text())['predicted:kinematic']
    assert figures['agreement']['hits'] == figures['agreement']['tries'] == 1
    assert 'predicted:kinematic' in (out / 'policies.html').read_text()
    assert main([*words, '--out', str(out), '--compare', str(tmp_path / 'nowhere')]) == 2
