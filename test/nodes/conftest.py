# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker process of the tests must find `stub_models`."""
import os
from pathlib import Path

HERE = str(Path(__file__).parent)
os.environ['PYTHONPATH'] = os.pathsep.join(
    filter(None, [HERE, os.environ.get('PYTHONPATH', '')]))
