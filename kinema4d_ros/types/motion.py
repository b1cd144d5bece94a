# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joint trajectories, and what joints are limited to."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from kinema4d_ros.errors import TrajectoryError


@dataclass(frozen=True, eq=False)
class JointTrajectory:
    """
    A joint trajectory as trajectory_msgs/JointTrajectory means it, as arrays.

    Only the shapes are checked here; NaN, unordered times and unknown names are findings of the
    precheck (tier 0), which must be able to check them.
    """

    joint_names: tuple[str, ...]
    times: np.ndarray                       # (N,) float64 [s] from the start
    positions: np.ndarray                   # (N, J) float64 [rad or m]
    velocities: np.ndarray | None = None    # (N, J) float64 [rad/s or m/s]
    accelerations: np.ndarray | None = None  # (N, J) float64 [rad/s^2 or m/s^2]

    def __post_init__(self) -> None:
        """Check shapes and make the arrays read-only."""
        names = tuple(str(name) for name in self.joint_names)
        object.__setattr__(self, 'joint_names', names)
        if len(set(names)) != len(names):
            raise TrajectoryError(f'a joint is named twice: {", ".join(names)}')
        times = frozen(self.times, np.float64, (None,), 'times', TrajectoryError)
        object.__setattr__(self, 'times', times)
        for key in ('positions', 'velocities', 'accelerations'):
            value = getattr(self, key)
            if value is not None:
                value = frozen(value, np.float64, (len(times), len(names)), key, TrajectoryError)
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


def frozen(array: ArrayLike, dtype: DTypeLike, shape: tuple[int | None, ...], name: str,
           error: type[Exception]) -> np.ndarray:
    """Return a read-only C-ordered view of `array`, or raise `error` where the shape differs."""
    out = np.ascontiguousarray(array, dtype=dtype)
    if len(out.shape) != len(shape) or any(
            want is not None and want != got for want, got in zip(shape, out.shape)):
        wanted = tuple('*' if n is None else n for n in shape)
        raise error(f'{name} must have shape {wanted}, got {out.shape}')
    view = out.view()
    view.flags.writeable = False
    return view
