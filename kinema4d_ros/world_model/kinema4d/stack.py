# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model stack (torch, diffusers, ...): imported only when the engine is really used."""
from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from kinema4d_ros.errors import WorldModelError

if TYPE_CHECKING:
    import torch

LESS_MEMORY = ('use offload=group, a quantization, or a device with more memory (--doctor '
               'estimates what is needed)')
PACKAGES = ('torch', 'diffusers', 'transformers', 'accelerate', 'safetensors', 'PIL')


def require_stack(engine: str = 'kinema4d') -> ModuleType:
    """
    Return torch, after checking that all of the model stack is there.

    :param engine: what needs it, for the message.
    :raises WorldModelError: naming what is missing and what to install.
    """
    missing = []
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f'{name} ({error})')
    if missing:
        raise WorldModelError(
            f'the {engine} engine needs {", ".join(missing)}; install the model stack with '
            "pip install -c requirements/constraints.txt '.[model]' in a clone (on a ROS "
            '-c requirements/constraints-ros.txt -r requirements/model.txt), or choose the world '
            "model 'kinematic'")
    return importlib.import_module('torch')


class ModelOutOfMemory(WorldModelError, MemoryError):
    """There is not enough memory for the model, on whatever device."""


@contextlib.contextmanager
def memory_guard(doing: str, advice: str = LESS_MEMORY) -> Iterator[None]:
    """
    Turn an exhausted device into an error that says what to change.

    :param doing: what was being done, for the message.
    :param advice: what to change, for the message.
    :raises ModelOutOfMemory: instead of the errors of torch and NumPy.
    """
    torch = require_stack()
    try:
        yield
    except ModelOutOfMemory:
        raise
    except (RuntimeError, MemoryError) as error:
        # torch raises a plain RuntimeError when the *host* has no memory left, NumPy a MemoryError.
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) \
                and "can't allocate memory" not in str(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise ModelOutOfMemory(
            f'out of memory while {doing}: {reason}; {advice}') from error


def pick_device(name: str) -> str:
    """
    Return the device to use; 'auto' is the first GPU, or the CPU where there is none.

    :raises WorldModelError: when the device does not exist here.
    """
    torch = require_stack()
    if name == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WorldModelError(f'device {name!r} is not known: {error}') from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == 'cuda' and (device.index or 0) >= count:
        raise WorldModelError(
            f'device {name!r}: this torch ({torch.__version__}) sees {count} GPUs; use device=cpu '
            'or a lower number, or install a torch that matches your driver')
    return name


def pick_robot_dtype(name: str, device: str) -> torch.dtype:
    """
    Return the dtype in which the robot's pictures are encoded.

    'auto' is float16 on a GPU, as the released data was encoded, and float32 elsewhere: bfloat16
    is 1.4 % rms from float32, float16 0.15 %.

    :raises WorldModelError: for another name than auto, bfloat16, float16, float32.
    """
    if name == 'auto' and require_stack().device(device).type != 'cpu':
        return require_stack().float16
    return pick_dtype(name, device)


def pick_dtype(name: str, device: str) -> torch.dtype:
    """
    Return the torch dtype of the transformer; 'auto' is bfloat16 on a GPU, float32 elsewhere.

    :raises WorldModelError: for another name than auto, bfloat16, float16, float32.
    """
    torch = require_stack()
    if name == 'auto':
        name = 'float32' if torch.device(device).type == 'cpu' else 'bfloat16'
    if name not in ('bfloat16', 'float16', 'float32'):
        raise WorldModelError(
            f'dtype {name!r} is not usable; choose auto, bfloat16, float16 or float32')
    return getattr(torch, name)
