# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 1: the robot's exact motion against the scene that the cameras see."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.precheck.tier1.bands import clearance_band
    from kinema4d_ros.precheck.tier1.check import check_tier1
    from kinema4d_ros.precheck.tier1.clearance import Clearance

__all__ = ['Clearance', 'check_tier1', 'clearance_band']
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
