# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's ears: collects what the nodes say about one episode after another."""
from __future__ import annotations

import time
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray
from kinema4d_ros.msg import PredictedFrame, Verdict
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos


@dataclass
class Heard:
    """Everything heard about one trajectory, with the times [s] of this machine's steady clock."""

    asked: float | None = None          # the trajectory went by; None when it was not heard
    first: float | None = None          # the first predicted frame arrived
    last: float | None = None           # the last one
    frames: dict[int, PredictedFrame] = field(default_factory=dict)
    verdict: Verdict | None = None


class Listener(Node):
    """Subscribes to trajectory, predictions and verdict, as any user's node would."""

    def __init__(self):
        """Subscribe."""
        super().__init__('demo')
        self._heard = Heard()
        self._ready = False
        self._old: set[str] = set()        # rollouts of the episodes before
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.create_subscription(JointTrajectory, 'joint_trajectory', self._on_trajectory,
                                 qos.TRAJECTORY)
        self.create_subscription(PredictedFrame, 'predicted/frame', self._on_frame,
                                 qos.PREDICTED_FRAMES)
        self.create_subscription(Verdict, 'verdict', self._on_verdict, qos.VERDICT)

    def ready(self) -> bool:
        """Return whether the world model has been loaded."""
        return self._ready

    def begin(self) -> None:
        """Forget what was heard so far; what still comes of it is not taken for something new."""
        self._old.update(frame.rollout_id for frame in self._heard.frames.values())
        self._heard = Heard()

    def finished(self) -> bool:
        """Return whether all frames and the verdict about them are here."""
        heard = self._heard
        if not heard.frames or heard.verdict is None or not heard.verdict.final:
            return False
        frame = next(iter(heard.frames.values()))
        return len(heard.frames) == frame.count and heard.verdict.rollout_id == frame.rollout_id

    def take(self) -> Heard:
        """Return what was heard."""
        return self._heard

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._ready |= any(value.key == 'state' and value.value == 'idle'
                           for status in message.status for value in status.values)

    def _on_trajectory(self, _: JointTrajectory) -> None:
        self._heard.asked = time.monotonic()

    def _on_frame(self, message: PredictedFrame) -> None:
        heard = self._heard
        if message.rollout_id in self._old:
            return
        now = time.monotonic()
        if heard.first is None:
            heard.first = now
        heard.last = now
        heard.frames[message.index] = message

    def _on_verdict(self, message: Verdict) -> None:
        if message.rollout_id not in self._old:
            self._heard.verdict = message
