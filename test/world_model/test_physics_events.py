# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Events that a simulation comes to by itself: what falls off, is jammed, or is no thing."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import BLUE, box, Path, RED, World

from kinema4d_ros.types import EventKind
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.physics import why_not_available

needs_mujoco = pytest.mark.skipif(why_not_available() is not None, reason=str(why_not_available()))


def told(world: World, path: Path) -> list:
    """Return the events of a prediction, and its last frame."""
    with simulator(load_world_model('physics', members=1), frames=25) as shadow:
        frames = list(shadow.predict(observe(world, path), motion(path)))
    return [event for frame in frames for event in frame.events], frames[-1]


def along_x(y: float, height: float, start: float, end: float) -> Path:
    """Return a path of closed fingers that come down and push along x."""
    return Path.through((0.0, start, y, 0.3, 0.0), (1.0, start, y, height, 0.0),
                        (2.5, end, y, height, 0.0), (3.0, end, y, height, 0.0), frames=49)


@needs_mujoco
def test_what_is_pushed_over_an_edge_falls_off():
    world = World().add(BLUE, box((0.3, 0.3, 0.06), (-0.05, 0.0, 0))).add(
        RED, box((0.05, 0.06, 0.05), (0.06, 0.0, 0.06)))
    events, _ = told(world, along_x(0.0, 0.08, -0.05, 0.11))
    (fell,) = (event for event in events if event.kind is EventKind.FELL_OFF)
    assert fell.distance > 0.03 and 'falls off what it stood on' in fell.message


@needs_mujoco
def test_a_fixture_that_is_run_into_stays_and_is_said_to_be_not_modelled():
    world = World().add(BLUE, box((0.2, 0.5, 0.15), (0.15, 0.0, 0)))
    events, last = told(world, along_x(0.0, 0.05, -0.1, 0.09))
    (touch,) = (event for event in events if event.kind is EventKind.NOT_MODELLED)
    assert 'may move' in touch.message and touch.point_base[0] == pytest.approx(0.06, abs=0.03)
    assert not last.things


@needs_mujoco
def test_what_the_palm_presses_on_the_table_is_jammed():
    """The palm begins 6 cm above the fingertips; at 3 cm it is 1 cm deep in a box of 10 cm."""
    world = World().add(RED, box((0.05, 0.05, 0.1), (0.05, 0.1, 0)))
    path = Path.through((0.0, 0.05, 0.1, 0.25, 0.08), (1.0, 0.05, 0.1, 0.03, 0.08),
                        (2.0, 0.05, 0.1, 0.03, 0.08), frames=49)
    events, _ = told(world, path)
    assert any(event.kind is EventKind.JAMMED and event.time < 1.2 for event in events)


@needs_mujoco
def test_a_thing_that_the_border_of_the_image_cuts_is_pushed_all_the_same():
    path = along_x(0.1, 0.02, -0.15, 0.08)
    world = World().add(RED, box((0.08, 0.08, 0.05), (0.05, 0.1, 0)))
    seen = observe(world, path)
    _, columns = np.nonzero(world.render()[2] == 1)
    middle = int(np.median(columns))
    depth = np.array(seen.view.depth)
    depth[:, middle:] = np.nan       # as if the image ended there
    seen = dataclasses.replace(seen, views=(dataclasses.replace(seen.view, depth=depth),))
    with simulator(load_world_model('physics', members=1), frames=25) as shadow:
        frames = list(shadow.predict(seen, motion(path)))
    kinds = [event.kind for frame in frames for event in frame.events]
    assert EventKind.PUSHED in kinds
