# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run: policy -> chunk -> the part that is executed -> world -> policy, until it ends."""
from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.errors import (ConfigurationError, KinematicsError, PolicyError,
                                 TrajectoryError, WorldModelError)
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.closed_loop.record import RunEnd
from kinema4d_ros.policy.types import Policy, PolicyObservation, TaskOutcome, TaskWorld

_CENTI = 100.0


@dataclass(frozen=True)
class RunLimits:
    """When a run ends, and when nothing that it shows is believed any longer."""

    horizon: float = 40.0     # [s] of the robot's time
    #: share of a picture that nobody ever saw, of those that the policy looks at, at most
    unseen: float = 0.5
    #: [s] since the last real picture, at most
    drift: float = 120.0

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        if not self.horizon > 0 or not self.drift > 0 or not 0 <= self.unseen <= 1:
            raise ConfigurationError(
                f'horizon and drift must be more than 0 s and unseen 0 to 1, got {self.horizon}, '
                f'{self.drift} and {self.unseen}')


@dataclass
class TaskRun:
    """What a run has shown so far; what it came to when it is over."""

    ended: RunEnd = RunEnd.HORIZON
    outcome: TaskOutcome = field(default_factory=lambda: TaskOutcome(None, reason='not yet over'))
    chunks: int = 0
    actions: int = 0
    duration: float = 0.0                  # [s] of the robot's time
    drift: float = 0.0                     # [s]
    policy_seconds: float = 0.0
    world_seconds: float = 0.0
    unseen: dict[str, float] = field(default_factory=dict)     # by view, the largest

    def why_not_believed(self, seen: PolicyObservation, limits: RunLimits) -> str | None:
        """Note what the policy has been shown; return why that goes too far."""
        self.drift = max(self.drift, seen.drift)
        for name, share in seen.unseen_shares.items():
            self.unseen[name] = max(self.unseen.get(name, 0.0), float(share))
            if share > limits.unseen:
                return (f'at {seen.time:.1f} s nobody ever saw {_CENTI * share:.0f} % of the view '
                        f'{name} that the policy looked at; the limit is '
                        f'{_CENTI * limits.unseen:.0f} %')
        if seen.drift > limits.drift:
            return (f'the last real picture is {seen.drift:.1f} s ago; the limit is '
                    f'{limits.drift:g} s')
        return None


def run_task(policy: Policy, world: TaskWorld, *, seed: int = 0,
             executed: int = 0, limits: RunLimits = RunLimits(),
             report: Callable[[TaskRun], None] = lambda _: None) -> TaskRun:
    """
    Let a policy act in a world until the task is solved, it ends, or nobody knows any more.

    What the client on the robot does to a chunk, such as clipping velocities and closing the
    gripper beyond a threshold, is in the action format of the policy.

    :param executed: actions of a chunk that are executed before the policy is asked again, the
        open-loop horizon; 0 for all that it answers.
    :param report: called after each chunk; it may raise to stop.
    :raises PolicyError: the policy could not be asked; there is no result then.
    """
    reader = ActionReader(world.robot, policy.action_format)
    sent: list[np.ndarray] = []      # that a response to velocities with a delay may ask for
    run, clock = TaskRun(), time.perf_counter

    def in_world(since: float) -> None:
        run.world_seconds += clock() - since

    began = clock()
    observation = world.reset()
    in_world(began)
    policy.reset(observation.instruction, seed)
    known: tuple[bool | None, str] | None = None     # whatever the world says
    while run.duration < limits.horizon - 1e-9:
        began = clock()
        try:
            chunk = np.asarray(policy.act(observation), np.float64)
        except (TypeError, ValueError) as error:
            raise PolicyError(f'the policy answered no chunk of numbers: {error}') from error
        run.policy_seconds += clock() - began
        run.chunks += 1
        why = run.why_not_believed(observation, limits)
        if why is not None:
            run.ended, known = RunEnd.UNSURE, (None, why)
            break
        if not chunk.size:
            run.ended = RunEnd.FINISHED
            break
        try:
            chunk = chunk[:executed or None]
            motion = reader.trajectory(chunk, observation.joint_positions,
                                       before=np.concatenate(sent) if sent else None)
        except (TrajectoryError, KinematicsError) as error:
            # What cannot be read is the policy's failure, what is out of reach nobody's to tell.
            run.ended, known = RunEnd.REFUSED, (
                None if isinstance(error, KinematicsError) else False,
                f'at {run.duration:.1f} s the policy asked for what cannot be executed: {error}')
            break
        began = clock()
        try:
            observation = world.execute(motion)
            solved = world.is_solved()
        except WorldModelError as error:
            run.ended = RunEnd.REFUSED
            run.outcome = TaskOutcome(None, reason=f'from {run.duration:.1f} s on nothing could '
                                                   f'be predicted: {error}')
            return run
        finally:
            in_world(began)
        sent.append(chunk)
        run.duration += motion.duration
        run.actions += int((motion.times > 0.0).sum())
        report(run)
        if solved:
            run.ended = RunEnd.SOLVED
            break
    began = clock()
    run.outcome = world.outcome()
    if known is not None:      # what was measured until then stays
        run.outcome = dataclasses.replace(run.outcome, success=known[0], reason=known[1],
                                          probability=math.nan if known[0] is None else 0.0)
    in_world(began)
    return run
