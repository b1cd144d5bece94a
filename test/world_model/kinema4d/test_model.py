# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model as a whole, at tiny size: from an observation to predicted frames."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.world_model import load_world_model


def test_every_frame_is_predicted_in_metres(models, variant, scene):
    observation, robot = scene()
    told = []
    frames = list(models[variant].predict(observation, robot, seed=1,
                                          report=lambda *args: told.append(args)))
    assert [frame.index for frame in frames] == list(range(9))
    for frame in frames:
        assert frame.count == 9 and frame.time == robot.times[frame.index]
        assert frame.image.shape == (32, 48, 3) and frame.image.dtype == np.uint8
        assert frame.pointmap.shape == (32, 48, 3) and frame.pointmap.dtype == np.float32
        assert np.isfinite(frame.pointmap).all()
        assert frame.pointmap_sigma.shape == (32, 48) and (frame.pointmap_sigma > 0).all()
        assert frame.action_following > 0
        assert np.array_equal(frame.robot_mask, robot.link_id[frame.index] >= 0)
    stages, steps = [stage for stage, _, _ in told], models[variant].setting['steps']
    assert stages == ['encode'] + ['denoise'] * (steps + 1) + ['decode'] * 10
    assert told[-1] == ('decode', 9, 9)


def test_pictures_are_those_of_the_whole_decode(models, variant, scene):
    """Left half of the latent -> picture, right half -> points, checked against the VAE alone."""
    model = models[variant]
    observation, robot = scene()
    kept = []
    original = model.engine.decode
    model.engine.decode = lambda latents: kept.append(latents) or original(latents)
    try:
        frames = list(model.predict(observation, robot, seed=3))
    finally:
        model.engine.decode = original
    latents = kept[0].clone()
    latents[..., 6:] = latents[..., 6:] * 1.36 - 0.17
    codec = model.engine.codec
    with torch.no_grad():
        video = codec.vae.decode(latents / codec._inverse_std + codec._mean).sample[0]
    picture = ((video[:, :, :, :48] + 1) * 127.5).round().clamp(0, 255).byte()
    for frame in frames:
        assert np.array_equal(frame.image, picture[:, frame.index].permute(1, 2, 0).numpy())
    # All points are one affine map of the decoded right half: the normalisation and the fit.
    values = video[:, 8, :, 48:].permute(1, 2, 0).numpy().reshape(-1, 3)
    points = frames[8].pointmap.reshape(-1, 3)
    for axis in range(3):
        line = np.polyfit(values[:, axis], points[:, axis], 1)
        assert np.allclose(np.polyval(line, values[:, axis]), points[:, axis], atol=1e-4)


def test_first_frames_come_before_the_last_are_decoded(model, scene):
    decoded = []
    decoder = model.engine.codec.vae.decoder
    hook = decoder.register_forward_hook(lambda *_: decoded.append(1))
    counts = [len(decoded) for _ in model.predict(*scene())]
    hook.remove()
    assert counts == [1] + [2] * 4 + [3] * 4


def test_a_seed_decides_everything(model, scene):
    observation, robot = scene()
    runs = [list(model.predict(observation, robot, seed=seed)) for seed in (4, 4, 5)]
    for a, b in zip(*runs[:2]):
        assert np.array_equal(a.image, b.image) and np.array_equal(a.pointmap, b.pointmap)
    assert not np.array_equal(runs[0][5].image, runs[2][5].image)


def test_the_robot_steers_the_future(model, scene):
    observation, robot = scene()
    still = dataclasses.replace(robot, **{
        key: np.repeat(getattr(robot, key)[:1], 9, 0) for key in ('pointmap', 'link_id', 'image')})
    moving, resting = (list(model.predict(observation, r, seed=4)) for r in (robot, still))
    assert not np.array_equal(moving[8].image, resting[8].image)


def test_four_candidates_encode_the_observation_once(models, variant, scene):
    model = models[variant]
    observation, robot = scene(seed=9)
    encoded, conditions = [], []
    engine = model.engine
    original, sample = engine.encode_image, engine.sample
    engine.encode_image = lambda image: encoded.append(1) or original(image)
    engine.sample = lambda image, *rest: conditions.append(image.condition) or sample(image, *rest)
    clip = engine.image_encoder.encodes
    try:
        for seed in range(4):
            list(model.predict(observation, robot, seed=seed))
        assert len(encoded) == 1 and engine.image_encoder.encodes - clip == 1
        assert all(torch.equal(condition, conditions[0]) for condition in conditions)
        fresh, _ = scene(seed=9)
        list(model.predict(fresh, robot))
        assert len(encoded) == 2                     # equal, but another observation
        assert torch.equal(conditions[-1], conditions[0])
    finally:
        engine.encode_image, engine.sample = original, sample


def test_few_step_weights_bring_their_own_scheduler_and_step_count(tmp_path, scene, monkeypatch):
    from kinema4d_ros.world_model.kinema4d.tiny import write_json, write_tiny_checkpoint
    base, weights = write_tiny_checkpoint(tmp_path, steps=4)
    write_json(base / 'scheduler' / 'scheduler_config.json', {
        '_class_name': 'FlowMatchEulerDiscreteScheduler', 'shift': 5.0,
        'num_train_timesteps': 1000})
    model = load_world_model('kinema4d', base=str(base), weights=str(weights), device='cpu')
    pipeline, seen, evaluate = model.engine.pipeline, [], model.engine.pipeline._evaluate

    def recorded(name, inputs, times):
        velocity = evaluate(name, inputs, times)
        seen.append((inputs[0][:, :16].clone(), int(inputs[1][0]), velocity.clone()))
        return velocity

    monkeypatch.setattr(pipeline, '_evaluate', recorded)
    assert len(list(model.predict(*scene()))) == 9
    assert pipeline.forwards == 4
    levels = [time / 1000 for _, time, _ in seen]
    assert levels[0] == 1.0 and levels == sorted(levels, reverse=True)
    for (latent, _, velocity), (after, _, _), level, lower in zip(
            seen, seen[1:], levels, levels[1:]):
        assert torch.allclose(after, latent + (lower - level) * velocity, atol=2e-2)    # Euler


@pytest.mark.parametrize('stop_at', [0, 1, 2])
def test_a_cancel_ends_within_one_step_without_decoding_and_the_next_works(model, scene, stop_at):
    observation, robot = scene()
    decoded, frames = [], []
    hook = model.engine.codec.vae.decoder.register_forward_hook(lambda *_: decoded.append(1))
    before = model.engine.pipeline.forwards

    def stop(stage, step, total):
        if stage == 'denoise' and step == stop_at:
            raise PredictionCancelled('newer goal')

    with pytest.raises(PredictionCancelled):
        frames.extend(model.predict(observation, robot, report=stop))
    hook.remove()
    assert model.engine.pipeline.forwards - before == stop_at
    assert not decoded and not frames
    assert len(list(model.predict(observation, robot))) == 9


def test_closing_the_generator_stops_the_decode(model, scene):
    decoded = []
    hook = model.engine.codec.vae.decoder.register_forward_hook(lambda *_: decoded.append(1))
    frames = model.predict(*scene())
    next(frames)
    frames.close()
    hook.remove()
    assert len(decoded) == 1


@pytest.mark.parametrize('count, windows', [(1, 1), (5, 1), (9, 1), (10, 2), (17, 2), (20, 3)])
def test_any_horizon(model, scene, count, windows):
    observation, robot = scene(count)
    told = []
    frames = list(model.predict(observation, robot, report=lambda *args: told.append(args)))
    assert [frame.index for frame in frames] == list(range(count))
    assert sum(stage == 'encode' for stage, _, _ in told) == windows


def test_a_second_window_starts_from_the_last_predicted_image(model, scene):
    observation, robot = scene(12)
    seen = []
    original = model.engine.encode_image
    model.engine.encode_image = lambda image: seen.append(image) or original(image)
    try:
        frames = list(model.predict(observation, robot))
    finally:
        model.engine.encode_image = original
    assert np.array_equal(seen[0], observation.view.image)
    assert np.array_equal(seen[1], frames[8].image)


@pytest.mark.parametrize('width, height', [(64, 64), (120, 40), (96, 64), (33, 47)])
@pytest.mark.parametrize('fit', ['crop', 'pad', 'stretch'])
def test_any_image_size_comes_back_in_its_own(models, scene, width, height, fit):
    model = models['pmcond']
    observation, robot = scene(5, width, height)
    model.setting = {**model.setting, 'image_fit': fit}
    try:
        frame = list(model.predict(observation, robot))[3]
    finally:
        model.setting = {**model.setting, 'image_fit': 'crop'}
    assert frame.image.shape == (height, width, 3)
    assert frame.pointmap.shape == (height, width, 3)
    known = np.isfinite(frame.pointmap[..., 2])
    assert np.array_equal(known, np.isfinite(frame.pointmap_sigma))
    assert known.all() if fit != 'crop' else known.any()
    # What a crop cannot see keeps its pixels, and its points stay unknown.
    assert np.array_equal(frame.image[~known], observation.view.image[~known])


def test_a_fit_keeps_points_metric(scene):
    """The exact robot put through the fit still projects to its pixels with the new camera."""
    from kinema4d_ros.world_model.kinema4d.config import Geometry
    from kinema4d_ros.world_model.kinema4d.frames import ModelView
    observation, robot = scene(5, 128, 64)
    view = ModelView(observation, robot, Geometry(3, 4, 6, 2), 'crop')
    camera, points = view._fit.camera, view.exact(2)
    v, u = np.nonzero(np.isfinite(points[..., 2]))
    x, y, z = points[v, u].T
    # Nearest resampling moves a sample by at most half a source pixel, here one pixel wide.
    assert np.abs(camera.fx * x / z + camera.cx - u).max() < 1.0
    assert np.abs(camera.fy * y / z + camera.cy - v).max() < 1.0


def test_without_depth_the_range_comes_from_the_robot(model, scene):
    observation, robot = scene(depth=False)
    assert len(list(model.predict(observation, robot))) == 9


@pytest.mark.parametrize('normaliser', ['scene', 'per_frame', 'fixed'])
def test_every_normaliser_runs(checkpoints, scene, normaliser):
    model = load_world_model('kinema4d', steps=1, normaliser=normaliser, soft_mask=0.1,
                   **checkpoints['pmcond'])
    assert len(list(model.predict(*scene(5)))) == 5
    model.close()


@pytest.mark.parametrize('options', [
    {'dtype': 'bfloat16'}, {'offload': 'model'}, {'offload': 'group'}, {'guidance': 'reference'},
    {'cache': 'first_block', 'cache_threshold': 0.2}, {'attention_backend': '_native_math'},
    {'steps': 3, 'guidance_scale': 2.0}])
def test_options_run_from_the_settings(checkpoints, scene, options):
    model = load_world_model('kinema4d', **{'steps': 2, **checkpoints['default'], **options})
    frames = list(model.predict(*scene(5)))
    assert len(frames) == 5 and np.isfinite(frames[4].pointmap).all()
    assert all('active on' in line for line in model.engine.active)
    model.close()


def test_offloaded_parts_go_home_after_a_cancel(checkpoints, scene):
    model = load_world_model('kinema4d', steps=1, offload='model', **checkpoints['pmcond'])
    moved = []
    original = model.engine.transformer.to
    model.engine.transformer.to = lambda device: moved.append(device) or original(device)

    def stop(stage, *_):
        if stage == 'denoise':
            raise PredictionCancelled('stop')

    with pytest.raises(PredictionCancelled):
        list(model.predict(*scene(5), report=stop))
    assert moved == ['cpu', 'cpu']           # there (this device is the CPU) and back
    model.close()
