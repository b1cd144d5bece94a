# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded motion as a policy streams it: in short pieces, each judged by its own look."""
from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.scene import SceneMemory
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation, Status, Verdict

_FINGER_SPEED = 0.1     # [m/s] at which fingers follow their command, well within a hand's limits


@dataclass(frozen=True, eq=False)
class Chunk:
    """A piece of a recorded motion, and what a live system would have had when it was sent."""

    time: float                      # [s] from the start of the recorded trajectory
    observation: Observation
    trajectory: JointTrajectory


@dataclass(frozen=True, eq=False)
class StreamedVerdict:
    """What was said of one chunk."""

    time: float                      # [s] from the start of the recorded trajectory
    observation: Observation         # with what is remembered of the scene
    verdict: Verdict


def chunks_of(episode: Episode, seconds: float, *, fingers: Collection[str] = ()
              ) -> Iterator[Chunk]:
    """
    Cut a recorded motion into pieces.

    A piece begins at the joints that were measured with its look and goes on as the arm was
    *executed*, since what was commanded runs ahead of where the arm is. Fingers, where they are
    part of the pieces, go from where they stand to what was *commanded*: they go on closing.

    :param seconds: length of a piece [s].
    :param fingers: joints of the fingers; none for pieces of the arm's joints only, as where the
        gripper has a controller of its own.
    """
    times, names, executed = episode.joint_states
    whole = episode.trajectory
    movable = [name for name in whole.joint_names if name in names]
    arm = [name for name in movable if not _is_finger(name)]
    index = [names.index(name) for name in arm]
    frames = episode.frames.times
    for begin in np.arange(0.0, whole.duration - 1e-6, seconds):
        frame = int(np.abs(frames - begin).argmin())
        observation = episode.observation(frame - episode.start_index)
        here = observation.joint_positions
        begin = float(frames[frame])
        inside = (times > begin + 1e-3) & (times <= begin + seconds + 1e-3)
        if not inside.any():
            return
        at = np.r_[0.0, times[inside] - begin]
        positions = np.vstack([[here[name] for name in arm], executed[inside][:, index]])
        for name in fingers:
            command = np.interp(at + begin, whole.times,
                                whole.positions[:, whole.joint_names.index(name)])
            follows = [here[name]]
            for step, wanted in zip(np.diff(at), command[1:]):
                most = _FINGER_SPEED * step
                follows.append(follows[-1] + float(np.clip(wanted - follows[-1], -most, most)))
            positions = np.column_stack([positions, follows])
        yield Chunk(begin, observation, JointTrajectory((*arm, *fingers), at, positions))


def stream(simulator: ShadowSimulator, episode: Episode, seconds: float, *,
           fingers: Collection[str] = (), remember: float = 1.0) -> Iterator[StreamedVerdict]:
    """
    Judge all pieces of a recorded motion one after the other, as the worker of a node does.

    :param seconds: length of a piece [s].
    :param fingers: as in `chunks_of`.
    :param remember: [s] between looks that only the memory takes; 0 for a memory of nothing.
    """
    memory, looked = SceneMemory(), 0
    for chunk in chunks_of(episode, seconds, fingers=fingers):
        while remember > 0 and looked < len(episode.frames) \
                and episode.frames.times[looked] <= chunk.time:
            seen = episode.observation(looked - episode.start_index)
            memory.update(seen, simulator.robot_mask(seen))
            looked += max(1, round(remember / np.diff(episode.frames.times).mean()))
        observation = chunk.observation.with_view(background=memory.background)
        yield StreamedVerdict(chunk.time, observation,
                              simulator.precheck(observation, chunk.trajectory))


def passed(verdicts: Collection[StreamedVerdict]) -> float:
    """Return the share of PASS, 0 to 1."""
    return float(np.mean([each.verdict.status is Status.PASS for each in verdicts]))


def _is_finger(name: str) -> bool:
    return 'finger' in name
