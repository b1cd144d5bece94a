# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How soon the worker process is started again."""
from kinema4d_ros.worker.process import Backoff


def test_a_process_that_keeps_dying_is_started_less_and_less_often():
    backoff = Backoff()
    assert [backoff.after(1.0) for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert backoff.after(31.0) == 0.5
