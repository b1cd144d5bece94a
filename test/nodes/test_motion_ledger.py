# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger of a running cell, against what really happens in it."""
import sqlite3

import numpy as np
import pytest
from gate_bench import Gate
from gate_world import ABORTED, Arm, Nodes, SUCCEEDED
from graph import FakeRobot, HEIGHT, made, READY, start_shadow_sim, swing, WIDTH
from diagnostic_msgs.msg import DiagnosticArray
from scaled_jtc import ScaledJtc

from kinema4d_ros.errors import LedgerError
from kinema4d_ros.ledger import End, Ledger, Went

pytestmark = pytest.mark.timeout(180)


class LedgerCell:
    """An arm with a controller, a gate before it, a camera, and a shadow_sim with a ledger."""

    def __init__(self, graph, tester, path, shadow_sim):
        self.tester, self.path, self.shadow_sim = tester, path, shadow_sim
        self.arm = Arm(graph.node)
        self.camera = FakeRobot(tester)
        self.camera.joints_on = False
        self.jtc = ScaledJtc(graph.node, '/arm_controller', self.arm)
        self.gate = Gate(tester, '/arm_controller', max_joint_age=2.0)
        self.told = tester.listen('/diagnostics', DiagnosticArray, 10)

    def reset(self):
        self.jtc.reset()
        self.arm.put(READY)
        self.camera.depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        self.camera.wait_shown(10)
        self.gate.wait(lambda: self.gate.status()[1] == 'ready')
        stamp = self.tester.node.get_clock().now().nanoseconds
        self.gate.hears(lambda heard: heard > stamp + 300_000_000)

    def wait_until_it_judges(self):
        """Wait until shadow_sim has all that it needs: a gate asks it once."""
        self.camera.wait_shown(10)
        self.tester.wait(lambda: any('would be judged at once' in status.message
                                     for status in (self.told[-1].status if self.told else ())),
                         'that shadow_sim is ready', 60)

    @property
    def entries(self):
        try:
            with Ledger(self.path) as ledger:
                return list(ledger.entries())
        except LedgerError as error:
            assert 'does not exist' in str(error) or 'is empty' in str(error)     # just begun
            return []

    def entered(self, count, seconds=30.0):
        """Wait until there are so many entries, and return the newest."""
        self.tester.wait(lambda: len(self.entries) >= count, f'entry {count}', seconds)
        return self.entries[-1]

    def counted(self, key):
        """Return the newest value of a key in the diagnostics."""
        return next((item.value for array in reversed(self.told) for status in array.status
                     for item in status.values if item.key == key), None)


@pytest.fixture(scope='module')
def shared_cell(module_ros_domain, tmp_path_factory):
    path = tmp_path_factory.mktemp('trust') / 'ledger.db'
    shadow_sim = start_shadow_sim(
        required_tiers=[0, 1], world_model='frozen', input_wait=2.0, max_input_age=3.0,
        **{'ledger.file': str(path), 'ledger.settle': 0.3, 'tier1.unseen': 'report'})
    graph = Nodes()
    try:
        with made() as tester:
            cell = LedgerCell(graph, tester, path, shadow_sim)
            try:
                cell.gate.ready()
                cell.wait_until_it_judges()
                yield cell
            finally:
                cell.gate.stop()
    finally:
        graph.close()
        code = shadow_sim.stop()
    assert code == 0, shadow_sim.output()
    assert 'Traceback' not in shadow_sim.output()


@pytest.fixture
def cell(shared_cell):
    shared_cell.reset()
    return shared_cell


def test_a_motion_that_went_as_predicted_is_entered(cell):
    count = len(cell.entries)
    status, result = cell.gate.run(swing(0.3))
    assert status == SUCCEEDED, result.error_string
    entry = cell.entered(count + 1)
    assert entry.went == Went.YES, entry.reasons
    assert (entry.status, entry.ended, entry.robot) == ('PASS', 'done', 'demo_arm')
    assert entry.path_error < 0.05 and entry.end_error < 0.02
    assert abs(entry.seconds - entry.predicted_seconds) < 0.5
    assert abs(entry.seen_clearance - entry.predicted_clearance) < 0.01
    assert entry.scene_compared and entry.trajectory_hash and entry.rollout_id


def test_what_appears_in_the_scene_is_told(cell):
    count, since = len(cell.entries), len(cell.gate.decisions)
    handle = cell.gate.send(swing(0.3))
    cell.gate.decided('forward', since)
    depth = cell.camera.depth.copy()
    depth[:16, :16] = 1.2
    cell.camera.depth = depth
    assert cell.gate.outcome(handle)[0] == SUCCEEDED
    entry = cell.entered(count + 1)
    assert entry.went == Went.NO and entry.scene_as_foreseen is False
    assert 'something has come at' in entry.reasons[0]
    assert 'did not go as predicted: something has come' in cell.shadow_sim.output()


def test_a_motion_that_the_gate_stopped_is_told(cell):
    count, since = len(cell.entries), len(cell.gate.decisions)
    handle = cell.gate.send(swing(0.3, seconds=2.0))
    cell.gate.decided('forward', since)
    cell.tester.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > 0.03, 'the arm')
    cell.jtc.off = {'elbow_joint': 0.15}
    assert cell.gate.outcome(handle)[0] == ABORTED
    entry = cell.entered(count + 1)
    assert (entry.went, entry.ended) == (Went.NO, End.STOPPED)
    assert entry.reasons[0] == 'the gate stopped it' and entry.path_error > 0.1


def test_what_its_client_cancelled_is_neither(cell):
    count, since = len(cell.entries), len(cell.gate.decisions)
    handle = cell.gate.send(swing(0.3, seconds=3.0))
    cell.gate.decided('forward', since)
    cell.tester.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > 0.03, 'the arm')
    cell.tester.ask(handle.cancel_goal_async)
    cell.gate.outcome(handle)
    entry = cell.entered(count + 1)
    assert (entry.went, entry.ended) == (Went.UNKNOWN, End.CANCELLED)


def test_a_locked_ledger_stops_nothing_and_loses_nothing(cell):
    count = len(cell.entries)
    other = sqlite3.connect(cell.path, isolation_level=None)
    other.execute('BEGIN IMMEDIATE')
    try:
        for angle in 0.2, 0.25:
            status, result = cell.gate.run(swing(angle))
            assert status == SUCCEEDED, result.error_string
            cell.reset()
        cell.tester.wait(lambda: 'locked' in (cell.counted('ledger problem') or ''), 'the problem')
    finally:
        other.execute('ROLLBACK')
        other.close()
    cell.entered(count + 2)
    cell.tester.wait(lambda: cell.counted('ledger entries unwritten') == '0', 'the diagnostics')


def test_a_damaged_ledger_is_left_as_it_is_and_stops_nothing(cell):
    """And where it is moved away, a new one is begun."""
    before = len(cell.entries)
    aside = cell.path.with_suffix('.aside')
    with Ledger(cell.path, write=True):
        pass                                   # so that nothing is in the write-ahead file
    cell.path.rename(aside)
    cell.path.write_bytes(b'no ledger')
    status, result = cell.gate.run(swing(0.2))
    assert status == SUCCEEDED, result.error_string
    cell.tester.wait(lambda: 'is no ledger' in (cell.counted('ledger problem') or ''), 'it')
    assert cell.path.read_bytes() == b'no ledger'
    cell.path.unlink()
    assert cell.entered(1).went in ('yes', 'unknown')
    with Ledger(aside) as ledger:
        assert len(ledger) == before
