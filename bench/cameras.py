# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What further cameras cost: tier 1 with one, two and three cameras side by side.

Each camera has 720x480 pixels of image and depth and looks at the arm of `bench.precheck` over a
table with blocks from another side; the observation is new each time. `ours` is what the last
camera adds, `usual` is tier 1 with one. Goal: at most 0.6 of it. That all cameras are believed,
and that the verdict is that of one camera, is checked.
"""
from __future__ import annotations

import dataclasses

from bench.precheck import motion, panda_checker, several
from bench.timing import interleave, median, median_of_cores, REPEATS, row

GOAL = 0.6      # of tier 1 with one camera


def measure(repeats: int) -> list[dict]:
    """Return a row for the second and the third camera."""
    robot, meshes, checker = panda_checker()
    trajectory, seen = motion(robot), several(robot, meshes)

    def ours(count: int):
        # A new object: nothing of this scene has been computed before.
        return checker.tier1(dataclasses.replace(seen, views=seen.views[:count]), trajectory)

    seconds = interleave({count: lambda count=count: ours(count) for count in (1, 2, 3)},
                         max(repeats, REPEATS))
    severest = [max(f.severity for f in ours(count).findings) for count in (1, 2, 3)]
    used = len(checker.look(seen).scene.views)
    clock = {count: median(seconds[count]) for count in seconds}
    cores = {count: median_of_cores(seconds[count]) for count in seconds}
    return [row(f'tier 1, {words} camera of 720x480 added', cores[count] - cores[count - 1],
                cores[1], GOAL, same=used == 3 and severest[count - 1] <= severest[0],
                clock_s=clock[count], clock_one_s=clock[1])
            for count, words in ((2, 'second'), (3, 'third'))]
