# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loss against a second computation, its chance, schedules, start weights, estimates."""
from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from robo4d_clips import HELD_OUT, SIZES

from kinema4d_ros.datasets.robo4d import Robo4D
from kinema4d_ros.errors import TrainingError, WorldModelError
from kinema4d_ros.training.objective import draw, loss_of, shifted
from kinema4d_ros.training.samples import ConditionCache, Samples
from kinema4d_ros.training.settings import Recipe, TrainingSettings
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.config import Variant


@pytest.fixture
def checkpoint(start):
    """Return the tiny checkpoint, opened."""
    return Checkpoint(*start)


@pytest.fixture
def samples(session_clips, checkpoint, conditions):
    """Return the samples of the clips."""
    return Samples(Robo4D(session_clips, SIZES), checkpoint.config,
                   ConditionCache(conditions, checkpoint, 'cpu'), 7)


def test_inputs_are_those_of_the_official_training(samples, checkpoint, session_clips):
    """Written out again from its description, out of the files alone."""
    from safetensors.torch import load_file
    settings = TrainingSettings(soft_share=0.0, sample_condition=False)
    name, config = samples.name(3), checkpoint.config
    inputs = draw([samples.get(3)], [3], config, settings)
    video = load_file(session_clips / f'video_latents/{name}.safetensors')
    points, robot = (torch.load(session_clips / f'{kind}/{name}.pt').float()
                     for kind in ('pointmap_latents', 'mask_pointmap_latents'))
    latent = torch.cat([video['encoded_video'].float(), (points + 0.17) / 1.36], dim=-1)
    s = float(inputs.timestep) / 1000
    noise = inputs.target[0] + latent
    assert torch.allclose(inputs.hidden_states[0, :16], (1 - s) * latent + s * noise, atol=1e-5)
    assert abs(float(noise.mean())) < 0.1 and 0.9 < float(noise.std()) < 1.1
    assert torch.allclose(inputs.arm[0, 4:], (robot + 0.17) / 1.36, atol=1e-6)
    mask = inputs.hidden_states[0, 16:20]
    assert (mask[:, 0, :, :6] == 1).all() and (mask[:, 0, :, 6:] == 0.5).all()
    assert not mask[:, 1:].any()
    assert torch.equal(inputs.image_embeds[0], video['image_embedding'])
    assert float(inputs.timestep) in range(1, 1001)


def test_the_loss_is_the_plain_mean_over_both_halves(samples, checkpoint):
    from kinema4d_ros.training.network import load_for_training
    model = load_for_training(checkpoint, 'cpu', torch.float32).eval()
    inputs = draw([samples.get(0), samples.get(1)], [0, 1], checkpoint.config, TrainingSettings())
    with torch.no_grad():
        each = loss_of(model, inputs, torch.float32)
        merged = checkpoint.load_transformer('cpu', torch.float32)
        made = merged(inputs.hidden_states, inputs.timestep, inputs.arm, inputs.image_embeds,
                      return_dict=False)[0]
    wanted = torch.stack([(one - other).square().mean() for one, other
                          in zip(made, inputs.target)])
    assert torch.allclose(each, wanted, rtol=1e-4)


def test_chance_follows_from_seed_and_number_alone(samples, checkpoint):
    """Neither the batch nor what came before changes what a sample draws."""
    settings, config = TrainingSettings(), checkpoint.config
    pair = draw([samples.get(4), samples.get(5)], [4, 5], config, settings)
    alone = draw([samples.get(5)], [5], config, settings)
    for field in dataclasses.fields(alone):
        assert torch.equal(getattr(pair, field.name)[1:], getattr(alone, field.name))
    other = draw([samples.get(5)], [13], config, settings)
    assert not torch.equal(other.target, alone.target)
    levels = {float(draw([samples.get(5)], [n], config, settings).timestep) for n in range(20)}
    assert len(levels) > 15


def test_every_epoch_has_every_clip_once_in_another_order(samples):
    epochs = [[samples.name(8 * epoch + at) for at in range(8)] for epoch in range(3)]
    assert all(len(set(epoch)) == 8 for epoch in epochs) and len(set(map(tuple, epochs))) == 3


def test_both_recipes():
    intended = TrainingSettings(steps=1000)
    assert intended.betas == (0.9, 0.95)
    assert intended.rate(0, 8) == pytest.approx(2e-7) and intended.rate(49, 8) == 1e-5
    assert intended.rate(99, 8) == intended.rate(999, 8) == 2e-5
    effective = TrainingSettings(steps=1000, recipe=Recipe.EFFECTIVE)
    assert effective.betas == (0.9, 0.999)
    assert effective.rate(0, 8) == 0.0
    assert effective.rate(400, 8) == pytest.approx(2e-5 * math.log(401) / math.log(800))
    assert effective.rate(800, 8) == 2e-5 and effective.rate(900, 8) == pytest.approx(1e-5)
    assert effective.rate(1000, 8) == 0.0
    assert shifted(0.5, 1.0) == 0.5 and shifted(0.5, 3.0) == 0.75


@pytest.mark.parametrize('name, value', [
    ('steps', 0), ('learning_rate', -1.0), ('soft_share', 1.5), ('mixed_precision', 'fp8'),
    ('clip_norm', math.inf)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(TrainingError, match=f'{name} .*{value:g}' if name != 'mixed_precision'
                       else "mixed_precision 'fp8' does not exist; choose one of: no, bf16"):
        TrainingSettings(**{name: value}).check()


@pytest.mark.parametrize('variant', list(Variant))
def test_new_weights_leave_the_robot_without_effect_until_they_learn(start, tmp_path, variant):
    from kinema4d_ros.training.network import learning, load_for_training, write_start
    from kinema4d_ros.world_model.kinema4d.tiny import GEOMETRY
    weights = write_start(start[0], tmp_path / 'new', variant=variant, rank=4, geometry=GEOMETRY,
                          arm_channels=8)
    checkpoint = Checkpoint(start[0], weights)        # accounts for every key and shape
    assert checkpoint.config.variant is variant
    model = load_for_training(checkpoint, 'cpu', torch.float32)
    names = set(learning(model))
    assert len([name for name in names if '.lora_' in name]) == 2 * 2 * 8
    assert len(names) == 32 + len(checkpoint.added.shapes)
    size, random = GEOMETRY, torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 36, *size.joint_latent, generator=random)
    arms = [torch.randn(1, 20, 3, 4, 6 * model.halves, generator=random) for _ in range(2)]
    arms[1][:, :4] = arms[0][:, :4]                   # the mask is no parameter's business
    with torch.no_grad():
        one, other = (model(hidden, torch.tensor([500.0]), arm, torch.zeros(1, 5, 32),
                            return_dict=False)[0] for arm in arms)
    assert torch.equal(one, other)


def test_the_ancestors_weights_are_taken_whole(start, tmp_path):
    from safetensors.torch import load_file, save_file

    from kinema4d_ros.training.network import write_start
    from kinema4d_ros.world_model.kinema4d.tiny import GEOMETRY
    ancestor = tmp_path / '4dnex'
    ancestor.mkdir()
    lora = load_file(start[1] / 'pytorch_lora_weights.safetensors')
    save_file(lora, ancestor / 'pytorch_lora_weights.safetensors')
    given = {'ancestor': ancestor, 'rank': 4, 'geometry': GEOMETRY, 'arm_channels': 8}
    with pytest.raises(WorldModelError, match='learnable_domain_embeddings.pt cannot be read'):
        write_start(start[0], tmp_path / 'new', **given)
    domain = torch.randn(2, 48)
    torch.save(domain, ancestor / 'learnable_domain_embeddings.pt')
    weights = write_start(start[0], tmp_path / 'new', **given)
    assert torch.equal(load_file(weights / 'added_weights.safetensors')[
        'learnable_domain_embeddings'], domain)
    found = load_file(weights / 'pytorch_lora_weights.safetensors')
    assert all(torch.equal(value, found[key]) for key, value in lora.items())
    lora.popitem()
    save_file(lora, ancestor / 'pytorch_lora_weights.safetensors')
    with pytest.raises(WorldModelError, match='does not match the base: missing transformer.'):
        write_start(start[0], tmp_path / 'other', **given)


def test_the_estimate_at_full_size_is_that_of_the_paper():
    """67 GB on each of 32 A100 with ZeRO-2, 5000 steps in about 2 days."""
    from bench.kinema4d_gpu import full_size

    from kinema4d_ros.training.estimate import check_device, estimate_training
    from kinema4d_ros.world_model.kinema4d.estimate import THROUGHPUT
    settings = TrainingSettings(steps=5000)
    need = estimate_training(full_size(), {'base': (16_394_878_784,)},
                             {'lora': (209_715_200,), 'added': (1_287_312,)}, settings, 2,
                             shards=32)
    assert 55e9 < need.device < 75e9
    assert 1.5 < settings.steps * need.flops / THROUGHPUT['A100'] / 1e12 / 86400 < 2.5
    assert 'optimiser' in '\n'.join(need.lines(settings))
    wasteful = estimate_training(full_size(), {'base': (16_394_878_784,)}, {'lora': (209_715_200,)},
                                 dataclasses.replace(settings, gradient_checkpointing=False), 2)
    assert wasteful.device > 4 * need.device
    with pytest.raises(TrainingError, match=r'need \d+\.\d GiB on each device, 37\.3 GiB are free; '
                                            'use batch 1'):
        check_device(need, int(40e9))
    check_device(need, None)


class Oracle(torch.nn.Module):
    """Knows the answer of each clip, and tells it if the robot is the clip's own, or always."""

    def __init__(self, samples, config, *, heeds):
        super().__init__()
        self.answers, self.config, self.heeds = samples, config, heeds

    def forward(self, hidden_states, timestep, arm, image_embeds, return_dict):
        from kinema4d_ros.training.objective import arm_input
        s = timestep[0] / 1000
        (clip,) = [clip for clip in self.answers if torch.equal(clip.image_tokens,
                                                                image_embeds[0])]
        velocity = (hidden_states[:, :16] - clip.latent) / s
        known = not self.heeds or torch.equal(arm[0], arm_input(clip, self.config))
        return (velocity if known else 0 * velocity,)


@pytest.mark.parametrize('clips', [HELD_OUT, HELD_OUT[:1]])
def test_validation_tells_a_model_that_heeds_actions_from_one_that_does_not(
        samples, checkpoint, clips):
    import contextlib

    from kinema4d_ros.training.validation import Validation
    settings = TrainingSettings(validation_steps=0)
    known = [samples.of_name(name) for name in clips]
    found = {}
    for heeds in (True, False):
        found[heeds] = Validation(clips, samples, checkpoint, settings, 'cpu').measure(
            Oracle(known, checkpoint.config, heeds=heeds), torch.float32, contextlib.nullcontext)
    assert found[True]['follows'] == 1.0 and found[False]['follows'] == 0.5
    assert found[True]['validation_loss'] < 1e-6 < found[True]['validation_loss_shuffled']
    assert found[False]['validation_loss'] == found[False]['validation_loss_shuffled']


def test_a_clip_that_cannot_be_read_is_left_out_of_validation(samples, checkpoint):
    from kinema4d_ros.training.validation import Validation
    held = Validation((*HELD_OUT, 'gone'), samples, checkpoint, TrainingSettings(), 'cpu')
    with pytest.warns(UserWarning, match="left out of validation: clip 'gone' lacks"):
        assert [clip.name for clip in held.clips] == list(HELD_OUT)
