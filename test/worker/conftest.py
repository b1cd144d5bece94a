# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor that the tests of a module share."""
import pytest
from supervised import FRAMES, Log, URDF

from kinema4d_ros.worker.protocol import WorkerSettings
from kinema4d_ros.worker.supervisor import Supervisor


@pytest.fixture(scope='module')
def running():
    """Return a supervisor with its log, shared by the tests of this module."""
    log = Log()
    supervisor = Supervisor(
        WorkerSettings('stub_models:Scripted', simulator_settings={'frames': FRAMES}),
        log.on_state, slots=2, cancel_grace=0.3)
    supervisor.set_robot(URDF)
    yield supervisor, log
    supervisor.stop()
