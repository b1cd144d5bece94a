# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node shadow_sim, which predicts and judges and commands nothing."""
