# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny random TesserAct, and a loaded one; both are not to be changed."""
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
def folders(tmp_path_factory):
    """Return settings that name the folders of a tiny model, its transformer in two files."""
    from kinema4d_ros.world_model.tesseract.tiny import write_tiny_tesseract
    base, weights = write_tiny_tesseract(tmp_path_factory.mktemp('tesseract'), shards=2)
    return {'base': str(base), 'weights': str(weights)}


@pytest.fixture(scope='session')
def options(folders):
    """Return settings for a tiny model."""
    return {**folders, 'steps': 2, 'device': 'cpu', 'prompt': 'pick up the apple'}


@pytest.fixture(scope='session')
def model(options):
    """Return a loaded model; do not close it."""
    from kinema4d_ros.world_model import load_world_model
    return load_world_model('tesseract', **options)
