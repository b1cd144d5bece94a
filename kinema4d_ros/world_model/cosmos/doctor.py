# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check a machine and a directory of Cosmos 3 before anything heavy is loaded."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.cosmos.checkpoint import CosmosCheckpoint
from kinema4d_ros.world_model.cosmos.domains import find_domain
from kinema4d_ros.world_model.kinema4d.machine import check_estimates, check_machine


def check_cosmos(setting: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """
    Yield what is found; after an error nothing that builds on it follows.

    :param setting: the settings of `Cosmos`.
    """
    machine = yield from check_machine(setting, 'cosmos')
    if machine is None:
        return
    device, dtype = machine
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
    need = estimate_cosmos(checkpoint, setting['resolution'], setting['chunk'], dtype_bytes,
                           offload=setting['offload'], on_cpu=device == 'cpu')
    flops = window_flops(checkpoint, setting['resolution'], setting['chunk'], setting['steps'],
                         setting['guidance_scale'])
    yield from check_estimates(
        need, flops, f'window of {setting["chunk"] / checkpoint.domain.rate:.1f} s', device,
        lambda line: '' if line.startswith('image_encoder') else line)
