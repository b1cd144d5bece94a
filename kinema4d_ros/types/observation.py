# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is seen: cameras, views, one observation of the world."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from kinema4d_ros.errors import CameraError, ObservationError
from kinema4d_ros.types.joint_trail import JointTrail
from kinema4d_ros.types.motion import frozen, StartState
from kinema4d_ros.types.sources import frozen_joints, rebuilt, SceneSource


@dataclass(frozen=True)
class PinholeCamera:
    """A rectified pinhole camera: ``u = fx x/z + cx``, ``v = fy y/z + cy``, all in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
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
    #: (H, W) int64 [ns], when `depth` was measured there, or `image` seen where it never was; means
    #: something where `known`; None when nobody kept it
    stamp_ns: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class CameraView:
    """What one camera sees at one stamp: rectified image, and depth if it measures that."""

    image: np.ndarray                        # (H, W, 3) uint8 RGB
    depth: np.ndarray | None                 # (H, W) float32 [m] along optical z, NaN unknown
    camera: PinholeCamera
    T_base_camera: np.ndarray                # (4, 4) float64, at this stamp
    stamp_ns: int = 0
    name: str = 'camera'
    background: Background | None = None
    #: [rad or m] at this view's own stamp, where the robot is looked for in it; None for those of
    #: the observation
    joint_positions: Mapping[str, float] | None = None
    calibration_sigma: float | None = None        # [m] of its place; None for the settings' own
    calibration_turn_sigma: float | None = None   # [rad] likewise of how it is turned
    mount_link: str = ''      # the link of the robot that carries the camera; '' for one that stays

    def __post_init__(self) -> None:
        """Check sizes against the camera and freeze."""
        size = (self.camera.height, self.camera.width)
        fix = {'image': (np.uint8, (*size, 3)), 'T_base_camera': (np.float64, (4, 4))}
        if self.depth is not None:
            fix['depth'] = (np.float32, size)
        for key, (dtype, shape) in fix.items():
            value = frozen(getattr(self, key), dtype, shape, key, ObservationError)
            object.__setattr__(self, key, value)
        object.__setattr__(self, 'joint_positions', frozen_joints(self.joint_positions))
        for key in ('calibration_sigma', 'calibration_turn_sigma'):
            value = getattr(self, key)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise ObservationError(f'{key} of the camera {self.name!r} is 0 or more, or None '
                                       f'for that of the settings, got {value}')

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor, which makes arrays and mappings read-only again."""
        return rebuilt(self)


@dataclass(frozen=True, eq=False)
class Observation:
    """What is seen at one stamp: a view for each camera, and the joints."""

    stamp_ns: int
    views: tuple[CameraView, ...]
    joint_positions: Mapping[str, float] = field(default_factory=dict)   # [rad or m]
    #: [rad/s or m/s]; a joint that it lacks stands still, as in StartState
    joint_velocities: Mapping[str, float] = field(default_factory=dict)
    others: tuple[SceneSource, ...] = ()      # what is known of the scene from elsewhere
    #: cameras and sources that should be here and are not, by name, and why: verdicts name them
    left_out: Mapping[str, str] = field(default_factory=dict)
    trail: JointTrail | None = None      # where the robot has been before; None where nobody knows

    def __post_init__(self) -> None:
        """Refuse an observation that shows nothing, or two views or sources under one name."""
        object.__setattr__(self, 'views', tuple(self.views))
        object.__setattr__(self, 'others', tuple(self.others))
        for name in ('joint_positions', 'joint_velocities', 'left_out'):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        names = [view.name for view in self.views]
        if not names or len(set(names)) != len(names):
            raise ObservationError('an observation needs one view or more, each with a name of its '
                                   f'own, got {", ".join(map(repr, names)) or "none"}')
        names += [source.name for source in self.others]
        if len(set(names)) != len(names):
            raise ObservationError('the cameras and the other sources of an observation need names '
                                   f'of their own, got {", ".join(map(repr, names))}')

    @classmethod
    def from_rgbd(cls, image: np.ndarray, depth: np.ndarray | None, camera: PinholeCamera,
                  T_base_camera: np.ndarray, joint_positions: Mapping[str, float] | None = None,
                  *, stamp_ns: int = 0, background: Background | None = None) -> Observation:
        """
        Return the observation of a single camera.

        :param image: (H, W, 3) uint8 RGB, rectified.
        :param depth: (H, W) [m] along optical z, NaN unknown; None where there is no depth camera.
        :param T_base_camera: (4, 4), camera (optical frame) to the root link.
        :param joint_positions: [rad or m] by joint name.
        :raises ObservationError: the sizes contradict the camera.
        """
        view = CameraView(image, depth, camera, T_base_camera, stamp_ns, background=background)
        return cls(stamp_ns, (view,), joint_positions or {})

    @property
    def start(self) -> StartState:
        """The joints at the stamp, as what a motion starts from."""
        return StartState(self.joint_positions, self.joint_velocities)

    @property
    def view(self) -> CameraView:
        """
        The view of an observation that has one.

        :raises ObservationError: there are several, so that somebody must say which.
        """
        if len(self.views) != 1:
            raise ObservationError(f'this works with one camera, the observation is of '
                                   f'{", ".join(view.name for view in self.views)}')
        return self.views[0]

    @property
    def primary(self) -> CameraView:
        """The first view: the one that models predict which know one camera only."""
        return self.views[0]

    @property
    def has_depth(self) -> bool:
        """Whether any view measures depth."""
        return any(view.depth is not None for view in self.views)

    def joints_of(self, view: CameraView) -> Mapping[str, float]:
        """Return the joints when a view was taken [rad or m]: its own, or the observation's."""
        return self.joint_positions if view.joint_positions is None else view.joint_positions

    def with_view(self, name: str = '', /, **changes: Any) -> Observation:
        """
        Return it with fields of one view replaced.

        :param name: of the view; '' for the only one.
        :raises ObservationError: there is no such view, or several and none is named.
        """
        chosen = self._named(name) if name else self.view
        return dataclasses.replace(self, views=tuple(
            dataclasses.replace(view, **changes) if view is chosen else view
            for view in self.views))

    def of(self, name: str) -> Observation:
        """
        Return it as one camera alone sees it, without sources from elsewhere.

        :raises ObservationError: there is no such view.
        """
        return dataclasses.replace(self, views=(self._named(name),), others=())

    def without(self, name: str, why: str) -> Observation:
        """
        Return it without one of its views or other sources; `left_out` says why.

        :param why: to be read after the name: 'is late: 0.8 s old'.
        :raises ObservationError: there is nothing of that name, or it is the last view.
        """
        views = tuple(view for view in self.views if view.name != name)
        others = tuple(source for source in self.others if source.name != name)
        if len(views) == len(self.views) and len(others) == len(self.others):
            self._named(name)
        if not views:
            raise ObservationError(f'{name!r} is the last camera of the observation; without one '
                                   'there is nothing to judge by')
        return dataclasses.replace(self, views=views, others=others,
                                   left_out={**self.left_out, name: why})

    def _named(self, name: str) -> CameraView:
        for view in self.views:
            if view.name == name:
                return view
        raise ObservationError(f'no camera {name!r} in the observation, which is of '
                               f'{", ".join(view.name for view in self.views)}')

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor: read-only mappings are not pickled."""
        return rebuilt(self)
