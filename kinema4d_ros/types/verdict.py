# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Findings, and the verdict that they make."""
from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kinema4d_ros.types.motion import StartState


class Status(enum.IntEnum):
    """The decision; same numbers as msg/Verdict."""

    PASS = 0
    FAIL = 1
    UNSURE = 2


class Severity(enum.IntEnum):
    """How a finding moves the verdict; same numbers as msg/Finding."""

    INFO = 0     # reported; does not change the verdict
    UNSURE = 1   # a PASS becomes UNSURE
    FAIL = 2     # the verdict becomes FAIL


class FindingCode(enum.IntEnum):
    """Kinds of findings; same numbers as msg/Finding. Tens group them by tier."""

    NOT_CHECKED = 0
    STALE_INPUT = 1
    MISSING_INPUT = 2
    MODEL_FAILED = 3
    CANCELLED = 4
    DEADLINE = 5
    CONTRADICTION = 6
    ROBOT_STATE = 7
    OTHER_MOTION = 8
    UNKNOWN_JOINT = 10
    MISSING_JOINT = 11
    NOT_FINITE = 12
    TIMES_NOT_INCREASING = 13
    EMPTY_TRAJECTORY = 14
    START_STATE = 15
    POSITION_LIMIT = 16
    VELOCITY_LIMIT = 17
    ACCELERATION_LIMIT = 18
    JERK_LIMIT = 19
    WORKSPACE = 20
    SELF_COLLISION = 21
    NONZERO_END_VELOCITY = 22
    TRACKING = 23
    CONTACT = 40
    NEAR_MISS = 41
    UNSEEN_SPACE = 42
    CAMERA_POSE = 43
    ATTACHED = 44
    GRASP = 60
    CLOSED_ON_NOTHING = 61
    RELEASE = 62
    REST = 63
    NO_DEPTH = 64
    SWEPT = 65
    GOAL = 66
    ACTION_FOLLOWING = 67
    GHOST_MOTION = 68
    VANISHED = 69
    SPREAD = 70
    NO_REACTION = 71
    PUSHED = 72
    TOPPLED = 73
    DRAGGED = 74
    DROPPED = 75
    SLIPPED = 76
    SLIPPED_OUT = 77
    FELL_OFF = 78
    JAMMED = 79
    NOT_MODELLED = 80
    UNDECIDED = 81
    DISCARDED = 82
    NOT_SIMULATED = 83


def plain_point(values: Iterable[float]) -> tuple[float, float, float]:
    """Return a point, (3,) of any numbers, as the plain tuple that findings hold."""
    x, y, z = map(float, values)
    return x, y, z


@dataclass(frozen=True)
class Finding:
    """One piece of evidence; `value` broke `limit` (both in `unit`), known to +-`sigma`."""

    code: FindingCode
    severity: Severity
    message: str
    link: str = ''
    other: str = ''                                  # other link, object, joint, or 'scene'
    point_base: tuple[float, float, float] | None = None   # [m]
    time: float | None = None                        # [s] from the start of the trajectory
    value: float | None = None
    limit: float | None = None
    sigma: float | None = None
    unit: str = ''


@dataclass(frozen=True)
class ClearanceSample:
    """How near the robot comes to the scene at one time."""

    time: float                                      # [s] from the start of the trajectory
    distance: float                                  # [m] smallest distance, negative inside
    sigma: float                                     # [m] its standard deviation, NaN unknown
    link: str                                        # of the robot that is that near
    point_base: tuple[float, float, float]           # [m] nearest point of the scene
    robot_point_base: tuple[float, float, float]     # [m] nearest point on the robot

    def __post_init__(self) -> None:
        """Take NumPy's numbers and arrays for plain ones."""
        for name in ('time', 'distance', 'sigma'):
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ('point_base', 'robot_point_base'):
            object.__setattr__(self, name, plain_point(getattr(self, name)))


@dataclass(frozen=True)
class Verdict:
    """
    A decision about one trajectory, with its evidence.

    Build it with `kinema4d_ros.precheck.decide`, the only way to a PASS.
    """

    status: Status
    summary: str                                     # one sentence for the operator
    findings: tuple[Finding, ...] = ()
    tiers_passed: tuple[int, ...] = ()               # tiers that ran and found nothing wrong
    deciding_tier: int = -1                          # tier that decided, -1 when none ran
    trajectory_hash: str = ''
    robot_hash: str = ''
    scene_stamp_ns: int = 0
    outcome: str = ''                                # one sentence on what the world would do
    safe_prefix: float | None = None                 # [s] longest part from the start that is safe
    latencies: Mapping[str, float] = field(default_factory=dict)     # [s] per stage
    world_model: str = ''
    seed: int = 0
    speed_factor: float | None = None     # share of the speed at which it would pass, if there is
    min_clearance: float | None = None    # [m] smallest distance of the robot to the scene
    clearance_sigma: float | None = None  # [m] its standard deviation
    success: float | None = None          # probability that the goal is met, if one was given
    action_following: float | None = None   # [m] predicted against exact robot
    checkpoint_hash: str = ''             # fingerprint of the model's weights, '' without any
    final: bool = True                    # False while a later tier may still change it
    #: how near the robot comes to the scene over time, in order; none when not measured
    clearances: tuple[ClearanceSample, ...] = ()
    #: the joints from which the motion was judged; empty where none were known
    start: StartState = field(default_factory=StartState)

    def __post_init__(self) -> None:
        """Keep what came as a list as a tuple."""
        object.__setattr__(self, 'clearances', tuple(self.clearances))

    @property
    def passed(self) -> bool:
        """Whether the status is PASS."""
        return self.status is Status.PASS
