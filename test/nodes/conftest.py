# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker process of the tests must find `stub_models`."""
import os
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
os.environ['PYTHONPATH'] = os.pathsep.join(
    filter(None, [HERE, os.environ.get('PYTHONPATH', '')]))


@pytest.fixture(autouse=True)
def leave_no_process():
    """End what a failing test leaves running."""
    def running():
        graph = sys.modules.get('graph')       # imported by the tests that use it
        return set(graph.Process.running) if graph else set()

    before = running()
    yield
    for process in running() - before:
        process.kill()
