# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loaded model: from the panels of one frame to those of a clip."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import (
    get_resize_crop_region_for_grid)

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Report
from kinema4d_ros.world_model.kinema4d.estimate import check_memory, free_memory
from kinema4d_ros.world_model.kinema4d.stack import pick_device, pick_dtype
from kinema4d_ros.world_model.tesseract.checkpoint import TesseractCheckpoint
from kinema4d_ros.world_model.tesseract.estimate import estimate_tesseract
from kinema4d_ros.world_model.tesseract.panels import Panels
from kinema4d_ros.world_model.tesseract.transformer import PARTS


class TesseractEngine:
    """A checkpoint on a device, ready to sample."""

    def __init__(self, setting: Mapping[str, Any], checkpoint: TesseractCheckpoint, prompt: str):
        """
        Load all parts; the text is encoded, and its encoder let go of again.

        :param setting: the settings of `Tesseract`.
        :raises WorldModelError: a part is damaged, or memory does not suffice.
        """
        self.device = pick_device(setting['device'])
        self.dtype = pick_dtype(setting['dtype'], self.device)
        self.checkpoint, self._setting = checkpoint, setting
        if setting['check_memory']:
            check_memory(estimate_tesseract(checkpoint, self.dtype.itemsize),
                         *free_memory(self.device))
        self._texts = checkpoint.encode_texts([prompt, ''], self.device, self.dtype)
        self.transformer = checkpoint.load_transformer(self.device, self.dtype)
        self.vae = checkpoint.load_vae(self.device, self.dtype)
        self.scheduler = checkpoint.make_scheduler()
        self.forwards = 0      # network evaluations so far

    def sample(self, first: Panels, generator: torch.Generator, report: Report) -> torch.Tensor:
        """
        Return the latents of a clip, (1, F, 3 x 16, h, w).

        `report('denoise', step, steps)` is called before every network evaluation; what it raises
        ends the sampling there.

        :param first: in the size of the model.
        :raises WorldModelError: the result is not finite.
        """
        steps, scheduler = self._setting['steps'], self.scheduler
        with torch.inference_mode():
            picture = self._encode(first, generator)
            frames, height, width = self.checkpoint.size.latent
            latents = torch.randn((1, frames, picture.shape[2], height, width),
                                  generator=generator).to(self.device, self.dtype)
            latents = latents * scheduler.init_noise_sigma
            empty = torch.zeros_like(picture)
            scheduler.set_timesteps(steps, device=self.device)
            times, before = scheduler.timesteps, None
            for step, time in enumerate(times):
                def velocity(text: int, image: torch.Tensor, step: int = step,
                             time: torch.Tensor = time,
                             latents: torch.Tensor = latents) -> torch.Tensor:
                    report('denoise', step, steps)
                    return self._evaluate(text, latents, image, time)

                predicted = self._guided(velocity, picture, empty)
                latents, before = scheduler.step(
                    predicted, before, time, times[step - 1] if step else None, latents,
                    generator=generator, return_dict=False)
                latents = latents.to(self.dtype)
            report('denoise', steps, steps)
        if not torch.isfinite(latents).all():
            raise WorldModelError('tesseract produced values that are not finite; use '
                                  'dtype=bfloat16 or float32, and look whether the weights are '
                                  'whole')
        return latents

    def decode(self, latents: torch.Tensor) -> list[Panels]:
        """Return the frames of a clip."""
        with torch.inference_mode():
            parts = [self._pictures(part) for part in latents.chunk(PARTS, dim=2)]
        return [Panels.of_values(*pictures) for pictures in zip(*parts)]

    def _guided(self, velocity: Any, picture: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        """
        Return the velocity with guidance by text and by picture; float32.

        The first latent frame, which is the given one, is not guided.
        """
        by_text, by_image = (self._setting[name] for name in ('guidance_scale', 'image_guidance'))
        told = velocity(0, picture)
        untold = velocity(1, picture)
        out = untold + by_text * (told - untold)
        if by_image > 1:
            nothing = velocity(1, empty)
            out = nothing + by_text * (told - untold) + by_image * (untold - nothing)
        out[:, 0] = told[:, 0]
        return out

    def _evaluate(self, text: int, latents: torch.Tensor, image: torch.Tensor,
                  time: torch.Tensor) -> torch.Tensor:
        """Run the network once; each part is noise, then picture."""
        self.forwards += 1
        parts = [half for pair in zip(latents.chunk(PARTS, dim=2), image.chunk(PARTS, dim=2))
                 for half in pair]
        out: torch.Tensor = self.transformer(
            torch.cat(parts, dim=2), self._texts[text:text + 1], time.expand(1),
            image_rotary_emb=self._positions()).float()
        return out

    def _positions(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the rotary positions of the frames' tokens."""
        config, (frames, height, width) = self.transformer.config, self.checkpoint.size.latent
        if not config.use_rotary_positional_embeddings:
            return None
        patch = config.patch_size
        grid = height // patch, width // patch
        positions: tuple[torch.Tensor, torch.Tensor] = get_3d_rotary_pos_embed(
            embed_dim=config.attention_head_dim,
            crops_coords=get_resize_crop_region_for_grid(
                grid, config.sample_width // patch, config.sample_height // patch),
            grid_size=grid, temporal_size=frames, device=self.device)
        return positions

    def _encode(self, first: Panels, generator: torch.Generator) -> torch.Tensor:
        """Return the latents (1, F, 3 x 16, h, w) of the first frame; the others are zero."""
        scale = self.vae.config.scaling_factor
        scale = 1 / scale if self.vae.config.invert_scale_latents else scale
        parts = []
        for picture in first.values:
            values = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
            values = (2 * values - 1)[None, :, None].to(self.device, self.dtype)
            parts.append(self.vae.encode(values).latent_dist.sample(generator))
        latents = scale * torch.cat(parts, dim=1).transpose(1, 2)
        rest = latents.new_zeros(1, self.checkpoint.size.latent[0] - 1, *latents.shape[2:])
        return torch.cat([latents, rest], dim=1).to(self.dtype)

    def _pictures(self, latents: torch.Tensor) -> np.ndarray:
        """Return the pictures of one part, (frames, H, W, 3) float32, 0 to 1."""
        video = self.vae.decode(latents.transpose(1, 2) / self.vae.config.scaling_factor).sample[0]
        pictures: np.ndarray = (video.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 3, 0).cpu(
            ).numpy()
        return pictures
