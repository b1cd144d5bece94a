# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The transformer against a second, plain computation in float64: matrix products and loops."""
from __future__ import annotations

import numpy as np
import torch

HEADS, HEAD, EPS = 2, 24, 1e-6


def linear(w, name, x):
    """Return x W^T + b."""
    return x @ w[f'{name}.weight'].T + w[f'{name}.bias']


def layer_norm(x, eps, scale=1.0, shift=0.0):
    """Normalise the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + eps) * scale + shift


def rms_norm(x, weight):
    """Normalise over all heads together."""
    return x / np.sqrt((x ** 2).mean(-1, keepdims=True) + EPS) * weight


def gelu(x):
    """Exact GELU."""
    from scipy.special import erf
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def gelu_tanh(x):
    """GELU by tanh."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def silu(x):
    """Return x sigmoid(x)."""
    return x / (1 + np.exp(-x))


def attention(q, k, v):
    """Softmax attention head by head on (N, D)."""
    out = np.empty((len(q), HEADS * HEAD))
    for head in range(HEADS):
        part = slice(head * HEAD, (head + 1) * HEAD)
        scores = q[:, part] @ k[:, part].T / np.sqrt(HEAD)
        scores = np.exp(scores - scores.max(1, keepdims=True))
        out[:, part] = scores / scores.sum(1, keepdims=True) @ v[:, part]
    return out


def rotate(x, positions):
    """Rotate pairs of channels of each head by angle = position / 10000^(2 i / dim), per axis."""
    h_dim = 2 * (HEAD // 6)
    dims = (HEAD - 2 * h_dim, h_dim, h_dim)
    out = x.copy()
    for head in range(HEADS):
        start = head * HEAD
        for axis, dim in enumerate(dims):
            for i in range(dim // 2):
                angle = positions[:, axis] / 10000.0 ** (2 * i / dim)
                a, b = x[:, start + 2 * i], x[:, start + 2 * i + 1]
                out[:, start + 2 * i] = a * np.cos(angle) - b * np.sin(angle)
                out[:, start + 2 * i + 1] = a * np.sin(angle) + b * np.cos(angle)
            start += dim
    return out


def patches(x, weight, bias, size):
    """Convolve with stride = kernel: (C, F, H, W) -> (F, H', W', D)."""
    c, f, h, w = x.shape
    blocks = x.reshape(c, f, h // size, size, w // size, size).transpose(1, 2, 4, 0, 3, 5)
    return blocks.reshape(*blocks.shape[:3], -1) @ weight.reshape(len(weight), -1).T + bias


def forward(w, config, variant, joint, timestep, arm, embeds, times):
    """Compute the velocity, all arguments float64 arrays without batch axis."""
    noise, mask, image = joint[:16], joint[16:20].copy(), joint[20:].copy()
    residual = np.einsum('oc,cfhw->ofhw', w['arm_cond_proj.weight'], arm[4:])
    residual += w['arm_cond_proj.bias'][:, None, None, None]
    half = joint.shape[-1] // 2
    if variant == 'default':
        image[:, 1:] += times * residual[:, 1:]
        mask[:, 1:] = arm[:4, 1:]
    else:
        image[..., half:] += times * residual
        mask[..., half:] = arm[:4]
    tokens = patches(np.concatenate([noise, mask, image]), w['patch_embedding.weight'],
                     w['patch_embedding.bias'], 2)
    frames, rows, columns, _ = tokens.shape
    domain = w['learnable_domain_embeddings']
    tokens[:, :, :columns // 2] += domain[0]
    tokens[:, :, columns // 2:] += domain[1]
    grid = np.stack(np.meshgrid(np.arange(frames), np.arange(rows), np.arange(columns) % (
        columns // 2), indexing='ij'), -1).reshape(-1, 3).astype(float)
    x = tokens.reshape(-1, tokens.shape[-1])

    size = config.geometry.arm_patch
    a = patches(arm, w['patch_embedding_arm.weight'], w['patch_embedding_arm.bias'], size)
    a = gelu(layer_norm(a, 1e-5, w['arm_ln.weight'], w['arm_ln.bias']))
    table = w['arm_pos_emb'][0].transpose(1, 2, 3, 0)
    side = table.shape[2]
    for start in range(0, a.shape[2], side):
        a[:, :, start:start + side] += table
        if variant == 'default':
            a[:, :, start:start + side] += w['arm_domain_emb'][start // side]
    arm_tokens = linear(w, 'arm_patch_proj', a.reshape(-1, a.shape[-1]))
    name = 'condition_embedder.image_embedder'
    e = layer_norm(embeds, 1e-5, w[f'{name}.norm1.weight'], w[f'{name}.norm1.bias'])
    e = linear(w, f'{name}.ff.net.2', gelu(linear(w, f'{name}.ff.net.0.proj', e)))
    image_tokens = layer_norm(e, 1e-5, w[f'{name}.norm2.weight'], w[f'{name}.norm2.bias'])

    dim = config.transformer['freq_dim'] // 2
    wave = timestep / 10000.0 ** (np.arange(dim) / dim)
    wave = np.concatenate([np.cos(wave), np.sin(wave)])
    name = 'condition_embedder.time_embedder'
    time = linear(w, f'{name}.linear_2', silu(linear(w, f'{name}.linear_1', wave)))
    modulation = linear(w, 'condition_embedder.time_proj', silu(time)).reshape(6, -1)

    for index in range(config.transformer['num_layers']):
        b = f'blocks.{index}'
        m = w[f'{b}.scale_shift_table'][0] + modulation
        h = layer_norm(x, EPS) * (1 + m[1]) + m[0]
        q = rotate(rms_norm(linear(w, f'{b}.attn1.to_q', h), w[f'{b}.attn1.norm_q.weight']), grid)
        k = rotate(rms_norm(linear(w, f'{b}.attn1.to_k', h), w[f'{b}.attn1.norm_k.weight']), grid)
        x = x + m[2] * linear(w, f'{b}.attn1.to_out.0', attention(
            q, k, linear(w, f'{b}.attn1.to_v', h)))
        h = layer_norm(x, EPS, w[f'{b}.norm2.weight'], w[f'{b}.norm2.bias'])
        c = f'{b}.attn2'
        q = rms_norm(linear(w, f'{c}.to_q', h), w[f'{c}.norm_q.weight'])
        of_arm = attention(q, rms_norm(linear(w, f'{c}.to_k', arm_tokens),
                                       w[f'{c}.norm_k.weight']), linear(w, f'{c}.to_v', arm_tokens))
        of_image = attention(q, rms_norm(linear(w, f'{c}.add_k_proj', image_tokens),
                                         w[f'{c}.norm_added_k.weight']),
                             linear(w, f'{c}.add_v_proj', image_tokens))
        x = x + linear(w, f'{c}.to_out.0', of_arm + of_image)
        h = layer_norm(x, EPS) * (1 + m[4]) + m[3]
        x = x + m[5] * linear(w, f'{b}.ffn.net.2', gelu_tanh(linear(w, f'{b}.ffn.net.0.proj', h)))

    shift, scale = w['scale_shift_table'][0] + time
    out = linear(w, 'proj_out', layer_norm(x, EPS) * (1 + scale) + shift)
    out = out.reshape(frames, rows, columns, 2, 2, 16).transpose(5, 0, 1, 3, 2, 4)
    return out.reshape(16, frames, 2 * rows, 2 * columns)


def inputs(part, seed=0):
    """Return random inputs of the right shapes."""
    generator = torch.Generator().manual_seed(seed)
    config = part.config
    size = config.geometry
    halves = part.transformer.halves
    return (torch.randn(1, 36, *size.joint_latent, generator=generator),
            torch.tensor([613]),
            torch.randn(1, 20, size.latent_frames, size.latent_height,
                        halves * size.latent_width, generator=generator),
            torch.randn(1, config.image_tokens, 32, generator=generator))


def test_forward_agrees_with_plain_matrix_operations(parts, variant):
    part = parts[variant]
    weights = {key: value.double().numpy() for key, value in
               part.transformer.state_dict().items()}
    joint, timestep, arm, embeds = inputs(part)
    for times in (1, 2):
        with torch.inference_mode():
            ours = part.transformer(joint, timestep, arm, embeds, residual_times=times).sample
        oracle = forward(weights, part.config, variant, joint[0].double().numpy(), 613.0,
                         arm[0].double().numpy(), embeds[0].double().numpy(), times)
        error = np.abs(ours[0].numpy() - oracle).max() / np.abs(oracle).max()
        assert error < 2e-5, error


def test_oracle_in_float64_shows_that_only_rounding_is_left(parts, variant):
    part = parts[variant]
    model = part.checkpoint._skeleton().to_empty(device='cpu')
    from kinema4d_ros.world_model.kinema4d.transformer import SharedRotaryEmbedding
    model.load_state_dict(part.transformer.state_dict())
    model.rope = SharedRotaryEmbedding(HEAD, (1, 2, 2), 64)
    model = model.double()
    joint, timestep, arm, embeds = (
        value.double() if value.is_floating_point() else value for value in inputs(part, 1))
    with torch.inference_mode():
        ours = model(joint, timestep, arm, embeds).sample
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    oracle = forward(weights, part.config, variant, joint[0].numpy(), 613.0, arm[0].numpy(),
                     embeds[0].numpy(), 1)
    # diffusers computes angles, norms and modulation in float32 whatever the dtype.
    assert np.abs(ours[0].numpy() - oracle).max() / np.abs(oracle).max() < 2e-6
