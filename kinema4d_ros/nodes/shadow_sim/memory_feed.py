# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at the scene between the jobs of the workers, so that what the robot hides is known."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.node import Node

from kinema4d_ros.nodes.shadow_sim.drift import DriftWatch
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.worker.supervisor import Supervisor


class MemoryFeed:
    """Shows the scene to each worker that is idle; the last one, that of the checks, compares."""

    def __init__(self, node: Node, live: LiveInputsHolder,
                 settings: Callable[[], ShadowSimSettings], drift: DriftWatch,
                 workers: Sequence[Supervisor]):
        """
        Make it; `look` is to be called again and again.

        :param settings: returns the settings as they are now.
        :param drift: takes how the cameras see the robot.
        """
        self._node, self._live, self._settings = node, live, settings
        self._drift, self._workers = drift, workers

    def look(self) -> None:
        """Take a look at the world, and have it remembered."""
        live = self._live.current
        finder, inputs = live.source.finder, live.inputs
        idle = [worker for worker in self._workers if worker.is_idle]
        if finder is None or inputs is None or not idle:
            return
        settings = self._settings()
        try:
            seen = inputs.observe(finder, self._node.get_clock().now().nanoseconds,
                                  settings.values)
        except InputProblem as problem:
            self._node.get_logger().debug(f'nothing to remember: {problem}')
            return
        take = self._drift.asks(seen.observation, finder.robot, settings)
        for worker in idle:
            worker.remember(seen.observation, take if worker is idle[-1] else None)
        # The base may drive just now, and all was forgotten before this look came to it.
        if inputs.has_driven_since(seen.oldest_ns):
            for worker in idle:
                worker.forget()
