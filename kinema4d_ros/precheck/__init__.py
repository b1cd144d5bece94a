# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The precheck: rules that look at a trajectory before it moves the robot, and the verdict.

Tier 0 (`check_tier0`) needs no scene and takes milliseconds. `decide` turns the findings of all
tiers into a verdict; it is the only way to a PASS.
"""
from kinema4d_ros.precheck.fingerprint import trajectory_hash
from kinema4d_ros.precheck.settings import Tier0Settings
from kinema4d_ros.precheck.tier0 import check_tier0
from kinema4d_ros.precheck.verdict import decide, not_checked

__all__ = ['Tier0Settings', 'check_tier0', 'decide', 'not_checked', 'trajectory_hash']
