# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of jobs: records, resume, lineage, quarantine, and being stopped."""
import importlib
import os
import resource
import select
import signal
import subprocess
import sys

import job_work
import pytest

from kinema4d_ros.errors import ConfigurationError, JobError
from kinema4d_ros.jobs import (FailureKind, Job, JobProgress, LineFile, lineage_of, PoolSettings,
                               read_jobs, run_jobs, shown_progress)
from kinema4d_ros.jobs.lineage import versions_hash
from kinema4d_ros.serialization import PlainError


def jobs_in(folder, names, lineage=None, **more):
    return [Job(name, {'folder': str(folder), 'name': name, **more}, lineage or {})
            for name in names]


def begun(folder):
    """Return how often each job was begun."""
    names = [path.name.partition('.')[0] for path in folder.iterdir() if path.suffix != '.jsonl']
    return {name: names.count(name) for name in names}


def test_what_has_a_record_is_not_done_again(tmp_path):
    first = list(run_jobs(jobs_in(tmp_path, 'ab'), job_work.logged, tmp_path))
    seen = []
    again = list(run_jobs(jobs_in(tmp_path, 'abc'), job_work.logged, tmp_path,
                          progress=seen.append))
    assert begun(tmp_path) == {'a': 1, 'b': 1, 'c': 1}
    assert {each.key: each for each in again} == {
        **{each.key: each for each in first}, 'c': next(e for e in again if e.key == 'c')}
    assert seen[0] == JobProgress(total=3)
    assert (seen[-1].done, seen[-1].kept, seen[-1].failed) == (3, 2, 0)
    assert [each.key for each in read_jobs(tmp_path)] == ['a', 'b', 'c']


def test_another_lineage_is_done_again_and_the_former_one_is_still_there(tmp_path):
    for version, count in ('1', 1), ('2', 2), ('1', 2):
        record, = run_jobs(jobs_in(tmp_path, 'a', {'code': version}), job_work.logged, tmp_path)
        assert record.lineage == {'code': version} and begun(tmp_path) == {'a': count}
    assert record.answer == 0      # of the first time


def test_a_job_that_breaks_is_in_quarantine_until_it_is_wanted_again(tmp_path):
    broken = jobs_in(tmp_path, 'x', breaks='no depth') + jobs_in(tmp_path, 'y')
    for times in 1, 1:
        found = {each.key: each for each in run_jobs(broken, job_work.logged, tmp_path)}
        assert begun(tmp_path) == {'x': times, 'y': 1}
        assert found['x'].failure.kind is FailureKind.EXCEPTION
        assert found['x'].failure.why == 'ValueError: no depth' and found['x'].is_quarantined
    worse = jobs_in(tmp_path, 'x', breaks='no picture')
    list(run_jobs(worse, job_work.logged, tmp_path, retry=True))
    assert [each.failure.why for each in read_jobs(tmp_path) if each.failure] == [
        'ValueError: no picture']      # the newest
    cured = jobs_in(tmp_path, 'xy')
    found = {each.key: each.answer for each in run_jobs(cured, job_work.logged, tmp_path,
                                                        retry=True)}
    assert found == {'x': 2, 'y': 0} and begun(tmp_path) == {'x': 3, 'y': 1}
    assert not any(each.is_quarantined for each in read_jobs(tmp_path))


def test_what_is_lost_is_done_again_and_its_record_is_the_newest(tmp_path):
    list(run_jobs(jobs_in(tmp_path, 'ab'), job_work.logged, tmp_path))
    for again in ['a'], []:
        found = {each.key: each.answer for each in run_jobs(
            jobs_in(tmp_path, 'ab'), job_work.logged, tmp_path, again=again)}
        assert found == {'a': 1, 'b': 0} and begun(tmp_path) == {'a': 2, 'b': 1}
    assert [each.key for each in read_jobs(tmp_path)] == ['b', 'a']


def test_answers_come_back_exactly_as_they_were(tmp_path):
    jobs = [Job(str(root), root) for root in (0.1, 1e-300, float('inf'), 2 / 3)]
    for _ in range(2):      # made, then read
        found = [each.answer_as(job_work.Square)
                 for each in run_jobs(jobs, job_work.square, tmp_path)]
        assert found == [job_work.square(job.item) for job in jobs]
    with pytest.raises(PlainError, match=r'0\.1'):
        next(run_jobs(jobs, job_work.square, tmp_path)).answer_as(JobProgress)


def test_a_killed_process_in_the_middle_loses_nothing(tmp_path):
    """Every job has its record; only that under way was begun twice."""
    jobs = jobs_in(tmp_path, 'abc') + jobs_in(tmp_path, 'd', kills=1) + jobs_in(tmp_path, 'efg')
    found = {each.key: each for each in run_jobs(jobs, job_work.logged, tmp_path,
                                                 settings=PoolSettings(workers=2))}
    assert not any(each.is_quarantined for each in found.values())
    assert {key: each.answer for key, each in found.items()} == {
        **dict.fromkeys('abcefg', 0), 'd': 1}
    assert begun(tmp_path) == {**dict.fromkeys('abcefg', 1), 'd': 2}
    assert {each.key: each for each in read_jobs(tmp_path)} == found


PROGRAM = """
import sys
import job_work
from kinema4d_ros.jobs import ended_by_sigterm, Job, PoolSettings, run_jobs

folder = sys.argv[1]
jobs = [Job(name, {'folder': folder, 'name': name, **({'waits': 600.0} if name == 'c' else {})})
        for name in 'abcd']
with ended_by_sigterm():
    for record in run_jobs(jobs, job_work.logged, folder, settings=PoolSettings(workers=1)):
        print(record.key, flush=True)
"""


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_it_goes_on_from_there(tmp_path, sent):
    """By Ctrl-C, and by what nobody can answer; a last line is cut off besides."""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, '-c', PROGRAM, str(tmp_path)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
                          start_new_session=True, preexec_fn=lambda: signal.signal(
                              signal.SIGINT, signal.default_int_handler)) as child:
        assert [child.stdout.readline().strip() for _ in range(2)] == ['a', 'b']
        while not (tmp_path / 'c.0').exists():
            assert child.poll() is None
        worker = os.pidfd_open(int((tmp_path / 'b.0').read_text()))
        child.send_signal(sent)
        assert child.wait(30) != 0
    ended = select.poll()
    ended.register(worker, select.POLLIN)
    assert ended.poll(30e3), 'the worker goes on, though nobody waits for its job'
    os.close(worker)
    with (tmp_path / 'jobs.jsonl').open('a') as file:
        file.write('{"format": 1, "key": "c", "ans')
    for name in 'cd':      # the one that waited may have been begun
        for path in tmp_path.glob(f'{name}.*'):
            path.unlink()
    found = {each.key: each.answer for each in run_jobs(jobs_in(tmp_path, 'abcd'),
                                                        job_work.logged, tmp_path)}
    assert found == dict.fromkeys('abcd', 0) and begun(tmp_path) == dict.fromkeys('abcd', 1)


def test_two_jobs_of_one_key_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="two jobs have the key 'a'"):
        list(run_jobs(jobs_in(tmp_path, 'aa'), job_work.logged, tmp_path))


def test_records_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / 'jobs.jsonl'
    with LineFile(path), pytest.raises(JobError, match='another process is writing'):
        next(run_jobs([], job_work.square, tmp_path))
    for text, said in (('nonsense', 'at byte 0 is not JSON'), ('{"format": 7}', 'format 1'),
                       ('{"format": 1, "kye": "a"}', 'kye')):
        path.write_text(text + '\n')
        with pytest.raises(JobError, match=said):
            list(run_jobs([], job_work.square, tmp_path))
    path.write_bytes(b'\xff\xfe\n')
    with pytest.raises(JobError, match='cannot be read'):
        list(read_jobs(tmp_path))
    with pytest.raises(JobError, match='there are no records'):
        next(read_jobs(tmp_path / 'nowhere'))
    assert not (tmp_path / 'nowhere').exists()
    (tmp_path / 'file').touch()
    with pytest.raises(JobError, match='cannot be written'):
        list(run_jobs([], job_work.square, tmp_path / 'file'))


def test_a_record_that_does_not_fit_on_the_disk_is_told(tmp_path):
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    jobs = jobs_in(tmp_path, ['a', 'b' * 200])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, was[1]))
        with pytest.raises(JobError, match='cannot be written: .*File too large'):
            list(run_jobs(jobs, job_work.logged, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    assert [each.key for each in read_jobs(tmp_path)] == ['a']      # the other one was cut off


def test_a_lineage_changes_with_what_it_is_made_of(tmp_path):
    source = tmp_path / 'a.bin'
    source.write_bytes(b'1')
    before = lineage_of({'limit': 0.1}, [source])
    assert before == lineage_of({'limit': 0.1}, [tmp_path])      # a folder is its files
    assert set(before) == {'code', 'libraries', 'parameters', 'source'}
    assert lineage_of({'limit': 0.2}, [source])['parameters'] != before['parameters']
    source.write_bytes(b'22')
    after = lineage_of({'limit': 0.1}, [source])
    assert after['source'] != before['source'] and after['code'] == before['code']


def test_a_library_of_another_version_is_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'some_lib.dist-info').mkdir()
    found = []
    for version in '1.0', '1.1':
        (tmp_path / 'some_lib.dist-info' / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: some-lib\nVersion: {version}\n')
        versions_hash.cache_clear()
        importlib.invalidate_caches()
        found.append(versions_hash(('some-lib', 'never-installed')))
    assert found[0] != found[1]


def test_progress_tells_rate_and_remaining_time():
    """Of what this run has done: what was there before took no time."""
    progress = JobProgress(done=30, total=50, kept=20, failed=1, seconds=40.0)
    assert progress.rate == pytest.approx(0.25) and progress.remaining == pytest.approx(80.0)
    assert str(progress) == ('30 of 50, 20 were there already, 1 without answer, 4.0 s each, '
                             '80 s left')
    assert JobProgress(done=3, seconds=1.0).remaining is None
    assert str(JobProgress(done=3, seconds=1.0)) == '3, 3.00 per second'


def test_progress_is_said_where_there_is_no_terminal(capsys):
    with shown_progress('curate', 'episodes') as report:
        for done in range(4):
            report(done, 3, '1 bad')
    said = capsys.readouterr().err
    assert said.startswith('curate: 1 of 3 episodes (1 bad), ')
    assert 'curate: 3 of 3 episodes (1 bad), 0 s left' in said
