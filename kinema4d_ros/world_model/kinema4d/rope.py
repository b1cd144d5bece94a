# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rotary position embedding that gives co-located RGB and pointmap patches one position."""
from __future__ import annotations

import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed


class SharedRotaryEmbedding(WanRotaryPosEmbed):
    """
    Wan's table with the columns of the left half repeated for the right half.

    Returns (cos, sin), each (1, N, 1, head_dim) float32: the form that diffusers' attention
    and its context-parallel plan expect. The table is computed in float64 and applied in
    float32, whose rounding is far below that of bfloat16 queries and keys.
    """

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Return the table for a joint latent.

        :param hidden_states: (B, C, F, H, 2 W), only its shape is used.
        """
        frames, height, width = (
            size // patch for size, patch in zip(hidden_states.shape[2:], self.patch_size))
        half = torch.arange(width // 2, device=self.freqs_cos.device)
        columns = torch.cat([half, half])
        sizes = (self.t_dim, self.h_dim, self.w_dim)
        return tuple(self._table(table.split(sizes, dim=1), frames, height, columns)
                     for table in (self.freqs_cos, self.freqs_sin))

    @staticmethod
    def _table(axes: tuple[torch.Tensor, ...], frames: int, height: int,
               columns: torch.Tensor) -> torch.Tensor:
        """Lay out the axes' tables in (t, h, w) order, (1, N, 1, head_dim)."""
        t, h, w = axes[0][:frames], axes[1][:height], axes[2][columns]
        shape = (frames, height, len(columns), -1)
        grid = torch.cat([t[:, None, None].expand(shape), h[None, :, None].expand(shape),
                          w[None, None, :].expand(shape)], dim=-1)
        return grid.reshape(1, -1, 1, grid.shape[-1])
