# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trains a small policy that sees pictures by behaviour cloning; PyTorch on a CPU will do."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.cloned import read_arrays, SCALE
from kinema4d_ros.policy.cloning import coming_back, JOINTS
from kinema4d_ros.policy.hand_features import ACTIONS, CHUNK, FEATURES, hand_features, LAYOUT
from kinema4d_ros.policy.pick_and_place import GRIP
from kinema4d_ros.policy.picture_policy import CONVOLUTIONS
from kinema4d_ros.policy.scripted import HAND_LINK
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

_WIDE = 128                # numbers of a hidden layer
_BATCH, _RATE = 32, 1e-3   # pictures of a step, learning rate at its beginning
_ASIDE = 0.01              # [m] that examples are moved aside by, so that it learns to come back
_BRIGHT = 0.1              # by which pictures are made brighter or darker
_FEW = 8                   # examples without a picture for each with one
_FINE = 0.1                # weight of layouts' errors [0.1 m], beside those of actions


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What a policy saw and should have answered; see `simulated.demonstration` for the files."""

    instructions: tuple[str, ...]
    pictures: np.ndarray       # (P, SIDE, SIDE, 3) uint8
    layouts: np.ndarray        # (P, LAYOUT)
    unmoved: np.ndarray        # (P,) bool, the object is still where it is to be grasped
    tasks: np.ndarray          # (P,) number of the instruction
    hands: np.ndarray          # (P, 6) place [m], turn [rad], is_open, has_closed
    answers: np.ndarray        # (P, CHUNK, ACTIONS) [m, rad, m], of the expert's way
    ways: np.ndarray           # (R, 6 + LAYOUT + 1 + CHUNK * ACTIONS), the same without pictures

    @classmethod
    def read(cls, paths: Sequence[Path], robot: Robot) -> Demonstrations:
        """
        Read recorded demonstrations; those that did not succeed are left out.

        :raises PolicyError: a file is none, or none succeeded.
        """
        forward, hand = ForwardKinematics(robot), robot.link_names.index(HAND_LINK)
        instructions: list[str] = []
        parts: list[tuple[np.ndarray, ...]] = []
        for path in paths:
            try:
                noted = read_arrays(path)
                if not noted['success']:
                    continue
                name = str(noted['instruction'])
                if name not in instructions:
                    instructions.append(name)
                T = forward(np.array([robot.configuration(dict(zip(JOINTS, row)), strict=False)
                                      for row in noted['joints']]))[:, hand]
                parts.append(_parts(noted, T, instructions.index(name)))
            except (ValueError, KeyError, IndexError) as error:
                raise PolicyError(f'{path} is no demonstration: {error!r}') from error
        if not parts:
            raise PolicyError(f'none of {len(paths)} demonstrations succeeded; record some with '
                              'scripts/evaluate_policies.py demonstrate')
        return cls(tuple(instructions), *map(np.concatenate, zip(*parts)))


def _parts(noted: Mapping[str, np.ndarray], T: np.ndarray, task: int) -> tuple[np.ndarray, ...]:
    way, at, layout = noted['way'], noted['ahead'], noted['layout']
    places = T[:, :3, 3] + GRIP * T[:, :3, 2]
    first = Rotation.from_matrix(T[0, :3, :3])
    turns = (Rotation.from_matrix(T[:, :3, :3]) * first.inv()).as_rotvec()[:, 2]
    n, rows = len(at), np.arange(len(way))
    fingers = noted['fingers'].astype(np.float64)
    is_open = way[:, 4] > 0.02
    closed = np.maximum.accumulate(~is_open)
    ways = np.c_[way[:, :4], is_open, closed, np.tile(layout, (len(way), 1)),
                 np.full(len(way), task), _ahead(way, rows).reshape(len(way), -1)]
    return (noted['pictures'], np.tile(layout, (n, 1)), fingers[:, 1] == 0, np.full(n, task),
            np.c_[places, turns, fingers], _ahead(way, at), ways)


def _ahead(way: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return where the way leads from some of its rows, (N, CHUNK, ACTIONS), absolute."""
    ahead: np.ndarray = way[np.minimum(rows[:, None] + np.arange(1, CHUNK + 1), len(way) - 1)]
    return np.concatenate([ahead, np.tile(way[rows][:, None, :3], (1, CHUNK, 1))], -1)


def _steps(hands: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Return what is to be answered from hands (N, 6) beside the way, (N, CHUNK * ACTIONS)."""
    here, way = hands[:, None, :3], ahead[:, 0, 5:]
    return np.concatenate([
        ahead[..., :3] - here + coming_back(hands[:, :3] - way),
        ahead[..., 3:4] - hands[:, None, 3:4], ahead[..., 4:5]], -1
        ).reshape(len(hands), -1) / np.tile(SCALE, CHUNK)


def train_pictures(shown: Demonstrations, lengths: Sequence[int], seed: int = 0
                   ) -> Iterator[tuple[int, dict[str, np.ndarray], float]]:
    """
    Train one network, and yield it after each of some numbers of steps.

    What is learned at once: where the expert grasped and let go, from the picture; and what it did
    next, from that and from the hand, there also from the true layout and between pictures.

    :return: steps, the arrays of a `PicturePolicy`, and by how much its grasps are off [m].
    """
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = _network(len(shown.instructions))
    mean, scale = shown.layouts.mean(0), np.r_[[0.1] * 7, 0.5, 0.5]
    parameters = [each for part in network.values() for each in part.parameters()]
    optimizer = torch.optim.Adam(parameters, _RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2 * _RATE,
                                                   total_steps=max(lengths) + 1)
    def tensor(array: np.ndarray) -> Any:
        return torch.tensor(array, dtype=torch.float32)

    def acted(hands: np.ndarray, layout: Any, tasks: np.ndarray) -> Any:
        hand = tensor(hands)
        features = hand_features(torch, hand[:, :3], hand[:, 3], hand[:, 4], hand[:, 5], layout)
        return network['act'](torch.cat([features, tensor(
            np.eye(len(shown.instructions))[tasks])], -1))

    def moved(hands: np.ndarray) -> np.ndarray:
        out = hands.copy()
        out[:, :3] += random.normal(0, _ASIDE, (len(hands), 3)) \
            * (random.random((len(hands), 1)) < 0.7)
        return out

    wide = 6 + LAYOUT
    for step in range(1, max(lengths) + 1):
        some = random.integers(len(shown.pictures), size=_BATCH)
        found = _where(torch, network, tensor(shown.pictures[some]) / 255.0 - 0.5 + tensor(
            random.normal(0, _BRIGHT, (_BATCH, 1, 1, 3))), shown.tasks[some],
            len(shown.instructions))
        wanted = tensor((shown.layouts[some] - mean) / scale)
        # where it stood before is no longer seen once it is taken
        known = np.ones((_BATCH, LAYOUT))
        known[:, [0, 1, 2, 7]] = shown.unmoved[some, None]
        layout = found * tensor(scale) + tensor(mean)
        hands = moved(shown.hands[some])
        other = shown.ways[random.integers(len(shown.ways), size=_FEW * _BATCH)]
        others, tasks = moved(other[:, :6]), other[:, wide].astype(int)
        ahead = other[:, wide + 1:].reshape(len(other), CHUNK, ACTIONS + 3)
        loss = (functional.smooth_l1_loss(acted(hands, layout, shown.tasks[some]),
                                          tensor(_steps(hands, shown.answers[some])), beta=0.05)
                + functional.smooth_l1_loss(acted(others, tensor(other[:, 6:wide]), tasks),
                                            tensor(_steps(others, ahead)), beta=0.05)
                + _FINE * 10 * ((found - wanted).abs() * tensor(known)).mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step in lengths:
            off = 0.1 * ((found - wanted)[:, :2] * tensor(known[:, :2])).norm(dim=1).mean()
            yield step, _arrays(network, shown.instructions, mean, scale), float(off.detach())


def _network(tasks: int) -> dict[str, Any]:
    from torch import nn

    layers: list[Any] = []
    before = 3
    for kernel, stride, channels in CONVOLUTIONS:
        layers += [nn.Conv2d(before, channels, kernel, stride, kernel // 2), nn.ReLU()]
        before = channels
    return {'convolution': nn.Sequential(*layers),
            'where': nn.Sequential(nn.Linear(2 * before + tasks, _WIDE), nn.ReLU(),
                                   nn.Linear(_WIDE, LAYOUT)),
            'act': nn.Sequential(nn.Linear(FEATURES + tasks, _WIDE), nn.ReLU(),
                                 nn.Linear(_WIDE, _WIDE), nn.ReLU(),
                                 nn.Linear(_WIDE, CHUNK * ACTIONS))}


def _where(torch: Any, network: Mapping[str, Any], pictures: Any, tasks: np.ndarray, count: int
           ) -> Any:
    """Return layouts (N, LAYOUT), less their mean and by their scale, of pictures (N, H, W, 3)."""
    x = network['convolution'](pictures.permute(0, 3, 1, 2))
    shares = torch.softmax(x.flatten(2), -1).reshape(x.shape)
    along = torch.linspace(-1.0, 1.0, x.shape[-1])
    points = torch.cat([shares.sum(2) @ along, shares.sum(3) @ along], -1)
    known = torch.tensor(np.eye(count)[tasks], dtype=torch.float32)
    return network['where'](torch.cat([points, known], -1))


def _arrays(network: Mapping[str, Any], instructions: Sequence[str], mean: np.ndarray,
            scale: np.ndarray) -> dict[str, np.ndarray]:
    out = {'instructions': np.array(instructions), 'layout_mean': mean, 'layout_scale': scale}
    for name, part in network.items():
        linear = [layer for layer in part if hasattr(layer, 'weight')]
        for number, layer in enumerate(linear):
            out[f'{name}_{number}_weight'] = layer.weight.detach().numpy().copy()
            out[f'{name}_{number}_bias'] = layer.bias.detach().numpy().copy()
    return out


def save_pictures(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a network as a file of arrays that `PicturePolicy.load` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]
