# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes policy_proxy and action_chunk_proxy, which check chunks between policy and client."""
