# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 2: whether a predicted future can be believed, and what it shows."""
from kinema4d_ros.precheck.tier2.future_check import FutureCheck

__all__ = ['FutureCheck']
