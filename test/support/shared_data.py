# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of public data sets beside the project, for tests that skip where they are absent."""
from pathlib import Path

import pytest


def shared_data(name: str) -> Path:
    """Return the folder of a data set, or skip the test where it is not there."""
    for above in Path(__file__).resolve().parents[2].parents:
        folder = above / 'shared' / 'data' / name
        if folder.is_dir():
            return folder
    pytest.skip(f'the data set {name} is not beside the project (../shared/data)')
