# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny random model of Cosmos 3, and a loaded one; both are not to be changed."""
from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Use one thread: the models are too small to share, and the tests run side by side."""
    if importlib.util.find_spec('torch') is not None:
        import torch
        torch.set_num_threads(1)


@pytest.fixture(scope='session')
def directory(tmp_path_factory):
    """Return the directory of a tiny model."""
    from kinema4d_ros.world_model.cosmos.tiny import write_tiny_cosmos
    return write_tiny_cosmos(tmp_path_factory.mktemp('cosmos') / 'tiny')


@pytest.fixture(scope='session')
def options(directory):
    """Return settings for a tiny model: 4 actions in a window, the smallest picture."""
    return {'directory': str(directory), 'domain': 'droid', 'steps': 2, 'chunk': 4,
            'resolution': 256, 'device': 'cpu', 'prompt': 'pick the box'}


@pytest.fixture(scope='session')
def model(options):
    """Return a loaded model; do not close it."""
    from kinema4d_ros.world_model import load_world_model
    return load_world_model('cosmos', **options)
