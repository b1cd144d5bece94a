# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The transformer for training: a LoRA and the added weights learn, everything else is frozen."""
from __future__ import annotations

import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.errors import TrainingError, WorldModelError
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint, lora_targets, split_added
from kinema4d_ros.world_model.kinema4d.config import Geometry, listed, read_json, Variant
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack
from kinema4d_ros.world_model.kinema4d.weights import WeightFiles

if TYPE_CHECKING:
    import torch

    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer

TARGETS = ('to_q', 'to_k', 'to_v', 'to_out.0')
RELEASED = Geometry(13, 60, 90, 15)
ARM_CHANNELS = 128
_ADAPTER = 'default'
_TRUNCATED = 0.02          # spread of the start values of embeddings


def load_for_training(checkpoint: Checkpoint, device: str,
                      dtype: torch.dtype) -> Kinema4DTransformer:
    """
    Return the transformer with the checkpoint's LoRA beside its weights, not merged.

    LoRA and added weights are float32 and require gradients; the rest is in `dtype` (what the
    base model keeps in float32 stays so) and does not.
    """
    require_stack()
    from peft import LoraConfig
    model = checkpoint.load_transformer(device, dtype, merge=False)
    rank = next(shape[0] for key, shape in checkpoint.lora.shapes.items()
                if key.endswith('lora_A.weight'))
    alpha: Any = rank * checkpoint.config.sampling.lora_scale      # a float too, whatever it says
    with memory_guard('adding the LoRA'):
        model.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights=True,
                                     target_modules=list(TARGETS)), adapter_name=_ADAPTER)
        parameters = dict(model.named_parameters())
        for key in checkpoint.lora:
            name = key.removeprefix('transformer.').removesuffix('.weight')
            parameter = parameters[f'{name}.{_ADAPTER}.weight']
            parameter.data = checkpoint.lora.read(key, device).float()
        for name, parameter in parameters.items():
            learns = '.lora_' in name or name in checkpoint.added.shapes
            parameter.requires_grad_(learns)
            if learns:
                parameter.data = parameter.data.float()
    return model.train()


def learning(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters that learn, by name, in the order of the model."""
    return {name: parameter for name, parameter in model.named_parameters()
            if parameter.requires_grad}


def released_names(state: Mapping[str, torch.Tensor]
                   ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Split what learns into (added weights, LoRA), by the names of the released files."""
    lora, rest = {}, {}
    for name, value in state.items():
        tensor = value.detach().float().cpu().contiguous()
        if '.lora_' in name:
            lora['transformer.' + name.replace(f'.{_ADAPTER}.', '.')] = tensor
        else:
            rest[name] = tensor
    added, strange = split_added(rest)
    if strange:
        raise TrainingError(f'these parameters have no place in the released files: '
                            f'{listed(sorted(strange))}')
    return added, lora


def write_released(folder: Path, state: Mapping[str, torch.Tensor], like: Path) -> None:
    """
    Write what learns as the two released files, and `kinema4d.json` where the start had one.

    :param state: name -> tensor of all that learns, as `learning` names it.
    :param like: folder of the weights that training started from.
    """
    from safetensors.torch import save_file
    added, lora = released_names(state)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(added, folder / 'added_weights.safetensors', {'format': 'pt'})
    save_file(lora, folder / 'pytorch_lora_weights.safetensors', {'format': 'pt'})
    if (like / 'kinema4d.json').is_file():
        shutil.copyfile(like / 'kinema4d.json', folder / 'kinema4d.json')


def read_released(folder: Path, model: torch.nn.Module) -> None:
    """
    Put what was written into a model for training.

    :raises WorldModelError: a file is missing, truncated or does not match.
    """
    import torch

    from kinema4d_ros.world_model.kinema4d.weights import account
    wanted = learning(model)
    added, lora = released_names({name: value.detach() for name, value in wanted.items()})
    files = [WeightFiles.find(folder, stem) for stem in ('added_weights', 'pytorch_lora_weights')]
    for file, expected in zip(files, (added, lora)):
        account(str(folder), file.shapes, {key: tuple(value.shape)
                                           for key, value in expected.items()})
    with torch.no_grad():
        for name, parameter in wanted.items():
            at = '.lora_' in name
            key = 'transformer.' + name.replace(f'.{_ADAPTER}.', '.') if at else name
            parameter.copy_(files[int(at)].read(key))


def write_start(base: Path, folder: Path, *, ancestor: Path | None = None,
                variant: Variant = Variant.POINTMAP, rank: int = 64, seed: int = 42,
                geometry: Geometry = RELEASED, arm_channels: int = ARM_CHANNELS) -> Path:
    """
    Write start weights in the released layout: those of 4DNeX, and new ones for the robot.

    As the official training begins: both projections of the robot are 0, so that its signal
    changes nothing at first; embeddings are drawn with a spread of 0.02, the patch embedding by
    Xavier. Without an ancestor, the domain embeddings are 0 and the LoRA changes nothing.

    :param ancestor: folder of 4DNeX, with pytorch_lora_weights and learnable_domain_embeddings.pt.
    :return: `folder`.
    :raises WorldModelError: a file of the ancestor is missing, or does not fit the base.
    """
    torch = require_stack()
    from safetensors.torch import save_file
    config = read_json(base / 'transformer' / 'config.json')
    inner = config['num_attention_heads'] * config['attention_head_dim']
    channels, halves = config['out_channels'], (2 if variant is Variant.DEFAULT else 1)
    grid = (geometry.latent_frames, geometry.latent_height // geometry.arm_patch,
            geometry.latent_width // geometry.arm_patch)
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Any:
        return torch.nn.init.trunc_normal_(torch.empty(shape), std=_TRUNCATED, generator=generator)

    patch = torch.empty(arm_channels, 4 + channels, 1, geometry.arm_patch, geometry.arm_patch)
    added = {
        'learnable_domain_embeddings': torch.zeros(2, inner),
        'arm_cond_proj.weight': torch.zeros(channels, channels),
        'arm_cond_proj.bias': torch.zeros(channels),
        'patch_embedding_arm.weight': torch.nn.init.xavier_uniform_(
            patch.flatten(1), generator=generator).view(patch.shape),
        'patch_embedding_arm.bias': torch.zeros(arm_channels),
        'arm_ln.weight': torch.ones(arm_channels), 'arm_ln.bias': torch.zeros(arm_channels),
        'arm_pos_emb': drawn(1, arm_channels, *grid),
        'arm_patch_proj.weight': torch.zeros(inner, arm_channels),
        'arm_patch_proj.bias': torch.zeros(inner)}
    if halves == 2:
        added['arm_domain_emb'] = drawn(2, arm_channels)
    lora = {}
    stock = WeightFiles.find(base / 'transformer', 'diffusion_pytorch_model')
    for name in lora_targets(config['num_layers']):
        rows, columns = stock.shapes[f'{name}.weight']
        lora[f'transformer.{name}.lora_A.weight'] = torch.nn.init.kaiming_uniform_(
            torch.empty(rank, columns), a=5 ** 0.5, generator=generator)
        lora[f'transformer.{name}.lora_B.weight'] = torch.zeros(rows, rank)
    if ancestor is not None:
        lora, added['learnable_domain_embeddings'] = _of_ancestor(ancestor, lora, inner)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(added, folder / 'added_weights.safetensors', {'format': 'pt'})
    save_file(lora, folder / 'pytorch_lora_weights.safetensors', {'format': 'pt'})
    return folder


def _of_ancestor(folder: Path, lora: Mapping[str, torch.Tensor],
                 inner: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return LoRA and domain embeddings of 4DNeX; each key must be there, and no other."""
    import torch
    files = WeightFiles.find(folder, 'pytorch_lora_weights')
    if set(files) != set(lora):
        missing, extra = sorted(set(lora) - set(files)), sorted(set(files) - set(lora))
        raise WorldModelError(f'the LoRA in {folder} does not match the base: missing '
                              f'{listed(missing)}; left over {listed(extra)}')
    path = folder / 'learnable_domain_embeddings.pt'
    try:
        value = torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WorldModelError(f'{path} cannot be read: {str(error).splitlines()[0]}') from error
    if isinstance(value, Mapping):
        value = next(iter(value.values()))
    if tuple(value.shape) != (2, inner):
        raise WorldModelError(f'{path} must hold a tensor of (2, {inner}), holds '
                              f'{tuple(value.shape)}')
    return {key: files.read(key).float() for key in files}, value.detach().float().clone()
