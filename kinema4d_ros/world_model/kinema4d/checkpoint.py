# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open a checkpoint: check every key, then load its parts; never downloads anything."""
from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import ModelConfig, read_config, Variant
from kinema4d_ros.world_model.kinema4d.diffusers_compat import float32_modules
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack
from kinema4d_ros.world_model.kinema4d.weights import account, hash_file, WeightFiles

if TYPE_CHECKING:      # torch is imported where it is needed: it takes seconds
    import torch
    from diffusers import AutoencoderKLWan, SchedulerMixin
    from transformers import CLIPVisionModel

    from kinema4d_ros.world_model.kinema4d.extra_lora import ExtraLora
    from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer

_TARGETS = ('to_q', 'to_k', 'to_v', 'to_out.0')
_PREFIX = 'transformer.'
SCHEDULERS = ('checkpoint', 'unipc', 'euler')


class Checkpoint:
    """
    A base model in diffusers layout plus a Kinema4D folder, opened and checked by headers.

    The text encoder is neither needed nor read: the robot's tokens replace the text.
    """

    def __init__(self, base: str | Path, weights: str | Path, variant: str = 'auto'):
        """
        Read configs and headers, and account for every key and shape.

        :param base: with transformer/, vae/, image_encoder/, image_processor/, scheduler/.
        :param weights: with added_weights and pytorch_lora_weights.
        :param variant: 'auto', or what the user believes it to be.
        :raises WorldModelError: naming what is missing, left over or of the wrong shape.
        """
        self.base, self.weights = Path(base), Path(weights)
        for path, setting in ((base, 'base'), (weights, 'weights')):
            if not str(path) or not Path(path).is_dir():
                raise WorldModelError(
                    f'setting {setting} of kinema4d: no directory {str(path)!r}; give the folder '
                    'that you downloaded, nothing is ever fetched from the network')
        self.added = WeightFiles.find(self.weights, 'added_weights')
        self.lora = WeightFiles.find(self.weights, 'pytorch_lora_weights')
        self.stock = WeightFiles.find(self.base / 'transformer', 'diffusion_pytorch_model')
        self.vae_files = WeightFiles.find(self.base / 'vae', 'diffusion_pytorch_model')
        self.config: ModelConfig = read_config(self.base, self.weights, self.added.shapes)
        if variant != 'auto' and variant != self.config.variant:
            raise WorldModelError(
                f'variant {variant!r} was asked for, but {self.weights} holds '
                f'{str(self.config.variant)!r} (by its key arm_domain_emb); use variant=auto, or '
                f'one of: auto, {", ".join(Variant)}')
        self._account()

    @cached_property
    def fingerprint(self) -> str:
        """
        Short hash, to name the model in a verdict.

        Of how it is sampled (kinema4d.json), of all headers, of the added weights and the LoRA as a
        whole, and of a sample of the base model, which is too large to read for that.
        """
        config = self.config
        digest = hashlib.sha256(json.dumps(
            [dataclasses.asdict(config.sampling), dict(config.transformer), dict(config.vae),
             dict(config.scheduler)], sort_keys=True, default=str).encode())
        for files in (self.stock, self.lora, self.added, self.vae_files):
            digest.update(json.dumps(sorted(files.shapes.items())).encode())
        for path in (*self.added.paths, *self.lora.paths):
            hash_file(digest.update, path)
        encoder = sorted((self.base / 'image_encoder').glob('model*.safetensors'))
        for path in (*self.stock.paths, *self.vae_files.paths, *encoder):
            hash_file(digest.update, path, sample=True)
        return digest.hexdigest()[:16]

    @cached_property
    def vae_fingerprint(self) -> str:
        """Short hash of the VAE: what encodes alike has the same."""
        digest = hashlib.sha256(json.dumps(dict(self.config.vae), sort_keys=True,
                                           default=str).encode())
        for path in self.vae_files.paths:
            hash_file(digest.update, path, sample=True)
        return digest.hexdigest()[:16]

    def _account(self) -> None:
        """Compare the keys of all files with those of the model, and check the LoRA's scale."""
        added, stock = split_added(self._skeleton().state_dict())
        shapes = {key: tuple(value.shape) for key, value in stock.items()}
        account(f'base transformer in {self.base / "transformer"}',
                {key: shape for key, shape in self.stock.shapes.items()
                 if 'norm_added_q' not in key}, shapes)   # written by the converter, unused
        account(f'added weights in {self.weights}', self.added.shapes,
                {key: tuple(value.shape) for key, value in added.items()})
        ranks = {shape[0] for key, shape in self.lora.shapes.items() if key.endswith(
            'lora_A.weight')}
        rank = min(ranks, default=0)
        expected = {}
        for name in lora_targets(self.config.transformer['num_layers']):
            rows, columns = shapes[f'{name}.weight']
            expected[f'{_PREFIX}{name}.lora_A.weight'] = (rank, columns)
            expected[f'{_PREFIX}{name}.lora_B.weight'] = (rows, rank)
        account(f'LoRA in {self.weights}', self.lora.shapes, expected)
        self._check_scale(rank)

    def _check_scale(self, rank: int) -> None:
        """Refuse a LoRA whose own metadata asks for another scale than the one applied."""
        metadata = json.loads(self.lora.metadata.get('lora_adapter_metadata', '{}'))
        alpha = next((value for key, value in metadata.items() if key.endswith('lora_alpha')), None)
        scale = self.config.sampling.lora_scale
        if alpha is not None and float(alpha) not in (rank * scale, float(rank)):
            raise WorldModelError(
                f'the LoRA in {self.weights} says alpha {alpha} at rank {rank}, that is a scale of '
                f'{alpha / rank:g}; the engine applies {scale:g}. Put the right "lora_scale" into '
                f'{self.weights / "kinema4d.json"}')

    def _skeleton(self) -> Kinema4DTransformer:
        """Return the transformer without memory (meta device)."""
        torch = require_stack()
        from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer
        with torch.device('meta'):
            try:
                return Kinema4DTransformer.from_model_config(self.config)
            except (TypeError, ValueError, RuntimeError) as error:
                raise WorldModelError(
                    f'{self.base / "transformer" / "config.json"} does not describe a Wan '
                    f'image-to-video transformer: {error}') from error

    def load_transformer(self, device: str, dtype: torch.dtype, *, merge: bool = True,
                         extra: ExtraLora | None = None) -> Kinema4DTransformer:
        """
        Load the transformer tensor by tensor, merging the LoRA on the way.

        :param merge: False leaves the LoRA out, for whoever trains it.
        :param extra: a further LoRA that is merged, such as one that makes few steps enough.
        Each LoRA pair is read, scaled and added exactly once, when its target is read. What the
        base model keeps in float32 (`_keep_in_fp32_modules`) stays so.
        """
        torch = require_stack()
        from kinema4d_ros.world_model.kinema4d.rope import SharedRotaryEmbedding
        model = self._skeleton()
        if extra is not None:
            extra.check(self.stock.shapes)
        config, pinned = self.config.transformer, float32_modules(model)
        targets = {f'{name}.weight' for name in lora_targets(config['num_layers'])}
        state = {}
        with memory_guard('loading the transformer'):
            for files in (self.stock, self.added):
                for key in files:
                    if 'norm_added_q' in key:
                        continue
                    wanted = torch.float32 if pinned & set(key.split('.')) else dtype
                    tensor = files.read(key, device).to(wanted)
                    if key in targets and merge:
                        tensor = self._merged(key, tensor, device)
                    if extra is not None and key in extra:
                        tensor = tensor + extra.delta(key, device).to(tensor.dtype)
                    state[key] = tensor
            model.load_state_dict(state, strict=True, assign=True)
            model.rope = SharedRotaryEmbedding(
                config['attention_head_dim'], tuple(config['patch_size']),
                config.get('rope_max_seq_len', 1024)).to(device)
        return model.eval().requires_grad_(False)

    def _merged(self, key: str, weight: torch.Tensor, device: str) -> torch.Tensor:
        """Return weight + scale (B A), the product in float32, the sum in the weight's dtype."""
        name = _PREFIX + key.removesuffix('.weight')
        a, b = (self.lora.read(f'{name}.lora_{side}.weight', device).float() for side in 'AB')
        return weight + (self.config.sampling.lora_scale * (b @ a)).to(weight.dtype)

    def load_vae(self, device: str, dtype: torch.dtype) -> AutoencoderKLWan:
        """Load the video autoencoder."""
        require_stack()
        from diffusers import AutoencoderKLWan
        model = _from_directory(AutoencoderKLWan, self.base / 'vae', torch_dtype=dtype)
        return model.to(device).eval().requires_grad_(False)

    def load_image_encoder(self, device: str) -> CLIPVisionModel:
        """Load the CLIP vision model, in float32 like the released program."""
        torch = require_stack()
        from transformers import CLIPVisionModel
        from transformers.utils import logging
        logging.disable_progress_bar()
        WeightFiles.find(self.base / 'image_encoder', 'model')
        model = _from_directory(CLIPVisionModel, self.base / 'image_encoder', dtype=torch.float32)
        return model.to(device).eval().requires_grad_(False)

    def make_scheduler(self, kind: str = 'checkpoint', flow_shift: float = 0.0) -> SchedulerMixin:
        """
        Make the sampler that the checkpoint names, or another one.

        :param kind: 'checkpoint', 'unipc' or 'euler' (which few-step weights are distilled for).
        :param flow_shift: of the noise levels; 0 for what the checkpoint says.
        :raises WorldModelError: when it is unknown or does not predict a flow.
        """
        require_stack()
        import diffusers
        config = other_scheduler(self.config.scheduler, kind, flow_shift)
        name = config.get('_class_name', '')
        maker = getattr(diffusers, name, None) if name.endswith('Scheduler') else None
        if maker is None or not hasattr(maker, 'set_timesteps'):
            raise WorldModelError(
                f'{self.base / "scheduler"} names the scheduler {name!r}, which this diffusers '
                f'({diffusers.__version__}) does not have')
        scheduler = maker.from_config(dict(config))
        if 'FlowMatch' not in name and scheduler.config.get('prediction_type') \
                != 'flow_prediction':
            raise WorldModelError(
                f'{self.base / "scheduler"}: the model predicts a flow, but the scheduler is set '
                f'to prediction_type {scheduler.config.get("prediction_type")!r}')
        return scheduler


def other_scheduler(config: Mapping[str, Any], kind: str, flow_shift: float) -> dict[str, Any]:
    """Return a scheduler's config, changed to another sampler or shift."""
    if kind not in SCHEDULERS:
        raise WorldModelError(
            f'scheduler {kind!r} does not exist; choose one of: {", ".join(SCHEDULERS)}')
    if flow_shift < 0:
        raise WorldModelError(f'flow_shift must be positive, or 0 for the checkpoint\'s own, got '
                              f'{flow_shift:g}')
    found = dict(config)
    shift = flow_shift or found.get('flow_shift') or found.get('shift') or 1.0
    if kind == 'euler':
        found = {'_class_name': 'FlowMatchEulerDiscreteScheduler',
                 'num_train_timesteps': found.get('num_train_timesteps', 1000)}
    elif kind == 'unipc':
        found = {**found, '_class_name': 'UniPCMultistepScheduler', 'use_flow_sigmas': True,
                 'prediction_type': 'flow_prediction'}
    key = 'shift' if 'FlowMatch' in found.get('_class_name', '') else 'flow_shift'
    return {**found, key: shift} if flow_shift or kind != 'checkpoint' else found


def _from_directory(kind: type[Any], path: Path, **more: Any) -> Any:
    """
    Load a stock model from a directory, offline, with every key accounted for.

    :raises WorldModelError: when a file is damaged or a key is missing.
    """
    with memory_guard(f'loading {path.name}'):
        try:
            model, info = kind.from_pretrained(
                path, local_files_only=True, output_loading_info=True, **more)
        except (OSError, ValueError, KeyError) as error:
            raise WorldModelError(f'{path} cannot be loaded: {error}') from error
    missing = sorted(info['missing_keys'])
    wrong = sorted(str(key) for key in info['mismatched_keys'])
    # The projection head of CLIP comes with the released encoder and is not part of the model.
    extra = sorted(key for key in info['unexpected_keys']
                   if not key.startswith('visual_projection') and 'position_ids' not in key)
    account(str(path), dict.fromkeys([*extra, *wrong], ()), dict.fromkeys(missing, ()))
    return model


def lora_targets(layers: int) -> list[str]:
    """Return the names of the linear layers that the LoRA adapts: 8 per block."""
    return [f'blocks.{index}.{attention}.{target}' for index in range(layers)
            for attention in ('attn1', 'attn2') for target in _TARGETS]


def split_added(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a state dict into (added by Kinema4D, stock Wan)."""
    added: dict[str, Any] = {}
    stock: dict[str, Any] = {}
    for key, value in state.items():
        is_added = key.startswith(('arm_', 'learnable_domain_embeddings', 'patch_embedding_arm'))
        (added if is_added else stock)[key] = value
    return added, stock
