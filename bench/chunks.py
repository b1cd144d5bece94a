# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A chunk of a policy from the client's request to its answer: through the proxy, and without.

The policy's server is a process of its own on this machine and answers at once, so that what is
measured is what the proxy adds to whatever a policy takes: packing and unpacking two pictures and a
chunk, one more hop, and the verdict of tiers 0 and 1 on the scene of a bundled episode, which is
taken apart anew each time as one that a camera just sent. The answers
must hold the same actions. The second row has no verdict: the proxy alone.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.timing import interleave, median, row
from kinema4d_ros.episodes import Episode
from kinema4d_ros.policy import ActionFormat, ActionReader, PolicyObservation
from kinema4d_ros.policy.chunk_check import ChunkChecker, SimulatorJudge
from kinema4d_ros.policy.chunk_guard import ChunkGuard, Judge
from kinema4d_ros.policy.chunk_settings import ChunkSettings
from kinema4d_ros.policy.wire import (ObservationKeys, PictureKey, PolicyClient, serve_proxy,
                                      StateKey, Translator)
from kinema4d_ros.precheck import decide
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator

EPISODE = 'libero_object_0_0_success'
RATE, ACTIONS = 20.0, 10
NAMES = tuple(f'panda_joint{number}' for number in range(1, 8)) + (
    'panda_finger_joint1', 'panda_finger_joint2')
KEYS = ObservationKeys(
    tuple(PictureKey((f'observation/{view}',), view) for view in ('exterior', 'wrist')),
    (StateKey(('observation/joint_position',), NAMES),))


def measure(repeats: int) -> list[dict]:
    """Return the rows with a verdict and without."""
    return compare(repeats, 10)


def compare(repeats: int, questions: int) -> list[dict]:
    """Return the rows; a round is `questions` requests one after the other."""
    episode = Episode.open(EPISODE)
    robot = Robot.from_urdf(episode.robot_description)
    seen, plan = episode.observation(), episode.trajectory
    form = ActionFormat(RATE, NAMES)
    times = np.arange(1, ACTIONS + 1) / RATE
    columns = [plan.joint_names.index(name) for name in NAMES]
    actions = np.stack([np.interp(times, plan.times, plan.positions[:, column])
                        for column in columns], axis=1)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    observation = PolicyObservation('pick it up', {'exterior': image, 'wrist': image},
                                    dict(seen.joint_positions))
    with peer(actions) as address, ShadowSimulator(robot, None) as simulator:
        judges: dict[str, Judge] = {
            'tiers 0 and 1 judged': SimulatorJudge(simulator, lambda: dataclasses.replace(seen)),
            'no verdict': lambda paths, joints: [decide({0: []}, required=(0,)) for _ in paths]}
        rows = []
        for what, judge in judges.items():
            # so that what is compared is the way of a chunk, whatever the verdict on it
            guard = ChunkGuard(robot, judge, ChunkSettings(mode='monitor'))
            checker = ChunkChecker(ActionReader(robot, form), guard)
            with serve_proxy(address, checker, Translator(KEYS), port=0) as proxy, \
                    PolicyClient(address, form, KEYS) as direct, \
                    PolicyClient(proxy.address, form, KEYS) as checked:
                def ask(client: PolicyClient) -> list[np.ndarray]:
                    return [client.act(observation) for _ in range(questions)]
                seconds = interleave({'ours': lambda: ask(checked), 'usual': lambda: ask(direct)},
                                     repeats)
                same = all(map(np.array_equal, ask(checked), ask(direct)))
            rows.append(row(
                f'a chunk of {ACTIONS} actions for two pictures, through the proxy ({what}) and '
                'directly', median(seconds['ours']) / questions,
                median(seconds['usual']) / questions, None, same=same))
    return rows


@contextlib.contextmanager
def peer(actions: Sequence[Sequence[float]]) -> Iterator[str]:
    """Yield the address of a server that answers these actions."""
    with subprocess.Popen([sys.executable, '-m', 'bench.chunk_peer'], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=Path(__file__).resolve().parents[1]) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(np.asarray(actions).tolist()) + '\n')
        process.stdin.flush()
        yield process.stdout.readline().strip()
        process.stdin.close()
