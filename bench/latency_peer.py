# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A process that sends or hears clouds: ``python -m bench.latency_peer ROLE SETTINGS BYTES``.

ROLE is `send`, `hear` or `both`. With SETTINGS `shipped` its allocator is set as the executables
of this package set it; `default` leaves it alone (the Fast DDS profile comes by environment). Each
line on its input sends one cloud; each cloud heard is answered by a line of JSON on its output.
"""
from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
import zlib

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import PointCloud2

from kinema4d_ros.bridge.images import fill
from kinema4d_ros.bridge.qos import PREDICTION
from kinema4d_ros.nodes.run import keep_freed_memory


def payload(size: int) -> np.ndarray:
    """Return what every cloud of that many bytes holds, (size,) uint8."""
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


def main(role: str, settings: str, size: str) -> None:
    """Send and hear until the input ends."""
    if settings == 'shipped':
        keep_freed_memory()
    rclpy.init()
    node = rclpy.create_node(f'cloud_{role}')

    def write_line(**what) -> None:
        print(json.dumps(what), flush=True)

    def hear(message: PointCloud2) -> None:
        now = time.monotonic_ns()
        sent = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        write_line(seconds=(now - sent) * 1e-9, crc=zlib.crc32(message.data))

    if role in ('hear', 'both'):
        node.create_subscription(PointCloud2, 'cloud', hear, PREDICTION)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    if role in ('send', 'both'):
        publisher = node.create_publisher(PointCloud2, 'cloud', PREDICTION)
        values = payload(int(size))
        while not publisher.get_subscription_count():
            time.sleep(0.01)
    write_line(ready=True)
    for _ in sys.stdin:
        message = PointCloud2()
        fill(message.data, values)
        # A clock that all processes of the machine share.
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(
            time.monotonic_ns(), 10**9)
        publisher.publish(message)
    rclpy.shutdown()
    thread.join()


if __name__ == '__main__':
    main(*sys.argv[1:])
