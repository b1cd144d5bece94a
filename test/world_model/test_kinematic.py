# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kinematic model on ray-cast worlds, whose true future is known exactly."""
from __future__ import annotations

import numpy as np
import pytest
from scenes import BLUE, box, can, container, pick_and_place, RED, World

from kinema4d_ros.types import EventKind
from kinema4d_ros.world_model import create

STILL = (0.1, 0.15)


def foresee(world, path, **rollout):
    """Return the predicted frames and their events."""
    frames = list(create('kinematic').predict(world.observe(path), path.rollout(**rollout)))
    return frames, [event for frame in frames for event in frame.events]


def kinds(events):
    """Return what happened, in order."""
    return [event.kind for event in events]


CARRY = [EventKind.GRASP, EventKind.RELEASE, EventKind.REST]


@pytest.mark.parametrize('thing, height', [
    (box((0.06, 0.05, 0.07), (*STILL, 0)), 0.07),
    (can(0.03, 0.1, (*STILL, 0)), 0.1),
])
def test_an_object_is_carried_and_comes_to_rest_on_the_table(thing, height):
    path = pick_and_place(STILL, (-0.05, -0.2), release_height=0.15)
    frames, events = foresee(World().add(RED, thing).add(BLUE, box((.1, .1, .1), (.1, -.1, 0))),
                             path)
    assert kinds(events) == CARRY
    np.testing.assert_allclose(frames[0].carried_point_base, (*STILL, height / 2), atol=0.01)
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.05, -0.2, height / 2),
                               atol=0.012)


def test_an_object_falls_into_a_container_whose_rim_is_above_its_rest():
    bin_at = (-0.05, -0.2, 0)
    world = World().add(RED, can(0.03, 0.08, (*STILL, 0))).add(
        BLUE, *container((0.2, 0.2, 0.08), 0.006, bin_at))
    frames, events = foresee(world, pick_and_place(STILL, bin_at[:2], release_height=0.14))
    assert kinds(events) == CARRY
    np.testing.assert_allclose(frames[-1].carried_point_base, (-0.05, -0.2, 0.046), atol=0.015)
