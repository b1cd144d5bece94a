# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trajectory as it came to the gate, and what shadow_sim said of it; neither ever changes."""
from __future__ import annotations

from dataclasses import dataclass

from kinema4d_ros.types import JointTrajectory, Verdict


@dataclass(frozen=True, eq=False)
class GateRequest:
    """What is known of a trajectory by itself."""

    trajectory_hash: str = ''   # '' when it cannot be read
    start_ns: int = 0           # header.stamp: when the controller starts it; 0 at once
    problem: str | None = None      # why it cannot be read
    unchecked: str | None = None    # what it commands that no verdict covers
    #: of the motion that was asked about, where that is more: what is executed before it, then it
    motion_hash: str = ''
    number: int = 0             # counts the trajectories of this gate
    source: str = 'action'      # 'action' or 'topic'
    goal_id: bytes = b''        # of the client's goal, 16 bytes; empty for a topic
    trajectory: JointTrajectory | None = None
    goal_digest: str = ''       # of all that the goal commands, whenever it is to start
    time_tolerance: float = 0.0     # [s] that the client gives it after its last point
    is_message: bool = True     # whether there is anything that could be forwarded
    payload: object = None      # as it came, for who forwards it; nothing is decided by it

    @property
    def asked_hash(self) -> str:
        """Hash that the verdict must carry; '' when there is none to trust."""
        return self.trajectory_hash and (self.motion_hash or self.trajectory_hash)

    @property
    def name(self) -> str:
        """How people tell it from others."""
        digest = self.trajectory_hash[:12] or 'unreadable'
        return f'trajectory {self.number} ({digest}, by {self.source})'

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints that it moves; none when it cannot be read."""
        return () if self.trajectory is None else self.trajectory.joint_names

    @property
    def duration(self) -> float:
        """How long it takes with the tolerance that the client gives it [s]."""
        length = 0.0 if self.trajectory is None else self.trajectory.duration
        return length + max(0.0, self.time_tolerance)

    def why_other(self, digest: str, what: str) -> str | None:
        """Return why a hash that an operator names is not that of this one, which `what`."""
        if digest == self.trajectory_hash:
            return None
        named = f'trajectory_hash {digest[:12]}' if digest else 'an empty trajectory_hash'
        return f'{named} is not the one that {what}: that is {self.name}, trajectory_hash ' \
               f'{self.trajectory_hash}'


@dataclass(frozen=True)
class ShadowSimAnswer:
    """What shadow_sim said."""

    verdict: Verdict | None = None
    valid_until_ns: int = 0         # ROS time
    problem: str | None = None      # why there is no verdict, or none to rely on
    rollout_id: str = ''
