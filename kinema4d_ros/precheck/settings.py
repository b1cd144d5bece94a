# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the tiers of the precheck allow."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight import GraspSettings
from kinema4d_ros.precheck.dynamics_rules import DynamicsRules
from kinema4d_ros.robot import JointLimitsFile
from kinema4d_ros.robot.distances import REACH
from kinema4d_ros.robot.tracking import TrackingModel
from kinema4d_ros.scene import SceneSettings
from kinema4d_ros.types import AttachedObject, Finding, FindingCode, JointLimit, Severity
from kinema4d_ros.world_model.base import WorldModel
from kinema4d_ros.world_model.following import (FollowingScores, LEAST_FOLLOWING,
                                                why_never_believed, why_unprobed)


MOST_GROWTH = 50       # [px] of the robot's mask
COARSEST = 0.02        # [m] cells of which the scene keeps one point each
MOST_TRAVEL = 0.2      # [m] between two looks at a motion; what is thinner is jumped over
LONGEST_STEP = 1.0     # [s] over a longer time no jump of the velocity is too much


@dataclass(frozen=True)
class PicklableSettings:
    """Settings that travel to another process, though their read-only mappings cannot."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as plain values, which are checked again where they arrive."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return _made, (type(self), {name: dict(value) if isinstance(value, MappingProxyType)
                                    else value for name, value in values.items()})


def _made(kind: type[PicklableSettings], values: Mapping[str, Any]) -> PicklableSettings:
    return kind(**values)


class StartVelocity(enum.StrEnum):
    """Which velocities a controller takes the joints to have when a motion starts."""

    MEASURED = 'measured'      # joint_trajectory_controller with the state interface velocity
    ZERO = 'zero'              # without it
    COMMANDED = 'commanded'    # with interpolate_from_desired_state or open_loop_control


@dataclass(frozen=True)
class Tier0Settings(PicklableSettings):
    """What tier 0 allows."""

    start_tolerance: float = 0.01       # [rad or m] live joints to a first point at time 0
    position_tolerance: float = 1e-3    # [rad or m] beyond position limits
    velocity_scale: float = 1.0         # share of the robot's velocity limits that may be used
    #: further limits by joint name; together with the robot's own, the tighter one holds
    limits: Mapping[str, JointLimit] = field(default_factory=dict)
    #: a joint_limits.yaml; together with all others, the tighter one holds
    joint_limits_file: JointLimitsFile | None = None
    required_joints: tuple[str, ...] = ()   # the controller's, when it refuses partial goals
    #: x0 y0 z0 x1 y1 z1 [m] in the base frame, which the origins of moving links must not leave
    workspace: tuple[float, float, float, float, float, float] | None = None
    start_velocity: StartVelocity = StartVelocity.MEASURED    # that the controller starts with
    allow_end_velocity: bool = False    # joint_trajectory_controller's default is to refuse
    #: [s] a jump of the commanded velocity counts as an acceleration over this time
    step_time: float = 0.01
    self_margin: float = 0.0            # [m] links of the robot that come closer than this fail
    travel: float = 0.02                # [m] a point of a link moves between two samples, at most

    def __post_init__(self) -> None:
        """Refuse values that would switch a rule off or turn it round."""
        _at_least_zero(self, 'start_tolerance', 'position_tolerance', 'self_margin')
        _above_zero(self, 'velocity_scale', 'step_time', 'travel')
        for name in ('velocity_scale', 'position_tolerance', 'start_tolerance'):
            _at_most(self, name, 1.0)
        _at_most(self, 'step_time', LONGEST_STEP)
        _at_most(self, 'travel', MOST_TRAVEL)
        _box(self, 'workspace')
        for joint, limit in self.limits.items():
            _check_limit(joint, limit)
        object.__setattr__(self, 'start_velocity', StartVelocity(self.start_velocity))
        object.__setattr__(self, 'limits', MappingProxyType(dict(self.limits)))


class Unseen(enum.StrEnum):
    """What it means when the robot moves into space that nobody vouches for."""

    REPORT = 'report'    # a finding that moves nothing
    UNSURE = 'unsure'    # no PASS


class CameraCheck(enum.StrEnum):
    """What it takes for the pose of the camera to be believed."""

    REQUIRED = 'required'            # it sees the robot where it should be, or did not long ago
    WHEN_VISIBLE = 'when_visible'    # nothing speaks against it; unseen, it is believed
    OFF = 'off'                      # it is believed


@dataclass(frozen=True)
class TouchRule:
    """How a link may touch the scene."""

    depth: float = 0.01      # [m] 0 or more, how far it may be pressed in
    speed: float = 0.3       # [m/s] 0 or more, how fast it may be when it touches
    #: x0 y0 z0 x1 y1 z1 [m] in the base frame, where it may touch; None for anywhere
    within: tuple[float, float, float, float, float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse values that would switch a rule off or turn it round."""
        _at_least_zero(self, 'depth', 'speed')
        _box(self, 'within')


@dataclass(frozen=True)
class Tier1Settings(PicklableSettings, SceneSettings):
    """What tier 1 allows, and how well the scene is known (`SceneSettings`)."""

    near_miss: float = 0.01             # [m] 0..0.06, closer than this is reported
    confidence: float = 2.0             # standard deviations that a decision keeps away
    #: 0..1 of the pixels beside the robot, fewer with a depth say nothing of the scene
    least_measured: float = 0.05
    travel: float = 0.02                # [m] a point of a link moves between two samples, at most
    #: links that may touch the scene, each in its way; None: the fingers of the gripper
    touch: Mapping[str, TouchRule] | None = None
    carried_depth: float = 0.01         # [m] how far what is carried may be pressed in
    carried_sigma: float = 0.005        # [m] of its shape, one side of which nobody saw
    camera_check: CameraCheck = CameraCheck.REQUIRED
    camera_memory: float = 600.0        # [s] that an earlier agreement of camera and robot counts
    unseen: Unseen = Unseen.UNSURE      # what it means to go farther than this into the unknown
    #: [m] from known space, where no depth was measured or something hides the place, any link
    unseen_hidden: float = 0.03
    #: [m^3] in one piece, at least 4 cm wide, of space that is unknown for the same reasons
    unseen_hole: float = 0.000064
    unseen_hand: float = 0.05           # [m] outside of the view, the hand
    unseen_behind_hand: float = 0.05    # [m] behind the robot, the hand
    unseen_behind_arm: float = 0.1      # [m] behind the robot, other links
    unseen_outside: float = 0.2         # [m] outside of the view, other links
    #: [s] ago at most, links were where they vouch for the place; 0: only where they are now
    trail_age: float = 60.0
    #: boxes x0 y0 z0 x1 y1 z1 [m] in the base frame that are known to be free, one after the other
    known_free: tuple[tuple[float, float, float, float, float, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that would switch a rule off or turn it round."""
        _at_least_zero(self, 'near_miss', 'confidence', 'depth_sigma', 'depth_sigma_square',
                       'calibration_sigma', 'calibration_turn_sigma', 'camera_memory',
                       'mesh_sigma', 'mask_growth', 'carried_depth', 'carried_sigma',
                       'least_neighbours', 'least_measured', 'unseen_hidden', 'unseen_hole',
                       'unseen_hand', 'unseen_behind_hand', 'unseen_behind_arm', 'unseen_outside',
                       'depth_min', 'memory_age', 'trail_age')
        _above_zero(self, 'voxel', 'travel', 'depth_max')
        _at_most(self, 'depth_min', self.depth_max)
        _at_most(self, 'near_miss', REACH)       # nothing farther away is measured
        _at_most(self, 'least_neighbours', 8)
        _at_most(self, 'mask_growth', MOST_GROWTH)    # else all that is seen is the robot
        _at_most(self, 'travel', MOST_TRAVEL)
        _at_most(self, 'voxel', COARSEST)        # else what is hit is between two points
        _at_most(self, 'least_measured', 1.0)
        object.__setattr__(self, 'unseen', Unseen(self.unseen))
        object.__setattr__(self, 'camera_check', CameraCheck(self.camera_check))
        object.__setattr__(self, 'known_free', _boxes('known_free', self.known_free))
        if self.touch is not None:
            object.__setattr__(self, 'touch', MappingProxyType(dict(self.touch)))

    @property
    def scene(self) -> SceneSettings:
        """How well the scene is known."""
        return SceneSettings(**{item.name: getattr(self, item.name)
                                for item in dataclasses.fields(SceneSettings)})


class Unprobed(enum.StrEnum):
    """What it means when nobody has measured whether a world model follows actions."""

    REPORT = 'report'    # a finding that moves nothing
    UNSURE = 'unsure'    # no PASS


@dataclass(frozen=True)
class Tier2Settings:
    """When a predicted future is believed."""

    residual: float = 0.03       # [m] predicted against exact robot, median over its pixels
    moved: float = 0.03          # [m] a surface that is this far from where it was has moved
    least_area: float = 0.0008   # [m^2] smaller patches of change are noise
    reach: float = 0.05          # [m] what was this close to the robot may have been touched
    vanished: float = 0.1        # 0..1, share of its area that a touched object must show somewhere
    sigma: float = 0.01          # [m] of predicted points
    confidence: float = 2.0      # standard deviations that a decision keeps away
    spread: float = 0.05         # [m] between predictions of several seeds
    seeds: int = 1               # predictions of one motion, 1 or more
    hold_still: bool = False     # predict also what happens when the robot does not move
    #: what `kinema4d probe-model` measured of world models; None for nothing
    following_scores: FollowingScores | None = None
    least_following: float = LEAST_FOLLOWING     # 0..1, of the lower end of a score's interval
    unprobed: Unprobed = Unprobed.UNSURE    # of a model that has no score and should have one

    def __post_init__(self) -> None:
        """Refuse values that would switch a rule off or turn it round."""
        _at_least_zero(self, 'residual', 'vanished', 'sigma', 'confidence', 'spread',
                       'least_following')
        _above_zero(self, 'moved', 'least_area', 'reach', 'seeds')
        _at_most(self, 'vanished', 1.0)
        _at_most(self, 'least_following', 1.0)
        object.__setattr__(self, 'unprobed', Unprobed(self.unprobed))

    def doubts_about(self, model: WorldModel) -> tuple[Finding, ...]:
        """Return what is known against believing a model, whatever its frames show."""
        why = why_never_believed(model, self.following_scores, self.least_following)
        if why is not None:
            score = None if self.following_scores is None else self.following_scores.of(model)
            return (Finding(FindingCode.ACTION_FOLLOWING, Severity.UNSURE, why,
                            value=None if score is None else score.low,
                            limit=None if score is None else self.least_following),)
        why = why_unprobed(model, self.following_scores)
        if why is None:
            return ()
        return (Finding(FindingCode.NOT_CHECKED, Severity.UNSURE
                        if self.unprobed is Unprobed.UNSURE else Severity.INFO, why),)


@dataclass(frozen=True)
class PrecheckSettings(PicklableSettings):
    """What the precheck allows; made once from whatever names it, and handed on as it is."""

    tier0: Tier0Settings = field(default_factory=Tier0Settings)
    tier1: Tier1Settings = field(default_factory=Tier1Settings)
    tier2: Tier2Settings = field(default_factory=Tier2Settings)
    srdf: str | None = None      # text of an SRDF; the pairs of links that it disables may touch
    #: further pairs of links that may touch
    allowed_contacts: tuple[tuple[str, str], ...] = ()
    grasping: GraspSettings = field(default_factory=GraspSettings)
    #: what a simulation with dynamics may show
    physics: DynamicsRules = field(default_factory=DynamicsRules)
    #: how the robot follows commands; where there is one, the likely way is judged as well
    tracking: TrackingModel | None = None
    #: what is declared to move with links of the robot
    attached: tuple[AttachedObject, ...] = ()
    attached_doubt: str = ''     # why that is not all that is declared; '' where it is


def _at_least_zero(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not (np.isfinite(value) and value >= 0):
            raise ConfigurationError(f'{name} must be at least 0, got {value}')


def _above_zero(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not (np.isfinite(value) and value > 0):
            raise ConfigurationError(f'{name} must be more than 0, got {value}')


def _at_most(settings: object, name: str, most: float) -> None:
    if getattr(settings, name) > most:
        raise ConfigurationError(f'{name} must be at most {most:g}, got {getattr(settings, name)}')


def _check_limit(joint: str, limit: JointLimit) -> None:
    """Refuse a limit that holds nothing back, or everything."""
    for item in dataclasses.fields(limit):
        value = getattr(limit, item.name)
        if value is not None and not (np.isfinite(value) and (
                value >= 0 or item.name in ('lower', 'upper'))):
            raise ConfigurationError(
                f'the {item.name} limit of joint {joint!r} is {value}; give a number'
                + ('' if item.name in ('lower', 'upper') else ', 0 or more')
                + ', or None for none')
    if limit.lower is not None and limit.upper is not None and limit.lower > limit.upper:
        raise ConfigurationError(f'the lower limit {limit.lower} of joint {joint!r} is above its '
                                 f'upper limit {limit.upper}; swap them')


def _boxes(name: str, value: Any) -> tuple[tuple[float, ...], ...]:
    """Return boxes of 6 values each, given as boxes or one after the other."""
    flat = np.asarray(value, np.float64).ravel()
    if flat.size % 6:
        raise ConfigurationError(
            f'{name} must hold 6 values x0 y0 z0 x1 y1 z1 [m] for each box, got {flat.size}')
    return tuple(_as_box(name, box) for box in flat.reshape(-1, 6))


def _box(settings: object, name: str) -> None:
    """Make a box a tuple of floats, its smaller corner first."""
    value = getattr(settings, name)
    if value is not None:
        object.__setattr__(settings, name, _as_box(name, value))


def _as_box(name: str, value: Any) -> tuple[float, ...]:
    box = np.asarray(value, np.float64)
    if box.shape != (6,) or not np.isfinite(box).all() or np.any(box[:3] >= box[3:]):
        raise ConfigurationError(
            f'{name} must be x0 y0 z0 x1 y1 z1 [m] with the smaller corner first, got {value}')
    return tuple(map(float, box))
