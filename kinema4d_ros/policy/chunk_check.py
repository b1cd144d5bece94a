# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each chunk of a policy is checked before the robot's client has it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.chunk_guard import Choice, ChunkMotion, ChunkGuard
from kinema4d_ros.policy.chunk_settings import ChunkExecution, ChunkMode
from kinema4d_ros.policy.hold import hold_actions, stopped_after
from kinema4d_ros.policy.plausible import why_implausible
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation, Verdict

#: key of an answer under which a client may read what was decided; others ignore it
VERDICT_KEY = 'kinema4d/verdict'
_MOST_BEFORE = 64       # actions that are kept for a response with a delay


@dataclass(frozen=True)
class CheckedChunk:
    """
    What a client gets.

    :param actions: (N, columns) in the policy's own numbers: the chunk, another sample, or holding
        still. What was not judged is not in it, except in mode monitor: numbers are clipped as the
        format says, and actions after those that are executed stand still.
    :param held: whether the robot is to hold still.
    :param choice: verdict, path and number of samples.
    :param changed: whether `actions` are others than those that the policy answered.
    """

    actions: np.ndarray
    held: bool
    choice: Choice
    changed: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict on what was chosen, or on the best of what was refused."""
        return self.choice.verdict

    def told(self, mode: str) -> dict[str, Any]:
        """Return what a client is told under `VERDICT_KEY`: texts, numbers and booleans."""
        verdict = self.verdict
        return {'status': verdict.status.name, 'summary': verdict.summary, 'held': self.held,
                'resampled': not self.held and self.choice.index != 0,
                'samples': self.choice.samples, 'mode': mode,
                'min_clearance': None if verdict.min_clearance is None
                else float(verdict.min_clearance)}


class ChunkChecker:
    """
    Checks the chunks of a policy on their way to a robot; one thread at a time.

    ::

        checker = ChunkChecker(ActionReader(robot, form), ChunkGuard(robot, judge))
        checked = checker.check(policy.act(observation), joints)
        execute(checked.actions)                # holds still where nothing passed
    """

    def __init__(self, reader: ActionReader, guard: ChunkGuard, executed: int = 0) -> None:
        """
        Read actions by `reader`, have their motion judged by `guard`.

        :param executed: actions of a chunk that the client executes before it asks again, where it
            executes one chunk after the other; only these are judged and passed on, and those after
            them become standing still, so that the chunk keeps its shape. 0 for all.
        """
        self.reader, self.guard, self.executed = reader, guard, executed
        self._before = np.empty((0, min(reader.form.widths)))

    def reset(self) -> None:
        """Begin another task: nothing is under way."""
        self.guard.forget()
        self._before = self._before[:0]

    def check(self, actions: np.ndarray | str, joints: Mapping[str, float], *,
              asked: float | None = None, told: Mapping[str, float] | None = None,
              executed: int | None = None,
              sample: Callable[[], np.ndarray | str | None] = lambda: None) -> CheckedChunk:
        """
        Return what the client is to execute.

        :param actions: (N, columns) as the policy answered, or why it is no chunk.
        :param joints: where the robot was at the observation [rad or m], by name, of all joints.
        :param asked: steady time of the observation [s]; None for now.
        :param told: the joints that the policy was told, which are compared.
        :param executed: where this client executes another number than most; 0 for all.
        :param sample: asks for another chunk, (N, columns), or why it is none; None: no more.
        """
        asked = self.guard.clock() if asked is None else asked
        executed = self.executed if executed is None else executed
        if self.guard.settings.execution is ChunkExecution.OVERLAPPING:
            executed = 0
        given: list[np.ndarray | str] = [actions]

        def another() -> ChunkMotion | None:
            more = sample()
            if more is None:
                return None
            given.append(more)
            return self._motion(more, joints, executed)

        choice = self.guard.choose(self._motion(actions, joints, executed), joints,
                                   asked=asked, sample=another, told=told)
        chosen = None if choice.index is None else given[choice.index]
        if isinstance(chosen, np.ndarray):
            out = chosen
            if self.guard.settings.mode is ChunkMode.ENFORCE:
                out = self.reader.form.clipped(out)
                out = stopped_after(self.reader, out, executed) if executed else out
            self._before = np.asarray(chosen, np.float64)[:executed or None][-_MOST_BEFORE:]
            return CheckedChunk(out, False, choice, changed=out is not chosen)
        # In mode monitor too: what is no chunk cannot be passed on.
        widths = self.reader.form.widths
        rows, width = next(
            (one.shape for one in given if isinstance(one, np.ndarray) and one.ndim == 2
             and len(one) and one.shape[1] in widths), (executed or 1, min(widths)))
        still = hold_actions(self.reader, self.guard.hold_positions(joints), width, rows)
        self._before = still[:executed or None][-_MOST_BEFORE:]
        return CheckedChunk(still, True, choice, changed=True)

    def _motion(self, actions: np.ndarray | str, joints: Mapping[str, float], executed: int
                ) -> ChunkMotion:
        if isinstance(actions, str):
            return actions
        before = self._before if self.reader.form.velocity is not None else None
        try:
            if executed:
                actions = actions[:executed]
            # Of joints the guard says so itself; a far place might not even be in reach.
            if self.reader.form.tip_link and (why := why_implausible(
                    self.reader, np.asarray(actions, np.float64), joints)) is not None:
                return why
            return self.reader.trajectory(actions, joints, before)
        except Kinema4DError as error:
            return str(error)


class SimulatorPrecheck:
    """Judges by a ShadowSimulator, in plain Python."""

    def __init__(self, simulator: ShadowSimulator, observe: Callable[[], Observation],
                 **options: Any) -> None:
        """
        PathPrecheck against what `observe` returns each time.

        :param options: of `ShadowSimulator.precheck`, such as tiers and goal.
        """
        self._simulator, self._observe, self._options = simulator, observe, options

    def __call__(self, paths: Sequence[JointTrajectory],
                 joints: Mapping[str, float]) -> Sequence[Verdict]:
        """Return a verdict on each path; raises what `observe` raises."""
        observation = self._observe()
        live = {**observation.joint_positions, **joints}
        return [self._simulator.precheck(observation, path, live_joints=live, **self._options)
                for path in paths]
