# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny random checkpoint per variant, and a small scene for it."""
from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from kinema4d_ros.types import Observation, PinholeCamera, RobotRollout

HAS_STACK = importlib.util.find_spec('torch') is not None
VARIANTS = ('default', 'pmcond')


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Use one thread: the models are too small to share, and the tests run side by side."""
    if HAS_STACK:
        import torch
        torch.set_num_threads(1)


@pytest.fixture(scope='session')
def checkpoints(tmp_path_factory):
    """Directories {variant: {'base': ..., 'weights': ...}} of tiny checkpoints; do not change."""
    from kinema4d_ros.world_model.kinema4d.config import Variant
    from kinema4d_ros.world_model.kinema4d.tiny import write_tiny_checkpoint
    folder = tmp_path_factory.mktemp('tiny')
    found = {}
    for variant in VARIANTS:
        base, weights = write_tiny_checkpoint(folder / variant, Variant(variant))
        found[variant] = {'base': str(base), 'weights': str(weights)}
    return found


@pytest.fixture(scope='session', params=VARIANTS)
def variant(request):
    """Both variants."""
    return request.param


@pytest.fixture(scope='session')
def parts(checkpoints):
    """Loaded parts per variant: checkpoint, transformer, codec, image encoder; do not change."""
    import torch

    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
    from kinema4d_ros.world_model.kinema4d.image_encoder import ImageEncoder
    from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec
    made = {}
    for name in VARIANTS:
        checkpoint = Checkpoint(**checkpoints[name])
        made[name] = SimpleNamespace(
            checkpoint=checkpoint, config=checkpoint.config,
            transformer=checkpoint.load_transformer('cpu', torch.float32),
            codec=VideoCodec(checkpoint.load_vae('cpu', torch.float32)),
            image_encoder=ImageEncoder(checkpoint.load_image_encoder('cpu'),
                                       checkpoint.config.image_processor))
    return made


@pytest.fixture(scope='session')
def models(checkpoints):
    """One loaded model of two steps per variant; do not close, leave as they were."""
    from kinema4d_ros.world_model import load_world_model
    return {name: load_world_model('kinema4d', steps=2, **paths)
            for name, paths in checkpoints.items()}


@pytest.fixture
def model(models):
    """Return the cheaper of the two."""
    return models['pmcond']


def make_scene(count=9, width=48, height=32, seed=0, depth=True):
    """Return an observation of a wall, and a box-like robot that slides in front of it."""
    camera = PinholeCamera(width, height, 40.0, 40.0, (width - 1) / 2, (height - 1) / 2)
    random = np.random.default_rng(seed)
    image = random.integers(0, 255, (height, width, 3), np.uint8)
    wall = np.full((height, width), 1.5, np.float32)
    observation = Observation.from_rgbd(image, wall if depth else None, camera, np.eye(4))
    link_id = np.full((count, height, width), -1, np.int16)
    for frame in range(count):
        left = 5 + round(20 * frame / max(count - 1, 1))
        link_id[frame, height // 3:2 * height // 3, left:left + width // 5] = 0
    slope = 1.0 + 0.2 * np.linspace(0, 1, width, dtype=np.float32)
    z = np.where(link_id >= 0, slope, np.float32(np.nan))
    eye = np.repeat(np.eye(4)[None], count, 0)
    return observation, RobotRollout(
        np.linspace(0, 2, count), ('joint',), np.zeros((count, 1)), ('link',), eye[:, None],
        camera, eye, camera.rays()[None] * z[..., None], link_id,
        np.where(link_id[..., None] >= 0, np.array([200, 180, 90], np.uint8), np.uint8(0)))


@pytest.fixture
def scene():
    """Return the function that makes scenes."""
    return make_scene
