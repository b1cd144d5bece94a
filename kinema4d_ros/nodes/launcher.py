# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The process that started a node, with which it ends: no node is to run with nobody above it."""
from __future__ import annotations

import os
import threading
import time

from rclpy.node import Node

from kinema4d_ros.bridge.parameters import Parameter

LAUNCHER_PID = Parameter(
    'launcher_pid', int, 0, 'Process that the node ends with, as at Ctrl-C, should that die '
    'without ending it: that of the launch file, which sets this; 0 for none', minimum=0,
    maximum=2**31 - 1, read_only=True)
_POLL = 0.5       # [s] between looks at a launcher where the kernel does not tell of its end


def launcher_of(node: Node) -> list[int]:
    """
    Return the file descriptor that becomes readable when the launcher of a node ends.

    It is readable at once where that has ended already; none where the node has no launcher.
    """
    name = LAUNCHER_PID.name
    pid = node.get_parameter(name).value if node.has_parameter(name) else 0
    if not pid:
        return []
    is_parent = os.getppid() == pid      # before anything is looked at, so that no end is missed
    try:
        return [os.pidfd_open(pid)]
    except ProcessLookupError:
        pass
    except (OSError, AttributeError):
        # a kernel, a container, or a Python built with old headers, that has no such thing
        if _runs(pid, is_parent):
            return [_polled(pid, is_parent)]
    read, write = os.pipe()
    os.close(write)
    return [read]


def _polled(pid: int, is_parent: bool) -> int:
    """Return a file descriptor that becomes readable when a look shows that a process is gone."""
    read, write = os.pipe()

    def look() -> None:
        while _runs(pid, is_parent):
            time.sleep(_POLL)
        os.close(write)

    threading.Thread(target=look, name='launcher', daemon=True).start()
    return read


def _runs(pid: int, is_parent: bool) -> bool:
    """Return whether a process runs; a parent does for as long as it is our parent."""
    if is_parent:
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:      # of another user
        pass
    return True
