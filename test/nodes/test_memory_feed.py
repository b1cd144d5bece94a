# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the workers are shown to remember, and when that is taken back."""
from types import SimpleNamespace

import pytest
from camera_desk import MS, ROBOT

from kinema4d_ros.nodes.shadow_sim.drift import DriftWatch
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder, RobotSource
from kinema4d_ros.nodes.shadow_sim.memory_feed import MemoryFeed
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings


class Worker:
    """Notes what it is asked for."""

    def __init__(self, on_remember=lambda: None):
        self.is_idle, self.asked, self._on_remember = True, [], on_remember

    def remember(self, observation, take):
        self.asked.append('remember')
        self._on_remember()

    def forget(self):
        self.asked.append('forget')


@pytest.fixture
def cell(desk):
    """Return a desk that has been looked at, and a feed of a worker of it."""
    made = desk(drift_period=0.0)
    made.drive(0.0)
    made.run(450)
    made.look()
    live = LiveInputsHolder()
    live.update(source=RobotSource('', made.finder), inputs=made.inputs)
    node = SimpleNamespace(get_clock=lambda: SimpleNamespace(
        now=lambda: SimpleNamespace(nanoseconds=made.now)),
        get_logger=lambda: SimpleNamespace(debug=lambda text: None))
    worker = Worker()
    feed = MemoryFeed(node, live, lambda: shadow_sim_settings(made.values), DriftWatch(), [worker])
    return SimpleNamespace(desk=made, worker=worker, feed=feed)


def test_a_scene_is_remembered_while_the_base_stands(cell):
    cell.feed.look()
    cell.worker.is_idle = False
    cell.feed.look()
    assert cell.worker.asked == ['remember']


def test_an_image_from_before_the_base_drove_is_not_kept(cell):
    cell.desk.drive(0.2)
    cell.feed.look()
    assert cell.worker.asked == []
    cell.desk.run(200)                   # images from where it is now
    cell.feed.look()
    assert cell.worker.asked == ['remember']


def test_a_base_that_is_found_to_have_driven_during_the_look_takes_it_back(cell):
    def drive():
        cell.desk.drive(0.2)
        cell.desk.inputs._trail.note_base(ROBOT, cell.desk.now + MS)

    cell.worker._on_remember = drive
    cell.feed.look()
    assert cell.worker.asked == ['remember', 'forget']
