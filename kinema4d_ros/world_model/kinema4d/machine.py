# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a generative model needs of a machine, checked before anything heavy is loaded."""
from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TYPE_CHECKING

from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.stack import pick_device, pick_dtype, require_stack

if TYPE_CHECKING:
    import torch

    from kinema4d_ros.world_model.kinema4d.estimate import MemoryEstimate

_DISTRIBUTIONS = ('torch', 'diffusers', 'transformers', 'accelerate', 'safetensors')


def check_machine(setting: Mapping[str, Any], model: str
                  ) -> Generator[Diagnosis, None, tuple[str, torch.dtype] | None]:
    """
    Yield whether the packages and the device are there.

    :param setting: of the model, with `device` and `dtype`.
    :param model: its name, for the message.
    :return: the device and the dtype that were picked; None after an error.
    """
    try:
        require_stack(model)
    except WorldModelError as error:
        yield Diagnosis('packages', Level.ERROR, str(error))
        return None
    yield Diagnosis('packages', Level.OK, ', '.join(
        f'{name} {importlib.metadata.version(name)}' for name in _DISTRIBUTIONS))
    try:
        device = pick_device(setting['device'])
        dtype = pick_dtype(setting['dtype'], device)
    except WorldModelError as error:
        yield Diagnosis('device', Level.ERROR, str(error))
        return None
    yield Diagnosis('device', Level.OK, f'{device} ({device_name(device)}), transformer in '
                    f'{str(dtype).removeprefix("torch.")}')
    return device, dtype


def device_name(device: str) -> str:
    """Return what is sold under the name of the device: `NVIDIA H100 80GB HBM3`, or `CPU`."""
    return str(require_stack().cuda.get_device_name(device)) if device.startswith('cuda') else 'CPU'


def check_estimates(need: MemoryEstimate, flops: float, work: str, device: str,
                    named: Callable[[str], str] = str) -> Iterator[Diagnosis]:
    """
    Yield what memory and time are estimated to be taken, and whether there is as much memory.

    :param flops: of `work`, such as `window of 1.1 s`; its time is told for this GPU where its
        throughput is published, else for those of which it is.
    :param named: names the lines of the estimate anew; one that becomes empty is left out.
    """
    from kinema4d_ros.world_model.kinema4d.estimate import check_memory, free_memory
    for line in filter(None, map(named, need.lines())):
        yield Diagnosis('memory', Level.OK, line)
    try:
        check_memory(need, *free_memory(device))
    except WorldModelError as error:
        yield Diagnosis('memory', Level.ERROR, str(error))
    yield Diagnosis('time', Level.OK, f'{flops / 1e15:.3g} PFLOP per {work}; at what is published '
                    f'for plain diffusers about: {guessed_times(flops, device_name(device))}')


def guessed_times(flops: float, name: str) -> str:
    """Return the time on the GPU of that name where its throughput is published, else on those."""
    from kinema4d_ros.world_model.kinema4d.estimate import THROUGHPUT
    known = {key: rate for key, rate in THROUGHPUT.items() if key in name}
    return ', '.join(f'{key} {flops / rate / 1e12:.0f} s'
                     for key, rate in (known or THROUGHPUT).items())
