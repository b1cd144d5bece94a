# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check a machine and the folders of TesserAct before anything heavy is loaded."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.machine import check_estimates, check_machine
from kinema4d_ros.world_model.tesseract.checkpoint import TesseractCheckpoint
from kinema4d_ros.world_model.tesseract.model import check_settings


def check_tesseract(setting: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """
    Yield what is found; after an error nothing that builds on it follows.

    :param setting: the settings of `Tesseract`.
    """
    machine = yield from check_machine(setting, 'tesseract')
    if machine is None:
        return
    device, dtype = machine
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
    from kinema4d_ros.world_model.tesseract.estimate import clip_flops, estimate_tesseract
    need = estimate_tesseract(checkpoint, dtype_bytes)
    flops = clip_flops(checkpoint, setting['steps'], 3 if setting['image_guidance'] > 1 else 2)
    yield from check_estimates(need, flops, 'clip', device,
                               lambda line: line.replace('image_encoder', 'text_encoder '))
