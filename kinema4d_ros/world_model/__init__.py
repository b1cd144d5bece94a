# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""World models: predictors of what the scene does while the robot moves exactly."""
from kinema4d_ros.world_model.base import WorldModel
from kinema4d_ros.world_model.card import Metres, ModelCard
from kinema4d_ros.world_model.registry import available, load_world_model, model_class

__all__ = ['Metres', 'ModelCard', 'WorldModel', 'available', 'load_world_model', 'model_class']
