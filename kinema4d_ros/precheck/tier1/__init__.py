# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 1: the robot's exact motion against the scene that the cameras see."""
from kinema4d_ros.precheck.tier1.check import check_tier1
from kinema4d_ros.precheck.tier1.clearance import Clearance, clearance_band

__all__ = ['Clearance', 'check_tier1', 'clearance_band']
