# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things that are badly seen: thin, half hidden, leaning on another one; and what slips."""
from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from gantry import motion, observe, simulator
from scenes import (BLUE, bowl, box, can, cast, container, Path, pick_and_place, RED,
                    T_BASE_CAMERA, World)

from kinema4d_ros.scene import Scene
from kinema4d_ros.types import EventKind, PinholeCamera
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.physics import reconstruct, why_not_available
from kinema4d_ros.world_model.physics.ensemble import Ensemble, run_ensemble
from kinema4d_ros.world_model.physics.happenings import happenings
from kinema4d_ros.world_model.physics.motion import motion_of
from kinema4d_ros.world_model.physics.pieces import rim_frame, tilted_pieces
from kinema4d_ros.world_model.physics.reconstruction import shelves
from kinema4d_ros.world_model.physics.simulation import NOBODY, Run, simulate
from kinema4d_ros.world_model.physics.things import see_things
from kinema4d_ros.world_model.physics.world import Assumptions

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))
AT, TO = (0.05, 0.1), 0.12
STANDS = Path.through((0.0, -0.3, 0.3, 0.25, 0.08), (1.0, -0.3, 0.3, 0.25, 0.08), frames=3)


def shove(height: float) -> Path:
    """Return a path of closed fingers along x at a height until their front is at `TO`."""
    return Path.through((0.0, -0.15, AT[1], 0.12, 0.0), (0.5, -0.15, AT[1], height, 0.0),
                        (2.0, TO - 0.01, AT[1], height, 0.0), (2.3, TO - 0.01, AT[1], height, 0.0),
                        frames=47)


def look(world: World, path: Path = STANDS):
    """Return what a view of a world is taken for, and the rollout."""
    with simulator(None, frames=25) as shadow:
        seen = observe(world, path)
        robot = shadow.roll_out(seen, motion(path))
    return reconstruct(Scene(seen, (robot.link_id[0] >= 0,)).view), robot


def leaning(radius: float, height: float, at, degrees: float) -> o3d.geometry.TriangleMesh:
    """Return a bowl tilted about y by an angle, by the middle of its bottom."""
    mesh = bowl(radius, height, (0, 0, 0))
    turn = o3d.geometry.get_rotation_matrix_from_xyz((0, np.deg2rad(degrees), 0))
    return mesh.rotate(turn, center=(0, 0, 0)).translate(np.array(at, float))


@needs_mujoco
@pytest.mark.parametrize('size, wall, height', [
    ((0.1, 0.1, 0.012), None, 0.004),                       # a thin book
    ((0.07, 0.08, 0.09), ((0.02, 0.12, 0.25), (0.25, 0.165, 0)), 0.02)],
    ids=['thin', 'half hidden'])
def test_what_is_badly_seen_is_pushed_as_far_as_the_finger_goes(size, wall, height):
    world = World().add(RED, box(size, (*AT, 0)))
    if wall is not None:         # between it and the camera
        world.add(BLUE, box(*wall))
        drawn = world.render()[2]
        assert 0.2 < (drawn == 1).sum() / (World().add(RED, box(size, (*AT, 0))).render()[2]
                                           == 1).sum() < 0.8
    path = shove(height)
    with simulator(load_world_model('physics', members=1), frames=25) as shadow:
        frames = list(shadow.predict(observe(world, path), motion(path)))
    assert EventKind.PUSHED in [event.kind for frame in frames for event in frame.events]
    (thing,) = (each for each in frames[-1].things
                if np.linalg.norm(each.center_base[:2] - AT) < 0.03)
    moved = thing.T_base_thing[:3, :3] @ thing.center_base + thing.T_base_thing[:3, 3]
    way = TO - (AT[0] - size[0] / 2)
    assert moved[0] - thing.center_base[0] == pytest.approx(way, abs=0.015)


def test_a_bowl_that_leans_on_the_rim_of_another_one_is_a_thing_of_its_own_and_tilted():
    """The lower one ends at 4.3 cm; the upper one reaches into it on the side that is seen."""
    camera = PinholeCamera(200, 160, 220.0, 220.0, 99.5, 79.5)
    meshes = [box((1.2, 1.2, 0.1), (0, 0, -0.1)), leaning(0.056, 0.053, (0.1, 0.1, 0.04), 15.0),
              *container((0.088, 0.088, 0.043), 0.004, (0.1, 0.1, 0))]
    depth, drawn = cast(meshes, camera)
    points = np.asarray(camera.rays() * depth[..., None] @ T_BASE_CAMERA[:3, :3].T
                        + T_BASE_CAMERA[:3, 3], np.float32)
    found = see_things(points, 1.5)
    assert len(found.things) == 2
    upper, lower = found.things           # the larger one first
    assert upper.support == pytest.approx(0.04, abs=0.008) and lower.support < 0.01
    assert (drawn[upper.mask] == 1).mean() > 0.95 and (drawn[lower.mask] > 1).mean() > 0.9
    plate = tilted_pieces(points[upper.mask]).hulls[-1]        # what it would stand on
    normal = np.linalg.svd(plate - plate.mean(0), full_matrices=False)[2][2]
    assert np.rad2deg(np.arccos(abs(normal[2]))) == pytest.approx(15.0, abs=3.0)
    alone, _ = cast([meshes[0], bowl(0.06, 0.055, (0.105, 0.1, 0.0))], camera)
    points = camera.rays() * alone[..., None] @ T_BASE_CAMERA[:3, :3].T + T_BASE_CAMERA[:3, 3]
    (stands,) = see_things(points.astype(np.float32), 1.5).things
    assert tilted_pieces(points[stands.mask]) is None


def test_the_rim_of_a_bowl_says_how_it_stands_and_a_box_has_none():
    rng = np.random.default_rng(0)
    for degrees in (0.0, 20.0):
        mesh = leaning(0.06, 0.05, (0.1, 0.1, 0.0), degrees)
        points = np.asarray(mesh.sample_points_uniformly(4000).points)
        T = rim_frame(points)
        assert np.rad2deg(np.arccos(T[2, 2])) == pytest.approx(degrees, abs=2.0)
    steps = rng.uniform([-0.05, -0.05, 0.0], [0.05, 0.05, 0.02], (4000, 3))
    steps[:, 2] += np.where(steps[:, 0] > 0.0, 0.04, 0.0)
    assert rim_frame(steps) is None


def test_what_stands_on_a_thing_has_no_shelf_in_the_place_of_it():
    """A cabinet near by is as high, somewhere, as the box below the can."""
    ground = np.array([[x, y, 0.04] for x in np.linspace(0.18, 0.24, 9)
                       for y in np.linspace(0.0, 0.2, 9)])
    carried, _ = look(World().add(BLUE, box((0.12, 0.12, 0.04), (0.1, 0.1, 0))).add(
        RED, can(0.03, 0.06, (0.1, 0.1, 0.04))))
    assert len(carried.things) == 2
    upper = [thing for thing in carried.things if thing.body.bottom > 0.02]
    assert len(shelves(upper, [ground], 0.0)) == 1          # nothing else is seen to carry it
    assert not shelves(carried.things, [ground], 0.0)


@needs_mujoco
def test_what_is_too_heavy_for_the_fingers_slips_out_of_them():
    world = World().add(RED, box((0.06, 0.05, 0.07), (0.1, 0.15, 0)))
    path = pick_and_place((0.1, 0.15), (-0.05, -0.2), 0.02, 0.022)
    found, robot = look(world, path)
    rigid = found.world(robot)
    kinds = {}
    for density in (800.0, 6000.0):       # of the weight of 1.7 and 12 N; two fingers of 1 N
        run = simulate(rigid, robot, motion_of(robot, 0.3), Assumptions(density=density))
        kinds[density] = [each.event.kind for each in happenings(rigid, robot, run)]
    assert EventKind.GRASP in kinds[6000.0] and EventKind.SLIPPED_OUT in kinds[6000.0]
    assert EventKind.SLIPPED_OUT not in kinds[800.0] and EventKind.RELEASE in kinds[800.0]


def test_what_is_lost_and_gripped_again_has_slipped_in_the_hand_by_so_much():
    found, robot = look(World().add(RED, box((0.05, 0.05, 0.1), (*AT, 0))))
    times = np.arange(100) * 0.01
    held, slipped = np.zeros((100, 1), bool), np.zeros((100, 1), bool)
    held[20:50], slipped[50:60], held[60:] = True, True, True
    places = np.zeros((100, 1, 3))
    places[55:, 0, 2] = -0.015
    run = Run(times, places, np.tile([1.0, 0.0, 0.0, 0.0], (100, 1, 1)),
              np.full((100, 1), NOBODY, np.int16), ~held, held[..., None] & False, held,
              np.zeros((100, 1)), slipped)
    events = [each.event for each in happenings(found.world(robot), robot, run)]
    assert [event.kind for event in events] == [EventKind.GRASP, EventKind.SLIPPED]
    assert events[1].distance == pytest.approx(0.015) and events[1].time == pytest.approx(0.6)


@pytest.mark.parametrize('leans, moved, told', [
    (True, 0.005, True), (False, 0.005, False), (True, 0.002, False)])
def test_what_a_thing_is_lifted_off_is_told_to_move_with_it(leans, moved, told):
    """A bowl on a ramekin takes that along by millimetres; a thing beside it is none of it."""
    found, robot = look(World().add(RED, box((0.05, 0.05, 0.1), (*AT, 0))).add(
        BLUE, box((0.05, 0.05, 0.1), (0.05, -0.1, 0))))
    held, near, places = np.zeros((100, 2), bool), np.zeros((100, 2, 2), bool), \
        np.zeros((100, 2, 3))
    held[40:70, 0], near[:45, [0, 1], [1, 0]] = True, leans
    places[45:, 0, 2], places[45:, 1, 0] = 0.2, moved
    run = Run(np.arange(100) * 0.01, places, np.tile([1.0, 0.0, 0.0, 0.0], (100, 2, 1)),
              np.full((100, 2), NOBODY, np.int16), ~held, near, held, np.zeros((100, 2)),
              held & False)
    along = [each.event for each in happenings(found.world(robot), robot, run)
             if each.event.kind is EventKind.DRAGGED]
    assert [event.thing for event in along] == ([1] if told else [])
    assert all(event.distance == pytest.approx(moved) for event in along)


@needs_mujoco
@pytest.mark.filterwarnings('error')      # what cannot begin asleep is no matter of the user's
def test_the_run_that_is_shown_ends_as_most_of_them_do(monkeypatch):
    found, robot = look(World().add(RED, box((0.05, 0.05, 0.1), (*AT, 0))))
    lying = np.array([np.cos(np.pi / 4), 0.0, np.sin(np.pi / 4), 0.0])

    def run(x: float, topples: bool) -> Run:
        nothing = np.zeros((2, 1), bool)
        turns = np.array([[[1.0, 0, 0, 0]], [lying if topples else [1.0, 0, 0, 0]]])
        return Run(np.array([0.0, 1.0]), np.array([[[0.0, 0, 0]], [[x, 0, 0]]]), turns,
                   np.full((2, 1), NOBODY, np.int16), ~nothing, nothing[..., None], nothing,
                   np.zeros((2, 1)), nothing)

    def shown(seed: int, *runs: Run) -> Ensemble:
        several = iter(runs)
        monkeypatch.setattr('kinema4d_ros.world_model.physics.ensemble.simulate',
                            lambda *_: next(several))
        return run_ensemble(found.world(robot), robot, motion_of(robot, 0.0), seed=seed,
                            members=len(runs), threads=1)

    stands, over = run(0.02, False), [run(x, True) for x in (0.1, 0.12, 0.2, 0.21)]
    assert shown(0, stands, *over).shown is over[1]         # in the middle of those that lie
    assert shown(0, over[3], stands, *over[:3]).shown is over[3]      # it ends as most do
    assert shown(5, stands, *over).shown is stands          # a sample stays what was drawn
