# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world at one moment, as the node took it before an event is handled."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kinema4d_ros.gate.settings import GateSettings
from kinema4d_ros.robot import Robot

_NS = 1e-9


@dataclass(frozen=True)
class JointReading:
    """Where a joint was when it was last heard of."""

    position: float     # [rad or m]
    stamp_ns: int       # ROS time of the measurement
    arrival: float      # steady time [s]


@dataclass(frozen=True)
class GraphState:
    """The nodes around the gate; a problem is a sentence, None when there is none."""

    gate_problem: str | None = None
    controller_problem: str | None = None
    controller_gone: bool = False       # whether no server of its action is left at all
    shadow_sim_problem: str | None = None
    shadow_sim_ready: bool = True       # whether a question would arrive
    settled: bool = True                # whether what the graph does not show is absent


@dataclass(frozen=True)
class World:
    """Everything outside that a decision may depend on."""

    now_ns: int                         # ROS time
    robot: Robot | None = None
    joints: Mapping[str, JointReading] = field(default_factory=dict)
    graph: GraphState = field(default_factory=GraphState)
    settings: GateSettings = field(default_factory=GateSettings)    # of now

    def positions(self, names: Iterable[str]) -> dict[str, float]:
        """Return the last position [rad or m] of each of these joints that has one."""
        return {name: self.joints[name].position for name in names if name in self.joints}

    def start_of(self, names: Iterable[str]) -> dict[str, float]:
        """Return the last position [rad or m] of these joints and of the robot's others."""
        return self.positions({*names, *(self.robot.joint_names if self.robot else ())})

    def newest_stamp_ns(self, names: Iterable[str]) -> int:
        """Return the ROS time of the newest measurement of any of these joints; 0 for none."""
        return max((self.joints[name].stamp_ns for name in names if name in self.joints),
                   default=0)

    def why_joints_unknown(self, names: Iterable[str], max_age: float, now: float) -> str | None:
        """
        Return why it is not known where these joints are.

        :param max_age: [s] that a measurement may be old by either clock.
        :param now: steady time [s].
        """
        for name in names:
            reading = self.joints.get(name)
            if reading is None:
                return f'joint_states have not told where {name} is'
            age = max(now - reading.arrival, abs(self.now_ns - reading.stamp_ns) * _NS)
            if age > max_age:
                return f'joint_states of {name} are {age:.2f} s off, limit {max_age} s'
        return None
