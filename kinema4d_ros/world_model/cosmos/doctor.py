# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check a machine and a directory of Cosmos 3 before anything heavy is loaded."""
from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.cosmos.checkpoint import CosmosCheckpoint
from kinema4d_ros.world_model.cosmos.domains import find_domain
from kinema4d_ros.world_model.kinema4d.stack import pick_device, pick_dtype, require_stack


def check_cosmos(setting: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """
    Yield what is found; after an error nothing that builds on it follows.

    :param setting: the settings of `Cosmos`.
    """
    try:
        require_stack('cosmos')
    except WorldModelError as error:
        yield Diagnosis('packages', Level.ERROR, str(error))
        return
    yield Diagnosis('packages', Level.OK, ', '.join(
        f'{name} {importlib.metadata.version(name)}'
        for name in ('torch', 'diffusers', 'transformers', 'accelerate', 'safetensors')))
    try:
        device = pick_device(setting['device'])
        dtype = pick_dtype(setting['dtype'], device)
    except WorldModelError as error:
        yield Diagnosis('device', Level.ERROR, str(error))
        return
    yield Diagnosis('device', Level.OK, f'{device}, in {str(dtype).removeprefix("torch.")}')
    from kinema4d_ros.world_model.cosmos.engine import check_settings
    try:
        domain = find_domain(setting['domain'])
        yield Diagnosis('domain', Level.OK,
                        f'{domain.name}, {domain.rate:g} Hz, poses of {" or ".join(domain.links)}; '
                        f'{domain.note}')
        checkpoint = CosmosCheckpoint(setting['directory'], domain)
        check_settings(setting, checkpoint)
    except WorldModelError as error:
        yield Diagnosis('checkpoint', Level.ERROR, str(error))
        return
    yield Diagnosis('checkpoint', Level.OK, f'fingerprint {checkpoint.fingerprint}: '
                    f'{len(checkpoint.weights.shapes)} tensors of the transformer, '
                    f'{len(checkpoint.vae_weights.shapes)} of the vae, none missing, none left '
                    'over')
    yield from _estimates(setting, checkpoint, device, dtype.itemsize)


def _estimates(setting: Mapping[str, Any], checkpoint: CosmosCheckpoint, device: str,
               dtype_bytes: int) -> Iterator[Diagnosis]:
    """Yield what memory and time a window is estimated to take."""
    from kinema4d_ros.world_model.cosmos.estimate import estimate_cosmos, window_flops
    from kinema4d_ros.world_model.kinema4d.estimate import (check_memory, free_memory,
                                                            THROUGHPUT)
    need = estimate_cosmos(checkpoint, setting['resolution'], setting['chunk'], dtype_bytes,
                           offload=setting['offload'], on_cpu=device == 'cpu')
    for line in need.lines():
        if not line.startswith('image_encoder'):
            yield Diagnosis('memory', Level.OK, line)
    try:
        check_memory(need, *free_memory(device))
    except WorldModelError as error:
        yield Diagnosis('memory', Level.ERROR, str(error))
    flops = window_flops(checkpoint, setting['resolution'], setting['chunk'], setting['steps'],
                         setting['guidance_scale'])
    table = ', '.join(f'{key} {flops / rate / 1e12:.0f} s' for key, rate in THROUGHPUT.items())
    yield Diagnosis('time', Level.OK, f'{flops / 1e15:.3g} PFLOP per window of '
                    f'{setting["chunk"] / checkpoint.domain.rate:.1f} s; at what diffusers reaches '
                    f'with another model about: {table}')
