# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How a robot follows what it is commanded: late, lagging, and not quite as far.

For each joint, the command comes `delay` later, is followed with a first-order lag, and of the way
from the start a share `gain` is covered. What this does not explain is the `sigma` of the joint. It
is a model of the loop between command and measurement as a whole, fitted to recordings
(`fit_tracking`), not of its parts.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.robot.trajectory import SampledMotion
from kinema4d_ros.serialization import from_plain, PlainError, to_plain
from kinema4d_ros.types import StartState

_SETTLED = 4.0     # lags after which less than 2 % of the way is left


@dataclass(frozen=True)
class JointTracking:
    """How one joint follows its command."""

    gain: float = 1.0      # share of the way from the start that is covered
    delay: float = 0.0     # [s] before anything happens
    lag: float = 0.0       # [s] time constant of a first-order lag
    sigma: float = 0.0     # [rad or m] of what is left: 95 % are within 1.96 of it

    def __post_init__(self) -> None:
        """Refuse what no robot does."""
        values = np.array([self.gain, self.delay, self.lag, self.sigma])
        if not np.isfinite(values).all() or self.gain <= 0 or (values[1:] < 0).any():
            raise ConfigurationError(
                f'tracking: gain must be above 0, delay, lag and sigma at least 0, got {self}')


@dataclass(frozen=True)
class TrackingModel:
    """How the joints of a robot follow; one that it lacks follows exactly."""

    joints: Mapping[str, JointTracking] = field(default_factory=dict)
    source: str = ''       # what it was fitted to, for people

    def __post_init__(self) -> None:
        """Keep a dict of its own, so that it can be pickled."""
        object.__setattr__(self, 'joints', dict(self.joints))

    @property
    def settling_time(self) -> float:
        """How long after its last command a robot still moves [s]."""
        return max((joint.delay + _SETTLED * joint.lag for joint in self.joints.values()),
                   default=0.0)

    def sigmas(self, names: Iterable[str]) -> np.ndarray:
        """Return the sigma of each of these joints, (J,) [rad or m]; 0 of those it lacks."""
        exact = JointTracking()
        return np.array([self.joints.get(name, exact).sigma for name in names])

    def executed(self, commanded: SampledMotion, start: Mapping[str, float]) -> SampledMotion:
        """
        Return the motion that a robot is likely to make of a commanded one.

        What was commanded before is not known: the joints are taken to go on as fast as they are
        until the first command reaches them.

        :param commanded: at evenly spaced times from 0.
        :param start: joints where the motion starts [rad or m], with velocities where it is a
            StartState.
        """
        start = StartState.of(start)
        positions = np.array(commanded.positions)
        for column, name in enumerate(commanded.joint_names):
            joint = self.joints.get(name)
            if joint is not None and len(commanded.times) > 1:
                first = start.get(name, float(positions[0, column]))
                positions[:, column] = follow(
                    commanded.times, positions[:, column], first,
                    start.velocities.get(name, 0.0), joint)
        velocities = np.gradient(positions, commanded.times, axis=0) if len(positions) > 1 \
            else np.zeros_like(positions)
        return dataclasses.replace(commanded, positions=positions, velocities=velocities,
                                   accelerations=np.zeros_like(positions))

    def save(self, path: str | Path) -> None:
        """Write it to a YAML file."""
        Path(path).write_text(yaml.safe_dump(to_plain(self), sort_keys=False), encoding='utf-8')

    @classmethod
    def load(cls, path: str | Path) -> TrackingModel:
        """
        Return the model in a YAML file, as `kinema4d fit-tracking` writes them.

        :raises ConfigurationError: it cannot be read; the message says why.
        """
        try:
            text = Path(path).expanduser().read_text(encoding='utf-8')
            return from_plain(cls, yaml.safe_load(text), str(path))
        except OSError as error:
            raise ConfigurationError(f'tracking model {path} cannot be read: {error.strerror}; '
                                     '`kinema4d fit-tracking` makes one') from error
        except (PlainError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(
                f'tracking model {path} is not one that `kinema4d fit-tracking` wrote: '
                f'{error}') from error


def follow(times: np.ndarray, command: np.ndarray, start: np.ndarray | float,
           velocity: np.ndarray | float, joint: JointTracking) -> np.ndarray:
    """
    Return where a joint goes, of the shape of `command`.

    The lag is exact for a command that is linear between the samples.

    :param times: (T,) [s] from 0, evenly spaced.
    :param command: (T, ...) [rad or m]; what comes after the first axis are motions of their own.
    :param start: (...) measured position at 0 [rad or m].
    :param velocity: (...) measured velocity at 0.
    """
    start, velocity = np.asarray(start, np.float64), np.asarray(velocity, np.float64)
    step = times[1] - times[0]
    at = np.clip((times - joint.delay) / step, 0, len(times) - 1)
    knot = np.minimum(at.astype(int), len(times) - 2)
    share = (at - knot).reshape(-1, *(1,) * (command.ndim - 1))
    late = (1 - share) * command[knot] + share * command[knot + 1]
    # Until the first command comes, the joint goes on: what it followed was ahead of it by a lag.
    before = times < joint.delay
    ahead = (times[before].reshape(-1, *(1,) * (command.ndim - 1)) + joint.lag)
    late[before] = start + velocity / joint.gain * ahead
    out = np.empty_like(late)
    out[0] = start
    if joint.lag > 0:
        kept = np.exp(-step / joint.lag)
        ramp = 1 - joint.lag / step * (1 - kept)
        drive = (1 - kept) * late[:-1] + np.diff(late, axis=0) * ramp
        for i, driven in enumerate(drive):
            out[i + 1] = kept * out[i] + driven
    else:
        out[1:] = late[1:]
    moved: np.ndarray = start + joint.gain * (out - start)
    return moved
