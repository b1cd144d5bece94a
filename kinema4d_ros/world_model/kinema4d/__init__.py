# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The Kinema4D engine: an action-conditioned 4D diffusion transformer, checkpoint-compatible.

The world model is `model.Kinema4D`. It is not imported here, and nothing here imports torch, so
that sizes can be read, and the network be measured, where the rest is not installed.
"""
from kinema4d_ros.world_model.kinema4d.config import Geometry, Guidance, ModelConfig, Variant

__all__ = ['Geometry', 'Guidance', 'ModelConfig', 'Variant']
