# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trains a small policy by behaviour cloning of the scripted expert; PyTorch on a CPU will do."""
from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.errors import KinematicsError, PolicyError
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.cloned import HALF, HandView, SCALE
from kinema4d_ros.policy.hand_features import ACTIONS, CHUNK, FEATURES
from kinema4d_ros.policy.scripted import ScriptedPolicy
from kinema4d_ros.policy.task_start import TaskStart
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot.robot import Robot

_WIDE = 128                # numbers of a hidden layer
_BATCH, _RATE = 256, 1e-3  # examples of a step, its learning rate
_ASIDE = 0.01              # [m] that examples are moved aside by, so that it learns to come back
_BACK = 8                  # actions in which it comes back, so that no joint has to jump
_COPIES = 3                # of each example, the first one as it was

JOINTS = (*(f'panda_joint{i}' for i in range(1, 8)), 'panda_finger_joint1', 'panda_finger_joint2')


def examples(start: TaskStart, motion: np.ndarray, random: np.random.Generator
             ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what the policy would have seen along a motion, and what it should have answered.

    :param motion: (N, 9) [rad or m] commanded positions of `JOINTS` at 20 Hz.
    :return: (M, FEATURES) and (M, CHUNK * ACTIONS) float64.
    """
    view, n = HandView(start), len(motion) - 1
    places, turns = view.grip(view.configurations(JOINTS, motion))
    openings = motion[:, 7:].mean(1)
    is_open = openings[:n] > HALF
    has_closed = np.maximum.accumulate(~is_open)
    ahead = np.minimum(np.arange(n)[:, None] + np.arange(1, CHUNK + 1), n)
    seen, answers = [], []
    for copy in range(_COPIES):
        here = places[:n] + random.normal(0, _ASIDE if copy else 0.0, (n, 3))
        seen.append(view.features(here, turns[:n], is_open, has_closed))
        steps = np.concatenate([
            places[ahead] - here[:, None] + coming_back(here - places[:n]),
            (turns[ahead] - turns[:n, None])[..., None], openings[ahead][..., None]], -1)
        answers.append((steps / SCALE).reshape(n, CHUNK * ACTIONS))
    return np.concatenate(seen), np.concatenate(answers)


def coming_back(aside: np.ndarray) -> np.ndarray:
    """
    Return how far it is still aside of the way at each action of a chunk, smoothly less.

    :param aside: (N, 3) [m] at the time of the observation.
    :return: (N, CHUNK, 3) [m].
    """
    s = np.minimum(np.arange(1, CHUNK + 1) / _BACK, 1.0)
    left: np.ndarray = aside[:, None] * (1.0 - s * s * (3.0 - 2.0 * s))[:, None]
    return left


def demonstration(start: TaskStart) -> np.ndarray:
    """
    Return how the scripted expert moves from a start, by the robot alone: nothing is simulated.

    :return: (N, 9) commanded positions of `JOINTS` at 20 Hz [rad or m].
    :raises KinematicsError: the task is out of the robot's reach.
    """
    policy = ScriptedPolicy(start)
    policy.reset(start.instruction, 0)
    observation = PolicyObservation(start.instruction, {}, start.joint_positions)
    chunks = []
    while len(chunk := policy.act(observation)):
        chunks.append(chunk)
    motion = ActionReader(Robot.from_urdf(start.robot_description), policy.action_format
                          ).trajectory(np.concatenate(chunks), start.joint_positions)
    rows: np.ndarray = motion.positions[:, [motion.joint_names.index(name) for name in JOINTS]]
    return rows


def train(starts: Sequence[TaskStart], lengths: Sequence[int], seed: int = 0
          ) -> Iterator[tuple[int, list[tuple[np.ndarray, np.ndarray]], float]]:
    """
    Train one network, and yield it after each of some numbers of steps.

    :param starts: from which the expert shows what to do; those out of its reach are left out.
    :return: steps, layers (weights (in, out), biases (out,)), and the mean squared error.
    :raises PolicyError: none is within its reach.
    """
    import torch

    random, rows = np.random.default_rng(seed), []
    for start in starts:
        with contextlib.suppress(KinematicsError):
            rows.append(examples(start, demonstration(start), random))
    if not rows:
        raise PolicyError(f'the expert can show nothing from {len(starts)} starts; give episodes '
                          'of pick-and-place tasks within its reach')
    torch.set_num_threads(1)      # more only wait for each other with a network this small
    torch.manual_seed(seed)
    x, y = (torch.tensor(np.concatenate(part), dtype=torch.float32) for part in zip(*rows))
    sizes = [FEATURES, _WIDE, _WIDE, CHUNK * ACTIONS]
    linear = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    network = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1], torch.nn.ReLU(),
                                  linear[2])
    optimizer = torch.optim.Adam(network.parameters(), _RATE)
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, max(lengths) + 1):
        chosen = torch.randint(len(x), (_BATCH,), generator=generator)
        loss = torch.nn.functional.mse_loss(network(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in lengths:
            yield step, [(each.weight.detach().numpy().T.astype(np.float64),
                          each.bias.detach().numpy().astype(np.float64))
                         for each in linear], loss.item()


def save(path: Path, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write the layers as a file of arrays that `ClonedPolicy.load` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f'{name}_{number}': array for number, layer in enumerate(layers)
              for name, array in zip(('weights', 'biases'), layer)}
    np.savez(path, **arrays)
