# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a random, tiny model directory of Cosmos 3: the same code, no gigabytes."""
from __future__ import annotations

from pathlib import Path

from kinema4d_ros.world_model.kinema4d.stack import require_stack

TRANSFORMER = {
    'head_dim': 16, 'hidden_size': 32, 'intermediate_size': 64, 'latent_channel': 16,
    'patch_latent_dim': 64, 'num_attention_heads': 2, 'num_key_value_heads': 1,
    'num_hidden_layers': 2, 'action_dim': 16, 'action_gen': True, 'vocab_size': 64,
    'rope_axes_dim': [4, 2, 2]}
VAE = {'base_dim': 4, 'num_res_blocks': 1, 'z_dim': 16}
_TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
_WORDS = ('<unk>', '<|endoftext|>', '<|vision_start|>', 'pick', 'place', 'the')


def write_tiny_cosmos(directory: Path, *, seed: int = 0, with_actions: bool = True) -> Path:
    """
    Write a model with random weights in the layout of diffusers, and return the directory.

    All weights are random, also those that training starts from zero, so that each of them
    changes the output.

    :param with_actions: False for a model that was not trained with actions.
    """
    torch = require_stack('cosmos')
    from diffusers import (AutoencoderKLWan, Cosmos3OmniPipeline, Cosmos3OmniTransformer,
                           UniPCMultistepScheduler)
    from tokenizers import models, pre_tokenizers, Tokenizer
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(_WORDS)},
                                       unk_token='<unk>'))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token='<unk>',
                                        eos_token='<|endoftext|>')
    tokenizer.chat_template = _TEMPLATE
    config = TRANSFORMER if with_actions else {**TRANSFORMER, 'action_gen': False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae, transformer = AutoencoderKLWan(**VAE), Cosmos3OmniTransformer(**config)
        for name, parameter in transformer.named_parameters():
            is_scale = 'norm' in name and name.endswith('weight')
            with torch.no_grad():
                parameter.normal_(1.0 if is_scale else 0.0, 0.1 if is_scale else 0.3)
    pipeline = Cosmos3OmniPipeline(
        transformer, tokenizer, vae, UniPCMultistepScheduler(
            prediction_type='flow_prediction', use_flow_sigmas=True, flow_shift=3.0),
        enable_safety_checker=False)
    pipeline.save_pretrained(directory)
    return directory
