# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Candidates as one batch, weights for few steps, and other samplers."""
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.extra_lora import ExtraLora


def test_candidates_together_become_what_they_are_alone(model, scene):
    """In two windows, the second of which starts from each candidate's own last frame."""
    observation, robot = scene(count=11)
    shifted = dataclasses.replace(
        robot, link_id=robot.link_id[::-1].copy(), pointmap=robot.pointmap[::-1].copy(),
        image=robot.image[::-1].copy())
    alone = [list(model.predict(observation, one, seed=3)) for one in (robot, shifted)]
    before = model.engine.pipeline.forwards
    together = {0: [], 1: []}
    for candidate, frame in model.predict_all(observation, [robot, shifted], seed=3):
        together[candidate].append(frame)
    assert model.engine.pipeline.forwards - before == 2 * 2        # steps x windows, not x 2
    for one, other in zip(alone, together.values()):
        assert len(one) == len(other) == 11
        for left, right in zip(one, other):
            assert np.abs(left.image.astype(int) - right.image).max() <= 1
            assert np.allclose(left.pointmap, right.pointmap, atol=1e-3, equal_nan=True)
    assert not np.array_equal(alone[0][5].image, alone[1][5].image)


def test_candidates_of_different_lengths_are_refused(model, scene):
    observation, robot = scene()
    with pytest.raises(WorldModelError, match='same number of frames, got 5, 9'):
        list(model.predict_all(observation, [robot, scene(count=5)[1]]))


def few_step_lora(path, layer='blocks.0.ffn.net.0.proj', alpha=None):
    """Write a LoRA of rank 2 on a layer; return the change of its weight."""
    random = torch.Generator().manual_seed(4)
    a, b = torch.randn(2, 48, generator=random), torch.randn(64, 2, generator=random)
    state = {f'transformer.{layer}.lora_A.weight': a, f'transformer.{layer}.lora_B.weight': b}
    if alpha is not None:
        state[f'transformer.{layer}.alpha'] = torch.tensor(alpha)
    save_file(state, path)
    return (b @ a) * (1.0 if alpha is None else alpha / 2)


@pytest.mark.parametrize('alpha', [None, 1.0])
def test_a_lora_for_few_steps_is_merged_once(parts, tmp_path, alpha):
    delta = few_step_lora(tmp_path / 'fast.safetensors', alpha=alpha)
    checkpoint, plain = parts['pmcond'].checkpoint, parts['pmcond'].transformer
    fast = checkpoint.load_transformer('cpu', torch.float32,
                                       extra=ExtraLora(tmp_path / 'fast.safetensors', 0.5))
    changed = [name for name, value in plain.state_dict().items()
               if not torch.equal(value, fast.state_dict()[name])]
    assert changed == ['blocks.0.ffn.net.0.proj.weight']
    difference = fast.state_dict()[changed[0]] - plain.state_dict()[changed[0]]
    assert torch.allclose(difference, 0.5 * delta, atol=1e-5)


def test_few_steps_by_parameter(checkpoints, tmp_path, scene):
    from kinema4d_ros.world_model import load_world_model
    few_step_lora(tmp_path / 'fast.safetensors')
    model = load_world_model(
        'kinema4d', steps=4, scheduler='euler', flow_shift=5.0,
        extra_lora=str(tmp_path / 'fast.safetensors'), **checkpoints['pmcond'])
    pipeline = model.engine.pipeline
    observation, robot = scene()
    assert len(list(model.predict(observation, robot))) == 9 and pipeline.forwards == 4
    model.close()
    before = model.fingerprint
    few_step_lora(tmp_path / 'fast.safetensors', alpha=3.0)      # another, in the same place
    again = load_world_model('kinema4d', extra_lora=str(tmp_path / 'fast.safetensors'),
                             **checkpoints['pmcond'])
    assert before.split('+')[0] == again.fingerprint.split('+')[0]
    assert again.fingerprint != before
    again.close()


def test_samplers_take_their_shift(parts):
    make = parts['pmcond'].checkpoint.make_scheduler
    assert make().config['flow_shift'] == 3.0 == make('euler').config['shift']
    assert make('euler', 5.0).config['shift'] == 5.0 == make('unipc', 5.0).config['flow_shift']
    with pytest.raises(WorldModelError, match="scheduler 'ddim' does not exist; choose one of: ch"):
        make('ddim')
    with pytest.raises(WorldModelError, match='flow_shift must be positive'):
        make('euler', -1.0)


def test_a_lora_that_does_not_fit_is_refused(parts, tmp_path):
    path = tmp_path / 'strange.safetensors'
    with pytest.raises(WorldModelError, match='there is no file'):
        ExtraLora(path)
    save_file({'blocks.0.attn1.to_q.lora_down.weight': torch.zeros(2, 2)}, path)
    with pytest.raises(WorldModelError, match='not understood: blocks.0.attn1.to_q.lora_down'):
        ExtraLora(path)
    few_step_lora(path, layer='blocks.0.attn1.to_q')
    with pytest.raises(WorldModelError, match='does not fit the base: blocks.0.attn1.to_q'):
        parts['pmcond'].checkpoint.load_transformer('cpu', torch.float32, extra=ExtraLora(path))
