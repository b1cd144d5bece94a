# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ray-cast worlds of the world models' tests, and a gantry with a gripper to move in them."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / 'world_model'))
