# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Cosmos 3 as a world model: RGB futures of actions, by the pipeline of diffusers.

The world model is `model.Cosmos`. It is not imported here, and nothing here imports torch, so that
domains and actions can be used where the rest is not installed.
"""
from kinema4d_ros.world_model.cosmos.actions import decode_actions, encode_actions
from kinema4d_ros.world_model.cosmos.domains import Domain, find_domain

__all__ = ['Domain', 'decode_actions', 'encode_actions', 'find_domain']
