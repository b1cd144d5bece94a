# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Entries of recorded episodes: they hold what was seen when their trajectory was executed."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import LedgerError
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
from kinema4d_ros.ledger.comparison import Comparer
from kinema4d_ros.ledger.entry import LedgerEntry, Origin
from kinema4d_ros.ledger.joints import JointHistory
from kinema4d_ros.ledger.limits import LedgerLimits
from kinema4d_ros.ledger.motions import PredictedMotion, SeenMotion
from kinema4d_ros.precheck import PrecheckSettings

_LEAST_SHARE = 0.9      # of the trajectory that a recording must show


class EpisodeComparer:
    """
    Judges the trajectories of episodes, and compares with what their recordings show then.

    One thread owns it; `close` it.
    """

    def __init__(self, settings: PrecheckSettings | None = None,
                 limits: LedgerLimits = LedgerLimits(),
                 package_paths: Sequence[str | Path] = ()):
        """
        Make one that has loaded no robot yet.

        :param settings: to judge by; None for the defaults.
        :param package_paths: folders to look for mesh packages in.
        """
        self._judge = EpisodePrechecker(settings, package_paths)
        self._settings, self._limits = settings, limits
        self._comparers: dict[str, Comparer] = {}       # by robot description

    def close(self) -> None:
        """Let go of the robots."""
        for comparer in self._comparers.values():
            comparer.close()
        self._comparers.clear()

    def comparer(self, episode: Episode) -> Comparer:
        """Return what compares motions of the episode's robot."""
        text = episode.robot_description
        if text not in self._comparers:
            self._comparers[text] = Comparer(self._judge.simulator(episode).robot, self._settings,
                                             self._limits)
        return self._comparers[text]

    def judged(self, episode: Episode) -> PredictedMotion:
        """Return the motion of an episode as it is judged, whatever came of it."""
        return PredictedMotion(episode.observation(), episode.trajectory,
                               self._judge.verdict(episode), rollout_id=Path(episode.path).stem)

    def __call__(self, path: str | Path) -> LedgerEntry:
        """
        Return the entry of an episode, with the time at which it was recorded.

        :raises EpisodeError: the file cannot be read.
        :raises LedgerError: it does not show how its trajectory ended.
        """
        episode = Episode.open(path)
        motion, seen = self.judged(episode), seen_in(episode)
        metadata = episode.metadata
        return self.comparer(episode).compare(
            motion, seen, origin=Origin.RECORDED, kind=metadata.kind, task=metadata.suite,
            success=metadata.success, time_ns=episode.trajectory_stamp_ns)


def seen_in(episode: Episode) -> SeenMotion:
    """
    Return what a recording shows of the execution of its trajectory.

    :raises LedgerError: it ends before the trajectory does.
    """
    end = float(episode.frames.times[-1])
    if end < _LEAST_SHARE * episode.trajectory.duration:
        raise LedgerError(f'{episode.path} ends {end:.1f} s after its trajectory begins, which '
                          f'takes {episode.trajectory.duration:.1f} s: it does not show how that '
                          'ends')
    history = JointHistory()
    times, names, positions = episode.joint_states
    for time, row in zip(times, positions):
        if 0.0 <= time <= end and np.isfinite(row).all():
            history.add(float(time), dict(zip(names, row.tolist())))
    return SeenMotion(history, episode.observation(
        len(episode.frames) - 1 - episode.start_index))
