# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the network is conditioned on: masks, first frame, synthetic pointmap, latents."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.errors import WorldModelError


def encoder(part):
    """Return the condition encoder of loaded parts."""
    from kinema4d_ros.world_model.kinema4d.conditioning import ConditionEncoder
    return ConditionEncoder(part.config, part.codec, part.image_encoder)


def robot_input(seed=0, frames=9):
    """Return pointmap values, mask and image of a robot."""
    random = np.random.default_rng(seed)
    return (random.uniform(-1, 1, (frames, 32, 48, 3)).astype(np.float32),
            random.random((frames, 32, 48)) < 0.3,
            random.integers(0, 255, (frames, 32, 48, 3), np.uint8))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_mask_packing_is_every_eighth_pixel_and_the_maximum_of_four_frames(seed, groups):
    from kinema4d_ros.world_model.kinema4d.conditioning import pack_mask
    mask = np.random.default_rng(seed).random((1 + 4 * groups, 16, 24)) < 0.2
    packed = pack_mask(mask)
    assert packed.shape == (1, 1, 1 + groups, 2, 3)
    for k in range(1 + groups):
        for i in range(2):
            for j in range(3):
                frames = [0] if k == 0 else range(4 * k - 3, 4 * k + 1)
                assert packed[0, 0, k, i, j] == max(mask[f, 8 * i, 8 * j] for f in frames)


def test_mask_packing_is_torchs_nearest_resize():
    from kinema4d_ros.world_model.kinema4d.conditioning import pack_mask
    mask = np.random.default_rng(0).random((1, 48, 72)) < 0.5
    nearest = torch.nn.functional.interpolate(torch.from_numpy(mask)[None].float(), (6, 9))
    assert torch.equal(pack_mask(mask)[0, 0], nearest[0])


def test_synthetic_pointmap_goes_right_down_and_near():
    from kinema4d_ros.world_model.kinema4d.conditioning import initial_pointmap
    x, y, z = initial_pointmap(32, 48)
    assert x[0, 0] == -1 and x[0, -1] == 1 and torch.equal(x[0], x[31])
    assert y[0, 0] == -1 and y[-1, 0] == 1 and torch.equal(y[:, 0], y[:, 47])
    assert z[0, 0] == 1 and z[-1, 0] == -1 and torch.equal(z[:, 0], z[:, 47])


def test_image_condition_is_the_encoded_joint_video_with_its_mask(parts):
    from kinema4d_ros.world_model.kinema4d.conditioning import initial_pointmap
    part = parts['default']
    image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    made = encoder(part).image(image)
    assert made.condition.shape == (1, 20, 3, 4, 12) and made.condition.dtype == torch.float32
    mask = made.condition[0, :4]
    assert (mask[:, 0, :, :6] == 1).all() and (mask[:, 0, :, 6:] == 0.5).all()
    assert (mask[:, 1:] == 0).all()
    video = torch.zeros(1, 3, 9, 32, 96)
    video[0, :, 0, :, :48] = torch.from_numpy(image / np.float32(127.5) - 1).permute(2, 0, 1)
    video[0, :, 0, :, 48:] = initial_pointmap(32, 48)
    vae = part.codec.vae
    with torch.no_grad():
        z = vae.encode(video).latent_dist.mode()
    mean, std = (torch.tensor(value).view(1, 16, 1, 1, 1) for value in (
        vae.config.latents_mean, vae.config.latents_std))
    assert torch.allclose(made.condition[:, 4:], (z - mean) / std, atol=1e-5)
    assert made.image_embeds.shape == (1, part.config.image_tokens, 32)


def test_vae_statistics_are_the_published_ones(parts):
    config = parts['default'].codec.vae.config
    assert config.latents_mean[:3] == [-0.7571, -0.7089, -0.9113] and config.latents_mean[-1] == \
        -0.2921
    assert config.latents_std[:3] == [2.8184, 1.4541, 2.3275] and config.latents_std[-1] == 1.9160


def test_robot_condition_has_mask_and_standardised_latents(parts, variant):
    part = parts[variant]
    values, mask, image = robot_input()
    before = part.codec.encodes
    arm = encoder(part).robot(values, mask, image)
    from kinema4d_ros.world_model.kinema4d.conditioning import pack_mask
    points = part.codec.encode(torch.from_numpy(values).permute(3, 0, 1, 2)[None])
    points = (points + 0.17) / 1.36
    packed = pack_mask(mask).expand(1, 4, -1, -1, -1)
    if variant == 'default':
        assert part.codec.encodes - before == 3          # RGB, pointmap, and the one just above
        video = torch.from_numpy(image / np.float32(127.5) - 1).permute(3, 0, 1, 2)[None]
        assert torch.allclose(arm[:, 4:, ..., :6], part.codec.encode(video), atol=1e-5)
        assert torch.equal(arm[:, :4, ..., :6], packed)
        right = arm[..., 6:]
    else:
        assert part.codec.encodes - before == 2          # the RGB is never encoded
        right = arm
    assert right.shape == (1, 20, 3, 4, 6)
    assert torch.equal(right[:, :4], packed)
    assert torch.allclose(right[:, 4:], points, atol=1e-6)


def test_the_pointmap_only_variant_does_not_look_at_robot_colours(parts):
    make = encoder(parts['pmcond'])
    values, mask, image = robot_input()
    assert torch.equal(make.robot(values, mask, image), make.robot(values, mask, 255 - image))


def test_soft_mask_halves_a_share_of_the_robot_cells_only(parts):
    make = encoder(parts['pmcond'])
    values, mask, image = robot_input()
    mask[:] = False
    mask[:, :16] = True
    hard = make.robot(values, mask, image)[0, :4]
    soft = [make.robot(values, mask, image, soft_share=0.5, generator=torch.Generator(
        ).manual_seed(3))[0, :4] for _ in range(2)]
    assert torch.equal(*soft)
    assert set(soft[0].unique().tolist()) == {0.0, 0.5, 1.0}
    assert (soft[0][hard == 0] == 0).all() and torch.equal(soft[0][0], soft[0][3])


def test_pointmap_video_round_trip_is_the_codecs_own(parts):
    """Encode, standardise, de-standardise, decode: the same as the VAE alone."""
    part = parts['default']
    values = torch.from_numpy(robot_input()[0]).permute(3, 0, 1, 2)[None]
    sampling = part.config.sampling
    latent = part.codec.encode(values)
    standard = (latent - sampling.pointmap_mean) / sampling.pointmap_std
    back = standard * sampling.pointmap_std + sampling.pointmap_mean
    ours = torch.cat(list(part.codec.decode(back)), dim=2)
    with torch.no_grad():
        theirs = part.codec.vae(values).sample
    assert ours.shape == values.shape
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_decoding_piece_by_piece_is_bit_equal_to_decoding_at_once(parts):
    codec = parts['default'].codec
    latent = torch.randn(1, 16, 4, 4, 12, generator=torch.Generator().manual_seed(0))
    pieces = list(codec.decode(latent))
    assert [piece.shape[2] for piece in pieces] == [1, 4, 4, 4]
    raw = latent / codec._inverse_std + codec._mean
    with torch.no_grad():
        whole = codec.vae.decode(raw).sample
    assert torch.equal(torch.cat(pieces, dim=2), whole)


def test_two_decodes_may_be_interleaved(parts):
    codec = parts['default'].codec
    a, b = (torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(s))
            for s in (1, 2))
    alone = [torch.cat(list(codec.decode(x)), 2) for x in (a, b)]
    first, second = codec.decode(a), codec.decode(b)
    mixed = [next(first), next(second), next(first), next(second)]
    assert torch.equal(torch.cat(mixed[0::2], 2), alone[0])
    assert torch.equal(torch.cat(mixed[1::2], 2), alone[1])


@pytest.mark.parametrize('size', [(32, 48), (48, 32), (40, 40), (480, 720)])
def test_image_preparation_is_that_of_clip(size, parts):
    """The library's own processor is the oracle, where it can be imported."""
    prepare = parts['default'].image_encoder.prepare
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    ours = prepare(image)
    assert ours.shape == (1, 3, 28, 28) and ours.dtype == np.float32
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    except ImportError:
        pytest.skip('this transformers has no CLIP processor without torchvision')
    theirs = CLIPImageProcessorPil(size={'shortest_edge': 28}, crop_size=28)(
        image, return_tensors='np')['pixel_values']
    assert np.abs(ours - theirs).max() < 1e-5


def test_penultimate_hidden_state_is_used(parts):
    part = parts['default'].image_encoder
    image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    captured = []
    layers = part.model.encoder.layers
    hook = layers[-2].register_forward_hook(lambda _m, _i, out: captured.append(
        out[0] if isinstance(out, tuple) else out))
    embeds = part.encode(image)
    hook.remove()
    assert torch.equal(embeds, captured[0]) and embeds.shape[1] == 5


def test_a_foreign_image_processor_is_reported():
    from kinema4d_ros.world_model.kinema4d.image_encoder import ImageEncoder
    with pytest.raises(WorldModelError, match="not that of a CLIP image processor .*'size'"):
        ImageEncoder(SimpleNamespace(), {'image_mean': [0, 0, 0]})
