# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model `tesseract` at tiny size, with random weights, and what tier 2 makes of it."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from gantry import motion, observe, simulator
from scenes import Path, RED, World, can
from sliding_box import make_scene

from kinema4d_ros.errors import PredictionCancelled, WorldModelError
from kinema4d_ros.types import FindingCode, Severity, Status
from kinema4d_ros.world_model import load_world_model, Metres
from kinema4d_ros.world_model.tesseract import Panels


def test_every_frame_is_predicted_with_its_fit(model):
    observation, robot = make_scene(4, duration=1.0)
    told = []
    frames = list(model.predict(observation, robot, seed=1,
                                report=lambda *args: told.append(args)))
    assert [frame.index for frame in frames] == list(range(4))
    assert len(model.fits) == len(model.normal_angles) == 4
    for frame, fit in zip(frames, model.fits):
        assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8
        assert frame.pointmap.shape == (48, 64, 3) and frame.pointmap.dtype == np.float32
        assert np.array_equal(frame.robot_mask, robot.link_id[frame.index] >= 0)
        if fit is None:
            assert frame.pointmap_sigma is None and np.isnan(frame.pointmap).all()
        else:
            assert np.allclose(frame.pointmap_sigma, fit.residual)
    stages = [stage for stage, _, _ in told]
    # text, text without, without picture: three evaluations a step
    assert stages == ['encode', *7 * ['denoise'], *6 * ['decode']]


def test_a_seed_decides_everything(model):
    observation, robot = make_scene(2)
    runs = [list(model.predict(observation, robot, seed=seed)) for seed in (4, 4, 5)]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(*runs[:2]))
    assert not np.array_equal(runs[0][1].image, runs[2][1].image)


def test_it_does_not_follow_the_motion(model):
    """The same future whatever the robot does: that is what the interface says of it."""
    observation, robot = make_scene(3)
    T = robot.T_base_link.copy()
    T[1:, 1, 0, 3] += 0.3
    other = dataclasses.replace(
        robot, T_base_link=T, link_id=np.roll(robot.link_id, 9, axis=2),
        pointmap=np.roll(robot.pointmap, 9, axis=2), positions=robot.positions + 0.3)
    for one, another in zip(*(list(model.predict(observation, r, seed=2))
                              for r in (robot, other))):
        assert np.array_equal(one.image, another.image)
    assert model.follows_actions is False and model.card.metres is Metres.FITTED
    assert 'no motion' in model.card.inputs and len(model.fingerprint) == 16


def test_the_frames_are_those_of_the_time_and_the_last_one_stays(model, monkeypatch):
    observation, robot = make_scene(9, duration=1.0)       # every eighth of a second, as its clips
    clip = [Panels(np.full((48, 64, 3), level / 10, np.float32), np.zeros((48, 64), np.float32),
                   np.zeros((48, 64, 3), np.float32)) for level in range(5)]
    monkeypatch.setattr(model.engine, 'decode', lambda latents: clip)
    frames = list(model.predict(observation, robot))
    levels = [round(float(frame.image.mean()) / 25.5) for frame in frames]
    assert levels == [0, 1, 2, 3, 4, 4, 4, 4, 4]
    assert model.fits == 9 * [None]                        # no line through a flat depth
    assert all(np.isnan(frame.pointmap).all() for frame in frames)


AIR = Path.through((0, 0, -0.3, 0.3, 0.08), (2, 0, -0.1, 0.3, 0.08), frames=21)
WORLD = World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0)))


@pytest.mark.parametrize('faithful', [False, True])
def test_tier_2_is_unsure_whatever_it_shows(options, faithful, monkeypatch):
    """Also where it shows, against all expectation, exactly what will happen."""
    model = load_world_model('tesseract', **options)
    if faithful:
        exact = load_world_model('kinematic')
        monkeypatch.setattr(model, 'predict', exact.predict)
    verdict = simulator(model, frames=4).precheck(observe(WORLD, AIR), motion(AIR),
                                                tiers=(0, 1, 2))
    assert verdict.status == Status.UNSURE and 2 not in verdict.tiers_passed
    assert "the world model 'tesseract' takes no actions" in verdict.summary
    codes = [f.code for f in verdict.findings if f.severity > Severity.INFO]
    assert codes[0] == FindingCode.ACTION_FOLLOWING
    assert not faithful or codes == [FindingCode.ACTION_FOLLOWING]
    assert verdict.world_model == 'tesseract'


@pytest.mark.parametrize('stop_at', [0, 1, 4])
def test_a_cancel_ends_before_the_next_evaluation_and_the_next_works(model, stop_at):
    observation, robot = make_scene(2)
    before, seen = model.engine.forwards, []

    def stop(stage, step, total):
        if stage == 'denoise':
            seen.append(step)
            if len(seen) > stop_at:
                raise PredictionCancelled('newer goal')

    with pytest.raises(PredictionCancelled):
        list(model.predict(observation, robot, report=stop))
    assert model.engine.forwards - before == stop_at
    assert len(list(model.predict(observation, robot))) == 2


def test_guidance_by_hand(model, monkeypatch):
    """It is nothing + g (text - image) + i (image - nothing); the first frame is text."""
    shape = (1, 2, 3, 1, 1)
    told, untold, nothing = (torch.full(shape, value) for value in (5.0, 3.0, 2.0))
    picture, empty = torch.ones(1), torch.zeros(1)

    def velocity(text, image):
        return told.clone() if text == 0 else (untold if image is picture else nothing).clone()

    out = model.engine._guided(velocity, picture, empty)
    assert (out[:, 1] == 2 + 7.5 * (5 - 3) + 1.5 * (3 - 2)).all() and (out[:, 0] == 5).all()
    monkeypatch.setattr(model.engine, '_setting', {'guidance_scale': 4.0, 'image_guidance': 1.0})
    out = model.engine._guided(velocity, picture, empty)
    assert (out[:, 1] == 3 + 4 * (5 - 3)).all() and (out[:, 0] == 5).all()


def test_the_order_of_the_channels(model, monkeypatch):
    """RGB noise, RGB picture, depth noise, depth picture, normal noise, normal picture."""
    given = []

    def recorded(parts, text, time, image_rotary_emb):
        given.append(parts)
        return parts[:, :, :48]

    monkeypatch.setattr(model.engine, 'transformer', recorded)
    monkeypatch.setattr(model.engine, '_positions', lambda: None)
    latents = torch.arange(48.0)[None, None, :, None, None]
    model.engine._evaluate(0, latents, latents + 100, torch.tensor(3))
    expected = torch.cat([torch.arange(16.0) + 16 * part + 100 * image
                          for part in range(3) for image in (0, 1)])
    assert torch.equal(given[0].flatten(), expected)


def test_without_depth_it_says_what_it_needs(model):
    with pytest.raises(WorldModelError, match='no depth image; connect a depth camera'):
        next(model.predict(*make_scene(2, depth=False)))
    observation, robot = make_scene(2)
    holes = observation.view.depth.copy()
    holes[:, 6:] = np.nan
    with pytest.raises(WorldModelError, match='only .* % of the image has a depth'):
        next(model.predict(observation.with_view(depth=holes), robot))


def test_a_moving_camera_is_refused(model):
    observation, robot = make_scene(2)
    poses = robot.T_base_camera.copy()
    poses[1:, 0, 3] = 0.2
    with pytest.raises(WorldModelError, match=r'the camera moves .*0\.200'):
        next(model.predict(observation, dataclasses.replace(robot, T_base_camera=poses)))


def test_values_that_are_not_finite_are_refused(model):
    weight = model.engine.transformer.proj_out.weight
    kept = weight.detach().clone()
    try:
        weight.fill_(float('nan'))
        with pytest.raises(WorldModelError, match='not finite; use dtype=bfloat16'):
            list(model.predict(*make_scene(2)))
    finally:
        weight.copy_(kept)
    assert len(list(model.predict(*make_scene(2)))) == 2


def test_out_of_memory_says_what_to_change_and_the_next_request_works(model, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')

    with monkeypatch.context() as patch:
        patch.setattr(model.engine, 'sample', full)
        with pytest.raises(WorldModelError, match='out of memory while predicting: .*allocate'):
            list(model.predict(*make_scene(2)))
    assert len(list(model.predict(*make_scene(2)))) == 2


@pytest.mark.parametrize('setting, value, words', [
    ('robot', 'UR5', "robot 'UR5' is not in the training .*Franka Emika Panda"),
    ('prompt', ' ', 'told what to do in words; set prompt'), ('steps', 0, 'steps must be 1'),
    ('guidance_scale', 0.5, 'guidance_scale must be 1 or more'),
    ('image_guidance', -1.0, 'image_guidance must be 0 or more'),
    ('base', '', "setting base of tesseract: no directory ''; give the folder of CogVideoX-5b"),
    ('weights', '/nowhere', 'setting weights of tesseract: no directory'),
    ('device', 'tpu', "'tpu' is not known")])
def test_bad_settings_are_reported(options, setting, value, words):
    with pytest.raises(WorldModelError, match=words):
        load_world_model('tesseract', **{**options, setting: value})


def test_too_little_memory_is_reported_before_anything_is_loaded(options, monkeypatch):
    from kinema4d_ros.world_model.tesseract import engine
    monkeypatch.setattr(engine, 'free_memory', lambda device: (1000, 1000))
    monkeypatch.setattr(engine.TesseractCheckpoint, 'load_transformer', None)
    with pytest.raises(WorldModelError, match='needs about .* GiB of device memory'):
        load_world_model('tesseract', **options)


def test_a_closed_model_says_so(options):
    model = load_world_model('tesseract', **options, image_guidance=1.0)
    assert len(list(model.predict(*make_scene(2)))) == 2
    model.close()
    with pytest.raises(WorldModelError, match='closed; make a new one'):
        next(model.predict(*make_scene(2)))
