# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the records of a folder do not answer, and what no run can be made with."""
import dataclasses
import json
import shutil

import pytest
import rollout_policies

from kinema4d_ros.cli.main import main
from kinema4d_ros.episodes import find_episode
from kinema4d_ros.errors import ConfigurationError, Kinema4DError
from kinema4d_ros.policy.closed_loop import RunLimits
from kinema4d_ros.policy.closed_loop.plan import planned_runs, RolloutSettings
from kinema4d_ros.policy.closed_loop.records import read_records
from kinema4d_ros.policy.closed_loop.rollouts import run_rollouts
from kinema4d_ros.resources import share_dir

GOOD = str(find_episode('libero_object_0_0_success'))
MISSED = str(find_episode('libero_object_0_0_missed_grasp'))
SHORT = RolloutSettings(limits=RunLimits(horizon=0.4))
HERE = f'python:{rollout_policies.__name__}'


def test_other_settings_are_not_mixed_into_the_records(tmp_path):
    runs = planned_runs({'still': 'still'}, [GOOD])
    run_rollouts(runs, SHORT, tmp_path, jobs=0)
    longer = dataclasses.replace(SHORT, executed=4)
    with pytest.raises(ConfigurationError, match='executed was 0, is 4'):
        run_rollouts(runs, longer, tmp_path, jobs=0)


def test_another_policy_of_the_same_name_is_not_answered_by_the_records(tmp_path):
    run_rollouts(planned_runs({'a': 'recorded'}, [GOOD]), SHORT, tmp_path, jobs=0)
    with pytest.raises(ConfigurationError, match='the policy was recorded, is still'):
        run_rollouts(planned_runs({'a': 'still'}, [GOOD]), SHORT, tmp_path, jobs=0)


def test_other_contents_of_files_are_not_mixed_into_the_records(tmp_path, monkeypatch):
    """Of the start, the rubric, the view and the policy's options; each by its content."""
    start = tmp_path / 'start.mcap'
    shutil.copy(GOOD, start)
    files = {'goal': 'rubrics/lift.yaml', 'wrist': 'views/libero.yaml'}
    for name, place in files.items():
        shutil.copy(share_dir() / 'config' / place, tmp_path / f'{name}.yaml')
    option = tmp_path / 'weights.npz'
    option.write_bytes(b'some')
    settings = dataclasses.replace(SHORT, **{name: str(tmp_path / f'{name}.yaml')
                                             for name in files})
    runs = planned_runs({'a': f'{HERE}:tuned?file={option}'}, [str(start)])
    run_rollouts(runs, settings, tmp_path, jobs=0)
    run_rollouts(runs, settings, tmp_path, jobs=0)      # nothing is other
    for path, name in ((tmp_path / 'goal.yaml', 'goal'), (tmp_path / 'wrist.yaml', 'wrist'),
                       (option, 'policy file')):
        before = path.read_bytes()
        path.write_bytes(before + b'\n# tuned\n')
        with pytest.raises(ConfigurationError, match=f'the file of {name} has another content'):
            run_rollouts(runs, settings, tmp_path, jobs=0)
        path.write_bytes(before)
    shutil.copy(MISSED, start)
    with pytest.raises(ConfigurationError, match='the file of start has another content'):
        run_rollouts(runs, settings, tmp_path, jobs=0)


@pytest.mark.parametrize('name', ['package', 'fingerprint'])
def test_records_of_another_version_are_not_mixed(tmp_path, name):
    runs = planned_runs({'a': 'still'}, [GOOD])
    run_rollouts(runs, SHORT, tmp_path, jobs=0)
    path = tmp_path / 'records.jsonl'
    line = json.loads(path.read_text())
    line['world_version'] = json.dumps({**json.loads(line['world_version']), name: '0.0.1'})
    path.write_text(json.dumps(line) + '\n')
    with pytest.raises(ConfigurationError, match=f'{name} was 0.0.1'):
        run_rollouts(runs, SHORT, tmp_path, jobs=0)


def test_two_starts_of_one_name_are_refused(tmp_path):
    """They would have one record, of which the later run wins."""
    paths = [tmp_path / folder / 's.mcap' for folder in 'AB']
    for path in paths:
        path.parent.mkdir()
        shutil.copy(GOOD, path)
    with pytest.raises(ConfigurationError, match=f'{paths[0]} and {paths[1]}'):
        run_rollouts(planned_runs({'a': 'still'}, map(str, paths)), SHORT, tmp_path, jobs=0)


@pytest.mark.parametrize('word, said', [
    (['--size', '224'], 'HEIGHTxWIDTH'), (['--size', '0x224'], 'HEIGHTxWIDTH'),
    (['--seeds', '1,1'], 'each once')])
def test_wrong_arguments_are_refused(word, said, capsys):
    with pytest.raises(SystemExit):
        main(['rollout', 'still', '--start', GOOD, *word])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize('words, said', [
    (['--executed', '-3'], 'executed must be 0'), (['--film-rate', '0'], 'film_rate must be'),
    (['--film-rate', 'nan'], 'film_rate must be'), (['--run-timeout', '-1'], 'run_timeout must'),
    (['--run-timeout', 'nan'], 'run_timeout must'), (['--horizon', 'nan'], 'horizon'),
    (['--world', 'python:os:getcwd'], 'cannot be called with (context)'),
    (['--goal', 'fly'], 'name a YAML file, or one of')])
def test_what_no_run_can_be_made_with_is_wrong_usage(tmp_path, capsys, words, said):
    """Before any run, in one line, with exit code 2."""
    assert main(['rollout', 'still', '--start', GOOD, '--jobs', '1', '--out', str(tmp_path),
                 *words]) == 2
    told = capsys.readouterr().err
    assert said in told and 'Traceback' not in told
    assert not (tmp_path / 'records.jsonl').exists() or read_records(tmp_path) == []


@pytest.mark.parametrize('changes, address, said', [
    ({'world_model': 'oracle'}, 'still', "unknown world model 'oracle'"),
    ({'wrist': 'elbow'}, 'still', "there is no view 'elbow'"),
    ({'model_settings': {'speed': 3}}, 'still', 'speed'), ({}, 'nowhere', "nothing at 'nowhere'"),
    ({}, 'openpi://localhost:1?preset=mars', 'no policy preset'),
    ({}, f'{HERE}:tuned?fil=x', r"cannot be called with .context, fil='x'.*takes .context, file")])
def test_a_wrong_choice_is_told_before_the_first_run(tmp_path, changes, address, said):
    settings = dataclasses.replace(SHORT, **changes)
    with pytest.raises(Kinema4DError, match=said):
        run_rollouts(planned_runs({'good': 'still', 'x': address}, [GOOD]), settings, tmp_path,
                     jobs=0)
    assert read_records(tmp_path) == []
