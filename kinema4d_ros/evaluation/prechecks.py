# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The verdict on a recorded trajectory, next to what its execution did."""
from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.robot import Robot
from kinema4d_ros.shadow import ShadowSimulator
from kinema4d_ros.types import Finding, Severity, Status
from kinema4d_ros.world_model import create

_DISTURBED = 0.001        # [m] an object that moved by this was pushed; resting ones stay within
_TURNED = np.radians(1.0)   # or turned by this


@dataclass(frozen=True)
class PrecheckRow:
    """One episode: what was said before, and what happened."""

    name: str
    suite: str
    kind: str                    # what the recording set out to show
    status: Status
    summary: str
    against: tuple[Finding, ...]   # findings that speak against the motion
    outcome: str                 # one sentence
    probability: float           # of success, foreseen
    success: bool                # as the source judged
    touched: bool                # the robot touched table or fixtures
    disturbed: bool              # it moved something that it was neither to carry nor to fill
    min_clearance: float         # [m]
    seconds: dict[str, float]    # per tier
    cpu_seconds: float           # of tiers 0 and 1 together

    @property
    def predicted(self) -> bool:
        """Whether success was foreseen."""
        return self.probability >= 0.5

    @property
    def dangerous(self) -> bool:
        """Whether the execution touched or moved what it should not have."""
        return self.touched or self.disturbed


class EpisodeJudge:
    """Judges trajectories of episodes; what belongs to a robot is made once for all of them."""

    def __init__(self, settings: PrecheckSettings | None = None):
        """:param settings: None for the defaults."""
        self._settings = settings or PrecheckSettings()
        self._simulators: dict[str, ShadowSimulator] = {}      # by robot description

    def __call__(self, path: str | Path) -> PrecheckRow:
        """
        Judge the trajectory of an episode from its observation, and look up what came of it.

        :raises EpisodeError: when the file cannot be read.
        """
        episode = Episode.open(path)
        observation, goal = episode.observation(), Goal.of(episode.metadata.goal, str(path))
        simulator = self._simulator(episode)
        cpu = time.process_time()
        verdict = simulator.precheck(observation, episode.trajectory, settings=self._settings,
                                     goal=goal)
        cpu = time.process_time() - cpu
        minimum = verdict.min_clearance
        return PrecheckRow(
            Path(path).stem, episode.metadata.suite, episode.metadata.kind, verdict.status,
            verdict.summary, tuple(f for f in verdict.findings if f.severity > Severity.INFO),
            verdict.outcome, 0.5 if verdict.success is None else verdict.success,
            episode.metadata.success,
            any(event.get('kind') == 'robot_touches_surroundings' and event.get('begins')
                for event in episode.metadata.events),
            was_disturbed(episode), float('nan') if minimum is None else minimum,
            dict(verdict.latencies), cpu)

    def _simulator(self, episode: Episode) -> ShadowSimulator:
        """Return the simulator of the episode's robot, made and warm."""
        text = episode.robot_description
        if text not in self._simulators:
            simulator = ShadowSimulator(Robot.from_urdf(text), create('kinematic'))
            simulator.precheck(episode.observation(), episode.trajectory,
                               settings=self._settings)
            self._simulators[text] = simulator
        return self._simulators[text]


def was_disturbed(episode: Episode) -> bool:
    """
    Tell whether an object was pushed.

    That is one that has moved and was neither to be carried nor the goal, or one that was to be
    carried and has moved without ever being lifted.
    """
    metadata = episode.metadata
    lifted = any(event.get('kind') == 'object_lifted' and event.get('begins')
                 for event in metadata.events)
    meant = {metadata.goal_object, metadata.carried_object if lifted else None}
    for name, (times, poses) in episode.truth.object_poses.items():
        if name in meant:
            continue
        seen = poses[times >= 0.0]
        if not len(seen):
            continue
        way = np.linalg.norm(seen[:, :3, 3] - seen[0, :3, 3], axis=1)
        trace = np.einsum('tij,ij->t', seen[:, :3, :3], seen[0, :3, :3])
        turned = np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0))
        if way.max() > _DISTURBED or turned.max() > _TURNED:
            return True
    return False
