# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling: guidance, counts, seeds, progress, cancelling."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from conditions import random_conditions

from kinema4d_ros.errors import PredictionCancelled, WorldModelError
from kinema4d_ros.types import silent
from kinema4d_ros.world_model.kinema4d.config import Guidance


def setting(steps=3, guidance=Guidance.SINGLE_PASS, scale=5.0):
    """Return sampling settings."""
    from kinema4d_ros.world_model.kinema4d.pipeline import SamplingSettings
    return SamplingSettings(steps, guidance, scale)


def prepared(part):
    """Return (pipeline, image condition, robot condition)."""
    from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline
    return Pipeline(part.transformer, part.checkpoint.make_scheduler(), 'cpu',
                    torch.float32), *random_conditions(part)


def sampled(part, how, seed=0, report=silent):
    """Sample and return (latents, number of network evaluations)."""
    pipeline, image, arm = prepared(part)
    latents = pipeline.sample(image, arm, how, torch.Generator().manual_seed(seed), report)
    return latents, pipeline.forwards


def test_levels_are_those_of_the_released_program(parts):
    from kinema4d_ros.world_model.kinema4d.pipeline import set_timesteps
    scheduler = parts['default'].checkpoint.make_scheduler()
    set_timesteps(scheduler, 50, 'cpu')
    steps = scheduler.timesteps.tolist()
    assert steps[:5] == [999, 992, 985, 978, 971] and steps[-3:] == [160, 111, 57]
    assert scheduler.timesteps.dtype == torch.int64 and float(scheduler.sigmas[-1]) == 0.0
    even = 0.999 * (1 - np.arange(50) / 50)
    assert np.allclose(scheduler.sigmas[:-1], 3 * even / (1 + 2 * even), atol=1e-6)


def test_single_pass_runs_exactly_half_the_forwards_of_reference(parts, variant):
    single = sampled(parts[variant], setting(4))
    reference = sampled(parts[variant], setting(4, Guidance.REFERENCE))
    assert (single[1], reference[1]) == (4, 8)
    assert not torch.allclose(single[0], reference[0])


def test_reference_is_five_times_once_minus_four_times_twice(parts, variant):
    """Both ways, one step at a time, against the formula; the network is called directly."""
    part = parts[variant]
    pipeline, image, arm = prepared(part)
    noise = torch.randn((1, 16, *image.condition.shape[2:]),
                        generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        joint = torch.cat([noise, image.condition], 1)
        scheduler = part.checkpoint.make_scheduler()
        from kinema4d_ros.world_model.kinema4d.pipeline import set_timesteps
        set_timesteps(scheduler, 1, 'cpu')
        first = scheduler.timesteps[0].expand(1)
        once, twice = (part.transformer(joint, first, arm, image.image_embeds,
                                        residual_times=times).sample for times in (1, 2))
    sigma = float(scheduler.sigmas[0])
    for how, velocity in ((setting(1), once),
                          (setting(1, Guidance.REFERENCE), 5 * once - 4 * twice)):
        got = pipeline.sample(image, arm, how, torch.Generator().manual_seed(0))
        # One step of a first-order flow solver to sigma 0 lands on the predicted data.
        assert torch.allclose(got, noise - sigma * velocity, atol=2e-4), how


def test_reference_reproduces_the_in_place_program(parts, variant):
    """The released loop, with its shared and overwritten input tensor, as the oracle."""
    from kinema4d_ros.world_model.kinema4d.pipeline import set_timesteps
    part = parts[variant]
    _, image, arm = prepared(part)
    scheduler = part.checkpoint.make_scheduler()
    set_timesteps(scheduler, 3, 'cpu')
    latents = torch.randn((1, 16, *image.condition.shape[2:]),
                          generator=torch.Generator().manual_seed(0))
    model = part.transformer

    def in_place(x, timestep):
        x.copy_(model.with_robot(x, arm))
        return model(x, timestep.expand(1), arm, image.image_embeds, residual_times=0).sample

    with torch.inference_mode():
        for timestep in scheduler.timesteps:
            shared = torch.cat([latents, image.condition], 1)
            cond = in_place(shared, timestep)
            uncond = in_place(shared, timestep)
            latents = scheduler.step(uncond + 5.0 * (cond - uncond), timestep, latents,
                                     return_dict=False)[0]
    ours, _ = sampled(part, setting(3, Guidance.REFERENCE))
    assert torch.allclose(ours, latents, atol=1e-4)


def test_a_seed_decides_everything(parts):
    part = parts['default']
    first, again, other = (sampled(part, setting(), seed)[0] for seed in (7, 7, 8))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (1, 16, 3, 4, 12) and first.dtype == torch.float32


def test_noise_comes_from_the_cpu_generator_in_float32(parts):
    """Seed 42 draws what the released program draws, whatever the device and dtype."""
    part = parts['default']
    seen = []
    hook = part.transformer.register_forward_pre_hook(
        lambda _, args: seen.append(args[0][:, :16].clone()))
    sampled(part, setting(1), 42)
    hook.remove()
    expected = torch.randn(1, 16, 3, 4, 12, generator=torch.Generator().manual_seed(42))
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize('guidance', list(Guidance))
def test_progress_is_reported_per_step_and_a_cancel_stops_before_the_next_forward(parts, guidance):
    part = parts['pmcond']
    passes = 2 if guidance is Guidance.REFERENCE else 1
    told = []
    sampled(part, setting(3, guidance), report=lambda *args: told.append(args))
    assert told == [('denoise', step, 3) for step in range(3) for _ in range(passes)] + [
        ('denoise', 3, 3)]

    def stop(stage, step, total):
        if step == 1:
            raise PredictionCancelled('enough')

    pipeline, image, arm = prepared(part)
    with pytest.raises(PredictionCancelled):
        pipeline.sample(image, arm, setting(3, guidance), torch.Generator(), stop)
    assert pipeline.forwards == passes


def test_values_that_are_not_finite_are_an_error(parts):
    part = parts['pmcond']
    pipeline, image, arm = prepared(part)
    with pytest.raises(WorldModelError, match='values that are not finite; use dtype=bfloat16'):
        pipeline.sample(image, arm * float('nan'), setting(1), torch.Generator())
