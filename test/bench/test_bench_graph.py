# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements on the real graph, for some seconds: what must hold under load holds."""
import os

import pytest

pytest.importorskip('kinema4d_ros.msg', reason='the interfaces are not built: colcon build')

from bench import load, memory, proc, world  # noqa: E402

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


def test_what_was_heard_is_counted():
    heard = load.Heard(
        sent_at=[0.0, 1.0, 2.0, 3.0],
        verdicts=[(0.5, 0, False), (1.1, 0, True), (2.5, 2, False), (2.6, 1, True),
                  (3.5, 3, False)],
        frames=[(0.6, 0), (2.7, 2), (2.8, 0), (3.6, 3)], counted_replaced=0, rates={})
    assert heard.behind() == [0, 0, 1, 0]
    assert heard.overtaken() == (1, 1)
    assert heard.latencies() == [0.5, 0.5, 0.5]
    good = {row['case'].split(',')[0]: row['good'] for row in load.judged(heard)}
    assert not good['verdicts'] and not good['frames']
    assert not good['counted as replaced by the diagnostics']


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
