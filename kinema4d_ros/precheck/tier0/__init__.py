# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 0: what a trajectory does to the robot itself, in milliseconds and without a scene."""
from kinema4d_ros.precheck.tier0.check import check_tier0

__all__ = ['check_tier0']
