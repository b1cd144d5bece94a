# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The first verdict of a process, from its start: with nothing compiled by Numba, and with all of it.

Each is a process of its own that imports the package and judges a bundled episode (tiers 0, 1 and
the outcome), with a cache folder of its own: an empty one, or one into which `kinema4d compile` has
compiled, as an installation by colcon or `make setup` does.
"""
from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

from bench.timing import row
from bench.world import ROOT

GOAL = 3.0        # [s]
REPEATS = 3       # with all of it; with nothing once
JUDGE = """
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
episode = Episode.open(find_episode('libero_object_0_0_success'))
with ShadowSimulator(Robot.from_urdf(episode.robot_description), None) as simulator:
    print(simulator.precheck(episode.observation(), episode.trajectory).status.name)
"""


def measure(repeats: int) -> list[dict]:
    """Return the rows: by the clock, with the processor time beside."""
    with tempfile.TemporaryDirectory() as cache:
        cold = _run(cache, '-c', JUDGE)
        compiled = _run(cache, str(ROOT / 'executables' / 'kinema4d'), 'compile')
        warm = sorted(_run(cache, '-c', JUDGE) for _ in range(max(REPEATS, min(repeats, 5))))
    middle = warm[len(warm) // 2]
    made = row('first verdict of a new process, compiled before and by itself', middle[0], cold[0],
               None, same=middle[2] == cold[2], cores_s=middle[1], usual_cores_s=cold[1],
               compile_cores_s=cold[1] + compiled[1])
    made['good'] &= made['ours_s'] <= GOAL
    return [made]


def _run(cache: str, *arguments: str) -> tuple[float, float, str]:
    """Return how long a process took, by the clock and of all cores [s], and what it wrote."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], check=True, text=True, cwd=ROOT,
                          stdout=subprocess.PIPE, env=os.environ | {'NUMBA_CACHE_DIR': cache})
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, sum(after[:2]) - sum(before[:2]), done.stdout
