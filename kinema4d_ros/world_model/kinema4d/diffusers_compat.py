# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the engine needs of diffusers and torch and they do not offer: the only user of their privates.

Written for DIFFUSERS_VERSION. A test fails on any other: look whether each function still fits,
then change the version here.
"""
from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

DIFFUSERS_VERSION = '0.42'


def forget_cached_steps(transformer: Any) -> None:
    """Begin a new rollout: forget what a cache kept of the steps of the one before."""
    transformer._reset_stateful_cache()


def hook_of(block: Any, name: str) -> Any | None:
    """Return the hook of that name on a block of a transformer, None where it has none."""
    registry = getattr(block, '_diffusers_hook', None)
    return None if registry is None else registry.get_hook(name)


def cached_states(hook: Any) -> dict[str, Any]:
    """Return the states that a cache hook of a block keeps, by the name of their context."""
    return dict(hook.state_manager._state_cache)


def is_parallel(processor: Any) -> bool:
    """Return whether an attention processor shares its work with other devices."""
    return processor._parallel_config is not None


def is_compiled(module: Any) -> bool:
    """Return whether a torch module runs compiled."""
    return module._compiled_call_impl is not None


def float32_modules(model: Any) -> frozenset[str]:
    """Return the names of the modules that a model keeps in float32 whatever the rest is in."""
    return frozenset(model._keep_in_fp32_modules)


def attention_kernels() -> MutableMapping[Any, Callable[..., Any]]:
    """Return the table of attention kernels by AttentionBackendName; changes take effect."""
    from diffusers.models import attention_dispatch
    table: MutableMapping[Any, Callable[..., Any]] = \
        attention_dispatch._AttentionBackendRegistry._backends
    return table


def why_kernel_unusable(backend: Any) -> str | None:
    """Return what an attention kernel lacks, None where it can be used; nothing is downloaded."""
    from diffusers.models import attention_dispatch
    try:
        attention_dispatch._check_attention_backend_requirements(backend)
    except (RuntimeError, ImportError) as error:
        return str(error)
    return None


def action_canvas(tier: int, width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) that Cosmos 3 pads a picture with actions to, of a tier [px]."""
    from diffusers.pipelines.cosmos import pipeline_cosmos3_omni as cosmos
    from diffusers.video_processor import VideoProcessor
    rows, columns = VideoProcessor.classify_height_width_bin(
        height, width, ratios=cosmos._ACTION_RESOLUTION_BINS[str(tier)])
    return columns, rows


def action_tiers() -> tuple[int, ...]:
    """Return the resolutions of pictures with actions that Cosmos 3 was trained on."""
    from diffusers.pipelines.cosmos import pipeline_cosmos3_omni as cosmos
    return tuple(int(tier) for tier in cosmos._ACTION_RESOLUTION_BINS)


def action_domains() -> dict[str, tuple[int, int]]:
    """Return the domains that Cosmos 3 can be driven in: name -> (number, width of actions)."""
    from diffusers.pipelines.cosmos import pipeline_cosmos3_omni as cosmos
    return {name: (cosmos._EMBODIMENT_TO_DOMAIN_ID[name], width)
            for name, width in cosmos._EMBODIMENT_TO_RAW_ACTION_DIM.items()}
