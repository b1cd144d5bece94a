# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joint trajectories, and what joints are limited to."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
class StartState(Mapping[str, float]):
    """
    Where the joints are when a motion starts, and how fast they move.

    It is a mapping from joint names to positions, so it goes wherever one is wanted. Whoever has
    positions only says with a plain mapping that the robot stands still.
    """

    positions: Mapping[str, float] = field(default_factory=dict)      # [rad or m]
    #: [rad/s or m/s]; a joint that it lacks stands still, one that is NaN moves nobody knows how
    velocities: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take copies, as plain numbers."""
        for name in ('positions', 'velocities'):
            values = getattr(self, name)
            object.__setattr__(self, name, {str(key): float(values[key]) for key in values})

    @classmethod
    def of(cls, joints: Mapping[str, float]) -> StartState:
        """Return what is already one, and the state of rest at other positions."""
        return joints if isinstance(joints, cls) else cls(joints)

    def __getitem__(self, name: str) -> float:
        """Return the position of a joint [rad or m]."""
        return self.positions[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the joints whose position is known."""
        return iter(self.positions)

    def __len__(self) -> int:
        """Return of how many joints the position is known."""
        return len(self.positions)

    @property
    def of_unknown_velocity(self) -> tuple[str, ...]:
        """The joints of which nobody knows how fast they move."""
        return tuple(name for name, value in self.velocities.items() if math.isnan(value))

    @property
    def resting_where_unknown(self) -> StartState:
        """The same, with the joints of unknown velocity at rest; say so wherever it is used."""
        return StartState(self.positions, {name: value for name, value in self.velocities.items()
                                           if not math.isnan(value)})


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
