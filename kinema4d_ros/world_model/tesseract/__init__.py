# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
TesserAct as a world model, for comparison only: text and one RGB-D-normal frame -> a 4D future.

It is told what to do, and not how, so nothing that it shows is evidence on a trajectory. The world
model is `model.Tesseract`; it is not imported here, and nothing here imports torch.
"""
from kinema4d_ros.world_model.tesseract.metric import DepthFit, fit_depth
from kinema4d_ros.world_model.tesseract.panels import Panels

__all__ = ['DepthFit', 'Panels', 'fit_depth']
