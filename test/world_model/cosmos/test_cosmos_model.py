# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model `cosmos` at tiny size, with random weights: from an observation to frames."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sliding_box import make_scene, without_robot

from kinema4d_ros.errors import PredictionCancelled, WorldModelError
from kinema4d_ros.types import EventKind
from kinema4d_ros.world_model import load_world_model, Metres


def test_every_frame_is_predicted_and_what_is_unlike_has_no_place(model):
    observation, robot = make_scene(5, duration=0.4)          # 6 actions: two windows of 4
    told = []
    frames = list(model.predict(observation, robot, seed=1,
                                report=lambda *args: told.append(args)))
    assert [frame.index for frame in frames] == list(range(5))
    assert np.array_equal(frames[0].image, observation.view.image)
    assert frames[0].action_following < 0.03
    for frame in frames:
        assert frame.count == 5 and frame.time == robot.times[frame.index]
        assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8
        assert frame.pointmap.shape == (48, 64, 3) and frame.pointmap.dtype == np.float32
        assert frame.unplaced.shape == (48, 64)
        assert np.isnan(frame.pointmap[frame.unplaced]).all()
        assert np.array_equal(frame.robot_mask, robot.link_id[frame.index] >= 0)
    assert frames[-1].unplaced.any() and frames[-1].action_following > 0.03     # random weights
    stages = [stage for stage, _, _ in told]
    assert stages == ['decode'] + 2 * ['encode', *3 * ['denoise'], *2 * ['decode']] + ['decode']
    assert told[-1] == ('decode', 5, 5)


def test_a_seed_decides_everything(model):
    observation, robot = make_scene(3, duration=0.2)
    runs = [list(model.predict(observation, robot, seed=seed)) for seed in (4, 4, 5)]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(*runs[:2]))
    assert not np.array_equal(runs[0][2].image, runs[2][2].image)


def test_the_actions_steer_the_future(model):
    observation, robot = make_scene(3, duration=0.2)
    T = robot.T_base_link.copy()
    T[:, 1, 0, 3] = T[0, 1, 0, 3]
    still = dataclasses.replace(robot, T_base_link=T)
    moving, resting = (list(model.predict(observation, r, seed=4))[-1] for r in (robot, still))
    assert not np.array_equal(moving.image, resting.image)


def test_what_the_pipeline_is_given(model, monkeypatch):
    """The actions of each window, the picture before it, and the flags that need no guard."""
    observation, robot = make_scene(3, duration=0.4)
    calls, pipeline = [], model.engine.pipeline

    def recorded(**values):
        calls.append(values)
        return pipeline(**values)

    monkeypatch.setattr(model.engine, 'pipeline', recorded)
    frames = list(model.predict(observation, robot, seed=2))
    assert len(calls) == 2
    for call in calls:
        action = call['action']
        assert (action.mode, action.chunk_size, action.domain_name) == (
            'forward_dynamics', 4, 'droid_lerobot')
        assert call['fps'] == 15.0 and call['enable_safety_check'] is False
        assert not {'num_frames', 'height', 'width'} & set(call)
        assert action.view_point == 'third_person_view' and call['prompt'] == 'pick the box'
    assert np.array_equal(np.asarray(calls[0]['action'].image), observation.view.image)
    assert not np.array_equal(np.asarray(calls[1]['action'].image), observation.view.image)
    values = torch.cat([call['action'].raw_actions for call in calls]).double().numpy()
    actions = model.domain.denormalise(values)
    assert np.allclose(actions[:6, 1], -0.1 / 15, atol=1e-6)        # along -y of the hand's frame
    assert np.allclose(actions[6:, :3], 0, atol=1e-6)               # then it rests
    assert np.allclose(actions[6:, [3, 7]], 1, atol=1e-6)
    assert len(frames) == 3 and pipeline.scheduler.config.flow_shift == 10.0
    assert pipeline.safety_checker is None


@pytest.mark.parametrize('stop_at', [0, 1, 2])
def test_a_cancel_ends_within_one_step_and_the_next_works(model, stop_at):
    observation, robot = make_scene(3, duration=0.2)
    before = model.engine.steps_done
    decoded = []
    hook = model.engine.pipeline.vae.decoder.register_forward_hook(lambda *_: decoded.append(1))

    def stop(stage, step, total):
        if stage == 'denoise' and step == stop_at:
            raise PredictionCancelled('newer goal')

    frames = model.predict(observation, robot, report=stop)
    next(frames)                                # what is seen comes before anything is sampled
    with pytest.raises(PredictionCancelled):
        next(frames)
    hook.remove()
    assert model.engine.steps_done - before == stop_at and not decoded
    assert len(list(model.predict(observation, robot))) == 3


def test_closing_the_generator_stops_before_the_next_window(model):
    before = model.engine.steps_done
    frames = model.predict(*make_scene(5, duration=0.4))
    next(frames), next(frames)
    frames.close()
    assert model.engine.steps_done - before == model.setting['steps']


@pytest.mark.parametrize('width, height', [(64, 64), (120, 60), (85, 71)])
def test_any_image_size_comes_back_in_its_own(model, width, height):
    observation, robot = make_scene(2, width, height, duration=0.2)
    frame = list(model.predict(observation, robot))[1]
    assert frame.image.shape == frame.pointmap.shape == (height, width, 3)


def test_an_image_smaller_than_a_cell_is_refused(model):
    from kinema4d_ros.types import PinholeCamera
    with pytest.raises(WorldModelError, match='6 x 90 pixels is too small .* cells of 8 pixels'):
        model.engine.size_for(PinholeCamera(6, 90, 9.0, 9.0, 3.0, 45.0))


def test_large_images_are_made_as_large_as_the_tier_allows(model):
    from kinema4d_ros.types import PinholeCamera
    sizes = [model.engine.size_for(PinholeCamera(w, h, 9.0, 9.0, 1.0, 1.0))
             for w, h in ((1280, 720), (256, 256), (300, 200))]
    assert sizes == [(320, 176), (256, 256), (288, 192)]


def test_the_first_of_several_cameras_is_predicted(model):
    observation, robot = make_scene(2, duration=0.2)
    view = observation.view
    other = dataclasses.replace(view, name='other', image=np.zeros_like(view.image))
    several = dataclasses.replace(observation, views=(view, other))
    one, first = (list(model.predict(o, robot, seed=3)) for o in (observation, several))
    assert np.array_equal(one[1].image, first[1].image)
    assert 'first' in model.card.views


def test_without_depth_it_says_what_is_not_known(model):
    frames = list(model.predict(*make_scene(2, duration=0.2, depth=False)))
    assert [event.kind for event in frames[0].events] == [EventKind.NO_DEPTH]
    assert np.isnan(frames[0].pointmap[~frames[0].robot_mask]).all() and not frames[1].events


def test_it_says_what_it_is(model, options):
    assert model.follows_actions is None and model.card.metres is Metres.NOT_PREDICTED
    assert len(model.fingerprint) == 16
    assert any('never the released' in line for line in model.card.lines())
    again = load_world_model('cosmos', **options)
    assert again.fingerprint == model.fingerprint
    again.close()
    with pytest.raises(WorldModelError, match='closed; make a new one'):
        next(again.predict(*make_scene(2)))


def test_a_motion_beyond_the_training_is_said(model, caplog):
    list(model.predict(*make_scene(2, duration=0.2, speed=0.1)))
    assert not caplog.records
    list(model.predict(*make_scene(2, duration=0.2, speed=1.0)))
    assert '100 % of the steps move or turn the hand farther in 0.07 s' in caplog.text


# ------------------------------------------------------------------------------- refusals

def test_input_that_cannot_be_followed_is_refused_before_anything_is_sampled(model):
    observation, robot = make_scene(3, duration=0.2)
    before = model.engine.steps_done
    poses = robot.T_base_camera.copy()
    poses[1:, 0, 3] = 0.2
    flat = observation.with_view(image=np.full_like(observation.view.image, 120))
    for seen, motion, words in (
            (observation, without_robot(robot), 'the robot is in no frame'),
            (observation, dataclasses.replace(robot, T_base_camera=poses), 'the camera moves'),
            (flat, dataclasses.replace(robot, image=np.full_like(robot.image, 120)),
             'cannot be told from the scene by its colour')):
        with pytest.raises(WorldModelError, match=words):
            next(model.predict(seen, motion))
    assert model.engine.steps_done == before


def test_values_that_are_not_finite_are_refused(model):
    observation, robot = make_scene(2, duration=0.2)
    weight = model.engine.pipeline.transformer.proj_out.weight
    kept = weight.detach().clone()
    try:
        weight.fill_(float('nan'))
        with pytest.raises(WorldModelError, match='not finite; use dtype=bfloat16'):
            list(model.predict(observation, robot))
    finally:
        weight.copy_(kept)
    assert len(list(model.predict(observation, robot))) == 2


def test_out_of_memory_says_what_to_change_and_the_next_request_works(model, monkeypatch):
    observation, robot = make_scene(2, duration=0.2)

    def full(*_):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')

    with monkeypatch.context() as patch:
        patch.setattr(model.engine, 'roll_out', full)
        with pytest.raises(WorldModelError, match='out of memory while predicting: .*allocate'
                                                  '.*use a lower resolution, offload=model'):
            list(model.predict(observation, robot))
    assert len(list(model.predict(observation, robot))) == 2


@pytest.mark.parametrize('setting, value, words', [
    ('domain', 'libero', 'no width of its actions'), ('steps', 0, 'steps must be 1 to 1000'),
    ('chunk', 6, 'chunk must be a multiple of 4, .*got 6'),
    ('chunk', 0, 'chunk must be a multiple of 4'),
    ('resolution', 300, "resolution 300 does not exist; choose one of: 256, 480, 704, 720"),
    ('view_point', 'above', "view_point 'above' does not exist; choose one of: auto, third"),
    ('normalisation', 'minmax', "normalisation 'minmax' does not exist; .*quantile, none"),
    ('offload', 'group', "offload 'group' does not exist; choose one of: none, model"),
    ('offload', 'model', 'offload=model needs a GPU'), ('device', 'tpu', "'tpu' is not known"),
    ('threshold', 0.0, 'threshold must be from 1 to 254'), ('dtype', 'int4', "'int4' is not"),
    ('guidance_scale', 0.0, 'guidance_scale must be more than 0'),
    ('gripper_open', float('nan'), 'must be finite'),
    ('directory', '/nowhere', 'setting directory of cosmos: no directory')])
def test_bad_settings_are_reported(options, setting, value, words):
    with pytest.raises(WorldModelError, match=words):
        load_world_model('cosmos', **{**options, setting: value})


def test_too_little_memory_is_reported_before_anything_is_loaded(options, monkeypatch):
    from kinema4d_ros.world_model.cosmos import engine
    monkeypatch.setattr(engine, 'free_memory', lambda device: (1000, 1000))
    monkeypatch.setattr(engine.CosmosCheckpoint, 'load_pipeline', None)
    with pytest.raises(WorldModelError, match='needs about .* GiB of device memory'):
        load_world_model('cosmos', **options)


def test_guidance_and_unnormalised_actions_run(options):
    model = load_world_model('cosmos', **{**options, 'guidance_scale': 2.0, 'steps': 1,
                                          'normalisation': 'none'})
    assert len(list(model.predict(*make_scene(2, duration=0.2)))) == 2
    model.close()
