# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The free space around the robot, look after look, for gates that see one set point at a time."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rclpy.node import Node

from kinema4d_ros.bridge.local_clearances import local_clearance_message
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.types import LocalClearance
from kinema4d_ros.worker.protocol import Survey
from kinema4d_ros.worker.supervisor import Supervisor


class ClearanceFeed:
    """
    Has the worker that checks measure the free space, whenever it is idle and somebody listens.

    Where the inputs are not of use, that is said in place of the space.
    """

    def __init__(self, node: Node, live: LiveInputsHolder, outputs: Outputs,
                 settings: Callable[[], ShadowSimSettings], checks: Supervisor):
        """
        Make it; `look` is to be called again and again.

        :param settings: returns the settings as they are now.
        """
        self._node, self._live, self._outputs = node, live, outputs
        self._settings, self._checks = settings, checks

    def look(self) -> None:
        """Take a look at the world, and publish the space around the robot when it is known."""
        live = self._live.current
        finder, inputs = live.source.finder, live.inputs
        if finder is None or inputs is None or not self._outputs.is_wanted('local_clearance') \
                or not self._checks.is_idle:
            return
        settings, now_ns = self._settings(), self._node.get_clock().now().nanoseconds
        robot, frame = finder.robot.description_hash, finder.robot.root_link
        try:
            observed = inputs.observe(finder, now_ns, settings.values)
        except InputProblem as problem:
            self._publish(LocalClearance(now_ns, robot, problem=str(problem)), frame)
            return
        oldest = observed.oldest_ns
        self._checks.survey(
            Survey(observed.observation, settings.precheck, robot),
            lambda found: self._publish(dataclasses.replace(found, stamp_ns=oldest), frame))

    def _publish(self, clearance: LocalClearance, frame: str) -> None:
        self._outputs.publish_local_clearance(local_clearance_message(clearance, frame))
