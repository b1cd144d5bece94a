# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is used of diffusers' privates is as it was, in the version that it was written for."""
from importlib.metadata import version

import torch

from kinema4d_ros.world_model.kinema4d.diffusers_compat import (
    attention_kernels, DIFFUSERS_VERSION, float32_modules, hook_of, is_compiled,
    why_kernel_unusable)


def test_version():
    """Another diffusers: look whether `diffusers_compat` still fits, then change the version."""
    assert version('diffusers').startswith(f'{DIFFUSERS_VERSION}.')


def test_kernels():
    from diffusers.models.attention_dispatch import AttentionBackendName
    assert AttentionBackendName.NATIVE in attention_kernels()
    assert why_kernel_unusable(AttentionBackendName.NATIVE) is None


def test_a_plain_model_has_none_of_it():
    from diffusers import WanTransformer3DModel
    assert float32_modules(WanTransformer3DModel)
    layer = torch.nn.Linear(1, 1)
    assert not is_compiled(layer)
    assert hook_of(layer, 'mag_cache_block_hook') is None
    layer.compile()
    assert is_compiled(layer)
