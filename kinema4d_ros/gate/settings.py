# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gate insists on; one frozen object, made of the node's parameters."""
from __future__ import annotations

import enum
from dataclasses import dataclass


class Mode(enum.StrEnum):
    """What the gate does with a verdict."""

    MONITOR = 'monitor'   # forwards at once and reports what the verdict says
    ADVISE = 'advise'     # shows the verdict and forwards what an operator approves
    ENFORCE = 'enforce'   # forwards on PASS only


@dataclass(frozen=True)
class GateSettings:
    """The parameters of trajectory_gate that decisions depend on; same names."""

    required_tiers: tuple[int, ...] = (0, 1)
    max_scene_age: float = 10.0        # [s] 0.0: any age
    start_tolerance: float = 0.02      # [rad or m]
    mode: Mode = Mode.ENFORCE
    topic_route: str = 'action'        # 'action', 'topic' or 'closed'
    verdict_timeout: float = 10.0      # [s]
    approval_timeout: float = 60.0     # [s]
    override_lifetime: float = 60.0    # [s]
    late_evidence: str = 'cancel'      # 'cancel' or 'report'
    path_tolerance: float = 0.1        # [rad or m]
    tracking_tolerance: float = 0.02   # [rad or m]
    path_window: float = 0.3           # [s]
    max_delay: float = 30.0            # [s]
    max_stall: float = 2.0             # [s]
    max_joint_age: float = 0.5         # [s]
    overtime: float = 1.5              # [s]

    @property
    def may_stop(self) -> bool:
        """Whether the gate cancels a motion of its own accord; mode monitor only reports."""
        return self.mode is not Mode.MONITOR
