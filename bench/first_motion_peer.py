# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A controller as a process: ``python -m bench.first_motion_peer NAME``.

It writes a line of JSON for each goal: when it was to execute it, on the clock that all processes
share. A goal goes on until it is cancelled. Each line on its input is answered by `null`.
"""
from __future__ import annotations

import json
import sys
import threading
import time

import rclpy
from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionServer, CancelResponse
from rclpy.executors import MultiThreadedExecutor

_MOST = 30.0      # [s] that a goal goes on


def main(name: str) -> None:
    """Serve until the input ends."""
    rclpy.init()
    node = rclpy.create_node('bench_controller_node')

    def execute(goal) -> FollowJointTrajectory.Result:
        now, until = time.perf_counter(), time.monotonic() + _MOST
        print(json.dumps(now), flush=True)
        while not goal.is_cancel_requested and time.monotonic() < until:
            time.sleep(0.001)
        goal.canceled() if goal.is_cancel_requested else goal.abort()
        return FollowJointTrajectory.Result()

    server = ActionServer(node, FollowJointTrajectory, f'{name}/follow_joint_trajectory', execute,
                          cancel_callback=lambda _: CancelResponse.ACCEPT)
    executor = MultiThreadedExecutor(num_threads=3)
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    for _ in sys.stdin:
        print('null', flush=True)
    server.destroy()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(sys.argv[1])
