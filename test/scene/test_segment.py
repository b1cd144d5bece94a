# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What fingers close on: things up to a size, and long ones that are carried by an end."""
import numpy as np
import pytest

from kinema4d_ros.scene.segment import find_graspable, find_object

LARGEST = 0.25


def seen_from_above(length, width):
    """Return points every 5 mm of a thing 4 cm high on level ground, and those at its end."""
    x, y = np.meshgrid(np.arange(-0.4, 0.4, 0.005), np.arange(-0.4, 0.4, 0.005))
    on = (np.abs(x) <= length / 2) & (np.abs(y) <= width / 2)
    points = np.stack([x, y, np.where(on, 0.04, 0.0)], -1).astype(np.float32)
    return points, on, on & (x > length / 2 - 0.03) & (np.abs(y) < 0.02)


@pytest.mark.parametrize('length, width, found', [
    (0.2, 0.2, True), (0.36, 0.06, True), (0.36, 0.2, True),
    (0.36, 0.3, False),          # surroundings
    (0.5, 0.06, False)])         # too long for anything that is carried
def test_what_can_be_carried(length, width, found):
    points, on, touched = seen_from_above(length, width)
    segment = find_graspable(points, touched, LARGEST)
    assert (segment is not None) is found
    if segment is not None:
        assert (segment.mask & on).sum() > 0.9 * on.sum()
        assert segment.support_height == pytest.approx(0.0, abs=0.005)
    assert (find_object(points, touched, LARGEST) is not None) is (length <= LARGEST)
