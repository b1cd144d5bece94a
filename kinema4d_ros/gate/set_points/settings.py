# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gate of set points insists on; made of its node's parameters, which have its names."""
from __future__ import annotations

import enum
from dataclasses import dataclass


class SetPointKind(enum.StrEnum):
    """What set points of a controller are."""

    POSITION = 'position'        # std_msgs/Float64MultiArray of joint positions
    VELOCITY = 'velocity'        # std_msgs/Float64MultiArray of joint velocities
    TRAJECTORY = 'trajectory'    # trajectory_msgs/JointTrajectory of one point
    POSE = 'pose'                # geometry_msgs/PoseStamped of a link
    TWIST = 'twist'              # geometry_msgs/TwistStamped of a link

    @property
    def is_velocity(self) -> bool:
        """Whether the robot goes on moving by it until it is stopped."""
        return self in (SetPointKind.VELOCITY, SetPointKind.TWIST)


@dataclass(frozen=True)
class SetPointSettings:
    """The parameters that decisions depend on."""

    required_tiers: tuple[int, ...] = (0, 1)
    max_step: float = 0.05             # [rad or m] from one set point to the next
    max_lead: float = 0.2              # [rad or m] from where the joint is
    max_velocity: float = 1.0          # [rad/s or m/s] of joints without a limit
    max_velocity_step: float = 0.5     # [rad/s or m/s] from one velocity to the next
    velocity_scale: float = 1.0        # share of the velocity limits that is allowed
    burst: float = 0.05                # [s] for which set points may come too close together
    deceleration: float = 2.0          # [rad/s^2 or m/s^2] that every joint can brake with
    reaction: float = 0.05             # [s] until the robot begins to brake
    timeout: float = 0.2               # [s] after which a source that is silent has stopped
    position_tolerance: float = 0.001  # [rad or m] beyond a limit
    self_margin: float = 0.0           # [m] between links
    clearance_margin: float = 0.005    # [m] that is kept of the free space
    max_scene_age: float = 0.5         # [s] of the look that the free space rests on
    max_joint_age: float = 0.1         # [s]
    path_tolerance: float = 0.05       # [rad or m] from a checked trajectory
    tracking_tolerance: float = 0.01   # [rad or m] below which nobody is off a trajectory
    path_window: float = 0.3           # [s] ahead of a checked trajectory
    path_grace: float = 2.0            # [s] that a checked trajectory may take longer
    start_tolerance: float = 0.02      # [rad or m] of joints that a trajectory does not move
