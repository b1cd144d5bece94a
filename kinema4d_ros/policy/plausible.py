# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Signs that a chunk does not mean what its format says, looked for before it is executed."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.policy.action_chunks import ActionReader


@dataclass(frozen=True)
class PlausibleStep:
    """
    How far actions of a right format go.

    A policy that learned from a teleoperated robot commands ahead of it: on DROID the first action
    is up to 0.3 rad and 0.1 m from the state.

    :param first_joint: [rad] of the first action from the state.
    :param first_tip: [m].
    :param first_turn: [rad] of the tip.
    :param speed: times a joint's velocity limit, from one action to the next.
    :param tip_speed: [m/s].
    :param any_speed: [rad/s or m/s] of joints that have no limit.
    """

    first_joint: float = 0.5
    first_tip: float = 0.2
    first_turn: float = 0.8
    speed: float = 1.5
    tip_speed: float = 3.0
    any_speed: float = 6.0


def why_implausible(reader: ActionReader, actions: np.ndarray, start: Mapping[str, float],
                    limits: PlausibleStep | None = None) -> str | None:
    """
    Return why a chunk is probably not of its reader's format; None where nothing says so.

    A wrong format shows in a first action that is far from the state, as with changes taken for
    positions or degrees for radians, or in steps that no arm makes. It does not show in all: a
    chunk may be small in either reading, which `Detection.why_not` tells from several.

    :param actions: (N, columns) in the policy's own numbers.
    :param start: [rad or m] by name, where the robot is, not where a plan would have it.
    :raises TrajectoryError: the chunk has not the numbers that it should.
    """
    limits = limits or PlausibleStep()
    if reader.form.tip_link:
        why = _why_of_tip(reader, actions, start, limits)
        if why is not None or not reader.form.joints:
            return why
    return _why_of_joints(reader, actions, start, limits)


_CURE = ('is the format right? `kinema4d detect-actions` looks at several chunks')


def _why_of_tip(reader: ActionReader, actions: np.ndarray, start: Mapping[str, float],
                limits: PlausibleStep) -> str | None:
    poses = reader.tip_poses(actions, start)
    moved = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turn = poses[0, :3, :3].T @ poses[1, :3, :3]
    angle = float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1.0, 1.0)))
    if moved[0] > limits.first_tip:
        return (f'the first action sends {reader.form.tip_link} {moved[0]:.2f} m from where it is '
                f'(limit {limits.first_tip:g} m): {_CURE}')
    if angle > limits.first_turn:
        return (f'the first action turns {reader.form.tip_link} by {angle:.2f} rad at once '
                f'(limit {limits.first_turn:g} rad): {_CURE}')
    fast = moved[1:] * reader.form.rate
    if len(fast) and fast.max() > limits.tip_speed:
        return (f'action {int(fast.argmax()) + 1} moves {reader.form.tip_link} at '
                f'{fast.max():.1f} m/s (limit {limits.tip_speed:g} m/s): {_CURE}')
    return None


def _why_of_joints(reader: ActionReader, actions: np.ndarray, start: Mapping[str, float],
                   limits: PlausibleStep) -> str | None:
    """Look at the joints that have columns of their own; fingers may jump."""
    names = reader.form.joints
    if not names:
        return None
    positions = reader.column_positions(actions, start)
    for name, column in zip(names, positions.T):
        if name in reader.form.absolute_joints or name in reader.form.limited_joints:
            continue
        steps = np.abs(np.diff(column))
        if steps[0] > limits.first_joint:
            return (f'the first action is {steps[0]:.2f} rad or m from where {name} is (limit '
                    f'{limits.first_joint:g}): {_CURE}')
        limit = reader.robot.limits[name].velocity
        most = limits.any_speed if limit is None else limits.speed * limit
        fast = steps[1:] * reader.form.rate
        if len(fast) and fast.max() > most:
            return (f'action {int(fast.argmax()) + 1} moves {name} at {fast.max():.1f} rad/s or '
                    f'm/s (limit {most:.1f}): {_CURE}')
    return None
