# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From the start of shadow_sim to when it says that it is ready: ``make bench ARGS=node_start``.

Robot and camera are there already, and what is compiled is in the cache ("warm"). Ready is what
the topic ~/readiness says: robot, workers and inputs are there, so a trajectory would be judged at
once. The processor time is that of the node and its workers.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus

from bench.graph import Client, Process, robot_feed, shadow_sim
from bench.proc import cpu_seconds, labelled
from bench.report import OUT
from kinema4d_ros.bridge import qos

SIZE, GOAL = (640, 480), 3.0      # [px]; [s]
STARTS = 5                        # that count, after one that warms up


def measure(repeats: int) -> list[dict]:
    """Return the rows; `repeats` plays no part."""
    log = OUT / 'log'
    log.mkdir(parents=True, exist_ok=True)
    feed = robot_feed(log, size=SIZE, camera_rate=30.0, joint_rate=500.0)
    client = Client(hears_frames=False)
    try:
        feed.read()
        said: list[tuple[float, DiagnosticStatus]] = []
        client.listen(DiagnosticStatus, 'shadow_sim/readiness', said, qos.READINESS)
        started = [start(client, said, lambda: shadow_sim(
            log, world_model='kinematic', required_tiers=[0, 1])) for _ in range(1 + STARTS)][1:]
    finally:
        client.close()
        feed.end()
    walls, cpus = zip(*started)
    return [{'case': 'shadow_sim from start to ready, warm, 640x480, median and longest of '
             f'{STARTS}', 'seconds': statistics.median(walls), 'longest_s': max(walls),
             'cpu_s': statistics.median(cpus), 'goal_s': GOAL,
             'good': statistics.median(walls) <= GOAL}]


def start(client: Client, said: list[tuple[float, DiagnosticStatus]],
          make: Callable[[], Process]) -> tuple[float, float]:
    """Start the node, wait until it is ready, end it; return wall and processor time [s]."""
    with client.changed:
        said.clear()
    began = time.perf_counter()
    node = make()
    try:
        when = client.wait(lambda: next((when for when, status in said
                                         if status.level == DiagnosticStatus.OK), None),
                           'the node to be ready', node)
        cpu = sum(cpu_seconds(pid) for pid in labelled('shadow_sim', node.pid).values())
    finally:
        node.end()
    client.wait(lambda: not client.node.count_publishers('shadow_sim/readiness'), 'its end')
    return when - began, cpu
