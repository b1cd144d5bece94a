# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What training is watched by: losses on held-out clips, whether actions matter, and pictures."""
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch

from kinema4d_ros.errors import DatasetError
from kinema4d_ros.evaluation.metrics import psnr, ssim
from kinema4d_ros.training.objective import arm_input, build, loss_of, seed_of
from kinema4d_ros.training.samples import first_frame_mask, Sample, Samples
from kinema4d_ros.training.settings import TrainingSettings
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
from kinema4d_ros.world_model.kinema4d.config import Guidance
from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
from kinema4d_ros.world_model.kinema4d.transformer import Kinema4DTransformer

LEVELS = (0.2, 0.5, 0.8)       # of noise
Autocast = Callable[[], contextlib.AbstractContextManager[object]]


class Validation:
    """
    Measures a model on held-out clips, always with the same noise.

    `follows` is the share of (clip, noise level) where the clip's own robot explains it better
    than the robot of another clip: 0.5 is chance, 1 is a model that heeds actions. For one clip
    alone, the other robot is its own, played backwards.
    """

    def __init__(self, names: Sequence[str], samples: Samples, checkpoint: Checkpoint,
                 settings: TrainingSettings, device: str):
        """Name the clips; they are read when they are first needed."""
        self._names, self._samples, self._checkpoint = names, samples, checkpoint
        self._settings, self._device = settings, device

    @cached_property
    def clips(self) -> list[Sample]:
        """The clips that can be read; a warning names the others."""
        found = []
        for name in self._names:
            try:
                found.append(self._samples.of_name(name))
            except DatasetError as error:
                warnings.warn(f'left out of validation: {error}', stacklevel=2)
        return found

    def measure(self, model: Kinema4DTransformer, dtype: torch.dtype,
                autocast: Autocast) -> dict[str, float]:
        """
        Return the numbers, by name.

        validation_loss, validation_loss_shuffled and follows; with sampling steps also psnr and
        ssim of the pictures, pointmap_error and robot_error in the model's range [-1, 1], all
        against what the VAE makes of the true latents.
        """
        if not self.clips:
            return {}
        with torch.inference_mode(), autocast():
            found = self._losses(model, dtype)
            if self._settings.validation_steps:
                found |= self._pictures(model, dtype)
        return found

    def _losses(self, model: Kinema4DTransformer, dtype: torch.dtype) -> dict[str, float]:
        """Return the losses with the true robot and with another one, noise and level alike."""
        config, pairs = self._checkpoint.config, []
        for at, clip in enumerate(self.clips):
            other = (self.clips[(at + 1) % len(self.clips)] if len(self.clips) > 1
                     else backwards(clip))
            for level in LEVELS:
                pair = []
                for robot in (clip, other):
                    generator = torch.Generator().manual_seed(seed_of(self._settings.seed, -1 - at))
                    inputs = build(clip, level, config, generator, robot=robot)
                    pair.append(float(loss_of(model, inputs.to(self._device), dtype)[0]))
                pairs.append(pair)
        true, shuffled = np.array(pairs).T
        return {'validation_loss': float(true.mean()),
                'validation_loss_shuffled': float(shuffled.mean()),
                'follows': float(((true < shuffled) + 0.5 * (true == shuffled)).mean())}

    def _pictures(self, model: Kinema4DTransformer, dtype: torch.dtype) -> dict[str, float]:
        """Sample each clip and compare it with what really happened."""
        config, rows = self._checkpoint.config, []
        sampling = config.sampling
        pipeline = Pipeline(model, self._checkpoint.make_scheduler(), self._device, dtype)
        how = SamplingSettings(self._settings.validation_steps, Guidance.SINGLE_PASS, 1.0)
        codec = self._samples.codec
        for at, clip in enumerate(self.clips):
            condition = torch.cat([first_frame_mask(config), clip.condition_mean])[None]
            generator = torch.Generator().manual_seed(seed_of(self._settings.seed, -1 - at))
            made = pipeline.sample(ImageCondition(condition, clip.image_tokens[None]),
                                   arm_input(clip, config)[None], how, generator)
            robot = clip.robot_mask.repeat_interleave(config.geometry.spatial_scale, 2) \
                .repeat_interleave(config.geometry.spatial_scale, 3)[0, -1].numpy() > 0
            videos: list[np.ndarray] = []
            for latent in (made, clip.latent[None]):
                left, right = latent.chunk(2, dim=4)
                right = right * sampling.pointmap_std + sampling.pointmap_mean
                pieces = torch.cat(list(codec.decode(torch.cat([left, right], dim=4))), dim=2)
                videos.append(pieces[0].permute(1, 2, 3, 0).numpy())
            rows.append(compared(videos[0], videos[1], robot))
        return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def compared(made: np.ndarray, true: np.ndarray, robot: np.ndarray) -> dict[str, float]:
    """
    Compare two joint videos (T, H, 2 W, 3) in [-1, 1] at the last frame, and points in all.

    :param robot: (H, W) bool of the last frame.
    """
    (picture, points), (true_picture, true_points) = (
        np.split(video, 2, axis=2) for video in (made, true))
    last, true_last = (((video[-1] + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
                       for video in (picture, true_picture))
    everywhere = np.ones(robot.shape, bool)
    distance = np.linalg.norm(points - true_points, axis=-1)
    return {'psnr': psnr(last, true_last, everywhere), 'ssim': ssim(last, true_last, everywhere),
            'pointmap_error': float(np.median(distance)),
            'robot_error': float(np.median(distance[-1][robot])) if robot.any() else np.nan}


def backwards(clip: Sample) -> Sample:
    """Return a clip whose robot moves the other way."""
    return Sample(clip.name, clip.latent, clip.condition_mean, clip.condition_std,
                  clip.robot_latent.flip(1), clip.robot_mask.flip(1), clip.image_tokens)
