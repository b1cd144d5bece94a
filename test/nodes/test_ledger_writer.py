# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim writes to the ledger while clocks jump."""
import dataclasses
import time

import pytest
from rclpy.logging import get_logger

from kinema4d_ros.episodes import Episode
from kinema4d_ros.ledger import Ledger, LedgerLimits
from kinema4d_ros.ledger.episodes import EpisodeComparer, seen_in
from kinema4d_ros.ledger.summary import LedgerSummary
from kinema4d_ros.nodes.shadow_sim.ledger_writer import LedgerWork, LedgerWriter
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot
from kinema4d_ros.viewer.trust import LedgerReader

EPISODE = share_dir() / 'data' / 'episodes' / 'libero_object_0_0_missed_grasp.mcap'
DAY = 86_400_000_000_000
NOW = 1_793_534_400_000_000_000      # 2026-11-01, 12:00


def moved(observation, by):
    """Return an observation with all its stamps moved."""
    return dataclasses.replace(observation, stamp_ns=observation.stamp_ns + by, views=tuple(
        dataclasses.replace(view, stamp_ns=view.stamp_ns + by) for view in observation.views))


@pytest.fixture(scope='module')
def judged():
    """Return a motion as it was judged, what was seen of it, and its robot."""
    comparer, episode = EpisodeComparer(), Episode.open(EPISODE)
    yield comparer.judged(episode), seen_in(episode), Robot.from_urdf(episode.robot_description)
    comparer.close()


def written(writer, count):
    """Wait until so many entries are on the disk."""
    end = time.monotonic() + 60.0
    while writer.counts()['ledger entries'] < count and time.monotonic() < end:
        time.sleep(0.02)
    assert writer.counts() == {'ledger entries': count, 'ledger entries unwritten': 0,
                               'ledger motions dropped': 0}


def test_it_goes_on_over_jumps_of_the_wall_clock_and_of_ros_time(judged, tmp_path, monkeypatch):
    """Back to a clock that was never set and to stamps before all others, and on from there."""
    motion, seen, robot = judged
    path = tmp_path / 'ledger.db'
    reader, writer = LedgerReader(str(path)), LedgerWriter(get_logger('ledger_writer_test'))
    clocks = [NOW, 5 * DAY, NOW + DAY]
    try:
        for number, wall in enumerate(clocks):
            by = -motion.observation.stamp_ns if number == 1 else number * DAY
            monkeypatch.setattr(time, 'time_ns', lambda wall=wall: wall)
            writer.take(LedgerWork(
                dataclasses.replace(motion, observation=moved(motion.observation, by),
                                    rollout_id=f'{number}'),
                dataclasses.replace(seen, after=moved(seen.after, by)), robot, PrecheckSettings(),
                LedgerLimits(), str(path), 50))
            written(writer, number + 1)
            assert f'of {number + 1} motion' in reader.news()      # and the page shows it
    finally:
        writer.close()
    with Ledger(path) as ledger:
        entries = list(ledger.entries())
    assert [each.time_ns for each in entries] == clocks
    assert [each.rollout_id for each in entries] == ['0', '1', '2']
    assert entries[1].stamp_ns == 0 and {each.went for each in entries} == {'yes'}
    assert [day.date for day in LedgerSummary.of(entries).days] == [
        '2026-11-01', '2026-11-02', 'clock not set']
