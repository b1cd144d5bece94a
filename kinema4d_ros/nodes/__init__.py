# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ring c: the nodes. Each file only turns callbacks into calls of the inner rooms and back."""
