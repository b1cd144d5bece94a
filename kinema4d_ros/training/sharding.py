# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights and optimiser spread over processes: by FSDP 2, or by DeepSpeed."""
from __future__ import annotations

import os
from typing import Any, TYPE_CHECKING

import torch

from kinema4d_ros.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import Accelerator


def make_accelerator(device: str, precision: str, accumulation: int) -> Accelerator:
    """
    Return what spreads the work, as the launcher asks for it.

    :param device: auto or cpu. On a CPU accelerate leaves FSDP out, which torch can shard with
        there too, so it is put in.
    :param precision: no or bf16; told to the plugins that shard, which want to know it.
    :raises TrainingError: the launcher asks for what is not installed, or cannot be.
    """
    from accelerate import Accelerator, PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
    try:
        made = Accelerator(mixed_precision=precision if is_sharded(device) else 'no',
                           cpu=device == 'cpu', gradient_accumulation_steps=accumulation)
    except ImportError as error:
        raise TrainingError(f'the launcher asks for what is not installed ({error}); install '
                            'it, or launch without: accelerate config') from error
    if is_sharded(device) and made.distributed_type is DistributedType.MULTI_CPU:
        plugin = FullyShardedDataParallelPlugin()
        if precision != 'no':
            plugin.set_mixed_precision(precision)
        made.state.fsdp_plugin = plugin
        PartialState().distributed_type = made.state.distributed_type = DistributedType.FSDP
    if (why := why_not_spread(str(made.distributed_type.value), made.device.type)) is not None:
        raise TrainingError(why)
    if (fsdp := getattr(made.state, 'fsdp_plugin', None)) is not None:
        if fsdp.fsdp_version != 2:
            raise TrainingError('FSDP of version 1 mixes what learns with what does not; set '
                                'fsdp_version: 2 in the config of accelerate')
        # Each process has loaded the weights; and accelerate 1.15 fails on parameters that the
        # model itself owns when it sends them round.
        fsdp.cpu_ram_efficient_loading = False
    return made


def optimiser_state(kind: str, optimiser: Any, model: torch.nn.Module) -> dict[str, Any]:
    """
    Return the whole state of an optimiser, gathered from all processes; all of them must ask.

    :param kind: of accelerate, how the work is spread; not DEEPSPEED, which keeps it for itself.
    """
    if kind == 'FSDP':
        from torch.distributed.checkpoint.state_dict import (get_optimizer_state_dict,
                                                             StateDictOptions)
        return get_optimizer_state_dict(
            model, optimiser.optimizer,
            options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    state: dict[str, Any] = optimiser.state_dict()
    return state


def put_optimiser_state(kind: str, optimiser: Any, model: torch.nn.Module,
                        state: dict[str, Any]) -> None:
    """
    Take the state that `optimiser_state` returned; all processes must.

    :raises ValueError, KeyError: it is of another model.
    """
    if kind == 'FSDP':
        from torch.distributed.checkpoint.state_dict import (set_optimizer_state_dict,
                                                             StateDictOptions)
        set_optimizer_state_dict(model, optimiser.optimizer, state,
                                 options=StateDictOptions(full_state_dict=True))
    else:
        optimiser.load_state_dict(state)


def why_not_measured(kind: str, zero_stage: int = 0) -> str | None:
    """
    Return why one process alone cannot run the model: it would wait for the others' parts.

    :param kind: of accelerate, how the work is spread.
    :param zero_stage: of DeepSpeed; from 3 on the weights are spread, too.
    """
    if kind == 'FSDP' or (kind == 'DEEPSPEED' and zero_stage >= 3):
        name = 'FSDP' if kind == 'FSDP' else f'ZeRO-{zero_stage}'
        return (f'no process has the whole model with {name}, so held-out clips cannot be measured '
                'by one')
    return None


def why_not_spread(kind: str, device: str) -> str | None:
    """
    Return why work cannot be spread like this; None where it can.

    :param kind: of accelerate, how the work is spread.
    :param device: cpu, cuda, ...
    """
    if kind == 'DEEPSPEED' and device == 'cpu':
        return ('DeepSpeed on a CPU counts one process, however many accelerate starts; launch it '
                'on GPUs, or several processes without DeepSpeed')
    return None


def whole(parameter: torch.Tensor, kind: str = 'NO') -> torch.Tensor:
    """
    Return a parameter that is spread over processes as a whole; all of them must ask.

    :param kind: of accelerate, how the work is spread, whatever the environment asks for.
    """
    if hasattr(parameter, 'full_tensor'):           # FSDP 2
        gathered: torch.Tensor = parameter.full_tensor()
        return gathered.detach()
    if kind == 'DEEPSPEED':    # float32, of the optimiser
        from deepspeed.utils import safe_get_full_fp32_param
        return safe_get_full_fp32_param(parameter)
    return parameter.detach()


def is_sharded(device: str) -> bool:
    """Return whether the launcher asks for DeepSpeed or FSDP, and gets it."""
    asked = _asks_for('DEEPSPEED') or _asks_for('FSDP')
    return asked and why_not_sharded(device) is None


def why_not_sharded(device: str) -> str | None:
    """Return why DeepSpeed or FSDP is not used although the launcher asks for it; else None."""
    if device != 'cpu':
        return None
    if _asks_for('DEEPSPEED'):
        return ('the launcher asks for DeepSpeed, which accelerate leaves out with --device cpu: '
                'each process holds weights and optimiser as a whole')
    if _asks_for('FSDP') and 'LOCAL_RANK' not in os.environ:
        return ('FSDP is asked for, but there is one process: it holds weights and optimiser as a '
                'whole')
    return None


def _asks_for(name: str) -> bool:
    return os.environ.get(f'ACCELERATE_USE_{name}', '').lower() == 'true'
