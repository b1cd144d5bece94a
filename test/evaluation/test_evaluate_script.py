# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The script of make evaluate: its report, by processes and by one, and what it does not repeat."""
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.evaluation.stages import Evaluation
from kinema4d_ros.jobs import open_pool, PoolSettings, read_jobs

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'scripts' / 'evaluate.py'
EPISODES = ROOT / 'data' / 'episodes'
NAMES = ('libero_object_0_0_missed_grasp', 'libero_object_0_0_success')


def evaluate(out, *words):
    return subprocess.run(
        [sys.executable, SCRIPT, '--out', out, '--predict', '1', '--camera', '0', '--hide', '1',
         '--views', '1', '--second', '0', *words, '--episodes',
         *(EPISODES / f'{name}.mcap' for name in NAMES), ROOT / 'Makefile'],
        capture_output=True, text=True, timeout=300)


def undated(path):
    """Return a page without the minute in which it was written."""
    return re.sub(r'\d{4}-\d\d-\d\d \d\d:\d\d UTC', '', path.read_text())


@pytest.fixture(scope='module')
def first(tmp_path_factory):
    """Return a folder, what a run by two processes said, and the report that it wrote."""
    out = tmp_path_factory.mktemp('evaluate')
    done = evaluate(out, '--workers', '2')
    assert done.returncode == 0, done.stderr
    return out, done, (out / 'report.json').read_text()


def test_the_script_writes_its_report(first):
    out, done, text = first
    assert 'Makefile: not judged' in done.stderr
    report = json.loads(text)
    assert report['figures']['all']['agreement']['value'] == 1.0 and len(report['unread']) == 1
    assert report['failed'] == []
    assert report['second_motions'] == []
    assert '# Verdicts on recorded episodes' in (out / 'report.md').read_text()
    page = (out / 'report.html').read_text()
    assert page.count('data:image/jpeg;base64,') == 1       # the other is told without pictures
    assert 'FLIP, changed' in page and '2 of 2' in page


def test_processes_give_bit_for_bit_what_one_gives(first):
    """All that is said of each episode, but how long it took."""
    spec = importlib.util.spec_from_file_location('evaluate', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    judge = EpisodePrechecker()
    alone = [script.as_record(judge(EPISODES / f'{name}.mcap')) for name in NAMES]
    for one, other in zip(json.loads(json.dumps(alone)), json.loads(first[2])['episodes'],
                          strict=True):
        for name in 'seconds', 'cpu_seconds':
            one.pop(name), other.pop(name)
        assert one == other


def test_a_second_run_does_nothing_again(first):
    """Not even times differ, so no episode was judged or predicted; an unread one is tried."""
    out, _, text = first
    pages = {path: undated(path) for path in (out / 'report.md', out / 'report.html')}
    before = {path.name: len(list(read_jobs(path.parent, path.name)))
              for path in (out / 'jobs').iterdir()}
    done = evaluate(out, '--workers', '0')
    assert done.returncode == 0, done.stderr
    assert (out / 'report.json').read_text() == text
    assert {path: undated(path) for path in pages} == pages
    assert {name: len(list(read_jobs(out / 'jobs', name))) for name in before} == before
    assert before['judging.jsonl'] == 3 and before['predicting.jsonl'] == 1


@pytest.mark.parametrize(('raised', 'is_failure'), [
    (EpisodeError('it does not say how it ended'), False), (ValueError('a fault'), True)])
def test_judging_that_breaks_is_a_failure(tmp_path, raised, is_failure):
    """An episode that cannot be judged is none; a file that is not there is told by the stage."""
    def breaks(item):
        raise raised

    with open_pool(breaks, PoolSettings()) as pool:
        evaluation = Evaluation(pool, tmp_path, shows_progress=False)
        (_, answer, why), = evaluation.answers('judging', {'nowhere.mcap': 'nowhere.mcap'})
    assert answer is None and str(raised) in why
    assert evaluation.failures == [f'nowhere.mcap: while judging: {why}'] * is_failure


@pytest.mark.parametrize('words, said', [
    (['--workers', '-1'], 'workers must be 0 or more'), (['--ray', 'nowhere:1'], 'Ray')])
def test_what_nothing_can_be_done_with_is_wrong_usage(tmp_path, words, said):
    done = evaluate(tmp_path, *words)
    assert done.returncode == 2 and said in done.stderr and 'Traceback' not in done.stderr


def test_the_script_says_when_there_is_nothing(tmp_path):
    done = subprocess.run([sys.executable, ROOT / 'scripts' / 'evaluate.py', '--episodes',
                           tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and 'no .mcap file in' in done.stderr
