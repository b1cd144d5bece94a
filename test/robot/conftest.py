# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tests of this folder share the robots of `robots.py`."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
