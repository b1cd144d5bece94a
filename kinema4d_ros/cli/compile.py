# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d compile`: what Numba compiles on first use is compiled now."""
from __future__ import annotations

import argparse
import importlib.util
import time

from kinema4d_ros.cli.exits import Exit

HELP = 'compile the numeric code now, so that no first verdict waits for it'
EPILOG = """\
Much of the arithmetic is compiled by Numba when it is first used, and kept. This judges and
predicts one bundled episode, which uses all of it; run it once after installing, for each user and
machine that runs the nodes. What is compiled already takes no time again.

example:
  kinema4d compile"""

#: in which a thing is grasped, carried and set down
EPISODE = 'libero_object_0_0_success'


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: there is nothing to choose."""


def run(options: argparse.Namespace) -> Exit:
    """Compile, and say where it is kept."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.episodes import Episode, find_episode
    from kinema4d_ros.robot import Robot
    from kinema4d_ros.simulator import ShadowSimulator

    begin = time.monotonic()
    models = ['kinematic', *(['physics'] if importlib.util.find_spec('mujoco') else [])]
    episode = Episode.open(find_episode(EPISODE))
    robot = Robot.from_urdf(episode.robot_description)
    observation, trajectory = episode.observation(), episode.trajectory
    with show.progress('compile') as report:
        for number, model in enumerate(models):
            report(f'a verdict and a prediction of {model}', number, len(models))
            with ShadowSimulator(robot, model) as simulator:
                simulator.precheck(observation, trajectory)
                for _ in simulator.predict(observation, trajectory):
                    pass
    where, _ = show.compiled_code()
    show.console().print(f'compiled in {time.monotonic() - begin:.1f} s, kept in {where}')
    return Exit.PASS
