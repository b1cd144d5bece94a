# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of sampling condition a tiny transformer on: random, the same each time."""
from __future__ import annotations


def random_conditions(part):
    """Return (image condition, robot condition) in the sizes of `part`, one of `parts`."""
    import torch

    from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
    generator = torch.Generator().manual_seed(5)
    size = part.config.geometry
    image = ImageCondition(torch.randn(1, 20, *size.joint_latent, generator=generator),
                           torch.randn(1, part.config.image_tokens, 32, generator=generator))
    return image, torch.randn(1, 20, size.latent_frames, size.latent_height,
                              part.transformer.halves * size.latent_width, generator=generator)
