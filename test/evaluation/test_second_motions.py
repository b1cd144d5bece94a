# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motions after another one, which vouches for where the robot has been."""
import numpy as np
import pytest
from graph import ROOT

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation import hidden_obstacles
from kinema4d_ros.evaluation.second_motions import (AGO, DEFAULT, FIRST, joints_before, MotionPair,
                                                    NARROW, OTHER_MOTION, OTHER_START, SAME,
                                                    second_motions_markdown, SecondMotionRow)
from kinema4d_ros.evaluation.stages import do_stage, SECOND
from kinema4d_ros.types import Status

FOLDER = ROOT / 'data' / 'episodes'
CLEAN, MISSED = (str(FOLDER / f'libero_object_0_0_{kind}.mcap')
                 for kind in ('success', 'missed_grasp'))
OTHER = str(FOLDER / 'libero_object_2_0_success.mcap')


def test_another_motion_of_the_same_task_is_executed_before():
    pairs = MotionPair.of([CLEAN, MISSED, OTHER])
    assert pairs == {CLEAN: MotionPair(CLEAN, MISSED), MISSED: MotionPair(MISSED, CLEAN),
                     OTHER: MotionPair(OTHER)}


def test_its_measured_joints_end_before_the_look():
    before, now = Episode.open(MISSED), Episode.open(CLEAN)
    trail = joints_before(before, now)
    times, names, positions = before.joint_states
    ago = (now.observation().stamp_ns - trail.stamps_ns) * 1e-9
    assert trail.joint_names == names and ago.min() == pytest.approx(AGO, abs=0.1)
    assert AGO + 1.0 < ago.max() <= AGO + times[-1] - times[0] + 0.01
    off = np.abs(trail.positions[:, None] - positions[None]).max(axis=2).min(axis=1)
    assert off.max() < 1e-9


def test_the_second_motion_may_go_where_the_first_has_been(monkeypatch):
    """With 5 cm the first is UNSURE for space outside of the view, and the same again passes."""
    monkeypatch.setattr(hidden_obstacles, 'TIMES', 1)
    rows = do_stage((SECOND, MotionPair(OTHER)))
    plain = {(row.before, row.outside): row for row in rows if not row.box}
    assert plain[FIRST, DEFAULT].status is Status.PASS is plain[SAME, NARROW].status
    assert plain[FIRST, NARROW].status is Status.UNSURE
    assert "outside of the camera's view" in plain[FIRST, NARROW].reason
    boxes = [row for row in rows if row.box]
    assert {(row.before, row.outside) for row in boxes} == {(FIRST, DEFAULT), (FIRST, NARROW)}
    assert not [row for row in boxes if row.outside == NARROW and row.status is Status.PASS]


def test_the_table_has_a_column_for_each_case_and_says_where_no_box_has_room():
    def row(before, outside, status, box='', dangerous=False):
        return SecondMotionRow('a', before, outside, box, dangerous, status, '')

    table = second_motions_markdown([
        row(FIRST, DEFAULT, Status.PASS), row(FIRST, NARROW, Status.UNSURE),
        row(FIRST, DEFAULT, Status.PASS, 'wrist', True), row(OTHER_START, NARROW, Status.PASS)])
    assert '| first motion, 20 cm | first motion, 5 cm | after another start, 5 cm |' in table
    assert '| clean, PASS | 1/1 (20.7 to 100.0 %) | 0/1 (0.0 to 79.3 %) | 1/1' in table
    assert 'way of the wrist, PASS | 1/1 (20.7 to 100.0 %) | no room | no room |' in table
    assert '| dangerous, PASS | none | none | none |' in table
    assert OTHER_MOTION not in table.split('|', 1)[1] and second_motions_markdown([]) == ''
