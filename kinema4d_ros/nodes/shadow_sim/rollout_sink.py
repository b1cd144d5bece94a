# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of one job while it runs: frames to the topics, progress to whoever asked."""
from __future__ import annotations

import traceback
from collections.abc import Callable

from rclpy.node import Node

from kinema4d_ros.nodes.shadow_sim.incidents import KeptFrames
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs, Rollout
from kinema4d_ros.worker.rollout_frame import RolloutFrame


class RolloutSink:
    """The sink of a job, called in the supervisor's thread; see `worker.job.JobSink`."""

    def __init__(self, node: Node, outputs: Outputs, rollout: Rollout,
                 on_progress: Callable[[str, int, int], None], kept: KeptFrames | None = None):
        """
        Make the sink of one rollout.

        :param node: whose logger is used.
        :param on_progress: called with stage, step and total, for whoever asked.
        :param kept: keeps frames for an incident packet, where there may be one.
        """
        self._node, self._outputs, self._rollout = node, outputs, rollout
        self._on_progress, self._kept = on_progress, kept

    def on_frame(self, frame: RolloutFrame) -> None:
        """Publish a frame; one that cannot be published ends the job."""
        if self._kept is not None:
            self._kept.add(frame.predicted)
        self._outputs.publish_frame(frame, self._rollout)

    def on_progress(self, stage: str, step: int, total: int) -> None:
        """Pass progress on to whoever asked."""
        try:
            self._on_progress(stage, step, total)
        except Exception:   # feedback to a client that left is no reason to stop
            self._node.get_logger().warning(traceback.format_exc(), throttle_duration_sec=5.0)
