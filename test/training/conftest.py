# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny random checkpoint, and a few clips in the Robo4D layout for it."""
from __future__ import annotations

import importlib.util
import shutil

import pytest
from robo4d_clips import write_clips


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Use one thread: the models are too small to share."""
    if importlib.util.find_spec('torch') is not None:
        import torch
        torch.set_num_threads(1)


@pytest.fixture(scope='session')
def start(tmp_path_factory):
    """Return (base, weights) of a tiny pmcond checkpoint; do not change."""
    from kinema4d_ros.world_model.kinema4d.config import Variant
    from kinema4d_ros.world_model.kinema4d.tiny import write_tiny_checkpoint
    return write_tiny_checkpoint(tmp_path_factory.mktemp('start'), Variant.POINTMAP, steps=2)


@pytest.fixture(scope='session')
def session_clips(tmp_path_factory):
    """Return a root of 8 clips and 2 held out; do not change."""
    return write_clips(tmp_path_factory.mktemp('clips'))


@pytest.fixture
def clips(session_clips, tmp_path):
    """Return a root of one's own."""
    return shutil.copytree(session_clips, tmp_path / 'clips')


@pytest.fixture(scope='session')
def conditions(tmp_path_factory):
    """Return where encoded first frames are kept for all tests."""
    return tmp_path_factory.mktemp('conditions')


@pytest.fixture
def make_trainer(start, tmp_path, conditions):
    """Return the function that makes a trainer on the CPU."""
    from kinema4d_ros.training.settings import TrainingPaths, TrainingSettings
    from kinema4d_ros.training.trainer import Trainer

    def make(root, out='run', *, resume=False, own_conditions=False, **more):
        given = {'steps': 4, 'batch': 2, 'mixed_precision': 'no', 'save_every': 100,
                 'validate_every': 0, 'learning_rate': 1e-3} | more
        return Trainer(TrainingPaths(*start, root, tmp_path / out,
                                     None if own_conditions else conditions),
                       TrainingSettings(**given), device='cpu', resume=resume)
    return make
