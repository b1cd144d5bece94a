# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a simulation shows can make a verdict worse, and never better."""
from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from gantry import GRIPPER, motion, observe, ROBOT
from scenes import BLUE, box, can, Path, pick_and_place, RED, World

from kinema4d_ros.errors import ConfigurationError, WorldModelError
from kinema4d_ros.precheck import (CameraCheck, Consequence, DynamicsRules, Goal,
                                   PrecheckSettings, Tier1Settings)
from kinema4d_ros.precheck.dynamics_rules import EVENT_RULES, LEAST_DRAG, LEAST_PUSH
from kinema4d_ros.precheck.neighbours import moved_neighbours
from kinema4d_ros.precheck.outcome import Outcome
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (EventKind, FindingCode, Severity, Status, WorldEvent)
from kinema4d_ros.world_model.physics import why_not_available
from kinema4d_ros.world_model.physics.ensemble import Ensemble
from kinema4d_ros.world_model.physics.happenings import LIFTED_OFF, MOVED

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))
#: from the best verdict to the worst
ORDER = (Status.PASS, Status.UNSURE, Status.FAIL)
LAX = Tier1Settings(camera_check=CameraCheck.OFF, unseen='report')


def shove(to=0.12, at=(0.05, 0.1), height=0.02) -> Path:
    """Return a path of closed fingers along x until their front is at `to`."""
    return Path.through((0.0, -0.15, at[1], 0.25, 0.0), (1.0, -0.15, at[1], height, 0.0),
                        (3.0, to - 0.01, at[1], height, 0.0),
                        (3.6, to - 0.01, at[1], height, 0.0), frames=40)


def verdict(world, path, rules=DynamicsRules(), goal=None, tier1=LAX):
    """Return what tiers 0 and 1 say."""
    with ShadowSimulator(ROBOT, None, gripper=GRIPPER, settings=PrecheckSettings(
            tier1=tier1, physics=rules)) as simulator:
        return simulator.precheck(observe(world, path), motion(path), goal=goal)


def codes(found):
    """Return the codes of a verdict's findings."""
    return {finding.code for finding in found.findings}


def event(kind, distance=None, thing=0):
    """Return an event of a thing."""
    return WorldEvent(kind, 1.0, np.zeros(3), 'it happens', thing, distance)


WORLDS = {
    'push': (World().add(RED, box((.08, .08, .05), (0.05, 0.1, 0))), shove()),
    'topple': (World().add(RED, box((.04, .06, .16), (0.05, 0.1, 0))), shove(height=0.12)),
    'carry': (World().add(RED, can(.03, .08, (0.1, 0.15, 0))),
              pick_and_place((0.1, 0.15), (-0.05, -0.2), 0.02, 0.022)),
    'nothing': (World().add(BLUE, box((.05, .05, .05), (-.2, .3, 0))), shove()),
}
ALL = {mode: dict.fromkeys(EVENT_RULES, mode) for mode in Consequence}


@needs_mujoco
@pytest.mark.parametrize('name, mode', list(itertools.product(WORLDS, ['report', 'fail'])))
def test_with_simulation_a_verdict_is_never_better(name, mode):
    world, path = WORLDS[name]
    without = verdict(world, path)
    rules = DynamicsRules(outcome=True, members=2, **ALL[Consequence(mode)])
    with_it = verdict(world, path, rules)
    assert ORDER.index(with_it.status) >= ORDER.index(without.status)
    # All that geometry holds against the motion is held against it still.
    against = [f for f in without.findings if f.severity > Severity.INFO]
    assert all(f in with_it.findings for f in against)


@needs_mujoco
def test_pushing_something_aside_is_no_pass_by_default_and_its_distance_is_told():
    world, path = WORLDS['push']
    lax = dataclasses.replace(LAX, touch={})
    found = verdict(world, path, DynamicsRules(outcome=True), tier1=lax)
    (pushed,) = (f for f in found.findings if f.code is FindingCode.PUSHED)
    assert pushed.severity is Severity.UNSURE
    assert pushed.value == pytest.approx(0.11, abs=0.01) and pushed.limit == 0.01
    assert FindingCode.SWEPT not in codes(found)      # the same, told better
    allowed = verdict(world, path, DynamicsRules(outcome=True, may_push=0.2), tier1=lax)
    (pushed,) = (f for f in allowed.findings if f.code is FindingCode.PUSHED)
    assert pushed.severity is Severity.INFO


def test_the_least_that_may_be_pushed_or_taken_along_is_the_least_that_is_told():
    assert LEAST_PUSH == MOVED and LEAST_DRAG == LIFTED_OFF
    (along,) = DynamicsRules(may_take_along=0.02).findings([event(EventKind.DRAGGED, 0.01)])
    assert along.severity is Severity.INFO and along.limit == 0.02


@needs_mujoco
def test_a_goal_is_judged_on_the_simulated_end():
    """Geometry leaves what is pushed where it was; simulated, it reaches the goal."""
    world, path = WORLDS['push']
    goal = Goal.of({'moved_by': {'distance': 0.06, 'direction': [1, 0, 0]}})
    without = verdict(world, path, goal=goal)
    with_it = verdict(world, path, DynamicsRules(outcome=True, members=4), goal=goal)
    assert without.success < 0.1 and with_it.success > 0.9
    assert 'pushes' in with_it.outcome


def test_what_cannot_be_simulated_forbids_a_pass(monkeypatch):
    def fails(*_args, **_kwargs):
        raise WorldModelError('MuJoCo is not here')

    monkeypatch.setattr('kinema4d_ros.world_model.physics.reconstruct_all', fails)
    world, path = WORLDS['nothing']
    found = verdict(world, path, DynamicsRules(outcome=True))
    assert found.status is not Status.PASS
    assert any('MuJoCo is not here' in f.message and
               f.severity is Severity.UNSURE for f in found.findings)


@pytest.mark.parametrize('kind, distance, severity', [
    (EventKind.PUSHED, 0.011, Severity.UNSURE), (EventKind.PUSHED, 0.009, Severity.INFO),
    (EventKind.DRAGGED, 0.02, Severity.UNSURE), (EventKind.DRAGGED, 0.005, Severity.UNSURE),
    (EventKind.TOPPLED, 0.0, Severity.UNSURE),
    (EventKind.DROPPED, 0.2, Severity.INFO), (EventKind.FELL_OFF, 0.1, Severity.UNSURE),
    (EventKind.SLIPPED_OUT, None, Severity.UNSURE), (EventKind.JAMMED, None, Severity.UNSURE),
    (EventKind.UNDECIDED, None, Severity.UNSURE), (EventKind.UNDECIDED, 0.02, Severity.UNSURE),
    (EventKind.UNDECIDED, 0.009, Severity.INFO),
    (EventKind.NOT_MODELLED, None, Severity.INFO), (EventKind.GRASP, None, Severity.INFO)])
def test_default_rules(kind, distance, severity):
    (finding,) = DynamicsRules().findings([event(kind, distance)])
    assert finding.severity is severity and finding.code.name == kind.name


def test_what_another_seed_shows_counts_and_the_same_is_told_once():
    small, far = event(EventKind.PUSHED, 0.005), event(EventKind.PUSHED, 0.3)
    first = [small, event(EventKind.REST)]
    found = DynamicsRules().findings_of_seeds(first, {
        1: [small, event(EventKind.REST)], 2: [far, event(EventKind.TOPPLED)], 3: [far]})
    assert [(f.code.name, f.severity, f.message) for f in found] == [
        ('PUSHED', Severity.INFO, 'it happens'), ('REST', Severity.INFO, 'it happens'),
        ('PUSHED', Severity.UNSURE, 'with seed 2: it happens'),
        ('TOPPLED', Severity.UNSURE, 'with seed 2: it happens')]


@pytest.mark.parametrize('share, severity', [
    (1 / 8, Severity.UNSURE), (0.1, Severity.UNSURE), (1 / 16, Severity.INFO)])
def test_runs_that_do_not_count_are_a_doubt_unless_they_are_few(share, severity):
    lost = dataclasses.replace(event(EventKind.DISCARDED), share=share)
    (finding,) = DynamicsRules().findings([lost])
    assert finding.severity is severity


def test_what_is_grasped_may_be_pushed_and_others_not():
    events = [event(EventKind.PUSHED, 0.05, thing=1), event(EventKind.GRASP, thing=1),
              event(EventKind.PUSHED, 0.05, thing=2)]
    assert [f.severity for f in DynamicsRules().findings(events)] == [
        Severity.INFO, Severity.INFO, Severity.UNSURE]


@pytest.mark.parametrize('distance, after', [(0.3, 0.0), (0.05, 1.0)])
def test_what_is_grasped_is_pushed_too_far_or_not_before(distance, after):
    pushed = dataclasses.replace(event(EventKind.PUSHED, distance), time=1.0 + after)
    found = DynamicsRules().findings([event(EventKind.GRASP), pushed])
    assert found[1].severity is Severity.UNSURE


@pytest.mark.parametrize('name', EVENT_RULES)
def test_every_rule_takes_each_consequence(name):
    distance = 1.0 if name in ('pushed', 'dragged') else None
    for mode, severity in zip(Consequence, (Severity.INFO, Severity.UNSURE, Severity.FAIL),
                              strict=True):
        (finding,) = DynamicsRules(**{name: str(mode)}).findings(
            [event(EventKind(name), distance)])
        assert finding.severity is severity


@pytest.mark.parametrize('values, message', [
    ({'pushed': 'maybe'}, "pushed must be one of report, unsure, fail, got 'maybe'"),
    ({'may_push': 0.005}, r'at least 0\.01 \[m\], below which .* no push, got 0\.005'),
    ({'may_push': float('nan')}, r'may_push must be at least 0\.01 \[m\].* got nan'),
    ({'may_take_along': 0.001}, r'at least 0\.003 \[m\], below which .* nothing, got 0\.001'),
    ({'members': 0}, 'members must be 1 or more, got 0')])
def test_rules_that_are_none_are_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        DynamicsRules(**values)


@needs_mujoco
def test_what_moves_a_neighbour_is_no_pass_and_what_stands_at_the_goal_may_be_moved():
    """A can is put down where it overlaps the edge of a box by less than geometry allows."""
    place = (-0.05, -0.2)
    world = World().add(RED, can(.03, .08, (0.1, 0.15, 0)), box((.05, .05, .04), (-0.001, -0.2, 0)))
    path = pick_and_place((0.1, 0.15), place, 0.02, 0.022)
    assert verdict(world, path).status is Status.PASS
    rules = DynamicsRules(neighbours=4)
    found = verdict(world, path, rules)
    (moved,) = [f for f in found.findings if f.code is FindingCode.PUSHED]
    assert found.status is Status.UNSURE and 'simulations' in moved.message
    np.testing.assert_allclose(moved.point_base[:2], (-0.001, -0.2), atol=0.02)
    beside, there = (Goal.of({'above': {'region': {'low': [x, y, 0.0], 'high': [
        x + 0.1, y + 0.1, 0.3]}}}) for x, y in ((-0.2, -0.25), (-0.06, -0.25)))
    assert verdict(world, path, rules, beside).status is Status.UNSURE
    assert verdict(world, path, rules, there).status is Status.PASS


@needs_mujoco
def test_neighbours_that_cannot_be_simulated_are_no_pass():
    world, path = World(), shove()
    seen = observe(world, path)
    wall = np.full_like(seen.view.depth, 1.5)
    with ShadowSimulator(ROBOT, None, gripper=GRIPPER, settings=PrecheckSettings(
            tier1=LAX, physics=DynamicsRules(neighbours=1))) as simulator:
        found = simulator.precheck(dataclasses.replace(seen, views=(dataclasses.replace(
            seen.view, depth=wall),)), motion(path))
    assert found.status is Status.UNSURE
    assert ['no level surface' in f.message for f in found.findings
            if f.severity > Severity.INFO] == [True]


@pytest.mark.parametrize('stable, unstable, told', [(8, 0, False), (19, 1, False), (7, 1, True)])
def test_neighbours_are_unsure_where_simulations_became_unstable(stable, unstable, told):
    ensemble = Ensemble((None,) * stable, unstable)     # of no things nobody looks at the runs
    found = moved_neighbours(ensemble, (), Outcome(), ())
    assert [(f.severity, f'{unstable} of {stable + unstable}' in f.message)
            for f in found] == [(Severity.UNSURE, True)] * told


def test_fewer_than_no_simulations_of_neighbours_are_refused():
    with pytest.raises(ConfigurationError, match='neighbours must be 0 or more, got -1'):
        DynamicsRules(neighbours=-1)
