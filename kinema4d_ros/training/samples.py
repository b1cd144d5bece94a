# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which clip comes when, and what of it depends on no chance: read, or encoded once and kept."""
from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema4d_ros.datasets.robo4d import Robo4D, Robo4DClip
from kinema4d_ros.datasets.robo4d_writer import whole_file
from kinema4d_ros.errors import DatasetError, TrainingError
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.conditioning import (initial_pointmap, MASK, pack_mask,
                                                            to_range)
from kinema4d_ros.world_model.kinema4d.config import ModelConfig, Variant
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, pick_robot_dtype

if TYPE_CHECKING:
    from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip as the network takes it, float32 on the CPU, but for what is drawn anew."""

    name: str
    latent: torch.Tensor            # (16, F, H, 2 W): RGB, standardised pointmap
    condition_mean: torch.Tensor    # (16, F, H, 2 W) of the first frame's distribution
    condition_std: torch.Tensor
    robot_latent: torch.Tensor      # (16, F, H, A)
    robot_mask: torch.Tensor        # (1, F, H, W) of 0 and 1, packed
    image_tokens: torch.Tensor      # (tokens, dim)


class ConditionCache:
    """
    The latent distribution of first frames: encoded once, kept on disk.

    By picture and VAE, so that clips of the same name in another folder are told apart.
    """

    def __init__(self, folder: Path, checkpoint: Checkpoint, device: str):
        """Keep them in a folder; the VAE is loaded when one is missing."""
        self._folder, self._checkpoint, self._device = folder, checkpoint, device
        self._codec: VideoCodec | None = None
        self.encodes = 0

    def of(self, clip: Robo4DClip) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation, (16, F, H, 2 W) float32."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file, save_file
        digest = hashlib.sha256(self._checkpoint.vae_fingerprint.encode())
        digest.update(repr(clip.first_frame.shape).encode())
        digest.update(np.ascontiguousarray(clip.first_frame).tobytes())
        path = self._folder / f'{digest.hexdigest()[:32]}.safetensors'
        shape = (self._checkpoint.config.transformer['out_channels'],
                 *self._checkpoint.config.geometry.joint_latent)
        if path.is_file():
            try:
                found = load_file(path)
                if {tuple(found[key].shape) for key in ('mean', 'std')} == {shape}:
                    return found['mean'].float(), found['std'].float()
            except (SafetensorError, OSError, KeyError, ValueError):
                warnings.warn(f'{path} is damaged; it is made anew', stacklevel=2)
        self._folder.mkdir(parents=True, exist_ok=True)
        mean, std = (value[0].half() for value in self.codec.distribution(self._video(clip)))
        self.encodes += 1
        with whole_file(path) as partial:
            save_file({'mean': mean.contiguous(), 'std': std.contiguous()}, partial)
        return mean.float(), std.float()

    @property
    def codec(self) -> VideoCodec:
        """The VAE, loaded when it is first asked for."""
        if self._codec is None:
            from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec
            dtype = pick_robot_dtype('auto', self._device)
            with memory_guard('loading the VAE'):
                self._codec = VideoCodec(self._checkpoint.load_vae(self._device, dtype))
        return self._codec

    def _video(self, clip: Robo4DClip) -> torch.Tensor:
        """Return the first frame beside the made-up pointmap, and grey after it."""
        size = self._checkpoint.config.geometry
        video = torch.zeros(1, 3, size.frames, size.height, 2 * size.width)
        video[0, :, 0, :, :size.width] = to_range(clip.first_frame)
        video[0, :, 0, :, size.width:] = initial_pointmap(size.height, size.width)
        return video


class Samples:
    """
    The clips of a folder in the order in which they are trained on.

    Each epoch is a permutation that follows from seed and epoch; the number of a sample says
    which clip it is, so that a run that goes on needs to remember nothing but its step. In place
    of a clip that cannot be read comes the next one of the epoch, and `broken` and a warning say
    so.
    """

    def __init__(self, clips: Robo4D, config: ModelConfig, conditions: ConditionCache, seed: int):
        """Make the order; nothing is read."""
        self._clips, self._config, self._conditions = clips, config, conditions
        self._seed = seed
        self.broken: dict[str, str] = {}      # name -> why

    @property
    def codec(self) -> VideoCodec:
        """The VAE of the first frames."""
        return self._conditions.codec

    def __len__(self) -> int:
        """Return how many clips an epoch has."""
        return len(self._clips.names)

    @property
    def fingerprint(self) -> str:
        """Short hash of the names in their order."""
        return hashlib.sha256('\n'.join(self._clips.names).encode()).hexdigest()[:16]

    def name(self, number: int) -> str:
        """Return the clip of a sample number, counted through all epochs."""
        epoch, at = divmod(number, len(self))
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self))
        return self._clips.names[order[at]]

    def get(self, number: int) -> Sample:
        """
        Return a sample.

        :raises TrainingError: not one clip can be read.
        """
        epoch, at = divmod(number, len(self))
        for skip in range(len(self)):
            name = self.name(epoch * len(self) + (at + skip) % len(self))
            if name in self.broken:
                continue
            try:
                return self.make(self._clips.read(name))
            except DatasetError as error:
                self.broken[name] = str(error)
                warnings.warn(f'left out of training: {error}', stacklevel=2)
        why = next(iter(self.broken.values()))
        raise TrainingError(f'none of the {len(self)} clips in {self._clips.root} can be read, the '
                            f'first because: {why}')

    def of_name(self, name: str) -> Sample:
        """
        Return the sample of a clip.

        :raises DatasetError: it cannot be read.
        """
        return self.make(self._clips.read(name))

    def make(self, clip: Robo4DClip) -> Sample:
        """Return the sample of a clip that was read."""
        config = self._config
        sampling, size = config.sampling, config.geometry

        def standard(latent: torch.Tensor) -> torch.Tensor:
            return (latent - sampling.pointmap_mean) / sampling.pointmap_std

        mean, std = self._conditions.of(clip)
        robot = standard(clip.robot_pointmap)
        if config.variant is Variant.DEFAULT:
            robot = torch.cat([clip.robot_video, robot], dim=3)
        mask = pack_mask(clip.mask, size.spatial_scale, size.temporal_scale)[0]
        return Sample(clip.name, torch.cat([clip.video, standard(clip.pointmap)], dim=3), mean, std,
                      robot, mask, clip.image_tokens)


def first_frame_mask(config: ModelConfig) -> torch.Tensor:
    """Return the condition's own mask, (4, F, H, 2 W): what is known of frame 0."""
    size = config.geometry
    mask = torch.zeros(MASK, *size.joint_latent)
    mask[:, 0, :, :size.latent_width] = 1.0
    mask[:, 0, :, size.latent_width:] = 0.5
    return mask
