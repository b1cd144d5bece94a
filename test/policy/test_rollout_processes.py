# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs in other processes: killed, hanging, stopped, and on Ray."""
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rollout_policies

from kinema4d_ros.episodes import find_episode
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.closed_loop import RunEnd, RunLimits
from kinema4d_ros.policy.closed_loop.plan import planned_runs, RolloutSettings
from kinema4d_ros.policy.closed_loop.records import read_records
from kinema4d_ros.policy.closed_loop.rollouts import run_rollouts

GOOD = str(find_episode('libero_object_0_0_success'))
SHORT = RolloutSettings(limits=RunLimits(horizon=0.4))
HERE = f'python:{rollout_policies.__name__}'


def test_a_process_that_is_killed_takes_nothing_with_it(tmp_path):
    """Its run is made again by another one; a run that always kills is left for later."""
    once, always = tmp_path / 'once', tmp_path / 'always'
    once.mkdir(), always.mkdir()
    runs = planned_runs({'once': f'{HERE}:killing?folder={once}',
                         'always': f'{HERE}:killing?folder={always}&times=2'}, [GOOD])
    first, second = run_rollouts(runs, SHORT, tmp_path, jobs=1)
    assert not first.error and len(list(once.iterdir())) == 1      # it was killed
    assert 'killed by SIGKILL' in second.error and second.ended is RunEnd.ERROR
    first_again, second = run_rollouts(runs, SHORT, tmp_path, jobs=0)
    assert first_again.to_json() == first.to_json()
    assert not second.error and second.success is False


def test_ray_makes_runs_and_makes_those_again_that_killed_their_process(tmp_path, monkeypatch):
    pytest.importorskip('ray.data', reason='Ray Data is not installed here: [cluster]')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
    monkeypatch.setenv('RAY_raylet_start_wait_time_s', '120')      # of a busy machine
    marks = tmp_path / 'marks'
    marks.mkdir()
    runs = planned_runs({'still': 'still', 'once': f'{HERE}:killing?folder={marks}',
                         'nowhere': f'{HERE}:broken'}, [GOOD])
    still, once, nowhere = run_rollouts(runs, SHORT, tmp_path, jobs=1, ray='local')
    assert not still.error and not once.error and len(list(marks.iterdir())) == 1
    assert 'the weights are not there' in nowhere.error
    assert [each.key for each in read_records(tmp_path)] == [
        each.key for each in (still, once, nowhere)]


def test_more_jobs_than_a_cluster_has_processors_do_not_wait_for_each_other(tmp_path, monkeypatch):
    pytest.importorskip('ray.data', reason='Ray Data is not installed here: [cluster]')
    from ray.cluster_utils import Cluster

    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
    monkeypatch.setenv('RAY_raylet_start_wait_time_s', '120')      # of a busy machine
    cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1})
    try:
        runs = planned_runs({'a': 'still', 'hangs': f'{HERE}:hanging?folder={tmp_path}',
                             'c': 'still'}, [GOOD])
        a, hangs, c = run_rollouts(runs, SHORT, tmp_path, jobs=3, ray=cluster.address,
                                   run_timeout=30.0)
    finally:
        cluster.shutdown()
    assert not a.error and not c.error and 'longer than --run-timeout' in hangs.error


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ConfigurationError, match=r'extra \[cluster\]'):
        run_rollouts(planned_runs({'still': 'still'}, [GOOD]), SHORT, tmp_path, ray='local')


def children_of(parent):
    """Return the ids of the processes that a process has started."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(')')[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_processes_and_keeps_the_records(tmp_path, sent):
    """The first run is recorded; then no process is left, nor what a policy started in it."""
    child = subprocess.Popen(
        [sys.executable, '-c', 'from kinema4d_ros.cli.main import main; raise SystemExit(main())',
         'rollout', 'a=still', f'b={HERE}:hanging?folder={tmp_path}', '--start', GOOD, '--out',
         str(tmp_path), '--horizon', '0.4', '--jobs', '1'], stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        # a test run in the background ignores Ctrl-C, and would pass that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(path for path in sys.path if path)})
    try:
        lines = iter(child.stderr.readline, '')
        assert any('hangs' in line for line in lines)
        workers = children_of(child.pid)
        assert len(workers) == 1
        child.send_signal(sent)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130 and 'goes on from there' in said
    assert [each.policy for each in read_records(tmp_path)] == ['a']
    assert not any(map(is_running, [*workers, int((tmp_path / 'started').read_text())]))


def is_running(process):
    """Return whether there is a process that is more than an entry nobody has collected."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_a_policy_that_hangs_is_ended_and_has_no_result(tmp_path):
    runs = planned_runs({'still': 'still', 'hangs': f'{HERE}:hanging?folder={tmp_path}'}, [GOOD])
    still, hangs = run_rollouts(runs, SHORT, tmp_path, jobs=1, run_timeout=4.0)
    assert 'longer than --run-timeout, 4 s' in hangs.error and not still.error
    assert not is_running(int((tmp_path / 'started').read_text()))
    with pytest.raises(ConfigurationError, match='needs a process'):
        run_rollouts(runs, SHORT, tmp_path, jobs=0, run_timeout=1.0)
