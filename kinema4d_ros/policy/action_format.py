# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the columns of a policy's actions mean."""
from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.errors import ConfigurationError

_PLACES = (6, 7)        # columns of a place: x y z and a rotation vector or a quaternion


class Reference(enum.StrEnum):
    """What the numbers of an action are added to."""

    ABSOLUTE = 'absolute'    # to nothing
    START = 'start'          # to the state in which the chunk begins
    PREVIOUS = 'previous'    # to what the action before it commands


@dataclass(frozen=True)
class GripperColumn:
    """
    A column that says how far a gripper opens, in the policy's own numbers.

    :param column: of the action as the policy answers it; a negative one counts from its end.
    :param open: the number that opens it.
    :param closed: the number that closes it.
    :param joints: name of the robot -> where it is when open, and when closed [rad or m].
    :param threshold: numbers on the closed side of it close the gripper, others open it, as the
        clients of many robots have it; None: it goes as far as the number says.
    """

    column: int
    open: float
    closed: float
    joints: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if self.open == self.closed or not np.isfinite((self.open, self.closed)).all():
            raise ConfigurationError(f'a gripper that is open at {self.open} and closed at '
                                     f'{self.closed} cannot be told to move')
        low, high = sorted((self.open, self.closed))
        if self.threshold is not None and not low < self.threshold < high:
            raise ConfigurationError(f'the threshold of a gripper, {self.threshold}, must lie '
                                     f'between {low} and {high}')

    def positions(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the numbers (N,) tell each joint [rad or m], each (N,)."""
        if self.threshold is None:
            part = np.clip((numbers - self.open) / (self.closed - self.open), 0.0, 1.0)
        else:
            part = ((numbers > self.threshold) == (self.closed > self.open)).astype(np.float64)
        return {name: opened + part * (closed - opened)
                for name, (opened, closed) in self.joints.items()}


@dataclass(frozen=True)
class VelocityResponse:
    """
    How a robot answers to commanded velocities; `fit_velocity_response` finds it.

    :param gain: [1] part of a commanded velocity that is driven.
    :param delay: [s] from a command to the motion.
    :param residual: [rad/s] root mean square of what they leave of the joints' velocity; NaN where
        nobody measured it.
    """

    gain: float = 1.0
    delay: float = 0.0
    residual: float = float('nan')

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if not (np.isfinite(self.gain) and self.gain > 0):
            raise ConfigurationError(f'gain must be more than 0, got {self.gain}')
        if not (np.isfinite(self.delay) and self.delay >= 0):
            raise ConfigurationError(f'delay must be at least 0 s, got {self.delay}')


@dataclass(frozen=True)
class ActionFormat:
    """
    What the columns of a policy's actions mean.

    Without `tip_link`: a position, or its change, of each of `joints`. With it: the place of that
    link in the base frame (x y z, then a rotation vector, roll pitch yaw, or a quaternion x y z w),
    or how that changes; after it come the columns of `joints`, usually the fingers. Columns of
    `grippers` may stand anywhere, and the others keep their order without them.

    The numbers are in SI units, or become so by `clip`, then `scale`, then `offset`.
    """

    rate: float                             # [Hz] actions per second
    joints: tuple[str, ...]
    reference: Reference = Reference.ABSOLUTE
    absolute_joints: tuple[str, ...] = ()   # of `joints`, that are absolute in any case
    #: that go as fast as they may where the policy asks for more, as grippers do, and clients of
    #: an arm that clip velocities: of the joints, or of those that move `tip_link`
    limited_joints: tuple[str, ...] = ()
    tip_link: str = ''
    in_tip_frame: bool = False              # changes of place are along the tip's own axes
    rpy: bool = False                       # 3 columns of rotation are roll, pitch, yaw
    grippers: tuple[GripperColumn, ...] = ()
    #: lowest and highest number that the client sends on, of all columns but those of grippers
    clip: tuple[float, float] | None = None
    #: SI units per number: one of all columns but those of grippers, or one each
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()          # [SI] added after scaling
    #: the numbers are velocities [rad/s or m/s] that begin at the state and are followed like this
    velocity: VelocityResponse | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        object.__setattr__(self, 'reference', Reference(self.reference))
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ConfigurationError(f'rate must be more than 0 Hz, got {self.rate}')
        if len(set(self.joints)) != len(self.joints):
            raise ConfigurationError(f'a joint is named twice: {", ".join(self.joints)}')
        fingers = tuple(name for gripper in self.grippers for name in gripper.joints)
        if both := sorted(set(self.joints) & set(fingers)):
            raise ConfigurationError(f'{", ".join(both)} have a column of their own and one of a '
                                     'gripper; take them out of joints')
        for key, of in (('absolute_joints', self.joints), ('limited_joints',
                                                           self.joints + fingers)):
            strange = sorted(set(getattr(self, key)) - set(of))
            if strange and not (self.tip_link and key == 'limited_joints'):   # the reader checks
                raise ConfigurationError(f'{key} {", ".join(strange)} are not among joints '
                                         f'{", ".join(of)}')
        fits = min(self._any_widths)
        for gripper in self.grippers:
            if not -fits <= gripper.column < fits:
                raise ConfigurationError(
                    f'a gripper has column {gripper.column} of actions of '
                    f'{" or ".join(map(str, self._any_widths))} columns; -1 is the last')
        if self.velocity is not None and self.reference is not Reference.ABSOLUTE:
            raise ConfigurationError(f'velocities are added to the state; reference '
                                     f'{self.reference.value} says otherwise, leave it out')
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ConfigurationError(f'clip must go from low to high, got {self.clip}')
        for key in ('scale', 'offset'):
            values = getattr(self, key)
            if not np.isfinite(values).all() or (key == 'scale' and 0.0 in values):
                raise ConfigurationError(f'{key} {values} must be finite'
                                         + (', and not 0' if key == 'scale' else ''))
            wide = tuple(width - len(self.grippers) for width in self._any_widths)
            if len(values) > 1 and len(values) not in wide:
                raise ConfigurationError(f'{key} has {len(values)} values; it must have one, or '
                                         f'one for each of {" or ".join(map(str, wide))} columns')
        if not self.widths:
            raise ConfigurationError(f'scale has {len(self.scale)} values and offset '
                                     f'{len(self.offset)}; they must have as many, or one')

    @property
    def widths(self) -> tuple[int, ...]:
        """How many columns an action may have; scales and offsets of each column leave one."""
        told = {len(values) for values in (self.scale, self.offset) if len(values) > 1}
        return tuple(width for width in self._any_widths
                     if told <= {width - len(self.grippers)})

    @property
    def _any_widths(self) -> tuple[int, ...]:
        wide = len(self.joints) + len(self.grippers)
        if not self.tip_link:
            return (wide,)
        return (wide + 6,) if self.rpy else tuple(wide + place for place in _PLACES)

    def clipped(self, actions: np.ndarray) -> np.ndarray:
        """
        Return the actions as a client sends them on that has `clip`; the same array if it has none.

        :param actions: (N, one of `widths`) as the policy answers them.
        """
        if self.clip is None:
            return actions
        out = np.clip(actions, *self.clip)
        places = [gripper.column % actions.shape[1] for gripper in self.grippers]
        out[:, places] = actions[:, places]
        return actions if np.array_equal(out, actions) else out

    def split(self, actions: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """
        Return the columns of arm and `joints` in SI units, and positions of gripper joints.

        :param actions: (N, one of `widths`) as the policy answers them.
        :return: (N, columns without those of grippers); name of a joint -> (N,) [rad or m].
        """
        places = [gripper.column % actions.shape[1] for gripper in self.grippers]
        arm = np.delete(self.clipped(actions), places, axis=1)
        if self.scale:
            arm = arm * np.asarray(self.scale)
        if self.offset:
            arm = arm + np.asarray(self.offset)
        fingers: dict[str, np.ndarray] = {}
        for gripper, place in zip(self.grippers, places):
            fingers |= gripper.positions(actions[:, place])
        return arm, fingers
