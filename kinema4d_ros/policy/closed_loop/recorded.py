# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two policies that look at nothing: what was recorded, and standing still."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.policy.action_format import ActionFormat
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.robot import Robot, sample_trajectory

_RATE = 20.0        # [Hz]
_CHUNK = 8          # actions


class RecordedPolicy:
    """Plays the motion of an episode, chunk by chunk, and is done then: the one that was right."""

    def __init__(self, episode: Episode, robot: Robot, *, rate: float = _RATE,
                 chunk: int = _CHUNK) -> None:
        """
        Sample the motion.

        :param rate: [Hz] of its actions.
        :param chunk: actions of an answer.
        """
        trajectory = episode.trajectory
        self.action_format = ActionFormat(rate, robot.joint_names)
        count = int(np.ceil(trajectory.duration * rate - 1e-6))
        times = np.minimum(np.arange(1, count + 1) / rate, trajectory.duration)
        self._actions = sample_trajectory(trajectory, robot, times,
                                          episode.observation().start).positions
        self._chunk, self._next = chunk, 0

    def reset(self, instruction: str, seed: int) -> None:
        """Begin anew."""
        self._next = 0

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """Return the actions from now on, none at the end."""
        first = round(observation.time * self.action_format.rate)
        return self._actions[first:first + self._chunk]


class StillPolicy:
    """Stands still until time is up: what any other must beat."""

    def __init__(self, robot: Robot, *, rate: float = _RATE, chunk: int = _CHUNK) -> None:
        """
        Make it.

        :param rate: [Hz] of its actions.
        :param chunk: actions of an answer.
        """
        self.action_format, self._chunk = ActionFormat(rate, robot.joint_names), chunk

    def reset(self, instruction: str, seed: int) -> None:
        """Do nothing."""

    def act(self, observation: PolicyObservation) -> np.ndarray:
        """Return where the joints are, again and again."""
        here = [observation.joint_positions[name] for name in self.action_format.joints]
        return np.repeat(np.array(here)[None], self._chunk, axis=0)
