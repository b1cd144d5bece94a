# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-attention to image tokens and arm tokens, through diffusers' attention backends."""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn

if TYPE_CHECKING:
    from diffusers.models.transformers.transformer_wan import WanAttention


class ArmAttentionProcessor:
    """
    Two attentions with one query, summed: to the image tokens and to the arm tokens.

    diffusers' own processor splits the context at 512 text tokens; here the last `arm_tokens`
    take the place of the text. The two attributes are those that diffusers sets when an attention
    backend or context parallelism is switched on. The context is never split over devices, so
    the parallel config changes nothing here.
    """

    _attention_backend = None
    _parallel_config = None

    def __init__(self, arm_tokens: int):
        """Make a processor; the last `arm_tokens` tokens of the context are the robot's."""
        self.arm_tokens = arm_tokens

    def __call__(self, attn: WanAttention, hidden_states: torch.Tensor,
                 encoder_hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None,
                 rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None) -> torch.Tensor:
        """
        Attend.

        :param hidden_states: (B, N, D).
        :param encoder_hidden_states: (B, image tokens + arm tokens, D).
        """
        image, arm = encoder_hidden_states.split(
            [encoder_hidden_states.shape[1] - self.arm_tokens, self.arm_tokens], dim=1)
        heads = (attn.heads, -1)
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, heads)
        of_arm = self._attend(query, attn.norm_k(attn.to_k(arm)).unflatten(2, heads),
                              attn.to_v(arm).unflatten(2, heads))
        of_image = self._attend(
            query, attn.norm_added_k(attn.add_k_proj(image)).unflatten(2, heads),
            attn.add_v_proj(image).unflatten(2, heads))
        hidden_states = (of_arm + of_image).flatten(2, 3).type_as(hidden_states)
        return attn.to_out[1](attn.to_out[0](hidden_states))

    def _attend(self, query: torch.Tensor, key: torch.Tensor,
                value: torch.Tensor) -> torch.Tensor:
        """Run the chosen attention kernel on (B, N, heads, head_dim)."""
        return dispatch_attention_fn(query, key, value, backend=self._attention_backend).type_as(
            query)
