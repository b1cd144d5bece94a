# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model with dynamics on ray-cast worlds and bundled episodes; the oracle is arithmetic."""
from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
from gantry import observe, motion, simulator
from scenes import BLUE, box, can, Path, pick_and_place, RED, World

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.precheck import DynamicsRules
from kinema4d_ros.types import EventKind, FindingCode, Severity
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.physics import why_not_available
from kinema4d_ros.world_model.physics.engine import mujoco

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))
AT = (0.05, 0.1)


def pushed(size, at=AT, to=0.12, height=0.02, start=-0.15, seconds=2.0) -> Path:
    """Return a path of closed fingers that push along x until their front is at `to`."""
    y = at[1]
    return Path.through((0.0, start, y, 0.25, 0.0), (1.0, start, y, height, 0.0),
                        (1.0 + seconds, to - 0.01, y, height, 0.0),
                        (1.6 + seconds, to - 0.01, y, height, 0.0), frames=65)


def foresee(world, path, seed=0, **settings):
    """Return the predicted frames and their events."""
    model = load_world_model('physics', **{'members': 1, **settings})
    with simulator(model, frames=33) as shadow:
        frames = list(shadow.predict(observe(world, path), motion(path), seed=seed))
    return frames, [event for frame in frames for event in frame.events]


def kinds(events):
    """Return what happened, in order."""
    return [event.kind for event in events]


@needs_mujoco
def test_a_box_is_pushed_exactly_as_far_as_the_finger_goes():
    size, to = (0.08, 0.08, 0.05), 0.12
    frames, events = foresee(World().add(RED, box(size, (*AT, 0))), pushed(size, to=to))
    assert kinds(events) == [EventKind.PUSHED, EventKind.REST]
    # Its near face ends where the finger's front does.
    np.testing.assert_allclose(frames[0].carried_point_base, (*AT, size[2] / 2), atol=0.006)
    np.testing.assert_allclose(frames[-1].carried_point_base,
                               (to + size[0] / 2, AT[1], size[2] / 2), atol=0.008)
    way = to - (AT[0] - size[0] / 2)
    assert f'{100 * way:.0f} cm' in events[0].message and 'pushes' in events[0].message


@needs_mujoco
def test_a_tall_box_that_is_pushed_at_its_top_tips_over_and_lies():
    size = (0.04, 0.06, 0.16)
    frames, events = foresee(World().add(RED, box(size, (*AT, 0))),
                             pushed(size, height=0.12, to=0.12))
    assert EventKind.TOPPLED in kinds(events)
    assert frames[-1].carried_point_base[2] == pytest.approx(size[0] / 2, abs=0.01)
    assert frames[-1].carried_point_base[0] > AT[0] + 0.06


@needs_mujoco
def test_what_nobody_touches_stays_to_the_millimetre():
    world = World().add(RED, box((0.08, 0.08, 0.05), (*AT, 0))).add(
        BLUE, can(0.03, 0.1, (0.1, -0.25, 0))).add(BLUE, box((.05, .05, .05), (-.2, .3, 0)))
    size = (0.08, 0.08, 0.05)
    frames, events = foresee(world, pushed(size))
    assert EventKind.PUSHED in kinds(events)
    _, _, thing = world.render()
    others = (thing >= 2) & ~frames[-1].robot_mask & ~frames[0].robot_mask
    assert others.sum() > 200
    before, after = frames[0].pointmap[others], frames[-1].pointmap[others]
    np.testing.assert_allclose(after, before, atol=1e-4)


@needs_mujoco
def test_a_box_takes_along_the_one_that_it_is_pushed_into():
    size = (0.06, 0.08, 0.05)
    other = (AT[0] + 0.1, AT[1], 0)
    world = World().add(RED, box(size, (*AT, 0))).add(BLUE, box(size, other))
    _, events = foresee(world, pushed(size, to=0.12))
    assert EventKind.PUSHED in kinds(events) and EventKind.DRAGGED in kinds(events)


@needs_mujoco
def test_a_can_is_carried_and_stands_where_it_is_put_down():
    world = World().add(RED, can(0.03, 0.08, (0.1, 0.15, 0)))
    frames, events = foresee(world, pick_and_place((0.1, 0.15), (-0.05, -0.2), 0.02, 0.022))
    assert kinds(events)[:2] == [EventKind.GRASP, EventKind.RELEASE]
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.05, -0.2, 0.04), atol=0.012)


@needs_mujoco
def test_what_is_let_go_high_up_is_dropped_by_that_height():
    world = World().add(RED, box((0.06, 0.05, 0.07), (0.1, 0.15, 0)))
    _, events = foresee(world, pick_and_place((0.1, 0.15), (-0.05, -0.2), 0.02, 0.175))
    (dropped,) = (event for event in events if event.kind is EventKind.DROPPED)
    assert '15 cm' in dropped.message or '16 cm' in dropped.message
    assert kinds(events).index(EventKind.RELEASE) < kinds(events).index(EventKind.DROPPED)


@needs_mujoco
def test_same_seed_same_frames_whatever_the_threads():
    size = (0.08, 0.08, 0.05)
    world = World().add(RED, box(size, (*AT, 0)))
    one, _ = foresee(world, pushed(size), members=4, threads=1)
    two, _ = foresee(world, pushed(size), members=4, threads=2)
    other, _ = foresee(world, pushed(size), seed=3, members=4, threads=2)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.pointmap, b.pointmap)
        np.testing.assert_array_equal(a.pointmap_sigma, b.pointmap_sigma)
    assert any(not np.array_equal(a.pointmap, b.pointmap, equal_nan=True)
               for a, b in zip(one, other, strict=True))


@needs_mujoco
def test_the_ensemble_says_how_well_the_end_is_known():
    size = (0.08, 0.08, 0.05)
    frames, _ = foresee(World().add(RED, box(size, (*AT, 0))), pushed(size), members=6)
    first, last = frames[0].pointmap_sigma, frames[-1].pointmap_sigma
    assert np.nanmax(first) == 0.0
    assert 5e-4 < np.nanmax(last) < 0.02
    assert (last > 0).sum() > 100       # the thing, and nothing else
    assert np.isnan(last[~np.isfinite(frames[-1].pointmap[..., 2])]).all()


@needs_mujoco
def test_a_box_that_may_slide_or_tip_is_undecided():
    """Pushed where friction decides: height * friction is about half of the width."""
    size = (0.05, 0.06, 0.14)
    _, events = foresee(World().add(RED, box(size, (*AT, 0))),
                        pushed(size, height=0.035, to=0.14, seconds=1.0), members=12)
    undecided = [event for event in events if event.kind is EventKind.UNDECIDED]
    assert undecided and 'of 12 simulations' in undecided[0].message


@needs_mujoco
def test_a_robot_without_gripper_pushes_too():
    size = (0.08, 0.08, 0.05)
    path, world = pushed(size), World().add(RED, box((0.08, 0.08, 0.05), (*AT, 0)))
    model = load_world_model('physics', members=1)
    with simulator(model, frames=33) as shadow:
        seen = observe(world, path)
        robot = dataclasses.replace(shadow.roll_out(seen, motion(path)), gripper=None)
        frames = list(model.predict(seen, robot))
    events = [event for frame in frames for event in frame.events]
    assert EventKind.PUSHED in kinds(events)


@needs_mujoco
def test_a_rollout_without_rigid_links_is_refused_with_what_to_set():
    path = pick_and_place((0.1, 0.15), (-0.05, -0.2))
    model = load_world_model('physics', members=1)
    with pytest.raises(WorldModelError, match=r'RobotRollout\.chain'):
        list(model.predict(World().observe(path), path.rollout()))


@needs_mujoco
def test_without_depth_it_predicts_the_robot_and_says_so():
    path = pick_and_place((0.1, 0.15), (-0.05, -0.2))
    model = load_world_model('physics', members=1)
    frames = list(model.predict(World().observe(path, depth=False), path.rollout()))
    assert kinds(frames[0].events) == [EventKind.NO_DEPTH, EventKind.NOT_SIMULATED]


@needs_mujoco
def test_where_nothing_can_be_reconstructed_there_is_no_pass():
    world, path = World().add(RED, box((0.08, 0.08, 0.05), (*AT, 0))), pushed((0.08, 0.08, 0.05))
    seen = observe(world, path)
    nothing = np.full_like(seen.view.depth, np.nan)     # dark, or glass: no depth anywhere
    (camera,) = seen.views
    blind = dataclasses.replace(seen, views=(dataclasses.replace(camera, depth=nothing),))
    with simulator(load_world_model('physics', members=1), frames=5) as shadow:
        frames = list(shadow.predict(blind, motion(path)))
    events = [event for frame in frames for event in frame.events]
    assert kinds(events) == [EventKind.NOT_SIMULATED] and len(frames) == 5
    assert 'no level surface' in events[0].message
    (finding,) = DynamicsRules().findings(events)
    assert finding.severity is Severity.UNSURE


def test_without_mujoco_the_error_names_the_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f'No module named {name!r}')

    monkeypatch.setattr(importlib, 'import_module', missing)
    with pytest.raises(WorldModelError, match=r"'\.\[physics\]' in a clone"):
        mujoco()
    assert 'MuJoCo' in str(why_not_available())


@needs_mujoco
@pytest.mark.parametrize('settings, message', [
    ({'members': 0}, 'members must be 1 or more'),
    ({'threads': -1}, 'threads 0 or more'),
    ({'largest_object': 3.0}, r'largest_object must be 0\.02 to 2 \[m\], got 3\.0')])
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(WorldModelError, match=message):
        load_world_model('physics', **settings)


def test_every_event_of_a_world_model_is_a_finding():
    assert {kind.name for kind in EventKind} <= set(FindingCode.__members__)
