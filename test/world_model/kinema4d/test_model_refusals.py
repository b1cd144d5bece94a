# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the world model does not take or cannot do, and what it says then."""
from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import PinholeCamera
from kinema4d_ros.world_model import load_world_model


def first(model, observation, robot):
    """Ask for the first frame."""
    return next(model.predict(observation, robot))


def test_nan_in_the_robot_pointmap_is_reported(model, scene):
    observation, robot = scene()
    points = robot.pointmap.copy()
    v, u = np.argwhere(robot.link_id[3] >= 0)[0]
    points[3, v, u] = np.nan
    with pytest.raises(WorldModelError, match='robot pointmap has NaN inside the robot mask'):
        first(model, observation, dataclasses.replace(robot, pointmap=points))


def test_a_robot_out_of_view_is_reported(model, scene):
    observation, robot = scene()
    gone = dataclasses.replace(robot, link_id=np.full_like(robot.link_id, -1),
                               pointmap=np.full_like(robot.pointmap, np.nan))
    with pytest.raises(WorldModelError, match='robot is in no frame of the camera image'):
        first(model, observation, gone)


def test_an_empty_trajectory_is_reported(model, scene):
    observation, robot = scene()
    empty = dataclasses.replace(robot, **{
        key: getattr(robot, key)[:0] for key in (
            'times', 'positions', 'T_base_link', 'T_base_camera', 'pointmap', 'link_id', 'image')})
    with pytest.raises(WorldModelError, match='has no frame'):
        first(model, observation, empty)


def test_an_image_of_another_size_than_the_robots_is_reported(model, scene):
    observation, _ = scene(width=64)
    _, robot = scene()
    with pytest.raises(WorldModelError, match='the robot was rendered for'):
        first(model, observation, robot)


def test_a_moving_camera_is_reported(model, scene):
    observation, robot = scene()
    poses = robot.T_base_camera.copy()
    poses[4:, 0, 3] = 0.2
    with pytest.raises(WorldModelError, match='camera moves during the trajectory .*0.200'):
        first(model, observation, dataclasses.replace(robot, T_base_camera=poses))


def test_after_bad_input_the_model_lives_on(model, scene):
    observation, robot = scene()
    with pytest.raises(WorldModelError):
        first(model, observation, dataclasses.replace(
            robot, camera=PinholeCamera(48, 32, 50.0, 50.0, 1.0, 1.0)))
    assert len(list(model.predict(observation, robot))) == 9


def run_out_of_gpu_memory(*_):
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')


@pytest.mark.parametrize('full', [
    run_out_of_gpu_memory, lambda *_: torch.empty(1 << 50), lambda *_: np.empty(1 << 50)])
def test_out_of_memory_says_what_to_change_and_the_next_request_works(model, scene, full):
    observation, robot = scene()
    original, model.engine.sample = model.engine.sample, full
    with pytest.raises(WorldModelError, match='out of memory while predicting: .*allocate.*'
                                              'use offload=group'):
        first(model, observation, robot)
    model.engine.sample = original
    assert len(list(model.predict(observation, robot))) == 9


def test_other_errors_of_torch_are_not_called_out_of_memory(model, scene):
    def broken(*_):
        raise RuntimeError('mat1 and mat2 shapes cannot be multiplied')

    original, model.engine.sample = model.engine.sample, broken
    with pytest.raises(RuntimeError, match='mat1 and mat2'):
        first(model, *scene())
    model.engine.sample = original


def test_a_closed_model_says_so(checkpoints, scene):
    model = load_world_model('kinema4d', steps=1, **checkpoints['pmcond'])
    model.close()
    with pytest.raises(WorldModelError, match='closed; make a new one'):
        first(model, *scene())


@pytest.mark.parametrize('setting, value, message', [
    ('steps', 2000, 'steps must be 1 to 1000, or 0 .*, got 2000'),
    ('steps', -1, 'steps must be 1 to 1000'),
    ('guidance', 'full', "guidance 'full' does not exist; choose one of: auto, single_pass"),
    ('device', 'tpu9', "device 'tpu9' is not known"),
    ('device', 'cuda:99', "device 'cuda:99': this torch .* sees [0-9]+ GPUs; use device=cpu"),
    ('dtype', 'int4', "dtype 'int4' is not usable; choose auto, bfloat16"),
    ('cache', 'tea', "cache 'tea' does not exist"),
    ('normaliser', 'magic', "normaliser 'magic' does not exist; choose one of: scene"),
    ('pointmap_background', 2.0, 'pointmap_background must be from -1 to 1, got 2'),
    ('soft_mask', -0.1, 'soft_mask must be from 0 to 1'),
    ('variant', 'both', "variant 'both' was asked for")])
def test_bad_settings_are_reported(checkpoints, setting, value, message):
    with pytest.raises(WorldModelError, match=message):
        load_world_model('kinema4d', **{**checkpoints['pmcond'], setting: value})


def test_an_unknown_image_fit_is_reported(checkpoints, scene):
    model = load_world_model('kinema4d', steps=1, image_fit='squeeze', **checkpoints['pmcond'])
    with pytest.raises(WorldModelError, match="image_fit 'squeeze' does not exist; .*crop, pad"):
        first(model, *scene())


def test_without_directories_the_model_says_which_are_needed():
    with pytest.raises(WorldModelError, match="setting base of kinema4d: no directory"):
        load_world_model('kinema4d')


def test_too_little_memory_is_reported_before_anything_is_loaded(checkpoints, monkeypatch):
    from kinema4d_ros.world_model.kinema4d import engine
    monkeypatch.setattr(engine, 'free_memory', lambda device: (1000, 1000))
    monkeypatch.setattr(engine.Checkpoint, 'load_transformer', None)
    with pytest.raises(WorldModelError, match=r'needs about .* GiB of device memory, 0.0 GiB are '
                                              r'free; use offload=model or group'):
        load_world_model('kinema4d', **checkpoints['pmcond'])


def test_a_missing_package_says_what_to_install(checkpoints, monkeypatch):
    monkeypatch.setitem(sys.modules, 'diffusers', None)
    with pytest.raises(WorldModelError, match=r"needs diffusers \(.*install the model stack with "
                                              r"pip install -c .*'\.\[model\]' in a clone"):
        load_world_model('kinema4d', **checkpoints['pmcond'])


def test_torch_is_not_imported_until_a_model_is_made():
    code = ('import sys; from kinema4d_ros.world_model import model_class; '
            "model_class('kinema4d').settings; assert not {'torch', 'diffusers'} & "
            'set(sys.modules)')
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, '-c', code], check=True, cwd=root, timeout=60)
