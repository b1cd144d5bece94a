# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The process that started a node, with which it ends: no node is to run with nobody above it."""
from __future__ import annotations

import os

from rclpy.node import Node

from kinema4d_ros.bridge.parameters import Parameter

LAUNCHER_PID = Parameter(
    'launcher_pid', int, 0, 'Process that the node ends with, as at Ctrl-C, should that die '
    'without ending it: that of the launch file, which sets this; 0 for none', minimum=0,
    maximum=2**31 - 1, read_only=True)


def launcher_of(node: Node) -> list[int]:
    """
    Return the file descriptor that becomes readable when the launcher of a node ends.

    It is readable at once where that has ended already; none where the node has no launcher.
    """
    name = LAUNCHER_PID.name
    pid = node.get_parameter(name).value if node.has_parameter(name) else 0
    if not pid:
        return []
    try:
        return [os.pidfd_open(pid)]
    except ProcessLookupError:
        read, write = os.pipe()
        os.close(write)
        return [read]
    except OSError as error:     # a kernel, or a container, that has no such thing
        node.get_logger().warning(
            f'this node cannot tell when process {pid}, which started it, ends ({error.strerror}): '
            'should that die, end this one by yourself')
        return []
