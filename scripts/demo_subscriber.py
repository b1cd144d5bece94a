# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo subscribes to: what the nodes publish about one episode after another."""
from __future__ import annotations

import time
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray
from kinema4d_ros.msg import PredictedFrame, Verdict
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos


@dataclass
class ReceivedRollout:
    """Everything received about one trajectory, times [s] by the steady clock."""

    asked: float | None = None          # the trajectory was received; None until then
    first: float | None = None          # the first predicted frame arrived
    last: float | None = None           # the last one
    frames: dict[int, PredictedFrame] = field(default_factory=dict)
    verdict: Verdict | None = None


class DemoSubscriber(Node):
    """Subscribes to trajectory, predictions and verdict, as any user's node would."""

    def __init__(self):
        """Make the node and subscribe."""
        super().__init__('demo')
        self._received = ReceivedRollout()
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
        """Forget what was received so far; what still comes of it is not counted as new."""
        self._old.update(frame.rollout_id for frame in self._received.frames.values())
        self._received = ReceivedRollout()

    def finished(self) -> bool:
        """Return whether all frames and the verdict about them are here."""
        frames, verdict = self._received.frames, self._received.verdict
        if not frames or verdict is None or not verdict.final:
            return False
        frame = next(iter(frames.values()))
        return len(frames) == frame.count and verdict.rollout_id == frame.rollout_id

    def take(self) -> ReceivedRollout:
        """Return what was received since `begin`."""
        return self._received

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._ready |= any(value.key == 'state' and value.value == 'idle'
                           for status in message.status for value in status.values)

    def _on_trajectory(self, _: JointTrajectory) -> None:
        self._received.asked = time.monotonic()

    def _on_frame(self, message: PredictedFrame) -> None:
        received = self._received
        if message.rollout_id in self._old:
            return
        now = time.monotonic()
        if received.first is None:
            received.first = now
        received.last = now
        received.frames[message.index] = message

    def _on_verdict(self, message: Verdict) -> None:
        if message.rollout_id not in self._old:
            self._received.verdict = message
