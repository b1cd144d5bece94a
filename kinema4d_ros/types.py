# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The vocabulary of the package: small frozen dataclasses and enums. Read this file first.

Conventions, everywhere in the package:

* SI units and REP-103 axes; angles in rad. Times are seconds from the start of a trajectory.
* ``T_a_b`` is a ``(4, 4) float64`` homogeneous transform that maps coordinates in frame b to
  frame a: ``p_a = T_a_b @ p_b``.
* ``base`` is the root link of the URDF. ``camera`` is the camera's *optical* frame
  (x right, y down, z forward; REP-103 suffix ``_optical``).
* Images are ``(H, W, C)``, pointmaps ``(T, H, W, 3) float32`` metres in the camera frame, NaN
  where nothing is known. Pixel (0, 0) is the *centre* of the upper left pixel.
* Arrays held by these classes are read-only views; copy before writing.
"""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from kinema4d_ros.errors import CameraError, ObservationError, TrajectoryError, VerdictError


def _frozen(array, dtype, shape: tuple, name: str, error: type[Exception]) -> np.ndarray:
    """Return a read-only C-ordered view of `array`, or raise `error` where the shape differs."""
    out = np.ascontiguousarray(array, dtype=dtype)
    if len(out.shape) != len(shape) or any(
            want is not None and want != got for want, got in zip(shape, out.shape)):
        want = tuple('*' if n is None else n for n in shape)
        raise error(f'{name} must have shape {want}, got {out.shape}')
    view = out.view()
    view.flags.writeable = False
    return view


# --------------------------------------------------------------------------- motion

@dataclass(frozen=True, eq=False)
class JointTrajectory:
    """
    A joint trajectory as trajectory_msgs/JointTrajectory means it, as arrays.

    Only the shapes are checked here; NaN, unordered times and unknown names are findings of the
    precheck (tier 0), which must be able to look at them.
    """

    joint_names: tuple[str, ...]
    times: np.ndarray                       # (N,) float64 [s] from the start
    positions: np.ndarray                   # (N, J) float64 [rad or m]
    velocities: np.ndarray | None = None    # (N, J) float64 [rad/s or m/s]
    accelerations: np.ndarray | None = None  # (N, J) float64 [rad/s^2 or m/s^2]

    def __post_init__(self):
        """Check shapes and make the arrays read-only."""
        names = tuple(str(name) for name in self.joint_names)
        object.__setattr__(self, 'joint_names', names)
        if len(set(names)) != len(names):
            raise TrajectoryError(f'a joint is named twice: {", ".join(names)}')
        times = _frozen(self.times, np.float64, (None,), 'times', TrajectoryError)
        object.__setattr__(self, 'times', times)
        for key in ('positions', 'velocities', 'accelerations'):
            value = getattr(self, key)
            if value is not None:
                value = _frozen(value, np.float64, (len(times), len(names)), key, TrajectoryError)
                object.__setattr__(self, key, value)
        if self.positions is None:
            raise TrajectoryError('a trajectory needs positions')

    @property
    def duration(self) -> float:
        """Time of the last point [s]; 0.0 for an empty trajectory."""
        return float(self.times[-1]) if len(self.times) else 0.0


@dataclass(frozen=True)
class JointLimit:
    """Limits of one joint; None where the robot does not state one."""

    lower: float | None = None          # [rad or m]
    upper: float | None = None          # [rad or m]
    velocity: float | None = None       # [rad/s or m/s]
    acceleration: float | None = None   # [rad/s^2 or m/s^2]
    jerk: float | None = None           # [rad/s^3 or m/s^3]
    effort: float | None = None         # [N m or N]


# --------------------------------------------------------------------------- seeing

@dataclass(frozen=True)
class PinholeCamera:
    """A rectified pinhole camera: ``u = fx x/z + cx``, ``v = fy y/z + cy``, all in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self):
        """Refuse a camera that cannot project."""
        values = (self.fx, self.fy, self.cx, self.cy)
        if self.width < 1 or self.height < 1 or not np.all(np.isfinite(values)) \
                or self.fx <= 0 or self.fy <= 0:
            raise CameraError(f'not a usable pinhole camera (is it calibrated?): {self}')

    @property
    def K(self) -> np.ndarray:  # noqa: N802 - the field calls it K
        """Intrinsic matrix, (3, 3) float64 [px]."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def resized(self, width: int, height: int) -> PinholeCamera:
        """Return the camera of this image resized to width x height."""
        sx, sy = width / self.width, height / self.height
        return PinholeCamera(width, height, self.fx * sx, self.fy * sy,
                             (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5)

    def cropped(self, x: int, y: int, width: int, height: int) -> PinholeCamera:
        """Return the camera of the window (x, y, width, height); it may reach outside (padding)."""
        return dataclasses.replace(self, width=width, height=height,
                                   cx=self.cx - x, cy=self.cy - y)

    def rays(self) -> np.ndarray:
        """Return the ray of each pixel with z = 1, (H, W, 3) float32; times depth = pointmap."""
        u = (np.arange(self.width, dtype=np.float64) - self.cx) / self.fx
        v = (np.arange(self.height, dtype=np.float64) - self.cy) / self.fy
        rays = np.ones((self.height, self.width, 3), np.float32)
        rays[..., 0], rays[..., 1] = u[None, :], v[:, None]
        return rays


@dataclass(frozen=True, eq=False)
class Background:
    """What is known of the scene without the robot, remembered over earlier frames."""

    image: np.ndarray    # (H, W, 3) uint8
    depth: np.ndarray    # (H, W) float32 [m], NaN unknown
    known: np.ndarray    # (H, W) bool, where `image` has ever been seen without the robot


@dataclass(frozen=True, eq=False)
class Observation:
    """One look at the world at one stamp: rectified image, depth if there is one, joints."""

    stamp_ns: int
    image: np.ndarray                        # (H, W, 3) uint8 RGB
    depth: np.ndarray | None                 # (H, W) float32 [m] along optical z, NaN unknown
    camera: PinholeCamera
    T_base_camera: np.ndarray                # (4, 4) float64, at this stamp
    joint_positions: Mapping[str, float] = field(default_factory=dict)   # [rad or m]
    background: Background | None = None

    def __post_init__(self):
        """Check sizes against the camera and freeze."""
        size = (self.camera.height, self.camera.width)
        fix = {'image': (np.uint8, (*size, 3)), 'T_base_camera': (np.float64, (4, 4))}
        if self.depth is not None:
            fix['depth'] = (np.float32, size)
        for key, (dtype, shape) in fix.items():
            value = _frozen(getattr(self, key), dtype, shape, key, ObservationError)
            object.__setattr__(self, key, value)
        object.__setattr__(self, 'joint_positions', MappingProxyType(dict(self.joint_positions)))


# --------------------------------------------------------------------------- the future

@dataclass(frozen=True)
class Gripper:
    """
    Which links are fingers, and which joints drive them; what the world models grasp with.

    `finger_boxes` bounds each finger link's mesh in its link frame: ((x, y, z) lowest corner,
    (x, y, z) highest corner) [m], in order of `finger_links`, None for a link without a mesh;
    empty when the meshes are unknown.
    """

    palm_link: str
    finger_links: tuple[str, ...]
    finger_joints: tuple[str, ...]
    finger_boxes: tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, ...] = ()


@dataclass(frozen=True, eq=False)
class RobotRollout:
    """The exact part of the future: the robot at T frames, and how the camera would see it."""

    times: np.ndarray             # (T,) float64 [s] from the start of the trajectory
    joint_names: tuple[str, ...]
    positions: np.ndarray         # (T, J) float64 [rad or m]
    link_names: tuple[str, ...]
    T_base_link: np.ndarray       # (T, L, 4, 4) float64
    camera: PinholeCamera
    T_base_camera: np.ndarray     # (T, 4, 4) float64; constant unless the camera moves
    pointmap: np.ndarray          # (T, H, W, 3) float32 [m] camera frame, NaN where no robot
    link_id: np.ndarray           # (T, H, W) int16, index into link_names, -1 where no robot
    image: np.ndarray             # (T, H, W, 3) uint8, shaded robot, black elsewhere
    gripper: Gripper | None = None

    @property
    def mask(self) -> np.ndarray:
        """Occupancy of the robot, (T, H, W) bool."""
        return self.link_id >= 0


class EventKind(enum.StrEnum):
    """What a world model says happens to the world; names are those of FindingCode."""

    GRASP = 'grasp'                          # the fingers closed on something, which now follows
    CLOSED_ON_NOTHING = 'closed_on_nothing'  # the fingers closed and nothing was between them
    RELEASE = 'release'                      # what was held is let go
    REST = 'rest'                            # what was released came to rest
    NO_DEPTH = 'no_depth'                    # without depth the model cannot tell what moves
    UNSEEN_SPACE = 'unseen_space'            # the fingers close where the camera saw nothing


@dataclass(frozen=True, eq=False)
class WorldEvent:
    """One thing that happens to the world in a predicted future."""

    kind: EventKind
    time: float                    # [s] from the start of the trajectory
    point_base: np.ndarray | None  # (3,) float64 [m], base frame; where it happens, if anywhere
    message: str                   # one sentence for people


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """One frame of a predicted future, in the camera of the robot rollout."""

    index: int
    count: int
    time: float                    # [s] from the start of the trajectory
    image: np.ndarray              # (H, W, 3) uint8
    pointmap: np.ndarray           # (H, W, 3) float32 [m] camera frame, NaN unknown
    robot_mask: np.ndarray         # (H, W) bool, pixels that show the robot
    events: tuple[WorldEvent, ...] = ()          # events that happen at this frame
    carried_point_base: np.ndarray | None = None  # (3,) [m] centre of what was moved, once known
    pointmap_sigma: np.ndarray | None = None      # (H, W) float32 [m], 1 sigma per axis, if known
    action_following: float | None = None         # [m] generated robot against the exact one


Report = Callable[[str, int, int], None]
"""
``report(stage, step, total)``: told by whoever works long, from the thread that does the work.

It raises PredictionCancelled when the work is to stop; whoever is asked lets that pass through.
"""


def silent(stage: str, step: int, total: int) -> None:
    """Report to nobody and never cancel."""


# --------------------------------------------------------------------------- the verdict

class Status(enum.IntEnum):
    """The decision; same numbers as msg/Verdict."""

    PASS = 0
    FAIL = 1
    UNSURE = 2


class Severity(enum.IntEnum):
    """How a finding moves the verdict; same numbers as msg/Finding."""

    INFO = 0     # told, moves nothing
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
    CONTACT = 40
    NEAR_MISS = 41
    UNSEEN_SPACE = 42
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
    #: how near the robot comes to the scene over time, at N times; all empty when not measured
    clearance_times: tuple[float, ...] = ()       # (N,) [s]
    clearances: tuple[float, ...] = ()            # (N,) [m] smallest distance, negative inside
    clearance_sigmas: tuple[float, ...] = ()      # (N,) [m] their standard deviations
    clearance_links: tuple[str, ...] = ()         # (N,) links that are that near
    clearance_points_base: tuple[tuple[float, float, float], ...] = ()   # (N, 3) [m] scene
    clearance_robot_points_base: tuple[tuple[float, float, float], ...] = ()   # (N, 3) [m] robot

    def __post_init__(self):
        """Take arrays for the tuples, and refuse a timeline whose parts differ in length."""
        for key in ('clearance_times', 'clearances', 'clearance_sigmas'):
            object.__setattr__(self, key, tuple(map(float, getattr(self, key))))
        for key in ('clearance_points_base', 'clearance_robot_points_base'):
            points = tuple(tuple(map(float, point)) for point in getattr(self, key))
            object.__setattr__(self, key, points)
        object.__setattr__(self, 'clearance_links', tuple(map(str, self.clearance_links)))
        lengths = {key: len(getattr(self, key)) for key in CLEARANCE_FIELDS}
        if len(set(lengths.values())) > 1:
            raise VerdictError(f'the parts of the clearance timeline differ in length: {lengths}')


#: the parallel fields of a Verdict that make up its clearance timeline
CLEARANCE_FIELDS = ('clearance_times', 'clearances', 'clearance_sigmas', 'clearance_links',
                    'clearance_points_base', 'clearance_robot_points_base')
