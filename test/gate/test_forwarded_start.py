# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the joints are when a motion is forwarded, against what was judged."""
import dataclasses
import math

import numpy as np
import pytest
from gate_driver import Driver, swing



@pytest.mark.parametrize('speed, seconds, refused', [
    (0.0, 1.0, False), (0.9, 1.0, True), (0.9, 0.05, False), (None, 1.0, True)])
def test_another_start_velocity_than_the_one_that_was_judged(speed, seconds, refused):
    """The controller blends from it: 0.9 rad/s and a first point at 1 s make 0.13 rad."""
    gate = Driver(start_tolerance=0.05)
    world = gate.world

    def moving_at(value):
        def take():
            now = world()
            return dataclasses.replace(now, joints={
                name: dataclasses.replace(reading, velocity=value)
                for name, reading in now.joints.items()})
        gate.world = take

    moving_at(0.0)
    trajectory = swing(first=seconds)
    trajectory = dataclasses.replace(trajectory, velocities=np.zeros((2, 8)))
    request = gate.submit(trajectory)
    moving_at(math.nan if speed is None else speed)
    gate.pass_(request)
    assert ('send' not in gate.log) == refused
    if refused:
        assert ('do not tell how fast' if speed is None else 'is not as fast as when') in \
            gate.told(request)
