# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The path from now on, where a chunk of actions comes while the one before it is still executed.

Real-time chunking asks for the next chunk ahead of time: its row i belongs to the time of the
observation plus i + 1 periods, the client goes on with the old chunk until it has the new one, and
may blend over. What the robot then does is neither chunk from its own start, so neither is judged.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import TrajectoryError
from kinema4d_ros.types import JointTrajectory

_SAME = 1e-6        # [s] two points that are nearer are one


@dataclass(frozen=True)
class UnderWay:
    """A path that a client was given; it holds its last point."""

    trajectory: JointTrajectory
    begun: float                        # [s] steady time of the trajectory's time 0

    def at(self, times: np.ndarray, names: tuple[str, ...] | None = None) -> np.ndarray:
        """
        Return the positions at steady times (T,) [s], (T, J) [rad or m], linear in between.

        :param names: of the joints wanted; None for its own.
        :raises TrajectoryError: it does not have one of them.
        """
        mine = self.trajectory.joint_names
        if names is not None and (missing := set(names) - set(mine)):
            raise TrajectoryError(f'the chunk moves {", ".join(sorted(missing))}, the one before '
                                  f'it only {", ".join(mine)}')
        since = np.asarray(times, np.float64) - self.begun
        columns = [mine.index(name) for name in names or mine]
        return np.stack([np.interp(since, self.trajectory.times, self.trajectory.positions[:, one])
                         for one in columns], axis=1)

    @property
    def end(self) -> float:
        """Steady time of its last point [s]."""
        return self.begun + self.trajectory.duration


def splice(old: UnderWay | None, new: UnderWay, *, now: float, handover: float,
           blend: float = 0.0) -> JointTrajectory:
    """
    Return what will be commanded from `now` on, its times counted from there.

    No point is at time 0: the way from where the robot is to the first point is the controller's.

    :param old: what is executed; None for nothing, then rows of `new` that lie in the past are
        left out and no others.
    :param new: times from the observation on (overlapping) or from `now` on (one after the other).
    :param handover: steady time from which the client takes the new chunk [s].
    :param blend: [s] from there in which it goes over from the one to the other, linearly.
    :raises TrajectoryError: the new one moves other joints, or nothing of the new one lies ahead.
    """
    switch = max(handover, now)
    ahead = new.begun + new.trajectory.times
    ahead = ahead[ahead > switch + _SAME]
    if not len(ahead):
        raise TrajectoryError(
            f'all {len(new.trajectory.times) - 1} actions of the chunk are over by the time that '
            'they would be executed: the policy is slower than its chunk is long')
    positions = new.at(ahead)
    if old is not None:
        names = new.trajectory.joint_names
        weights = np.clip((ahead - switch) / blend, 0.0, 1.0)[:, None] if blend > 0 else 1.0
        positions = weights * positions + (1.0 - weights) * old.at(ahead, names)
        before = old.begun + old.trajectory.times
        before = before[(before > now + _SAME) & (before < switch - _SAME)]
        if switch > now + _SAME:
            before = np.append(before, switch)
        positions = np.concatenate([old.at(before, names), positions]) if len(before) else positions
        ahead = np.concatenate([before, ahead])
    return JointTrajectory(new.trajectory.joint_names, ahead - now, positions)
