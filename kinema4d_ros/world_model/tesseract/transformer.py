# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of TesserAct: CogVideoX's transformer on RGB, depth and normals at once.

Five modules are added to the base model: two projections of what comes in, and a head that makes
depth and normals of the predicted RGB and what came in (two networks). With zero projections the
RGB output is that of the base model.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.embeddings import CogVideoXPatchEmbed
from torch import nn

PARTS = 3          # RGB, depth, normals; each is noise and first picture


class PartsEmbed(nn.Module):
    """Tokens of RGB, depth and normals together, with those of the text in front."""

    def __init__(self, base: CogVideoXPatchEmbed):
        """Take over the projections of the base model, and add one each for depth and normals."""
        super().__init__()
        self.proj, self.text_proj = base.proj, base.text_proj
        like = base.proj
        self.depth_proj, self.normal_proj = (
            nn.Conv2d(like.in_channels, like.out_channels, like.kernel_size, like.stride,
                      bias=False) for _ in range(2))

    def forward(self, text: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
        """
        Return (B, L + F h w / 4, D) tokens: of the text, then of the frames row by row.

        :param text: (B, L, text width).
        :param parts: (B, F, 3 C, h, w), RGB, depth, normals.
        """
        batch, frames = parts.shape[:2]
        rgb, depth, normal = (part.contiguous()
                              for part in parts.flatten(0, 1).chunk(PARTS, dim=1))
        tokens = self.proj(rgb) + self.depth_proj(depth) + self.normal_proj(normal)
        tokens = tokens.unflatten(0, (batch, frames)).flatten(3).transpose(2, 3).flatten(1, 2)
        return torch.cat([self.text_proj(text), tokens], dim=1).contiguous()


class Stack(nn.Module):
    """Layers one after the other, below the name `model` as in the released file."""

    def __init__(self, *layers: nn.Module):
        """Put them into a row."""
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run them."""
        out: torch.Tensor = self.model(x)
        return out


class TesseractTransformer(CogVideoXTransformer3DModel):
    """Predicts velocities of RGB, depth and normal latents from noisy ones and first pictures."""

    def __init__(self, config: Mapping[str, Any]):
        """
        Make the network of a config of CogVideoX, whose `in_channels` are those of one part.

        Learned positions are left out, so that other sizes than the base model's are allowed.
        """
        super().__init__(**{**config, 'use_learned_positional_embeddings': False})
        inner = self.config.num_attention_heads * self.config.attention_head_dim
        out, patch, into = self.config.out_channels, self.config.patch_size, self.config.in_channels
        base: CogVideoXPatchEmbed = self.get_submodule('patch_embed')
        self.patch_embed = PartsEmbed(base)
        hidden = inner // patch ** 2
        self.dn_out_proj = Stack(
            nn.Conv3d(out + 2 * into, hidden, 5, padding=2), nn.ReLU(),
            nn.Conv3d(hidden, hidden, 5, padding=2), nn.ReLU(),
            nn.Conv3d(hidden, hidden, 3, padding=1))
        self.dn_out = Stack(nn.Linear(2 * inner, 2 * inner), nn.ReLU(),
                            nn.Linear(2 * inner, 2 * out * patch ** 2))

    def forward(self, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor,
                timestep: torch.Tensor,
                image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None
                ) -> torch.Tensor:
        """
        Return (B, F, 3 x 16, h, w): RGB, depth, normals.

        :param hidden_states: (B, F, 3 x 32, h, w).
        :param encoder_hidden_states: (B, L, text width).
        :param timestep: (B,).
        :param image_rotary_emb: cosines and sines of the positions of the frames' tokens.
        """
        _, frames, _, height, width = hidden_states.shape
        time = self.time_proj(timestep).to(hidden_states.dtype)
        time = self.time_embedding(time, None)
        tokens = self.patch_embed(encoder_hidden_states, hidden_states)
        length = encoder_hidden_states.shape[1]
        text, tokens = tokens[:, :length], tokens[:, length:]
        for block in self.transformer_blocks:
            tokens, text = block(hidden_states=tokens, encoder_hidden_states=text, temb=time,
                                 image_rotary_emb=image_rotary_emb)
        tokens = self.norm_out(self.norm_final(tokens), temb=time)
        size = frames, height, width
        rgb = self._pixels(self.proj_out(tokens), *size)
        _, depth, normal = hidden_states.chunk(PARTS, dim=2)
        seen = torch.cat([rgb, depth, normal], dim=2).transpose(1, 2)
        seen = self._tokens(self.dn_out_proj(seen).transpose(1, 2))
        rest = self._pixels(self.dn_out(torch.cat([tokens, seen], dim=2)), *size)
        return torch.cat([rgb, rest], dim=2)

    def _pixels(self, tokens: torch.Tensor, frames: int, height: int, width: int) -> torch.Tensor:
        """Return (B, F, C, h, w) of tokens that hold (C, p, p) each."""
        p = self.config.patch_size
        out = tokens.unflatten(1, (frames, height // p, width // p)).unflatten(4, (-1, p, p))
        return out.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)

    def _tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (B, F h w / 4, 4 C), the inverse of `_pixels`."""
        p = self.config.patch_size
        out = pixels.unflatten(4, (-1, p)).unflatten(3, (-1, p)).permute(0, 1, 3, 5, 2, 4, 6)
        return out.flatten(4).flatten(1, 3)
