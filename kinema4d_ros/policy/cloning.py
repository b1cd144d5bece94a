# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trains a small policy on recorded runs by behaviour cloning; needs PyTorch, a CPU will do."""
from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.cloned import ACTIONS, CHUNK, FEATURES, HandView, SCALE
from kinema4d_ros.policy.task_start import TaskStart

_WIDE = 128                # numbers of a hidden layer
_BATCH, _RATE = 256, 1e-3  # examples of a step, its learning rate
_ASIDE = 0.01              # [m] that examples are moved aside by, so that it learns to come back
_COPIES = 3                # of each example, the first one as it was

JOINTS = (*(f'panda_joint{i}' for i in range(1, 8)), 'panda_finger_joint1', 'panda_finger_joint2')


def examples(start: TaskStart, measured: np.ndarray, commanded: np.ndarray,
             random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what the policy would have seen along a run, and what it should have answered.

    The fingers are seen both as measured and as commanded: in a predicted world they are where
    they were told to go, whatever they hold.

    :param measured: (N, 9) [rad or m] joint positions at 20 Hz, of `JOINTS`.
    :param commanded: (N, 9) likewise.
    :return: (M, FEATURES) and (M, CHUNK * ACTIONS) float64.
    """
    view = HandView(start)
    places, turns = view.grip(view.configurations(JOINTS, measured))
    wanted, wanted_turns = view.grip(view.configurations(JOINTS, commanded))
    ahead = np.minimum(np.arange(len(places))[:, None] + np.arange(1, CHUNK + 1), len(places) - 1)
    seen, answers = [], []
    for copy in range(_COPIES):
        for fingers in measured[:, 7:].mean(1), commanded[:, 7:].mean(1):
            aside = random.normal(0, _ASIDE if copy else 0.0, places.shape)
            here = places + aside
            seen.append(view.features(here, turns, fingers))
            steps = np.concatenate([
                wanted[ahead] - here[:, None], (wanted_turns[ahead] - turns[:, None])[..., None],
                commanded[ahead, 7:].mean(-1)[..., None]], -1)
            answers.append((steps / SCALE).reshape(len(places), CHUNK * ACTIONS))
    return np.concatenate(seen), np.concatenate(answers)


def train(starts: Mapping[str, TaskStart], tracks: Sequence[Path], lengths: Sequence[int],
          seed: int = 0) -> Iterator[tuple[int, list[tuple[np.ndarray, np.ndarray]], float]]:
    """
    Train one network, and yield it after each of some numbers of steps.

    :param starts: by name; a track's file name begins with that of its start.
    :param tracks: files of arrays `measured` and `commanded`.
    :return: steps, layers (weights (in, out), biases (out,)), and the mean squared error.
    :raises PolicyError: a track has no start, or there is none.
    """
    import torch

    random, rows = np.random.default_rng(seed), []
    for path in tracks:
        name = next((name for name in starts if path.stem.startswith(f'{name}_')), None)
        if name is None:
            raise PolicyError(f'there is no start for the track {path}; give the folder of the '
                              'starts that its run began from')
        with np.load(path, allow_pickle=False) as file:
            rows.append(examples(starts[name], file['measured'], file['commanded'], random))
    if not rows:
        raise PolicyError('there is no track to train on; make some with `simulate --tracks`')
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
                         for each in linear], float(loss)


def save(path: Path, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write the layers as a file of arrays that `ClonedPolicy.load` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f'{name}_{number}': array for number, layer in enumerate(layers)
              for name, array in zip(('weights', 'biases'), layer)}
    np.savez(path, **arrays)
