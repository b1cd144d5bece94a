# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The measurements at quick sizes: both ways must give the same result; no time is asserted."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kinema4d_ros.precheck import PrecheckSettings, Tier1Settings
from kinema4d_ros.types import PinholeCamera

ROOT = Path(__file__).resolve().parents[2]
SMALL = PinholeCamera(90, 60, 72.0, 72.0, 44.5, 29.5)


def are_good(rows) -> None:
    assert rows
    for row in rows:
        assert row['same'], row
        assert row['ours_s'] > 0.0
        assert row['usual_s'] is None or row['usual_s'] > 0.0


def test_render():
    from bench.render import compared
    are_good(compared(1, 50_000, 3, SMALL)[:1])     # OpenGL, the other row, may be missing


def test_fk():
    from bench.fk import compare
    are_good(compare(1, 5, SMALL))


def test_message_fill():
    pytest.importorskip('sensor_msgs')
    code = ('import json, bench.message_fill as m; print(json.dumps('
            'm.compare(1, "small image", m.Image, (6, 8, 3))))')
    unchecked = {name: value for name, value in os.environ.items()
                 if name != 'ROS_PYTHON_CHECK_FIELDS'}
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=unchecked, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    are_good(json.loads(done.stdout))


def test_latency(ros_domain, monkeypatch):
    pytest.importorskip('rclpy')
    from bench import latency, world
    monkeypatch.setattr(world, 'first_domain', lambda: ros_domain)
    # Somebody else's program, with segments as large as ours, hears a pair that has default ones.
    other = subprocess.Popen(
        [sys.executable, '-m', 'bench.latency_peer', 'hear', 'shipped', '0'], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=world.ros_environment(2))
    try:
        assert 'ready' in other.stdout.readline()
        rows = latency.compare(1, 1600, 1)
    finally:
        other.communicate(timeout=20.0)
    are_good(rows)
    if shutil.disk_usage('/dev/shm').total < 1 << 30:
        pytest.skip('/dev/shm is too small for our segments: give a container --shm-size=1g')
    for row in rows:     # each pair has the profile that it should have
        assert row['shared_memory_mb'] > row['default_shared_memory_mb']


def test_pipeline():
    pytest.importorskip('rclpy')
    from bench.pipeline import compare
    rarely = PrecheckSettings(tier1=Tier1Settings(travel=0.2))
    are_good([compare(1, 3, PinholeCamera(180, 120, 144.9, 144.9, 89.5, 59.5), rarely)])


def test_candidates():
    from bench.candidates import compare
    are_good(compare(1, PinholeCamera(180, 120, 144.9, 144.9, 89.5, 59.5), 3))


def test_what_starts_nodes_switches_the_profile_on(monkeypatch):
    from kinema4d_ros.cli.ros import use_large_messages
    text = (ROOT / 'launch' / 'shadow_sim.launch.py').read_text()
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE' in text and 'fastdds.xml' in text
    assert 'use_large_messages()' in (ROOT / 'scripts' / 'demo.py').read_text()
    name = 'FASTRTPS_DEFAULT_PROFILES_FILE'
    monkeypatch.setattr(os, 'environ', {})
    use_large_messages()
    assert Path(os.environ[name]).is_file()
    monkeypatch.setattr(os, 'environ', {name: 'of the user'})
    use_large_messages()
    assert os.environ[name] == 'of the user'


def test_physics():
    """Runs repeat exactly, and each part takes some time; kinematic is measured beside."""
    pytest.importorskip('mujoco')
    from bench.physics import compared, LIMITS
    rows = compared([ROOT / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'], 1)
    are_good(rows)
    assert len(rows) == len(LIMITS) and all(row['usual_s'] > 0.0 for row in rows)


def test_memory_of_a_process():
    pytest.importorskip('rclpy')
    from bench.idle import memory_of
    from bench.proc import resident_mb
    found = memory_of(os.getpid())
    assert 0 < found['share_mb'] <= found['resident_mb'] and found['dev_shm_mb'] >= 0
    assert found['resident_mb'] == pytest.approx(resident_mb(os.getpid()), rel=0.2)
