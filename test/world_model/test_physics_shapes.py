# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What hides behind and below what is seen, and what is between fingers; the oracle is drawn."""
from __future__ import annotations

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import box, CAMERA, cast, Path, RED, T_BASE_CAMERA, World

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.physics import why_not_available
from kinema4d_ros.world_model.physics.blocks import blocks_of
from kinema4d_ros.world_model.physics.engine import mujoco
from kinema4d_ros.world_model.physics.pinch import pinch
from kinema4d_ros.world_model.physics.reconstruction import axis_of_top
from kinema4d_ros.world_model.physics.things import see_things

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))


def rectangle(x, y, z, step=0.004) -> np.ndarray:
    """Return points of an axis-aligned rectangle or box between bounds (low, high), (N, 3)."""
    axes = [np.arange(low, high + 1e-9, step) for low, high in (x, y, z)]
    return np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3)


def holds(blocks, place) -> bool:
    """Return whether any block reaches over a place by its bounds."""
    return any((block.min(0) < place).all() and (place < block.max(0)).all() for block in blocks)


def seen_nothing(places: np.ndarray) -> np.ndarray:
    """See through no place."""
    return np.zeros(len(places), bool)


FACE = rectangle((0.0, 0.18), (-0.16, -0.16), (0.0, 0.2))
TOP = rectangle((0.0, 0.18), (-0.34, -0.16), (0.2, 0.2))
HANDLES = np.concatenate([rectangle((0.05, 0.13), (-0.14, -0.125), (low, low + 0.01))
                          for low in (0.05, 0.12)])


def test_under_the_handles_of_a_drawer_there_is_room():
    blocks = blocks_of(np.concatenate([FACE, TOP, HANDLES]), 0.0, seen_nothing)
    assert holds(blocks, (0.1, -0.131, 0.055)) and holds(blocks, (0.1, -0.131, 0.125))
    assert not holds(blocks, (0.1, -0.131, 0.01)) and not holds(blocks, (0.1, -0.131, 0.095))
    assert holds(blocks, (0.1, -0.251, 0.01)) and holds(blocks, (0.1, -0.251, 0.19))


def test_below_a_surface_there_is_nothing_where_the_view_has_seen_through():
    board = rectangle((0.0, 0.18), (0.0, 0.18), (0.2, 0.2))
    assert holds(blocks_of(board, 0.0, seen_nothing), (0.1, 0.1, 0.05))
    through = blocks_of(board, 0.0, lambda places: places[:, 2] < 0.17)
    assert not holds(through, (0.1, 0.1, 0.05)) and holds(through, (0.1, 0.1, 0.195))


def test_what_goes_on_as_a_fixture_right_above_it_is_a_part_of_that():
    """A handle hides what joins the lower drawer to its cabinet; the box stands by itself."""
    table = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 90), np.linspace(0.6, -0.6, 120)), -1)
    points = np.concatenate([table, np.zeros((120, 90, 1))], -1).astype(np.float32)
    across = np.linspace(-0.3, 0.3, 60)

    def draw(row, columns, y, z):
        for k, (one, other) in enumerate(zip(y, z, strict=True)):
            points[row + k, columns, 0] = across[:len(range(*columns.indices(90)))]
            points[row + k, columns, 1:] = one, other

    draw(30, slice(10, 70), np.linspace(0.32, 0.2, 16), np.full(16, 0.3))      # its top
    draw(46, slice(10, 70), np.full(10, 0.2), np.linspace(0.29, 0.2, 10))      # its front
    draw(56, slice(10, 70), np.linspace(0.19, 0.15, 5), np.full(5, 0.19))      # a handle
    draw(61, slice(10, 28), np.full(14, 0.172), np.linspace(0.165, 0.01, 14))  # a drawer below
    draw(80, slice(40, 58), np.linspace(0.02, -0.02, 6), np.full(6, 0.06))     # a box
    seen = see_things(points, 2.0)
    assert len(seen.things) == 1 and seen.things[0].mask[82, 45]
    assert any(mask[65, 15] and mask[40, 30] for mask in seen.fixtures)


def test_a_tray_that_is_too_long_for_a_thing_stays_though_most_of_it_is_short_enough():
    tray = [box((0.29, 0.16, 0.025), (0, 0, 0)),
            *(box((0.29, 0.01, 0.07), (0, y, 0)) for y in (-0.08, 0.08)),
            *(box((0.01, 0.17, 0.09), (x, 0, 0)) for x in (-0.145, 0.145))]
    depth, number = cast([box((1.2, 1.2, 0.1), (0, 0, -0.1)), *tray])
    points = pointmap_from_depth(depth, CAMERA) @ T_BASE_CAMERA[:3, :3].T + T_BASE_CAMERA[:3, 3]
    seen = see_things(points.astype(np.float32), 2.0)
    floor = number == 1
    assert floor.sum() > 500 and not any(thing.mask[floor].any() for thing in seen.things)
    assert any(mask[floor].mean() > 0.95 for mask in seen.fixtures)


@pytest.mark.parametrize('gap', [0.01, 0.015, 0.02])
def test_two_boxes_of_one_height_beside_each_other_are_two(gap):
    boxes = [box((0.16, 0.06, 0.06), (0, 0, 0)), box((0.1, 0.02, 0.06), (0, 0.04 + gap, 0))]
    depth, number = cast([box((1.2, 1.2, 0.1), (0, 0, -0.1)), *boxes])
    depth[np.random.default_rng(1).random(depth.shape) < 0.2] = np.nan
    points = pointmap_from_depth(depth, CAMERA) @ T_BASE_CAMERA[:3, :3].T + T_BASE_CAMERA[:3, 3]
    seen = see_things(points.astype(np.float32), 2.0)
    assert len(seen.things) == 2
    for thing in seen.things:
        assert len(set(number[thing.mask].tolist()) - {0}) == 1


def test_the_ridge_of_a_carton_is_its_middle_and_a_flat_box_is_as_deep_as_it_looks():
    eye = np.array([1.0, 0.0])
    front = rectangle((0.03, 0.03), (-0.03, 0.03), (0.0, 0.12))
    roof = np.concatenate([rectangle((x, x), (-0.03, 0.03), (0.12 + 0.03 - x, 0.12 + 0.03 - x))
                           for x in np.linspace(0.0, 0.03, 9)])
    gable = np.concatenate([front, roof])
    middle = np.array([0.015, 0.0])       # of what is seen
    np.testing.assert_allclose(axis_of_top(gable, middle, eye), (0.0, 0.0), atol=0.005)
    lid = np.concatenate([front, rectangle((-0.03, 0.03), (-0.03, 0.03), (0.12, 0.12))])
    assert axis_of_top(lid, np.zeros(2), eye) is None


def between(fingers: str) -> np.ndarray | None:
    """Return where two fingers hold a cube of 4 cm, by the places of the fingers."""
    mj = mujoco()
    model = mj.MjModel.from_xml_string(
        '<mujoco><option gravity="0 0 0"/><worldbody>' + fingers
        + '<body name="cube"><freejoint/><geom type="box" size=".02 .02 .02"/></body>'
        '</worldbody></mujoco>')
    data = mj.MjData(model)
    mj.mj_forward(model, data)
    sides = {model.body('left').id: 0, model.body('right').id: 1}
    return pinch(model, data, model.body('cube').id, sides, np.array([0.0, 1.0, 0.0]))


def finger(name: str, place: str) -> str:
    """Return a finger at a place, as MuJoCo describes it."""
    return (f'<body name="{name}" mocap="true" pos="{place}"><geom type="box" '
            'size=".01 .005 .02"/></body>')


@needs_mujoco
def test_fingers_hold_what_is_between_them_and_not_what_both_press_on_from_above():
    held = between(finger('left', '0 -.0248 .005') + finger('right', '0 .0248 .005'))
    np.testing.assert_allclose(held, (0.0, 0.0, 0.0), atol=0.016)
    assert between(finger('left', '0 -.01 .0399') + finger('right', '0 .01 .0399')) is None
    assert between(finger('left', '0 -.0248 .005') + finger('right', '0 -.0248 .005')) is None


@needs_mujoco
def test_what_is_dragged_by_its_upper_end_leans_and_lags_behind_the_hand():
    size, at = (0.05, 0.05, 0.16), (0.05, 0.1)
    path = Path.through((0.0, *at, 0.25, 0.08), (1.0, *at, 0.13, 0.08), (1.5, *at, 0.13, 0.0),
                        (2.5, at[0] + 0.08, at[1], 0.13, 0.0), frames=51)
    world = World().add(RED, box(size, (*at, 0)))
    with simulator(load_world_model('physics', members=1), frames=26) as shadow:
        frames = list(shadow.predict(observe(world, path), motion(path)))
    (thing,) = frames[-1].things
    middle = thing.T_base_thing[:3, :3] @ thing.center_base + thing.T_base_thing[:3, 3]
    assert 0.01 < middle[0] - thing.center_base[0] < 0.07
    assert thing.T_base_thing[2, 2] < np.cos(np.deg2rad(8.0))
