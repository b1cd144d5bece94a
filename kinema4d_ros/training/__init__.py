# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Tunes Kinema4D on episodes of one's own, or on the Robo4D-200k layout; `kinema4d train` runs it.

What is imported here needs no torch, so that wrong input is told of at once; `trainer` and those
beside it do.
"""
from kinema4d_ros.training.clips import ClipSettings, clips_of_episode
from kinema4d_ros.training.settings import Recipe, TrainingSettings

__all__ = ['ClipSettings', 'Recipe', 'TrainingSettings', 'clips_of_episode']
