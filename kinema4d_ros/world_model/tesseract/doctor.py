# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check a machine and the folders of TesserAct before anything heavy is loaded."""
from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.stack import pick_device, pick_dtype, require_stack
from kinema4d_ros.world_model.tesseract.checkpoint import TesseractCheckpoint
from kinema4d_ros.world_model.tesseract.model import check_settings


def check_tesseract(setting: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """
    Yield what is found; after an error nothing that builds on it follows.

    :param setting: the settings of `Tesseract`.
    """
    try:
        require_stack('tesseract')
    except WorldModelError as error:
        yield Diagnosis('packages', Level.ERROR, str(error))
        return
    yield Diagnosis('packages', Level.OK, ', '.join(
        f'{name} {importlib.metadata.version(name)}'
        for name in ('torch', 'diffusers', 'transformers', 'safetensors')))
    try:
        device = pick_device(setting['device'])
        dtype = pick_dtype(setting['dtype'], device)
    except WorldModelError as error:
        yield Diagnosis('device', Level.ERROR, str(error))
        return
    yield Diagnosis('device', Level.OK, f'{device}, in {str(dtype).removeprefix("torch.")}')
    try:
        check_settings(setting)
        checkpoint = TesseractCheckpoint(setting['base'], setting['weights'])
        checkpoint.make_scheduler()
        checkpoint.load_tokenizer()
    except WorldModelError as error:
        yield Diagnosis('checkpoint', Level.ERROR, str(error))
        return
    size = checkpoint.size
    yield Diagnosis('checkpoint', Level.OK, f'fingerprint {checkpoint.fingerprint}: '
                    f'{len(checkpoint.files.shapes)} tensors of the transformer, '
                    f'{len(checkpoint.vae_files.shapes)} of the vae, none missing, none left over')
    yield Diagnosis('size', Level.OK, f'{size.frames} frames of {size.width} x {size.height}')
    yield Diagnosis('use', Level.OK, 'for comparison: it does not follow a trajectory, so tier 2 '
                    'is UNSURE with it')
    yield from _estimates(setting, checkpoint, device, dtype.itemsize)


def _estimates(setting: Mapping[str, Any], checkpoint: TesseractCheckpoint, device: str,
               dtype_bytes: int) -> Iterator[Diagnosis]:
    """Yield what memory and time a clip is estimated to take."""
    from kinema4d_ros.world_model.kinema4d.estimate import (check_memory, free_memory,
                                                            THROUGHPUT)
    from kinema4d_ros.world_model.tesseract.estimate import clip_flops, estimate_tesseract
    need = estimate_tesseract(checkpoint, dtype_bytes)
    for line in need.lines():
        yield Diagnosis('memory', Level.OK, line.replace('image_encoder', 'text_encoder '))
    try:
        check_memory(need, *free_memory(device))
    except WorldModelError as error:
        yield Diagnosis('memory', Level.ERROR, str(error))
    flops = clip_flops(checkpoint, setting['steps'], 3 if setting['image_guidance'] > 1 else 2)
    table = ', '.join(f'{key} {flops / rate / 1e12:.0f} s' for key, rate in THROUGHPUT.items())
    yield Diagnosis('time', Level.OK, f'{flops / 1e15:.3g} PFLOP per clip; at what diffusers '
                    f'reaches with another model about: {table}')
