# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a random, tiny checkpoint in the released layout: the same code, no gigabytes."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kinema4d_ros.world_model.kinema4d.config import Geometry, ModelConfig, Sampling, Variant
from kinema4d_ros.world_model.kinema4d.stack import require_stack

GEOMETRY = Geometry(latent_frames=3, latent_height=4, latent_width=6, arm_patch=2)
LORA_RANK = 4
TRANSFORMER = {
    'patch_size': [1, 2, 2], 'num_attention_heads': 2, 'attention_head_dim': 24,
    'in_channels': 36, 'out_channels': 16, 'text_dim': 16, 'freq_dim': 32, 'ffn_dim': 64,
    'num_layers': 2, 'cross_attn_norm': True, 'qk_norm': 'rms_norm_across_heads', 'eps': 1e-6,
    'image_dim': 32, 'added_kv_proj_dim': 48, 'rope_max_seq_len': 64, 'pos_embed_seq_len': None}
IMAGE_PROCESSOR = {
    'crop_size': {'height': 28, 'width': 28}, 'size': {'shortest_edge': 28}, 'resample': 3,
    'do_resize': True, 'do_center_crop': True, 'do_rescale': True, 'do_normalize': True,
    'rescale_factor': 1 / 255, 'image_mean': [0.48145466, 0.4578275, 0.40821073],
    'image_std': [0.26862954, 0.26130258, 0.27577711]}
SCHEDULER = {
    '_class_name': 'UniPCMultistepScheduler', 'num_train_timesteps': 1000, 'solver_order': 2,
    'solver_type': 'bh2', 'prediction_type': 'flow_prediction', 'use_flow_sigmas': True,
    'flow_shift': 3.0}


def write_tiny_checkpoint(directory: Path, variant: Variant = Variant.DEFAULT, *, seed: int = 0,
                          steps: int = 50, layers: int = 2,
                          lora_dtype: str = 'float32') -> tuple[Path, Path]:
    """
    Write a base model and a Kinema4D folder with random weights.

    All weights are random, also those that training starts from zero, so that each of them
    changes the output.

    :param steps: what the checkpoint says about its sampling; 50 writes no file, as released.
    :return: (base directory, Kinema4D folder).
    """
    torch = require_stack()
    from diffusers import AutoencoderKLWan
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModel

    from kinema4d_ros.world_model.kinema4d.checkpoint import lora_targets, split_added
    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer

    base, weights = directory / 'base', directory / f'kinema4d_{variant}'
    config = model_config(variant, layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoencoderKLWan(base_dim=4, num_res_blocks=1).save_pretrained(base / 'vae')
        CLIPVisionModel(CLIPVisionConfig(**config.image_encoder)).save_pretrained(
            base / 'image_encoder')
        model = Kinema4DTransformer.from_model_config(config)
        for name, parameter in model.named_parameters():
            spread = 0.3 if parameter.ndim > 1 and 'weight' not in name else 0.1
            is_scale = name.endswith('weight') and ('norm' in name or 'arm_ln' in name)
            offset = 1.0 if is_scale else 0.0
            with torch.no_grad():
                parameter.normal_(offset, spread)
        added, stock = split_added(model.state_dict())
        lora = {}
        for name in lora_targets(config.transformer['num_layers']):
            rows, columns = stock[f'{name}.weight'].shape
            dtype = getattr(torch, lora_dtype)
            lora[f'transformer.{name}.lora_A.weight'] = (
                0.2 * torch.randn(LORA_RANK, columns)).to(dtype)
            lora[f'transformer.{name}.lora_B.weight'] = (
                0.2 * torch.randn(rows, LORA_RANK)).to(dtype)
    for folder in (base / 'transformer', base / 'scheduler', base / 'image_processor', weights):
        folder.mkdir(parents=True, exist_ok=True)
    save_file(stock, base / 'transformer' / 'diffusion_pytorch_model.safetensors')
    save_file(added, weights / 'added_weights.safetensors')
    save_file(lora, weights / 'pytorch_lora_weights.safetensors')
    write_json(base / 'transformer' / 'config.json',
               {'_class_name': 'WanTransformer3DModel', **config.transformer})
    write_json(base / 'scheduler' / 'scheduler_config.json', SCHEDULER)
    write_json(base / 'image_processor' / 'preprocessor_config.json', IMAGE_PROCESSOR)
    if steps != Sampling().steps:
        write_json(weights / 'kinema4d.json', {'steps': steps})
    return base, weights


def model_config(variant: Variant = Variant.DEFAULT, layers: int = 2) -> ModelConfig:
    """Return the configuration of the tiny checkpoint."""
    encoder = {'hidden_size': 32, 'intermediate_size': 64, 'num_hidden_layers': 3,
               'num_attention_heads': 2, 'image_size': 28, 'patch_size': 14,
               'hidden_act': 'gelu'}
    return ModelConfig(variant, GEOMETRY, Sampling(), 8, {**TRANSFORMER, 'num_layers': layers},
                       {'base_dim': 4}, encoder, IMAGE_PROCESSOR, SCHEDULER)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object."""
    path.write_text(json.dumps(value, indent=2) + '\n')
