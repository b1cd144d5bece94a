# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Posts in the robot's own shadow, in a bundled scene and a motion that goes back into it."""
import dataclasses

import numpy as np
import pytest
from graph import ROOT

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation import hidden_obstacles
from kinema4d_ros.evaluation.hidden_obstacles import checker_of
from kinema4d_ros.evaluation.shadow_obstacles import HANGS, shadow_rows, STANDS
from kinema4d_ros.precheck import PrecheckSettings, Tier1Settings, Unseen

EPISODE = ROOT / 'data' / 'episodes' / 'libero_spatial_3_0_success.mcap'
BACK = {'panda_joint2': -0.4, 'panda_joint4': -0.5}      # [rad] 16 cm back, 6 cm down


def rows_by(settings):
    episode = Episode.open(EPISODE)
    start = episode.trajectory.positions[0]
    end = start + [BACK.get(name, 0.0) for name in episode.trajectory.joint_names]
    back = dataclasses.replace(episode.trajectory, positions=np.array([start, end]),
                               times=np.array([0.0, 3.0]), velocities=None, accelerations=None)
    checker = checker_of(episode.robot_description, PrecheckSettings(tier1=settings))
    return list(shadow_rows('back', episode.observation(), back, checker, sides=(0.04,)))


@pytest.fixture(autouse=True)
def one_of_each(monkeypatch):
    """Try one place for each link."""
    monkeypatch.setattr(hidden_obstacles, 'TIMES', 1)


def test_no_motion_through_a_post_in_the_shadow_passes():
    rows = rows_by(Tier1Settings())
    assert {row.kind for row in rows} & {f'4 cm, {kind}{how}' for kind in (STANDS, HANGS)
                                         for how in ('', ', without depth')}
    assert len({row.kind for row in rows}) >= 2 and {row.role for row in rows} >= {'hand'}
    assert not any(row.passed for row in rows) and all(row.why for row in rows)


def test_who_only_wants_a_report_lets_some_pass():
    assert any(row.passed for row in rows_by(Tier1Settings(unseen=Unseen.REPORT)))
