# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes from the LIBERO simulator; the only part that needs it (requirements/sim.txt)."""
