# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Video <-> normalised latents through the causal Wan autoencoder, decoded piece by piece."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan


class VideoCodec:
    """
    Encodes and decodes videos (B, 3, T, H, W) in [-1, 1]; latents are float32, normalised.

    Where no generator is given, the encoder's mean (mode of its distribution) is used: the same
    input gives the same latent.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        """
        Make a codec of an autoencoder.

        :param vae: on its device and in its dtype; may be moved between calls.
        """
        self.vae = vae
        shape = (1, vae.config.z_dim, 1, 1, 1)
        self._mean = torch.tensor(vae.config.latents_mean).view(shape)
        self._inverse_std = 1.0 / torch.tensor(vae.config.latents_std).view(shape)
        self.encodes = 0   # how many videos were encoded, to show what caching saves

    def encode(self, video: torch.Tensor,
               generator: torch.Generator | None = None) -> torch.Tensor:
        """
        Return (z - mean) / std, (B, 16, 1 + (T - 1) / 4, H / 8, W / 8) float32 on the CPU.

        :param generator: on the CPU; with it a sample of the distribution is drawn, as the
            released data set holds, in place of its mean.
        """
        mean, std = self.distribution(video)
        if generator is None:
            return mean
        return mean + std * torch.randn(mean.shape, generator=generator)

    def distribution(self, video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Return mean and standard deviation of the latent, normalised, float32 on the CPU.

        A float16 autoencoder runs under autocast, which keeps its norms in float32, as the
        released program encodes robots.
        """
        self.encodes += 1
        device, dtype = self.vae.device, self.vae.dtype
        with torch.inference_mode(), torch.autocast(
                device.type, torch.float16, enabled=dtype is torch.float16):
            found = self.vae.encode(video.to(device, dtype)).latent_dist
        return ((found.mean.float().cpu() - self._mean) * self._inverse_std,
                found.std.float().cpu() * self._inverse_std)

    def decode(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """
        Yield the video from normalised latents, as soon as each piece is there.

        The first latent frame gives one video frame, each further one four. The decoder is
        causal: it keeps the last activations of every convolution, so that the pieces are
        bit-equal to decoding all at once.
        """
        vae = self.vae
        decoder = vae.decoder
        convolutions = sum(isinstance(m, WanCausalConv3d) for m in decoder.modules())
        memory: list[torch.Tensor | None] = [None] * convolutions
        with torch.inference_mode():
            raw = latents.float().cpu() / self._inverse_std + self._mean
            raw = vae.post_quant_conv(raw.to(vae.device, vae.dtype))
        for index in range(raw.shape[2]):
            with torch.inference_mode():
                piece = decoder(raw[:, :, index:index + 1], feat_cache=memory, feat_idx=[0],
                                first_chunk=index == 0)
                piece = piece.clamp(-1.0, 1.0).float().cpu()
            yield piece
