# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Other motions from the same start: what a model is asked for beside the true one."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.precheck.sequence import held_still
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory, Observation

#: true: as recorded; shuffled: its pieces in another order; zero: none; mirrored: each joint the
#: other way
ACTIONS = ('true', 'shuffled', 'zero', 'mirrored')
_BLOCKS = 8       # pieces of the shuffled motion
_POINTS = 64      # of the motions that are made


def action_variants(trajectory: JointTrajectory, robot: Robot, observation: Observation,
                    seed: int = 0) -> dict[str, JointTrajectory]:
    """
    Return the motions of ACTIONS by name; all begin at the joints that were observed.

    Where a joint would leave its limits it stops there, so a motion is one that the robot can
    draw; how fast it is does not matter here, since nothing executes it.

    :param trajectory: the true one.
    :param seed: of the order of the shuffled pieces.
    :raises TrajectoryError: the trajectory cannot be sampled from there.
    """
    times = np.linspace(0.0, trajectory.duration, _POINTS + 1)
    start = observation.start.resting_where_unknown
    motion = sample_trajectory(trajectory, robot, times, start)
    names = tuple(name for name in trajectory.joint_names if name in motion.joint_names)
    columns = [motion.joint_names.index(name) for name in names]
    way = motion.positions[:, columns]
    here = robot.configuration(start, strict=False)[columns]
    limits = [robot.limits[name] for name in names]
    lower = np.array([-np.inf if limit.lower is None else limit.lower for limit in limits])
    upper = np.array([np.inf if limit.upper is None else limit.upper for limit in limits])
    # A recording may begin beyond a limit by the noise of a sensor.
    lower, upper = np.minimum(lower, here), np.maximum(upper, here)

    def through(positions: np.ndarray) -> JointTrajectory:
        return JointTrajectory(names, times, positions.clip(lower, upper))

    steps = np.diff(way, axis=0)
    blocks = np.array_split(np.arange(len(steps)), _BLOCKS)
    order = _deranged(_BLOCKS, np.random.default_rng(seed))
    shuffled = np.concatenate([steps[blocks[block]] for block in order])
    return {'true': trajectory,
            'shuffled': through(way[0] + np.vstack([0 * here, np.cumsum(shuffled, axis=0)])),
            'zero': held_still(trajectory, observation),
            'mirrored': through(2 * way[0] - way)}


def _deranged(count: int, random: np.random.Generator) -> np.ndarray:
    """Return an order of `count` pieces, (count,) int, in which none stays where it was."""
    while True:
        order = random.permutation(count)
        if (order != np.arange(count)).all():
            return order
