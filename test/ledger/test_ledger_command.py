# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command, its page, and entries of runs of policies."""
import dataclasses
import json
import shutil
from html.parser import HTMLParser

import pytest
from ledger_entries import entry, otherwise, unknown

from kinema4d_ros.cli.main import main
from kinema4d_ros.ledger import Ledger, Went
from kinema4d_ros.ledger.report import day_marks, HEIGHT, height_of, write_ledger_report
from kinema4d_ros.ledger.rollouts import rollout_entries
from kinema4d_ros.policy.closed_loop.record import RolloutRecord, RunEnd
from kinema4d_ros.policy.types import TaskOutcome
from kinema4d_ros.resources import share_dir


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / 'ledger.db'
    with Ledger(path, write=True) as made:
        made.append(*[entry(day) for day in range(4) for _ in range(20)], otherwise(3),
                    unknown(3), entry(2, kind='place', status='FAIL'))
    return path


def test_the_figures_as_json_and_by_filter(ledger, capsys):
    assert main(['ledger', str(ledger), '--json', '--last', '2']) == 0
    told = json.loads(capsys.readouterr().out)
    assert told['sentence'].startswith('of 82 motions that passed, 80 went as predicted, 1 oth')
    assert [each['kind'] for each in told['motions']] == ['place', 'pick']
    assert [day['date'] for day in told['days']] == [f'2026-11-0{n}' for n in (1, 2, 3, 4)]
    assert main(['ledger', str(ledger), '--json', '--kind', 'place']) == 0
    assert json.loads(capsys.readouterr().out)['all']['motions'] == 1
    assert main(['ledger', str(ledger), '--json', '--since', '2026-11-04', '--until',
                 '2026-11-05']) == 0
    assert json.loads(capsys.readouterr().out)['passed']['motions'] == 22


def test_a_share_that_is_asked_for_decides_the_exit_code(ledger, capsys):
    assert main(['ledger', str(ledger), '--at-least', '0.9']) == 0
    assert main(['ledger', str(ledger), '--at-least', '0.99']) == 1
    out = capsys.readouterr().out
    assert 'of 82 motions that passed' in out and 'the joints followed it' in out


@pytest.mark.parametrize('words, said', [
    (['nowhere.db'], 'does not exist'), (['FILE', '--since', 'monday'], 'YEAR-MONTH-DAY'),
    (['FILE', '--from-episodes', 'EMPTY'], 'no .mcap file'),
    (['FILE', '--from-episodes', 'nowhere'], 'nowhere does not exist'),
    (['FILE', '--from-rollouts', 'EMPTY'], 'records.jsonl cannot be read'),
    (['FILE', '--last', '-4'], '0 or more'), (['FILE', '--at-least', '95'], 'from 0 to 1'),
    (['FILE', '--at-least', 'nan'], 'from 0 to 1')])
def test_what_cannot_be_shown_is_told(words, said, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    words = [str(tmp_path / 'new.db') if word == 'FILE' else
             str(tmp_path / 'empty') if word == 'EMPTY' else word for word in words]
    try:
        assert main(['ledger', *words]) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / 'new.db').exists(), 'a wrong name leaves no empty ledger'


@pytest.mark.parametrize('words, said', [
    (['--status', 'PASSED'], "status is 'PASSED'; valid: FAIL, PASS, UNSURE"),
    (['--kind', 'pick', '--kind', 'pik'], "kind is 'pik'; valid: pick, place"),
    (['--task', 'stack'], "task is 'stack'; valid: none"),
    (['--html', '/proc/x/y.html'], 'the page /proc/x/y.html cannot be written')])
def test_a_value_that_cannot_be_is_told_with_those_that_can(words, said, ledger, capsys):
    assert main(['ledger', str(ledger), *words]) == 2
    assert said in capsys.readouterr().err


def test_values_that_could_be_and_none_choose(ledger, capsys):
    assert main(['ledger', str(ledger), '--json', '--status', 'UNSURE']) == 0
    assert json.loads(capsys.readouterr().out)['all']['motions'] == 0
    assert main(['ledger', str(ledger), '--json', '--task', 'none']) == 0
    assert json.loads(capsys.readouterr().out)['all']['motions'] == 83


def test_where_nothing_can_be_entered_it_fails_and_leaves_no_ledger(tmp_path, capsys):
    (tmp_path / 'broken.mcap').write_bytes(b'nothing')
    (tmp_path / 'records.jsonl').write_text(record('libero', True).to_json() + '\n')
    for words, said in ((['--from-episodes', str(tmp_path)], 'broken.mcap: '),
                        (['--from-rollouts', str(tmp_path)], '1 true run(s) that nobody')):
        assert main(['ledger', str(tmp_path / 'l.db'), *words]) == 2
        assert f'nothing could be entered: {said}' in capsys.readouterr().err
    assert not (tmp_path / 'l.db').exists()


def test_recorded_episodes_are_entered(tmp_path, capsys):
    folder = tmp_path / 'recorded'
    folder.mkdir()
    for name in 'libero_object_0_0_success', 'libero_object_0_0_missed_grasp':
        shutil.copy(share_dir() / 'data' / 'episodes' / f'{name}.mcap', folder)
    (folder / 'broken.mcap').write_bytes(b'nothing')
    path = tmp_path / 'new' / 'ledger.db'
    for _ in range(2):      # the second time nothing is added
        capsys.readouterr()
        assert main(['ledger', str(path), '--from-episodes', str(folder), '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert told['passed'] | {'rate': 0, 'bounds': 0} == {
        'motions': 2, 'as_predicted': 2, 'otherwise': 0, 'unknown': 0, 'rate': 0, 'bounds': 0}
    assert set(told['by']['kind']) == {'success', 'missed_grasp'}
    assert len(told['not_entered']) == 1 and told['not_entered'][0].startswith('broken.mcap: ')


class Page(HTMLParser):
    """Counts elements, and insists that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.count = [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ('meta', 'line', 'circle', 'br'):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_draws_the_days_and_says_what_went_otherwise(tmp_path):
    entries = [make(day, robot='<b>&') for day in range(5) for make in
               [entry] * 8 + [otherwise] * day]
    path = tmp_path / 'trust.html'
    summary = write_ledger_report(path, entries, dropped=7)
    text = path.read_text()
    page = Page(text)
    assert page.count['circle'] == 5 == len(summary.days)
    assert summary.sentence in text and 'gets worse over the days' in text
    assert '<b>' not in text and '&lt;b&gt;&amp;' in text        # whatever a robot is called
    assert 'a joint left the path by 0.500' in text and '7 older entries made room' in text
    assert 'http' not in text.replace('http://www.w3.org', '')
    marks = day_marks(summary.days)
    assert [mark.y for mark in marks] == sorted(mark.y for mark in marks)      # ever lower
    assert all(height_of(1.0) <= mark.top <= mark.y <= mark.bottom < HEIGHT for mark in marks)


def test_an_empty_ledger_has_a_page(tmp_path):
    summary = write_ledger_report(tmp_path / 'empty.html', [])
    Page((tmp_path / 'empty.html').read_text())
    assert 'no motion that passed' in summary.sentence


def record(world, success, seed=0, **fields):
    """Return the record of a run; success may be unknown."""
    chance = {} if success is None else {'probability': 0.9 if success else 0.1}
    return RolloutRecord('reach', 'libero_object/0', 'start_0', seed, world,
                         TaskOutcome(success, min_clearance=0.03, grasped=success, **chance),
                         RunEnd.HORIZON, begun='2026-11-03T10:00:00+00:00', **fields)


def test_runs_of_policies_are_paired_with_the_truth(tmp_path, capsys):
    records = [record('predicted:kinematic', True), record('libero', True),
               record('predicted:kinematic', True, 1), record('libero', False, 1),
               record('predicted:kinematic', None, 2), record('libero', True, 2),
               record('predicted:kinematic', False, 3),
               record('predicted:kinematic', True, 4, error='lost'), record('libero', True, 4)]
    entries = rollout_entries(records)
    assert [each.went for each in entries] == [Went.YES, Went.NO, Went.UNKNOWN, Went.UNKNOWN]
    assert [each.origin for each in entries] == ['simulator'] * 3 + ['predicted']
    assert entries[1].reasons == ('success was predicted, and it failed',)
    assert (entries[0].world_model, entries[0].predicted_success, entries[0].success) == (
        'kinematic', 0.9, True)
    (tmp_path / 'records.jsonl').write_text(''.join(each.to_json() + '\n' for each in records))
    assert main(['ledger', str(tmp_path / 'l.db'), '--from-rollouts', str(tmp_path), '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert told['all']['motions'] == 3 and told['passed']['motions'] == 0
    assert told['by']['kind']['task']['as_predicted'] == 1
    mean = told['mixed_means'][0]
    assert (mean['quantity'], mean['robot'], mean['real'], mean['predicted']) == (
        'success', 'reach', 2, 1)
    assert (mean['not_predicted'], mean['not_predicted_with_truth']) == (1, 1)
    assert told['not_entered'] == ['1 run(s) without a result, because something broke',
                                   '1 true run(s) that nobody predicted']


def test_what_is_entered_again_is_there_once(tmp_path, capsys):
    """Of each world model by itself; once the truth is known, it is no longer predicted only."""
    records = [record(f'predicted:{world}', bool(n % 3), n) for n in range(9)
               for world in ('kinematic', 'physics')]
    truths = [record('libero', bool(n % 2), n) for n in range(6)]
    file = tmp_path / 'records.jsonl'
    words = ['ledger', str(tmp_path / 'l.db'), '--from-rollouts', str(file), '--json']
    told = []
    for known in [], truths, truths, []:
        file.write_text(''.join(each.to_json() + '\n' for each in [*records, *known]))
        assert main(words) == 0
        told.append(json.loads(capsys.readouterr().out))
        with Ledger(tmp_path / 'l.db') as ledger:
            assert len(ledger) == 18
    assert told[0]['all']['motions'] == 0 and told[1] | {'not_entered': 0} == told[3] | {
        'not_entered': 0} and told[1] == told[2]
    assert told[1]['all']['motions'] == 6
    assert [(mean['world_model'], mean['real'], mean['predicted'])
            for mean in told[1]['mixed_means'] if mean['quantity'] == 'success'] == [
        ('kinematic', 6, 3), ('physics', 6, 3)]


def test_runs_with_long_names_are_told_apart():
    long = [dataclasses.replace(record('predicted:kinematic', True, seed), start='s' * 90)
            for seed in range(3)]
    assert len({each.rollout_id for each in rollout_entries(long)}) == 3
