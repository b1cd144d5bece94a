# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a simulation says that is not known: runs that do not agree, do not count, or are none."""
from __future__ import annotations

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import box, Path, RED, World

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.precheck import DynamicsRules
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import EventKind, Severity
from kinema4d_ros.world_model.physics import ensemble as ensembles
from kinema4d_ros.world_model.physics import reconstruct, Tale, why_not_available
from kinema4d_ros.world_model.physics import tale as tales
from kinema4d_ros.world_model.physics.ensemble import Ensemble
from kinema4d_ros.world_model.physics.simulation import NOBODY, Run
from kinema4d_ros.world_model.physics.world import Assumptions

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))

AT = (0.05, 0.1)
PATH = Path.through((0.0, -0.3, 0.3, 0.25, 0.0), (1.0, -0.3, 0.3, 0.25, 0.0), frames=11)
SHOVE = Path.through((0.0, -0.15, AT[1], 0.25, 0.0), (0.4, -0.15, AT[1], 0.03, 0.0),
                     (1.4, 0.08, AT[1], 0.03, 0.0), frames=30)
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


def test_runs_that_became_unstable_are_told_with_their_share(seen, monkeypatch):
    (event,) = events(seen, monkeypatch, [run()], EventKind.DISCARDED, discarded=7)
    assert '7 of 8 simulations became unstable' in event.message and event.share == 7 / 8
    (finding,) = DynamicsRules().findings([event])
    assert finding.severity is Severity.UNSURE


@needs_mujoco
def test_a_run_that_becomes_unstable_is_counted_and_never_shown(seen, monkeypatch, tmp_path):
    """A friction that is no number makes MuJoCo's solution none as soon as a finger touches."""
    def sample(world, room, seed):
        return Assumptions(friction=float('nan')) if seed == 0 else drawn(world, room, seed)

    monkeypatch.chdir(tmp_path)     # where MuJoCo writes its log
    drawn = ensembles.sample
    monkeypatch.setattr(ensembles, 'sample', sample)
    reconstruction, view, _ = seen
    with simulator(None) as shadow:
        observation = observe(World(), SHOVE)
        robot = shadow.roll_out(observation, motion(SHOVE))
    tale = Tale(reconstruction, view, robot, members=3, threads=1)
    assert tale.members == (2, 1)
    assert not any(each.why_unstable for each in tale.ensemble.runs)
    assert all(np.isfinite(each.places).all() for each in tale.ensemble.runs)
    told = {each.event.kind: each.event for each in tale.events}
    assert EventKind.PUSHED in told and told[EventKind.DISCARDED].share == pytest.approx(1 / 3)
    with pytest.raises(WorldModelError, match='none of 1 simulations was stable'):
        Tale(reconstruction, view, robot, members=1)
