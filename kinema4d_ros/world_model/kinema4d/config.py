# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What kind of model a checkpoint holds, read from its own files; nothing heavy is loaded."""
from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import WorldModelError

# What a CLIP vision config means where it says nothing.
_CLIP_DEFAULTS = {'image_size': 224, 'patch_size': 32, 'hidden_size': 768,
                  'intermediate_size': 3072, 'num_hidden_layers': 12}
RGB_AND_POINTMAP = 2   # halves of the joint latent, side by side in width


class Variant(enum.StrEnum):
    """Which robot signal conditions the model; distinguished by the key `arm_domain_emb`."""

    DEFAULT = 'default'    # robot RGB and robot pointmap
    POINTMAP = 'pmcond'    # robot pointmap only


class Guidance(enum.StrEnum):
    """How often the network runs per step, and how the results are combined."""

    SINGLE_PASS = 'single_pass'   # v(r): the model as it was trained
    REFERENCE = 'reference'       # s v(r) + (1 - s) v(2r): what the released program computes


@dataclass(frozen=True)
class Geometry:
    """Sizes that the checkpoint is tied to; `arm_pos_emb` and the arm patch fix them."""

    latent_frames: int
    latent_height: int
    latent_width: int          # of one half
    arm_patch: int             # side of one arm patch [latent px]
    temporal_scale: int = 4    # video frames per latent frame, after the first
    spatial_scale: int = 8     # pixels per latent pixel

    @property
    def frames(self) -> int:
        """Return the number of video frames."""
        return (self.latent_frames - 1) * self.temporal_scale + 1

    @property
    def height(self) -> int:
        """Return the height of the image [px]."""
        return self.latent_height * self.spatial_scale

    @property
    def width(self) -> int:
        """Return the width of the image [px]; the joint video is twice as wide."""
        return self.latent_width * self.spatial_scale

    @property
    def joint_latent(self) -> tuple[int, int, int]:
        """Return (frames, height, width) of the joint latent."""
        return self.latent_frames, self.latent_height, RGB_AND_POINTMAP * self.latent_width

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]], vae: Mapping[str, Any]) -> Geometry:
        """
        Read the sizes from the shapes of the added weights.

        :param shapes: key -> shape of the added weights.
        :param vae: the VAE's config.
        :raises WorldModelError: when the two keys that hold the sizes are missing or malformed.
        """
        try:
            _, _, frames, rows, columns = shapes['arm_pos_emb']
            patch = shapes['patch_embedding_arm.weight'][-1]
        except (KeyError, ValueError, IndexError) as error:
            raise WorldModelError(
                'the added weights lack a usable arm_pos_emb or patch_embedding_arm.weight '
                f'({error}); found {len(shapes)} keys: {listed(sorted(shapes))}') from error
        return cls(frames, rows * patch, columns * patch, patch,
                   vae.get('scale_factor_temporal', 4), vae.get('scale_factor_spatial', 8))


@dataclass(frozen=True)
class Sampling:
    """
    How to sample a checkpoint; `kinema4d.json` beside the added weights overrides the defaults.

    A few-step or re-trained checkpoint ships that file and its own scheduler, and needs no code.
    """

    steps: int = 50
    guidance: Guidance = Guidance.SINGLE_PASS
    guidance_scale: float = 5.0
    lora_scale: float = 0.5            # alpha 32 / rank 64
    pointmap_mean: float = -0.17       # of VAE-normalised pointmap latents, all channels
    pointmap_std: float = 1.36
    mag_ratios: tuple[float, ...] = ()  # of MagCache, one per step; from `calibrate`

    @classmethod
    def read(cls, path: Path) -> Sampling:
        """
        Read the file if it exists.

        :raises WorldModelError: for unknown fields or values of the wrong type.
        """
        if not path.is_file():
            return cls()
        values = read_json(path)
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise WorldModelError(
                f'{path} has unknown fields {", ".join(unknown)}; known: '
                f'{", ".join(sorted(known))}')
        try:
            if 'guidance' in values:
                values['guidance'] = Guidance(values['guidance'])
            if 'mag_ratios' in values:
                values['mag_ratios'] = tuple(float(ratio) for ratio in values['mag_ratios'])
            return cls(**values).checked()
        except (TypeError, ValueError) as error:
            raise WorldModelError(f'{path} is not usable: {error}') from error

    def checked(self) -> Sampling:
        """Return self, or raise ValueError for numbers out of range."""
        if not 1 <= self.steps <= 1000:
            raise ValueError(f'steps must be 1 to 1000, got {self.steps}')
        if self.pointmap_std <= 0:
            raise ValueError(f'pointmap_std must be positive, got {self.pointmap_std}')
        return self


@dataclass(frozen=True)
class ModelConfig:
    """Everything the checkpoint says about itself."""

    variant: Variant
    geometry: Geometry
    sampling: Sampling
    arm_channels: int
    transformer: Mapping[str, Any]     # constructor arguments of the base transformer
    vae: Mapping[str, Any]
    image_encoder: Mapping[str, Any]
    image_processor: Mapping[str, Any]
    scheduler: Mapping[str, Any]

    @property
    def inner_dim(self) -> int:
        """Return the width of the transformer."""
        return self.transformer['num_attention_heads'] * self.transformer['attention_head_dim']

    @property
    def image_tokens(self) -> int:
        """Return how many tokens the image encoder makes of one image (its class token too)."""
        side = self.image_encoder['image_size'] // self.image_encoder['patch_size']
        return side * side + 1

    @property
    def arm_tokens(self) -> int:
        """Return how many tokens the robot signal becomes."""
        size = self.geometry
        halves = RGB_AND_POINTMAP if self.variant is Variant.DEFAULT else 1
        return (size.latent_frames * (size.latent_height // size.arm_patch)
                * (size.latent_width // size.arm_patch) * halves)

    @property
    def video_tokens(self) -> int:
        """Return the length of the self-attention sequence."""
        patch = self.transformer['patch_size']
        frames, height, width = self.geometry.joint_latent
        return (frames // patch[0]) * (height // patch[1]) * (width // patch[2])


def read_config(base: Path, weights: Path, shapes: Mapping[str, tuple[int, ...]]) -> ModelConfig:
    """
    Read the configuration of a checkpoint.

    :param base: the base model in diffusers layout.
    :param weights: the folder of added weights and LoRA.
    :param shapes: key -> shape of the added weights.
    :raises WorldModelError: when a file is missing or is not what it should be.
    """
    variant = Variant.DEFAULT if 'arm_domain_emb' in shapes else Variant.POINTMAP
    transformer = public(read_json(base / 'transformer' / 'config.json'))
    vae = public(read_json(base / 'vae' / 'config.json'))
    geometry = Geometry.from_shapes(shapes, vae)
    required = ('num_attention_heads', 'attention_head_dim', 'num_layers', 'patch_size',
                'in_channels', 'out_channels', 'image_dim', 'added_kv_proj_dim', 'ffn_dim')
    if absent := [key for key in required if transformer.get(key) is None]:
        raise WorldModelError(
            f'{base / "transformer" / "config.json"} lacks {", ".join(absent)}; the base must be '
            'an image-to-video model (Wan2.1-I2V-14B-480P) in diffusers layout')
    return ModelConfig(
        variant, geometry, Sampling.read(weights / 'kinema4d.json'),
        shapes['arm_pos_emb'][1], transformer, vae,
        {**_CLIP_DEFAULTS, **read_json(base / 'image_encoder' / 'config.json')},
        read_json(base / 'image_processor' / 'preprocessor_config.json'),
        read_json(base / 'scheduler' / 'scheduler_config.json'))


def read_json(path: Path) -> dict[str, Any]:
    """
    Read a JSON object.

    :raises WorldModelError: when the file is missing, is not JSON, or holds no object.
    """
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise WorldModelError(
            f'{path} is missing; the base directory needs transformer/, vae/, image_encoder/, '
            'image_processor/ and scheduler/ in diffusers layout') from error
    except (OSError, ValueError) as error:
        raise WorldModelError(f'{path} cannot be read as JSON: {error}') from error
    if not isinstance(value, dict):
        raise WorldModelError(f'{path} holds no JSON object')
    return value


def public(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config without diffusers' own entries (`_class_name`, ...)."""
    return {key: value for key, value in config.items() if not key.startswith('_')}


def listed(names: list[str], limit: int = 8) -> str:
    """Return names for a message: all of a few, the first of many and how many more."""
    more = f', and {len(names) - limit} more' if len(names) > limit else ''
    return (', '.join(names[:limit]) or 'none') + more
