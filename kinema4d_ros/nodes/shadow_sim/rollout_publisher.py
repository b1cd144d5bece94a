# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a worker process tells, passed on: frames to the topics, progress to whoever asked."""
from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.nodes.shadow_sim.incidents import Pictures
from kinema4d_ros.nodes.shadow_sim.inputs import Look
from kinema4d_ros.nodes.shadow_sim.outputs import Outputs
from kinema4d_ros.nodes.shadow_sim.requests import Request
from kinema4d_ros.types import WorldEvent
from kinema4d_ros.worker.events import WorkerState
from kinema4d_ros.worker.job import Job, Outcome
from kinema4d_ros.worker.protocol import Frame


@dataclass
class Rollout:
    """What the running job belongs to, and what its frames leave."""

    request: Request
    id: str
    look: Look
    values: Mapping[str, Any]
    events: list[WorldEvent] = field(default_factory=list)
    pictures: Pictures = field(default_factory=Pictures)      # for an incident packet


class RolloutPublisher:
    """The listener of a supervisor, in its thread; `current` is set before a job is submitted."""

    def __init__(self, node, outputs: Outputs, name: str):
        """:param name: of what the worker does, for the log."""
        self._node, self._outputs, self._name = node, outputs, name
        self.current: Rollout | None = None

    def on_frame(self, job: Job, frame: Frame) -> None:
        """Publish a frame."""
        rollout = self.current
        rollout.events += frame.events
        try:
            if rollout.values['incident_dir']:
                rollout.pictures.add(frame)
            self._outputs.publish_frame(
                frame, rollout_id=rollout.id, stamp_ns=rollout.look.observation.stamp_ns,
                camera_frame=rollout.look.frame, root_link=rollout.look.root_link,
                in_frame=rollout.look.is_in_frame, values=rollout.values)
        except Exception as error:   # must not end the supervisor's thread
            self._node.get_logger().error(traceback.format_exc())
            job.cancel(Outcome.FAILED, f'a frame could not be published: {error}')

    def on_progress(self, job: Job, stage: str, step: int, total: int) -> None:
        """Pass progress on to whoever asked."""
        request = self.current.request
        try:
            request.on_progress(request, stage, step, total)
        except Exception:   # feedback to a client that left is no reason to stop
            self._node.get_logger().warning(traceback.format_exc(), throttle_duration_sec=5.0)

    def on_end(self, job: Job) -> None:
        """Nothing: `Request.wait` waits for it."""

    def on_state(self, state: WorkerState, message: str) -> None:
        """Log what matters."""
        logger = self._node.get_logger()
        if state in (WorkerState.FAILED, WorkerState.RESTARTING):
            logger.error(f'{self._name} {state}: {message}')
        elif message:
            logger.info(f'{self._name} {state}: {message}')
