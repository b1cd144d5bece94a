# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements on the real graph, for some seconds: what must hold under load holds."""
import os

import pytest

from bench import load, memory, proc, world

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def own_domain(ros_domain, monkeypatch):
    monkeypatch.setattr(world, 'first_domain', lambda: ros_domain)
    for name, value in world.ros_environment().items():
        monkeypatch.setenv(name, value)


def test_under_load_only_the_newest_counts_and_nothing_piles_up(own_domain, tmp_path):
    rows = load.follow(4.0, (160, 120), 9, tmp_path, camera_rate=30.0, joint_rate=500.0)
    assert [row for row in rows if not row['good']] == []
    assert {'shadow_sim', 'robot_feed'} <= {row['case'].split(':')[0] for row in rows}


def heard(answers=(), frames=(), replaced=0, waiting=(0,)):
    """Return what was heard of four trajectories, one a second."""
    samples = [load.Sample(float(at), {'requests replaced': str(at and replaced),
                                       'requests waiting': str(count)})
               for at, count in enumerate((0, *waiting))]
    return load.Heard([0.0, 1.0, 2.0, 3.0], [load.Answer(*each) for each in answers],
                      list(frames), samples, {}, whole=2)


def bad(what):
    """Return the beginnings of the rows that are not good."""
    return {row['case'].split(':')[0].split(',')[0] for row in load.judged(what)
            if not row['good']}


def test_a_run_in_which_all_holds():
    good = heard([(0.5, 0, False), (1.1, 0, False), (2.1, 1, True), (2.5, 2, True, False),
                  (3.5, 3, False, True, True)], [(0.6, 0), (3.6, 3), (3.7, 3)], replaced=2)
    assert bad(good) == set()
    assert good.behind() == [0, 0, 1, 0]
    assert set(good.first(judged=True)) == {0, 3} and set(good.first(judged=False)) == {0, 1, 2, 3}
    assert 'None' not in str(load.judged(good))


def test_what_must_not_happen_is_seen():
    last = (3.5, 3, False, True, True)
    order = heard([(0.5, 0, False), (2.5, 2, False), (2.6, 1, False), last],
                  [(0.6, 0), (2.7, 2), (2.8, 0), (3.6, 3), (3.7, 3)], replaced=0)
    assert order.overtaken() == (1, 1)
    assert bad(order) == {'verdicts', 'frames'}
    # heard late, but of the same trajectory that passed before: not a second chance
    assert heard([(0.5, 0, False, True, True), (2.5, 0, False, True, True)]
                 ).outdated_passes() == 0
    assert heard([(1.9, 0, False, True, True)]).outdated_passes() == 1
    assert heard([(1.9, 0, False, True, True, True, 1.1)]).outdated_passes() == 0     # on its way
    assert heard([(1.9, 0, False, True, True, True, 1.8)]).outdated_passes() == 1
    missed = heard([(0.5, 0, False), (1.5, 1, False), (2.5, 2, False), last],
                   [(0.6, 0), (1.0 + load.CANCELLED + 0.1, 0)], replaced=0)
    assert bad(missed) == set()           # that one was shown to its end
    missed = heard([(0.5, 0, False), (1.5, 1, False), (2.5, 2, False), last],
                   [(1.0 + load.CANCELLED + 0.1, 0)], replaced=0)
    assert bad(missed) == {'predictions cut short between frames'}
    assert bad(heard([(0.5, 0, False), (1.5, 1, False), (2.5, 2, False),
                      (1.1 + load.CANCELLED, 0, True), last], replaced=1)
               ) == {'verdicts', 'given up for a newer trajectory'}
    growing = heard([(0.5, 0, False), (1.5, 1, False), (2.5, 2, False), last],
                    waiting=(0, 1, 2, 3, 4, 5))
    assert bad(growing) == {'most requests that waited in shadow_sim'}
    assert 'trajectories' in bad(heard([(0.5, 0, False), last], replaced=2))   # two unanswered


def test_memory_that_grows_is_told_from_memory_that_was_filled_at_first():
    flat = memory.grown('a', [(i, min(100.0, 10.0 * i)) for i in range(100)])
    leak = memory.grown('b', [(i, 100.0 + 0.5 * i) for i in range(100)])
    assert flat['good'] and not leak['good']
    assert leak['growth_mb'] == pytest.approx(25.0, abs=1.0)


def test_what_proc_tells_of_this_process():
    pid = os.getpid()
    assert pid in proc.processes_of(pid)
    assert proc.resident_mb(pid) > 10.0 and proc.cpu_seconds(pid) > 0.0
    assert proc.labelled('it', pid)['it'] == pid


def test_a_process_that_grows_through_the_run_is_found():
    flat = load.process_row('node', 0.5, [100.0, *[200.0] * 60, 400.0])
    assert flat['good'] and flat['value'] == '0.50; 100, 200, 200, 400'
    grown = [200.0 + number for number in range(60)]
    assert not load.process_row('node', 0.5, [100.0, *grown, 260.0])['good']
    assert load.process_row(load.SCRIPT, 0.5, [100.0, *grown, 260.0])['good']
    for short in ([100.0, 101.0], [100.0, 101.0, 102.0]):        # too short for quarters
        assert load.process_row('node', 0.5, short)['good']
