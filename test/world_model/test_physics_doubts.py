# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a simulation says that is not known: runs that do not agree, do not count, or are none."""
from __future__ import annotations

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import box, Path, RED, World

from kinema4d_ros.precheck import DynamicsRules
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import EventKind, Severity
from kinema4d_ros.world_model.physics import reconstruct, Tale
from kinema4d_ros.world_model.physics import tale as tales
from kinema4d_ros.world_model.physics.ensemble import Ensemble
from kinema4d_ros.world_model.physics.simulation import NOBODY, Run

AT = (0.05, 0.1)
PATH = Path.through((0.0, -0.3, 0.3, 0.25, 0.0), (1.0, -0.3, 0.3, 0.25, 0.0), frames=11)
_LYING = np.array([np.cos(np.pi / 4), 0.0, np.sin(np.pi / 4), 0.0])


def run(moved: float = 0.0, toppled: bool = False) -> Run:
    """Return a run of one thing that has moved or tips over halfway through."""
    times = np.arange(101) * 0.01
    late = times > 0.5
    places, turns = np.zeros((101, 1, 3)), np.tile([1.0, 0.0, 0.0, 0.0], (101, 1, 1))
    places[late, 0, 0] = moved
    if toppled:
        turns[late, 0] = _LYING
    nothing = np.zeros((101, 1), bool)
    return Run(times, places, turns, np.full((101, 1), NOBODY, np.int16), ~nothing,
               nothing[..., None], nothing, np.zeros((101, 1)), nothing)


@pytest.fixture(scope='module')
def seen():
    """Return what is made of a picture of one box, its view and the robot's motion."""
    world = World().add(RED, box((0.05, 0.05, 0.1), (*AT, 0)))
    with simulator(None) as shadow:
        observation = observe(world, PATH)
        robot = shadow.roll_out(observation, motion(PATH))
    view = Scene(observation, (robot.link_id[0] >= 0,)).view
    return reconstruct(view), view, robot


def events(seen, monkeypatch, runs, kind, discarded=0):
    """Return the events of one kind where the runs are these."""
    monkeypatch.setattr(tales, 'run_ensemble',
                        lambda *_, **__: Ensemble(tuple(runs), discarded))
    return [each.event for each in Tale(*seen).events if each.event.kind is kind]


def test_what_stays_in_the_shown_run_and_topples_in_others_is_undecided(seen, monkeypatch):
    (event,) = events(seen, monkeypatch, [run(), *[run(toppled=True)] * 7], EventKind.UNDECIDED)
    assert 'of 8 simulations it stays in 1, tips over in 7' in event.message
    np.testing.assert_allclose(event.point_base[:2], AT, atol=0.01)
    (finding,) = DynamicsRules().findings([event])
    assert finding.severity is Severity.UNSURE


@pytest.mark.parametrize('way, may_push, severity', [
    (0.05, 0.01, Severity.UNSURE), (0.05, 0.1, Severity.INFO)])
def test_whether_it_moves_matters_beyond_may_push(seen, monkeypatch, way, may_push, severity):
    (event,) = events(seen, monkeypatch, [run(), run(way)], EventKind.UNDECIDED)
    (finding,) = DynamicsRules(may_push=may_push).findings([event])
    assert finding.value == pytest.approx(way) and finding.severity is severity


def test_runs_that_agree_leave_no_doubt(seen, monkeypatch):
    assert not events(seen, monkeypatch, [run(0.05)] * 3, EventKind.UNDECIDED)
