# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A world with dynamics: things made of one depth image, simulated with the exact robot."""
from kinema4d_ros.world_model.physics.engine import why_not_available
from kinema4d_ros.world_model.physics.model import Physics
from kinema4d_ros.world_model.physics.reconstruction import (reconstruct, reconstruct_all,
                                                             Reconstruction)
from kinema4d_ros.world_model.physics.tale import Tale

__all__ = ['Physics', 'Reconstruction', 'Tale', 'reconstruct', 'reconstruct_all',
           'why_not_available']
