# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clips for the tiny checkpoint, without an encoder: noise, where the robot tells what comes."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.datasets.robo4d import ClipSizes
from kinema4d_ros.datasets.robo4d_writer import ClipLatents, ClipPixels, Robo4DWriter

SIZES = ClipSizes(9, 32, 48, (16, 3, 4, 6), (5, 32))
CLIPS = tuple(f'clip_{number}' for number in range(8))
HELD_OUT = ('held_0', 'held_1')


def write_clips(root):
    """Write 8 clips and 2 held-out ones; return the root."""
    writer = Robo4DWriter(root)
    for seed, name in enumerate((*CLIPS, *HELD_OUT)):
        writer.add(pixels(name, seed), latents(seed), videos=False)
    writer.write_lists(HELD_OUT)
    return root


def pixels(name, seed=0):
    """Return a clip of noise in which a square moves."""
    random = np.random.default_rng(seed)
    mask = np.zeros((9, 32, 48), bool)
    for frame in range(9):
        mask[frame, 8:24, 4 * frame:4 * frame + 12] = True
    video = random.integers(0, 255, (9, 32, 48, 3), np.uint8)
    points = random.uniform(-1, 1, (9, 32, 48, 3)).astype(np.float32)
    return ClipPixels(name, video, np.where(mask[..., None], video, np.uint8(0)), points,
                      np.where(mask[..., None], points, np.float32(-1)), mask, {'source': 'noise'})


def latents(seed=0):
    """Return random latents; a clip's robot tells what its video is."""
    import torch
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(shape, generator=generator)

    robot = noise(16, 1, 1, 1).expand(16, 3, 4, 6) + 0.1 * noise(16, 3, 4, 6)
    points = noise(16, 1, 1, 1).expand(16, 3, 4, 6) + 0.1 * noise(16, 3, 4, 6)
    return ClipLatents(*(value.half() for value in (2 * robot, robot, 2 * points, points)),
                       noise(5, 32))
