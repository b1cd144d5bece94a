# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A relay that decides nothing: ``python -m bench.set_point_peer FROM TO``.

A node of rclpy as one would write it takes each Float64MultiArray on one topic and publishes it on
another, until its input ends. What it takes longer for some than for others is what the machine
and rclpy do, whatever is decided in between.
"""
from __future__ import annotations

import sys
import threading

import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float64MultiArray

from kinema4d_ros.bridge import qos


def main(come: str, go: str) -> None:
    """Relay until the input ends."""
    rclpy.init()
    node = rclpy.create_node('bench_relay')
    publisher = node.create_publisher(Float64MultiArray, go, qos.TRAJECTORY)
    node.create_subscription(Float64MultiArray, come, publisher.publish, qos.TRAJECTORY)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    sys.stdin.read()
    executor.shutdown()
    spinning.join(2.0)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
