# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open a TesserAct folder and its base model: check every key, then load; never downloads."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import listed, public, read_json
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack
from kinema4d_ros.world_model.kinema4d.weights import account, WeightFiles

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler

    from kinema4d_ros.world_model.tesseract.transformer import TesseractTransformer

ADVICE = ('use a device with more memory (kinema4d engine --doctor --world-model tesseract '
          'estimates what is needed)')
POSITIONS = 'patch_embed.pos_embedding'     # may be in the file; other sizes take none


@dataclass(frozen=True)
class VideoSize:
    """What the model makes: 49 frames of 640 x 480 in the released one."""

    frames: int
    height: int      # [px]
    width: int       # [px]
    spatial_scale: int
    temporal_scale: int

    @property
    def latent(self) -> tuple[int, int, int]:
        """Frames, height and width of the latents."""
        return ((self.frames - 1) // self.temporal_scale + 1, self.height // self.spatial_scale,
                self.width // self.spatial_scale)


class TesseractCheckpoint:
    """The transformer of TesserAct and the other parts of CogVideoX-5b-I2V, checked by headers."""

    def __init__(self, base: str | Path, weights: str | Path):
        """
        Read configs and headers, and account for every key and shape.

        :param base: with vae/, text_encoder/, tokenizer/ and scheduler/ of CogVideoX-5b-I2V.
        :param weights: with config.json and the weights, in one file or several.
        :raises WorldModelError: naming what is missing, left over or of the wrong shape.
        """
        self.base, self.weights = Path(base), Path(weights)
        for path, setting, what in (
                (base, 'base', 'CogVideoX-5b-I2V'),
                (weights, 'weights', 'TesserAct (tesseract_v01e_rgbdn_sft)')):
            if not str(path) or not Path(path).is_dir():
                raise WorldModelError(
                    f'setting {setting} of tesseract: no directory {str(path)!r}; give the folder '
                    f'of {what}, nothing is ever fetched from the network')
        self.vae = self._config(self.base / 'vae')
        self.files = _weight_files(self.weights)
        self.config = self._network_config()
        self.scheduler = self._config(self.base / 'scheduler', 'scheduler_config.json')
        self.vae_files = WeightFiles.find(self.base / 'vae', 'diffusion_pytorch_model')
        self.text_files = WeightFiles.find(self.base / 'text_encoder', 'model')
        self._account()

    @property
    def fingerprint(self) -> str:
        """Short hash of configs, headers and a sample of the weights, for the verdict."""
        digest = hashlib.sha256(json.dumps([dict(self.config), dict(self.vae)],
                                           sort_keys=True).encode())
        for files in (self.files, self.vae_files):
            digest.update(json.dumps(sorted(files.shapes.items())).encode())
            for path in files.paths:
                with path.open('rb') as file:      # 20 GB take minutes to read
                    digest.update(file.read(1 << 20))
                    file.seek(-min(1 << 20, path.stat().st_size), 2)
                    digest.update(file.read())
        return digest.hexdigest()[:16]

    @property
    def size(self) -> VideoSize:
        """What it makes: the base model's height, and 4:3."""
        blocks = self.vae.get('block_out_channels', (128, 256, 256, 512))
        spatial = 2 ** (len(blocks) - 1)
        height = self.config['sample_height'] * spatial
        cell = 2 * spatial
        return VideoSize(self.config.get('sample_frames', 49), height,
                         round(height * 4 / 3 / cell) * cell, spatial,
                         int(self.vae.get('temporal_compression_ratio', 4)))

    def load_transformer(self, device: str, dtype: torch.dtype) -> TesseractTransformer:
        """Load the transformer, every key of it."""
        model = self._skeleton()
        with memory_guard('loading the transformer of tesseract', ADVICE):
            state = {key: self.files.read(key, device).to(dtype) for key in self.files
                     if key != POSITIONS}
            model.load_state_dict(state, strict=True, assign=True)
        return model.eval().requires_grad_(False)

    def load_vae(self, device: str, dtype: torch.dtype) -> AutoencoderKLCogVideoX:
        """Load the video autoencoder."""
        require_stack('tesseract')
        from diffusers import AutoencoderKLCogVideoX
        vae = _opened(AutoencoderKLCogVideoX, self.base / 'vae', torch_dtype=dtype)
        return vae.to(device).eval().requires_grad_(False)

    def encode_texts(self, texts: list[str], device: str, dtype: torch.dtype) -> torch.Tensor:
        """
        Return the encodings of texts, (N, L, text width); the encoder is let go of again.

        :raises WorldModelError: tokenizer or encoder are damaged, or a package is missing.
        """
        stack = require_stack('tesseract')
        from transformers import T5EncoderModel
        from transformers.utils import logging
        logging.disable_progress_bar()
        tokenizer = self.load_tokenizer()
        encoder = _opened(T5EncoderModel, self.base / 'text_encoder', dtype=dtype).to(device)
        tokens = tokenizer(texts, padding='max_length', truncation=True, return_tensors='pt',
                           max_length=self.config.get('max_text_seq_length', 226))
        with stack.inference_mode():
            encoded: torch.Tensor = encoder(tokens.input_ids.to(device))[0].to(dtype)
        return encoded

    def load_tokenizer(self) -> Any:
        """
        Load what splits texts.

        :raises WorldModelError: it is damaged, or the package that reads its format is missing.
        """
        require_stack('tesseract')
        from transformers import AutoTokenizer
        return _opened(AutoTokenizer, self.base / 'tokenizer')

    def make_scheduler(self) -> CogVideoXDPMScheduler:
        """Make the sampler, of the noise levels of the base model."""
        require_stack('tesseract')
        from diffusers import CogVideoXDPMScheduler
        scheduler = CogVideoXDPMScheduler.from_config(public(self.scheduler))
        if scheduler.config.prediction_type != 'v_prediction':
            raise WorldModelError(
                f'{self.base / "scheduler"}: the model predicts velocities, the scheduler is set '
                f'to prediction_type {scheduler.config.prediction_type!r}; take the scheduler of '
                'CogVideoX-5b-I2V')
        return scheduler

    def _config(self, folder: Path, name: str = 'config.json') -> dict[str, Any]:
        if not (folder / name).is_file():
            raise WorldModelError(
                f'{folder / name} is missing; base needs vae/, text_encoder/, tokenizer/ and '
                'scheduler/ of CogVideoX-5b-I2V in diffusers layout, weights the folder of '
                'TesserAct; download it again, or give the right folder')
        return read_json(folder / name)

    def _network_config(self) -> Mapping[str, Any]:
        """Return the config of the base model; the file may count the channels of all parts."""
        config = public(self._config(self.weights))
        key = 'patch_embed.proj.weight'
        if key not in self.files.shapes:
            raise WorldModelError(f'the weights in {self.weights} have no {key}; they are not '
                                  'those of TesserAct: take tesseract_v01e_rgbdn_sft')
        if config.get('patch_size_t') is not None or config.get('ofs_embed_dim') is not None:
            raise WorldModelError(f'{self.weights / "config.json"} is of CogVideoX 1.5; TesserAct '
                                  'is made of CogVideoX-5b-I2V')
        return {'out_channels': 16, 'patch_size': 2, 'sample_height': 60, **config,
                'in_channels': self.files.shapes[key][1]}

    def _skeleton(self) -> TesseractTransformer:
        """Return the transformer without memory (meta device)."""
        torch = require_stack('tesseract')
        from kinema4d_ros.world_model.tesseract.transformer import TesseractTransformer
        with torch.device('meta'):
            try:
                return TesseractTransformer(self.config)
            except (TypeError, ValueError, RuntimeError) as error:
                raise WorldModelError(f'{self.weights / "config.json"} does not describe a '
                                      f'transformer of CogVideoX: {error}') from error

    def _account(self) -> None:
        """Compare the keys with those of the models."""
        torch = require_stack('tesseract')
        from diffusers import AutoencoderKLCogVideoX
        account(f'tesseract transformer in {self.weights}',
                {key: shape for key, shape in self.files.shapes.items() if key != POSITIONS},
                {key: tuple(value.shape) for key, value in self._skeleton().state_dict().items()})
        with torch.device('meta'):
            try:
                vae = AutoencoderKLCogVideoX.from_config(public(self.vae))
            except (TypeError, ValueError, RuntimeError) as error:
                raise WorldModelError(f'{self.base / "vae" / "config.json"} does not describe the '
                                      f'autoencoder of CogVideoX: {error}') from error
        account(f'tesseract vae in {self.base / "vae"}', self.vae_files.shapes,
                {key: tuple(value.shape) for key, value in vae.state_dict().items()})


def _weight_files(folder: Path) -> WeightFiles:
    """Return all safetensors of a folder together, or its single torch file."""
    paths = sorted(folder.glob('*.safetensors')) or sorted(folder.glob('*.bin'))[:1]
    if not paths:
        there = sorted(path.name for path in folder.iterdir())
        raise WorldModelError(f'no *.safetensors in {folder}; found {listed(there)}')
    index = folder / 'diffusion_pytorch_model.safetensors.index.json'
    if index.is_file():
        names = set(read_json(index).get('weight_map', {}).values())
        if absent := sorted(names - {path.name for path in paths}):
            raise WorldModelError(f'{folder} lacks {listed(absent)}, which {index.name} names; the '
                                  'download is incomplete')
    return WeightFiles(paths)


def _opened(kind: type[Any], path: Path, **more: Any) -> Any:
    """Load a stock part from a directory, offline."""
    with memory_guard(f'loading {path.name}', ADVICE):
        try:
            return kind.from_pretrained(path, local_files_only=True, **more)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise WorldModelError(f'{path} cannot be loaded: {error}') from error
