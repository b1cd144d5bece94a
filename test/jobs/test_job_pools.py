# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs in this process, in others, and on Ray: answers, failures, killed and slow processes."""
import os
import signal
import sys
import threading

import job_work
import pytest

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.jobs import FailureKind, Job, local_pool, open_pool, PoolSettings
from kinema4d_ros.jobs.ray_pool import RayPool

RAY = pytest.param(None, id='ray')
APART = pytest.param(PoolSettings(workers=2), id='processes')


@pytest.fixture(params=[pytest.param(PoolSettings(), id='here'), APART, RAY])
def settings(request):
    if request.param is None:
        return PoolSettings(workers=2, ray=request.getfixturevalue('cluster'))
    return request.param


@pytest.fixture(scope='module')
def cluster():
    """Return the address of a cluster of two processors, which outlives the pools on it."""
    pytest.importorskip('ray.data', reason='Ray Data is not installed here: [cluster]')
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv('PYTHONPATH', os.pathsep.join(sys.path))
        environment.setenv('RAY_raylet_start_wait_time_s', '120')      # of a busy machine
        started = Cluster(initialize_head=True, head_node_args={'num_cpus': 2})
        try:
            yield started.address
        finally:
            started.shutdown()


def results(work, items, settings):
    with open_pool(work, settings) as pool:
        return {each.job.key: each for each in pool.results(
            Job(str(key), item) for key, item in enumerate(items))}


def test_every_pool_gives_the_same_answers_and_failures(settings):
    """One that breaks, and one that cannot come back, do not stop the others."""
    found = results(job_work.square, [2.0, 'x', 3.0], settings)
    assert found['0'].answer == job_work.Square(2.0, 4.0)
    assert found['2'].answer == job_work.Square(3.0, 9.0)
    failure = found['1'].failure
    assert failure.kind is FailureKind.EXCEPTION and failure.why.startswith('TypeError: can')
    assert 'item * item' in failure.trace and found['1'].answer is None
    assert all(each.tries == 1 and each.memory > 10 for each in found.values())


@pytest.mark.parametrize('settings', [pytest.param(PoolSettings(), id='here'), APART],
                         indirect=True)
def test_jobs_are_taken_one_by_one(settings):
    """No queue: what is taken and not yet answered is no more than there are workers."""
    taken, most = 0, 0

    def jobs():
        nonlocal taken
        for number in range(8):
            taken += 1
            yield Job(str(number), float(number))

    with open_pool(job_work.square, settings) as pool:
        for answered, _ in enumerate(pool.results(jobs())):
            most = max(most, taken - answered)
    assert taken == 8 and most <= 1 + max(1, settings.workers)


@pytest.mark.parametrize('settings', [APART, RAY], indirect=True)
def test_work_that_shares_something_opens_it_once_in_each_process(tmp_path, settings):
    work = job_work.Shared(tmp_path)
    found = results(work, range(6), settings)
    work.wait_until_left()      # on Ray the processes end after the pool was left
    processes = {each.answer[1] for each in found.values()}
    assert {each.answer[0] for each in found.values()} == {1} and os.getpid() not in processes
    assert {path.name for path in tmp_path.iterdir()} == {f'closed.{each}' for each in processes}


def test_what_a_pool_is_asked_it_asks_the_work(tmp_path, settings):
    with open_pool(job_work.Shared(tmp_path), settings) as pool:
        assert pool.ask(job_work.opened, 2) == 3


def test_a_killed_process_takes_no_answer_with_it(tmp_path):
    """Its job is done by another one; one that kills each time is left out, with the reason."""
    items = [{'folder': str(tmp_path), 'name': f'job{number}', 'kills': kills}
             for number, kills in enumerate([0, 1, 2, 0, 0])]
    found = results(job_work.logged, items, PoolSettings(workers=2))
    assert [found[key].answer for key in '01234'] == [0, 1, None, 0, 0]
    assert found['1'].tries == 2 and found['1'].failure is None
    assert found['2'].failure.kind is FailureKind.KILLED
    assert found['2'].failure.why == 'its process ended 2 times: killed by SIGKILL'


def test_ray_does_the_job_of_a_killed_process_again(tmp_path, cluster):
    """Killed are the processes that do jobs, and the actors of Ray Data that have started these."""
    items = [{'folder': str(tmp_path), 'name': f'job{number}', **more} for number, more in
             enumerate([{}, {'kills': 1}, {'kills': 2}, {'waits': 600.0}, {}, {'orphans': 1},
                        {'orphans': 2}])]
    found = results(job_work.logged, items, PoolSettings(workers=2, ray=cluster, timeout=10.0,
                                                         recycle=1))
    assert [found[key].answer for key in '0123456'] == [0, 1, None, None, 0, 1, None]
    assert [found[key].tries for key in '0123456'] == [1, 2, 2, 1, 1, 2, 2]
    assert found['2'].failure.kind is found['6'].failure.kind is FailureKind.KILLED
    assert found['2'].failure.why == 'its process ended 2 times: killed by SIGKILL'
    assert found['6'].failure.why.endswith('was lost 2 times')
    assert found['3'].failure.kind is FailureKind.TIMEOUT


def test_ray_takes_jobs_in_waves(cluster):
    """Of hundreds of thousands not all are made, and their files looked at, before the first."""
    taken, ahead = 0, []

    def jobs():
        nonlocal taken
        for number in range(4):
            taken += 1
            yield Job(str(number), float(number))

    with RayPool(job_work.square, PoolSettings(workers=2, ray=cluster), wave=2) as pool:
        for answered, each in enumerate(pool.results(jobs())):
            ahead.append(taken - answered)
            assert each.answer.value == float(each.job.key) ** 2
    assert len(ahead) == 4 and max(ahead) == 2


def test_a_job_that_takes_too_long_is_ended_and_the_others_go_on(tmp_path):
    items = [{'folder': str(tmp_path), 'name': 'slow', 'waits': 600.0},
             {'folder': str(tmp_path), 'name': 'quick'}]
    found = results(job_work.logged, items, PoolSettings(workers=1, timeout=2.0))
    assert found['0'].failure.kind is FailureKind.TIMEOUT and '2 s' in found['0'].failure.why
    assert found['1'].answer == 0


def test_processes_are_replaced_after_so_many_jobs():
    found = results(job_work.process, range(4), PoolSettings(workers=1, recycle=2))
    first, second = ({found[key].answer for key in keys} for keys in ('01', '23'))
    assert len(first) == len(second) == 1 and first != second


def test_several_processes_take_one_thread_each(monkeypatch):
    for name in ('NUMBA_NUM_THREADS', 'OMP_NUM_THREADS'):
        monkeypatch.delenv(name, raising=False)
    assert results(job_work.threads, [0], PoolSettings(workers=2))['0'].answer == {
        'numba': 1, 'openmp': '1'}
    assert PoolSettings(workers=1).environment == {}
    monkeypatch.setenv('OMP_NUM_THREADS', '3')      # whoever sets it knows better
    assert PoolSettings(workers=2).environment['OMP_NUM_THREADS'] == '3'


def test_an_answer_that_cannot_be_sent_is_a_failure():
    failure = results(job_work.unsendable, [0], PoolSettings(workers=1))['0'].failure
    assert failure.kind is FailureKind.EXCEPTION and 'pickle' in failure.why


@pytest.mark.parametrize('settings', [APART, RAY], indirect=True)
def test_an_answer_that_cannot_be_read_is_a_failure_and_the_others_go_on(settings):
    found = results(job_work.unreadable, ['x', 'fine'], settings)
    assert found['0'].failure.kind is FailureKind.EXCEPTION
    assert found['0'].failure.why.startswith('its answer cannot be read: ValueError: ')
    assert found['1'].answer == 'fine'


@pytest.mark.timeout(60)
def test_a_killed_process_is_seen_though_its_child_lives_on():
    """What it has forked holds its pipe, which does not end then."""
    found = results(job_work.leaves_a_fork, [0], PoolSettings(workers=1, tries=1))
    assert found['0'].failure.kind is FailureKind.KILLED


def test_files_where_it_is_started_are_no_modules(tmp_path, monkeypatch):
    """A folder of recordings may have a json.py; whoever starts the command there wants no code."""
    (tmp_path / 'pickle.py').write_text('raise SystemExit(3)\n')
    monkeypatch.chdir(tmp_path)
    assert results(job_work.square, [2.0], PoolSettings(workers=1))['0'].answer.value == 4.0


@pytest.mark.parametrize('work', [lambda item: item, threading.Lock()])
def test_work_that_no_other_process_can_have_is_refused(work):
    with pytest.raises(ConfigurationError, match='cannot be sent to other processes'):
        open_pool(work, PoolSettings(workers=1))


@pytest.mark.parametrize('values, said', [
    ({'workers': -1}, 'workers must be 0 or more, got -1'), ({'tries': 0}, 'tries must be 1'),
    ({'timeout': float('nan'), 'workers': 1}, 'timeout must be 0 s or more'),
    ({'timeout': 1.0}, 'needs a process'), ({'recycle': -1}, 'recycle'),
    ({'threads': -2}, 'threads')])
def test_settings_that_mean_nothing_are_refused(values, said):
    with pytest.raises(ConfigurationError, match=said):
        PoolSettings(**values)


def test_a_process_that_no_signal_ends_is_left_behind(monkeypatch):
    monkeypatch.setattr(local_pool, '_END', 0.1)
    monkeypatch.setattr(local_pool, '_KILLED', 0.1)
    monkeypatch.setattr(local_pool._Process, '_signal', lambda *_: None)
    process = local_pool._Process(local_pool.pickled(job_work.square), {})
    os.kill(process.child.pid, signal.SIGSTOP)      # nor does the end of its pipe
    try:
        assert 'lives on after it was killed, and is left behind' in process.end(at_once=True)
    finally:
        process.child.kill()
        process.child.wait()
