# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tasks in a simulator, the truth beside the predicted world (requirements/sim.txt)."""
