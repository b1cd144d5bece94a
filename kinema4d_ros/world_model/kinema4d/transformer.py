# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The action-conditioned 4D diffusion transformer, built on diffusers' Wan blocks."""
from __future__ import annotations

import inspect

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import nn
from torch.nn import functional

from kinema4d_ros.world_model.kinema4d.attention import ArmAttentionProcessor
from kinema4d_ros.world_model.kinema4d.config import ModelConfig, Variant
from kinema4d_ros.world_model.kinema4d.rope import SharedRotaryEmbedding

MASK = 4          # channels of the mask, first in both conditions


class Kinema4DTransformer(WanTransformer3DModel):
    """
    Wan2.1-I2V with shared positions, domain embeddings and the robot as a condition.

    Subclassing keeps all of diffusers' machinery in force (attention backends, caches, group
    offload, regional compilation, context parallelism), because blocks and names are its own. The
    added weights keep the bare names of the released files. The text embedder exists only for
    the sake of the base checkpoint's keys: arm tokens replace the text.

    Differences from the stock model, in order of computation:

    1. the robot's latents, projected, are added to the image condition, and the robot's mask
       replaces the condition's mask (never in place);
    2. patches of the left half (RGB) and the right half (pointmap) get a domain embedding each,
       and share their rotary positions;
    3. the cross-attention context is [image tokens, arm tokens].
    """

    @register_to_config
    def __init__(self, variant: str = 'default', latent_frames: int = 13, latent_height: int = 60,
                 latent_width: int = 90, arm_patch: int = 15, arm_channels: int = 128,
                 patch_size: tuple[int, ...] = (1, 2, 2), num_attention_heads: int = 40,
                 attention_head_dim: int = 128, in_channels: int = 36, out_channels: int = 16,
                 text_dim: int = 4096, freq_dim: int = 256, ffn_dim: int = 13824,
                 num_layers: int = 40, cross_attn_norm: bool = True,
                 qk_norm: str | None = 'rms_norm_across_heads', eps: float = 1e-6,
                 image_dim: int | None = 1280, added_kv_proj_dim: int | None = 5120,
                 rope_max_seq_len: int = 1024, pos_embed_seq_len: int | None = None):
        """Build the base model and the added layers; sizes as in `ModelConfig`."""
        super().__init__(
            patch_size=patch_size, num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim, in_channels=in_channels,
            out_channels=out_channels, text_dim=text_dim, freq_dim=freq_dim, ffn_dim=ffn_dim,
            num_layers=num_layers, cross_attn_norm=cross_attn_norm, qk_norm=qk_norm, eps=eps,
            image_dim=image_dim, added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len, pos_embed_seq_len=pos_embed_seq_len)
        inner, arm_in = num_attention_heads * attention_head_dim, MASK + out_channels
        grid = (latent_frames, latent_height // arm_patch, latent_width // arm_patch)
        self.variant = Variant(variant)
        self.halves = 2 if self.variant is Variant.DEFAULT else 1
        self.arm_tokens = self.halves * grid[0] * grid[1] * grid[2]

        self.rope = SharedRotaryEmbedding(attention_head_dim, patch_size, rope_max_seq_len)
        self.learnable_domain_embeddings = nn.Parameter(torch.zeros(2, inner))
        self.arm_cond_proj = nn.Linear(out_channels, out_channels)
        self.patch_embedding_arm = nn.Conv3d(
            arm_in, arm_channels, (1, arm_patch, arm_patch), (1, arm_patch, arm_patch))
        self.arm_ln = nn.LayerNorm(arm_channels)
        self.arm_pos_emb = nn.Parameter(torch.zeros(1, arm_channels, *grid))
        if self.variant is Variant.DEFAULT:
            self.arm_domain_emb = nn.Parameter(torch.zeros(2, arm_channels))
        self.arm_patch_proj = nn.Linear(arm_channels, inner)
        for block in self.blocks:
            block.attn2.set_processor(ArmAttentionProcessor(self.arm_tokens))

    @classmethod
    def from_model_config(cls, config: ModelConfig) -> Kinema4DTransformer:
        """Build the model that a checkpoint's configuration describes (weights not loaded)."""
        size = config.geometry
        # As diffusers does, ignore entries of other versions: the shapes are compared anyway.
        known = inspect.signature(WanTransformer3DModel.__init__).parameters
        return cls(variant=str(config.variant), latent_frames=size.latent_frames,
                   latent_height=size.latent_height, latent_width=size.latent_width,
                   arm_patch=size.arm_patch, arm_channels=config.arm_channels,
                   **{key: value for key, value in config.transformer.items() if key in known})

    def forward(self, hidden_states: torch.Tensor, timestep: torch.Tensor, arm: torch.Tensor,
                image_embeds: torch.Tensor, residual_times: int = 1, return_dict: bool = True
                ) -> Transformer2DModelOutput | tuple[torch.Tensor]:
        """
        Predict the flow velocity (noise minus data).

        :param hidden_states: (B, 36, F, H, 2 W): noisy latent 16, mask 4, image condition 16.
        :param timestep: (B,) int64.
        :param arm: (B, 20, F, H, A): mask 4, robot latent 16; A is 2 W (RGB, pointmap) for the
            default variant and W (pointmap) for pmcond.
        :param image_embeds: (B, image tokens, image_dim) of the first frame.
        :param residual_times: how often the robot's residual is added; 2 gives what the second
            pass of the released program sees.
        :return: (B, 16, F, H, 2 W).
        """
        batch, _, frames, height, width = hidden_states.shape
        rotary = self.rope(hidden_states)
        context = torch.cat([self.condition_embedder.image_embedder(image_embeds),
                             self.arm_context(arm)], dim=1)
        conditioned = self.with_robot(hidden_states, arm, residual_times)
        tokens = self._with_domain(self.patch_embedding(conditioned)).flatten(2)
        tokens = tokens.transpose(1, 2).contiguous()
        embedding, modulation = self._time(timestep, tokens)
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self.blocks:
            inputs = (tokens, context, modulation, rotary)
            tokens = (self._gradient_checkpointing_func(block, *inputs) if recompute
                      else block(*inputs))
        shift, scale = (self.scale_shift_table + embedding.unsqueeze(1)).chunk(2, dim=1)
        tokens = (self.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens)
        patches = self.proj_out(tokens)
        p = self.config.patch_size
        grid = (frames // p[0], height // p[1], width // p[2])
        sample = patches.reshape(batch, *grid, *p, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
        sample = sample.reshape(batch, -1, frames, height, width)
        return Transformer2DModelOutput(sample) if return_dict else (sample,)

    def with_robot(self, hidden_states: torch.Tensor, arm: torch.Tensor,
                   times: int = 1) -> torch.Tensor:
        """
        Return the input with the robot written into its condition; the argument stays as it is.

        Default variant: all columns of latent frames 1.. (frame 0 is the observed image). pmcond:
        the right half of all frames.
        """
        noise, mask, image = hidden_states.split(
            [hidden_states.shape[1] - arm.shape[1], MASK, arm.shape[1] - MASK], dim=1)
        arm_mask, arm_latent = arm.split([MASK, arm.shape[1] - MASK], dim=1)
        residual = self.arm_cond_proj(arm_latent.movedim(1, -1)).movedim(-1, 1)
        dim, keep = (2, 1) if self.variant is Variant.DEFAULT else (4, mask.shape[4] // 2)
        kept, changed = image.tensor_split([keep], dim=dim)
        residual = residual[:, :, keep:] if dim == 2 else residual
        arm_mask = arm_mask[:, :, keep:] if dim == 2 else arm_mask
        for _ in range(times):   # one rounding per addition, like the released program
            changed = changed + residual
        return torch.cat([
            noise, torch.cat([mask.tensor_split([keep], dim=dim)[0], arm_mask], dim=dim),
            torch.cat([kept, changed], dim=dim)], dim=1)

    def arm_context(self, arm: torch.Tensor) -> torch.Tensor:
        """Return the arm tokens, (B, arm tokens, inner dim), in (t, h, w) order."""
        grid = self.patch_embedding_arm(arm)
        grid = functional.gelu(self.arm_ln(grid.movedim(1, -1))).movedim(-1, 1)
        grid = grid + torch.cat([self.arm_pos_emb] * self.halves, dim=-1)
        if self.variant is Variant.DEFAULT:
            grid = grid + per_half(self.arm_domain_emb, grid.shape[-1])
        return self.arm_patch_proj(grid.flatten(2).transpose(1, 2))

    def _with_domain(self, patches: torch.Tensor) -> torch.Tensor:
        """Add the domain embedding of each half to (B, D, F, H, 2 W) patches."""
        return patches + per_half(self.learnable_domain_embeddings, patches.shape[-1])

    def _time(self, timestep: torch.Tensor, like: torch.Tensor
              ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the time embedding (B, D) and the blocks' modulation (B, 6, D)."""
        embed = self.condition_embedder
        wave = embed.timesteps_proj(timestep).to(embed.time_embedder.linear_1.weight.dtype)
        embedding = embed.time_embedder(wave).type_as(like)
        return embedding, embed.time_proj(embed.act_fn(embedding)).unflatten(1, (6, -1))


def per_half(rows: torch.Tensor, width: int) -> torch.Tensor:
    """Spread (2, D) over columns: row 0 left, row 1 right; (1, D, 1, 1, width)."""
    return rows.repeat_interleave(width // 2, dim=0).T[None, :, None, None]
