# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open a directory of Cosmos 3: check every key, then load its parts; never downloads anything."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.cosmos.domains import ACTION_WIDTH, Domain
from kinema4d_ros.world_model.kinema4d.config import public, read_json
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack
from kinema4d_ros.world_model.kinema4d.weights import account, WeightFiles

if TYPE_CHECKING:
    import torch
    from diffusers import Cosmos3OmniPipeline

PIPELINE = 'Cosmos3OmniPipeline'
_PARTS = 'transformer/, vae/, text_tokenizer/, scheduler/ and model_index.json'
_ADVICE = ('use offload=model, a lower resolution, or a device with more memory (kinema4d engine '
           '--doctor --world-model cosmos estimates what is needed)')


class CosmosCheckpoint:
    """
    A model directory in diffusers layout, opened and checked by headers.

    What makes sound, and what guards against unsafe pictures, is neither needed nor read.
    """

    def __init__(self, directory: str | Path, domain: Domain):
        """
        Read configs and headers, and account for every key and shape.

        :raises WorldModelError: naming what is missing, left over, of the wrong shape, or why this
            checkpoint cannot be driven by actions of the domain.
        """
        if not str(directory) or not Path(directory).is_dir():
            raise WorldModelError(
                f'setting directory of cosmos: no directory {str(directory)!r}; give the folder of '
                f'a Cosmos 3 model with {_PARTS}; nothing is ever fetched from the network')
        self.directory, self.domain = Path(directory), domain
        self.index = self._read('model_index.json')
        kind = self.index.get('_class_name')
        if kind != PIPELINE:
            raise WorldModelError(
                f'{self.directory / "model_index.json"} is of a {kind}, this world model needs a '
                f'{PIPELINE} (Cosmos 3, as Cosmos3-Nano); choose another directory')
        self.transformer = self._read('transformer/config.json')
        self.vae = self._read('vae/config.json')
        self.scheduler = self._read('scheduler/scheduler_config.json')
        self._check_configs()
        self.weights = WeightFiles.find(self.directory / 'transformer', 'diffusion_pytorch_model')
        self.vae_weights = WeightFiles.find(self.directory / 'vae', 'diffusion_pytorch_model')
        self._account()
        folder = self.directory / 'text_tokenizer'
        if not any((folder / name).is_file() for name in ('tokenizer.json', 'vocab.json')):
            raise WorldModelError(f'no tokenizer.json in {folder}; download the model again')

    @property
    def fingerprint(self) -> str:
        """Short hash of configs, headers and a sample of the weights, for the verdict."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.transformer, self.vae, self.scheduler],
                                 sort_keys=True).encode())
        for files in (self.weights, self.vae_weights):
            digest.update(json.dumps(sorted(files.shapes.items())).encode())
            for path in files.paths:
                with path.open('rb') as file:      # tens of gigabytes take minutes to read
                    digest.update(file.read(1 << 20))
                    file.seek(-min(1 << 20, path.stat().st_size), 2)
                    digest.update(file.read())
        return digest.hexdigest()[:16]

    @property
    def spatial_scale(self) -> int:
        """How many pixels are one latent pixel."""
        return int(self.vae.get('scale_factor_spatial') or 8)

    @property
    def temporal_scale(self) -> int:
        """How many frames are one latent frame, after the first."""
        return int(self.vae.get('scale_factor_temporal') or 4)

    def load_pipeline(self, device: str, dtype: torch.dtype, *, flow_shift: float,
                      offload: str) -> Cosmos3OmniPipeline:
        """
        Load the parts and put them together, without a guard model and without sound.

        :param flow_shift: of the scheduler; 10 for actions.
        :raises WorldModelError: a file is damaged, or memory does not suffice.
        """
        torch = require_stack()
        from diffusers import (AutoencoderKLWan, Cosmos3OmniPipeline, Cosmos3OmniTransformer,
                               UniPCMultistepScheduler)
        from transformers import AutoTokenizer
        home = device if offload == 'none' else 'cpu'
        vae_dtype = torch.float32 if dtype is torch.float16 else dtype
        with memory_guard('loading cosmos', _ADVICE):
            try:
                parts: dict[str, Any] = {}
                for name, kind, wanted in (('transformer', Cosmos3OmniTransformer, dtype),
                                           ('vae', AutoencoderKLWan, vae_dtype)):
                    part = kind.from_pretrained(self.directory / name, torch_dtype=wanted,
                                                local_files_only=True)
                    parts[name] = part.to(home).eval().requires_grad_(False)
                tokenizer = AutoTokenizer.from_pretrained(
                    self.directory / 'text_tokenizer', local_files_only=True)
            except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
                raise WorldModelError(f'{self.directory} cannot be loaded: {error}') from error
            scheduler = UniPCMultistepScheduler.from_config(
                self.scheduler, flow_shift=flow_shift, use_flow_sigmas=True,
                prediction_type='flow_prediction')
            pipeline = Cosmos3OmniPipeline(
                text_tokenizer=tokenizer, scheduler=scheduler, enable_safety_checker=False,
                default_use_system_prompt=bool(self.index.get('default_use_system_prompt', True)),
                use_native_flow_schedule=bool(self.index.get('use_native_flow_schedule', False)),
                **parts)
            if offload == 'model':
                pipeline.enable_model_cpu_offload(device=device)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _read(self, name: str) -> dict[str, Any]:
        path = self.directory / name
        if not path.is_file():
            raise WorldModelError(f'{path} is missing; the directory of a Cosmos 3 model has '
                                  f'{_PARTS}; download it again, or give the right folder')
        return read_json(path)

    def _check_configs(self) -> None:
        config, domain = self.transformer, self.domain
        if config.get('quantization_config'):
            raise WorldModelError(
                f'{self.directory} holds quantised weights, which are not supported here; take the '
                'bfloat16 revision of the model')
        if not config.get('action_gen'):
            raise WorldModelError(
                f'{self.directory} was not trained with actions (action_gen is not set in '
                'transformer/config.json), so it cannot be told how the robot moves; take a model '
                'with actions, as Cosmos3-Nano')
        if (width := config.get('action_dim') or 0) < ACTION_WIDTH:
            raise WorldModelError(f'{self.directory} takes actions of {width} numbers, the domain '
                                  f'{domain.name} has {ACTION_WIDTH}')
        if (count := config.get('num_embodiment_domains', 32)) <= domain.number:
            raise WorldModelError(f'{self.directory} has {count} domains, {domain.name} is number '
                                  f'{domain.number}; choose another domain')
        if config.get('latent_channel', 48) != self.vae.get('z_dim', 16):
            raise WorldModelError(
                f'{self.directory}: the transformer works on {config.get("latent_channel", 48)} '
                f'latent channels, the vae has {self.vae.get("z_dim", 16)}; they are not of one '
                'model')
        if not str(self.scheduler.get('_class_name', '')).startswith('UniPC'):
            raise WorldModelError(
                f'{self.directory / "scheduler"} names {self.scheduler.get("_class_name")!r}; the '
                'pipeline works with a UniPCMultistepScheduler')

    def _account(self) -> None:
        """Compare the keys of both files with those of the models."""
        torch = require_stack()
        from diffusers import AutoencoderKLWan, Cosmos3OmniTransformer
        for name, kind, config, files in (
                ('transformer', Cosmos3OmniTransformer, self.transformer, self.weights),
                ('vae', AutoencoderKLWan, self.vae, self.vae_weights)):
            folder = self.directory / name
            with torch.device('meta'):
                try:
                    model = kind.from_config(public(config))
                except (TypeError, ValueError, RuntimeError, AttributeError) as error:
                    raise WorldModelError(
                        f'{folder / "config.json"} does not describe a {kind.__name__}: '
                        f'{error}') from error
            account(f'cosmos {name} in {folder}', files.shapes, {
                key: tuple(value.shape) for key, value in model.state_dict().items()})
