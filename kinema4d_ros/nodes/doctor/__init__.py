# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `kinema4d doctor` looks at in a running graph."""
