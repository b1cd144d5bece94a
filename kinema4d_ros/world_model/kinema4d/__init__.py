# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The Kinema4D engine: an action-conditioned 4D diffusion transformer, checkpoint-compatible.

Nothing here imports torch until a model is made, so that the package works without it.
"""
from kinema4d_ros.world_model.kinema4d.config import Geometry, Guidance, ModelConfig, Variant
from kinema4d_ros.world_model.kinema4d.model import Kinema4D

__all__ = ['Geometry', 'Guidance', 'Kinema4D', 'ModelConfig', 'Variant']
