# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a random, tiny TesserAct in the released layout: the same code, no gigabytes."""
from __future__ import annotations

import json
from pathlib import Path

from kinema4d_ros.world_model.kinema4d.stack import require_stack

TRANSFORMER = {
    'num_attention_heads': 2, 'attention_head_dim': 16, 'in_channels': 32, 'out_channels': 16,
    'time_embed_dim': 32, 'text_embed_dim': 16, 'num_layers': 2, 'sample_width': 12,
    'sample_height': 6, 'sample_frames': 5, 'patch_size': 2, 'max_text_seq_length': 8,
    'use_rotary_positional_embeddings': True, 'use_learned_positional_embeddings': True}
VAE = {'block_out_channels': [4, 4, 4, 4], 'layers_per_block': 1, 'norm_num_groups': 2,
       'latent_channels': 16, 'sample_height': 48, 'sample_width': 64, 'scaling_factor': 0.7,
       'invert_scale_latents': True}
SCHEDULER = {
    '_class_name': 'CogVideoXDDIMScheduler', 'num_train_timesteps': 1000,
    'beta_schedule': 'scaled_linear', 'beta_start': 0.00085, 'beta_end': 0.012,
    'prediction_type': 'v_prediction', 'rescale_betas_zero_snr': True, 'snr_shift_scale': 1.0,
    'timestep_spacing': 'trailing', 'set_alpha_to_one': True}
_WORDS = ('<pad>', '</s>', '<unk>', 'pick', 'up', 'the', 'apple')


def write_tiny_tesseract(directory: Path, *, seed: int = 0, shards: int = 1) -> tuple[Path, Path]:
    """
    Write a base model and a folder of TesserAct with random weights.

    All weights are random, also those that training starts from zero, so that each of them
    changes the output.

    :param shards: files that the transformer is split into.
    :return: (base directory, folder of TesserAct).
    """
    torch = require_stack('tesseract')
    from diffusers import AutoencoderKLCogVideoX
    from safetensors.torch import save_file
    from tokenizers import models, pre_tokenizers, Tokenizer
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    from kinema4d_ros.world_model.tesseract.transformer import TesseractTransformer

    base, weights = directory / 'base', directory / 'tesseract'
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoencoderKLCogVideoX(**VAE).save_pretrained(base / 'vae')
        T5EncoderModel(T5Config(vocab_size=len(_WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=1,
                                num_heads=2)).save_pretrained(base / 'text_encoder')
        model = TesseractTransformer(TRANSFORMER)
        for name, parameter in model.named_parameters():
            is_scale = 'norm' in name and name.endswith('weight') and parameter.ndim == 1
            with torch.no_grad():
                parameter.normal_(1.0 if is_scale else 0.0, 0.1)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(_WORDS)},
                                       unk_token='<unk>'))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token='<unk>', pad_token='<pad>',
                            eos_token='</s>').save_pretrained(base / 'tokenizer')
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    weights.mkdir(parents=True, exist_ok=True)
    (base / 'scheduler').mkdir(parents=True, exist_ok=True)
    for number in range(shards):
        part = {key: value for place, (key, value) in enumerate(state.items())
                if place % shards == number}
        save_file(part, weights / f'diffusion_pytorch_model-{number + 1:05d}.safetensors')
    (weights / 'config.json').write_text(json.dumps(
        {'_class_name': 'CogVideoXTransformer3DModel', **TRANSFORMER}))
    (base / 'scheduler' / 'scheduler_config.json').write_text(json.dumps(SCHEDULER))
    return base, weights
