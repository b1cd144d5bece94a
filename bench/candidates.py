# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Four candidate trajectories judged from one observation, against four separate requests.

What depends on the observation alone (the robot's mask, the points of the scene without it, sorted
for looking up what is near) is found once for all candidates, as in the node, whose worker process
checks them one after the other from one observation. Each separate request brings an observation
of its own, with the same pixels; verdicts must be equal in all but how long they took. Goal for
tiers 0 and 1: at most 0.6. With a predicted future for each candidate (by `kinematic`) the ratio is
only reported: frames are not shared.
"""
from __future__ import annotations

import dataclasses

import numpy as np

from bench.precheck import observe, motion
from bench.render import PANDA
from bench.timing import interleave, median, row
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, PinholeCamera, Verdict

GOAL = 0.6
SPEEDS = (1.0, 0.9, 0.8, 0.7)
TIERS = (0, 1)
CAMERA = PinholeCamera(1280, 720, 869.1, 869.1, 639.5, 359.5)
FRAMES = 13


def measure(repeats: int) -> list[dict]:
    """Return the row of verdicts, and the one with predictions."""
    return compare(repeats, CAMERA, FRAMES)


def compare(repeats: int, camera: PinholeCamera, frames: int) -> list[dict]:
    """Return the rows for a camera and so many predicted frames."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    meshes = load_meshes(robot)
    simulator = ShadowSimulator(robot, 'kinematic', frames=frames, meshes=meshes)
    observation, candidates = observe(robot, meshes, camera), slower(motion(robot))

    def judge(each_its_own: bool, predicts: bool) -> list[Verdict]:
        verdicts, seen = [], dataclasses.replace(observation)
        for trajectory in candidates:
            if each_its_own:
                seen = dataclasses.replace(observation)
            verdicts.append(simulator.precheck(seen, trajectory, tiers=TIERS))
            if predicts:
                for frame in simulator.predict(seen, trajectory):
                    last = frame
                verdicts.append(last)
        return verdicts

    rows = []
    for predicts, goal, what in ((False, GOAL, 'verdicts of tiers 0 and 1'),
                                 (True, None, f'the same and {frames} predicted frames each')):
        seconds = interleave({
            'ours': lambda predicts=predicts: judge(False, predicts),
            'usual': lambda predicts=predicts: judge(True, predicts)}, repeats)
        same = all(map(equal, judge(False, predicts), judge(True, predicts)))
        rows.append(row(
            f'{len(SPEEDS)} candidates from one observation of {camera.width}x{camera.height}: '
            f'{what}, against separate requests', median(seconds['ours']),
            median(seconds['usual']), goal, same=same))
    return rows


def slower(trajectory: JointTrajectory) -> list[JointTrajectory]:
    """Return the trajectory at several shares of its speed."""
    return [dataclasses.replace(trajectory, times=trajectory.times / speed,
                                velocities=trajectory.velocities * speed) for speed in SPEEDS]


def equal(one, two) -> bool:
    """Return whether two verdicts say the same, all but the latencies, or frames show the same."""
    if isinstance(one, Verdict):
        return dataclasses.replace(one, latencies={}) == dataclasses.replace(two, latencies={})
    return np.array_equal(one.image, two.image) and np.array_equal(
        one.pointmap, two.pointmap, equal_nan=True)
