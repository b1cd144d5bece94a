# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The verdict on a recorded trajectory, next to what its execution did."""
from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import EpisodeError
from kinema4d_ros.evaluation.labels import first_touch, Labels, labels_of
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict

_CLOSES = 1e-4            # [m] a finger that moves by less between two points stands
_TOLD = frozenset((FindingCode.GRASP, FindingCode.CLOSED_ON_NOTHING))
_SAME = 0.05              # [m] an object this close to where another was seen is that one
_NEAR = 0.05              # [m] clearances up to this are compared with the truth


@dataclass(frozen=True)
class PrecheckRow:
    """One episode: what was said before, and what happened. It can be sent between processes."""

    path: str                    # of the recording
    suite: str
    kind: str                    # what the recording set out to show
    task_text: str               # the instruction in words
    verdict: Verdict             # all that was said, with the clearance over time
    solved: bool                 # as the source judged
    labels: Labels               # what the execution did that it should not have
    #: [m] true clearances at the times of `verdict.clearances`, NaN where it is not known
    true_clearances: tuple[float, ...] = ()
    cpu_seconds: float = 0.0     # of tiers 0 and 1 together
    cameras: tuple[str, ...] = ()    # that it was judged by; () for all that there are

    @property
    def name(self) -> str:
        """Name of the episode."""
        return Path(self.path).stem

    @property
    def status(self) -> Status:
        """The decision."""
        return self.verdict.status

    @property
    def against(self) -> tuple[Finding, ...]:
        """The findings that speak against the motion."""
        return tuple(f for f in self.verdict.findings if f.severity > Severity.INFO)

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long each tier took [s]."""
        return self.verdict.latencies

    @property
    def success(self) -> bool:
        """
        Whether the motion that was judged solved the task.

        What came about by an arm that was pushed off its trajectory is no success of it.
        """
        return self.solved and not self.labels.strayed

    @property
    def touched(self) -> bool:
        """Whether the robot touched table or fixtures, or anything but by fingers."""
        return self.labels.touched

    @property
    def disturbed(self) -> bool:
        """Whether it moved something that it was neither to carry nor to fill."""
        return bool(self.labels.disturbed)

    @property
    def probability(self) -> float | None:
        """Of success, as foreseen; None when nothing was."""
        return None if self.verdict.success == 0.5 else self.verdict.success

    @property
    def predicted(self) -> bool | None:
        """Whether success was foreseen; None where nothing was (abstained)."""
        return None if self.probability is None else self.probability > 0.5

    @property
    def grasp_foreseen(self) -> bool | None:
        """Whether the fingers were foreseen to lift something; None where nobody knew."""
        codes = {finding.code for finding in self.verdict.findings}
        if FindingCode.UNDECIDED in codes or not codes & _TOLD:
            return None
        return FindingCode.GRASP in codes

    @property
    def least_clearance(self) -> float | None:
        """True least distance of links that must not touch [m]; None unknown."""
        known = [value for value in self.true_clearances if not math.isnan(value)]
        return min(known, default=None)

    @property
    def was_meant(self) -> bool:
        """Whether the recording set out to succeed: what says so foresees without looking."""
        return self.kind == 'success'

    @property
    def dangerous(self) -> bool:
        """Whether the execution touched, moved or strayed where it should not have."""
        return self.labels.is_dangerous

    @property
    def _measured(self) -> tuple[float, ...]:
        return tuple(sample.distance for sample in self.verdict.clearances)

    @property
    def clearance_errors(self) -> tuple[float, ...]:
        """Measured minus true clearance [m] where the truth is below 5 cm; see `_error`."""
        errors = map(_error, self._measured, self.true_clearances)
        return tuple(error for error in errors if error is not None)

    @property
    def least_clearance_error(self) -> float | None:
        """The same [m] at the time of the smallest measured clearance; None unknown."""
        said = self._measured
        if not said or not self.true_clearances:
            return None
        worst = int(np.argmin(said))
        return _error(said[worst], self.true_clearances[worst])


def _error(said: float, true: float) -> float | None:
    """
    Return the error of a clearance [m]; None where the truth is unknown or far away.

    The truth knows no depth: what touches is at 0, and where both say so there is no error to
    speak of.
    """
    if not true < _NEAR or (said <= 0 and true <= 0):
        return None
    return max(said, 0.0) - true


class EpisodePrechecker:
    """Judges trajectories of episodes; what belongs to a robot is made once for all of them."""

    def __init__(self, settings: PrecheckSettings | None = None,
                 package_paths: Sequence[str | Path] = ()):
        """
        Make a checker of episodes that has no simulator yet.

        :param settings: None for the defaults.
        :param package_paths: folders to look for mesh packages in.
        """
        self._package_paths = tuple(package_paths)
        self._settings = settings or PrecheckSettings()
        self._simulators: dict[str, ShadowSimulator] = {}      # by robot description

    def verdict(self, episode: Episode, cameras: tuple[str, ...] = ()) -> Verdict:
        """
        Judge the trajectory of an episode from its observation, whatever came of it.

        :param cameras: names, the first one first; () for all.
        """
        told = rubric_of(episode)         # a data set of others has none
        goal = Goal.of(told, str(episode.path)) if told else None
        simulator = self.simulator(episode)
        if cameras:
            simulator.forget()        # what the others showed
        return simulator.precheck(episode.observation(cameras=cameras or None),
                                  episode.trajectory, goal=goal)

    def __call__(self, path: str | Path, cameras: tuple[str, ...] = ()) -> PrecheckRow:
        """
        Judge the trajectory of an episode from its observation, and look up what came of it.

        :param cameras: names, the first one first; () for all.
        :raises EpisodeError: when the file cannot be read, or does not say how it ended.
        """
        episode = Episode.open(path)
        success = episode.metadata.success
        if success is None:
            raise EpisodeError(f'{path} does not say whether the task was solved, so there is '
                               'nothing to compare with; give episodes with a label')
        simulator = self.simulator(episode)
        cpu = time.process_time()
        verdict = self.verdict(episode, cameras)
        cpu = time.process_time() - cpu
        metadata = episode.metadata
        return PrecheckRow(
            str(path), metadata.suite, metadata.kind, metadata.task_text,
            dataclasses.replace(verdict, latencies=dict(verdict.latencies)), success,
            labels_of(episode), true_clearances(episode, verdict, simulator), cpu, cameras)

    def simulator(self, episode: Episode) -> ShadowSimulator:
        """Return the simulator of the episode's robot, made and warm."""
        text = episode.robot_description
        if text not in self._simulators:
            robot = Robot.from_urdf(text, package_paths=self._package_paths)
            simulator = ShadowSimulator(robot, 'kinematic', settings=self._settings)
            simulator.precheck(episode.observation(), episode.trajectory)
            self._simulators[text] = simulator
        return self._simulators[text]


def rubric_of(episode: Episode) -> Mapping[str, Any]:
    """
    Return what the task of an episode wants, as a rubric; {} where it does not say.

    Of several things that are to be put somewhere each is told by where it stands at first.
    """
    metadata = episode.metadata
    wanted = () if metadata.outcome is None else metadata.outcome.goals
    if len(wanted) < 2 and all(goal.rubric for goal in wanted):
        return metadata.goal
    parts, unjudged = [], []
    for goal in wanted:
        if not goal.rubric:
            if not goal.met_at_start:
                unjudged.append(f'{goal.relation} {goal.place or goal.thing}')
        elif 'starts_in' in goal.rubric or (begin := _begin(episode, goal.thing)) is None:
            parts.append(dict(goal.rubric))
        else:
            parts.append({**goal.rubric, 'starts_in': {
                'low': (begin - _SAME).tolist(), 'high': (begin + _SAME).tolist()}})
    return {**({'all_of': parts} if parts else {}), **({'unjudged': unjudged} if unjudged else {})}


def _begin(episode: Episode, name: str) -> np.ndarray | None:
    """Return the middle of an object when the motion begins, (3,) [m] base frame."""
    times, poses = episode.truth.object_poses.get(name, (np.zeros(0), np.zeros((0, 4, 4))))
    box = episode.metadata.objects.get(name)
    if not len(poses) or box is None:
        return None
    pose = poses[int(np.abs(times).argmin())]
    middle: np.ndarray = pose[:3, :3] @ np.array(box.center) + pose[:3, 3]
    return middle


def true_clearances(episode: Episode, verdict: Verdict,
                    simulator: ShadowSimulator) -> tuple[float, ...]:
    """
    Return the true clearance [m] at the time of each of the verdict's `clearances`.

    It is that of the links that must not touch. Where the verdict says that something is grasped,
    that is no obstacle from when the fingers begin to close, as for the verdict. NaN where the
    recording does not know, or the arm has run into something and left its trajectory; inf beyond
    10 cm. () for a recording without this truth.
    """
    truth = episode.truth.clearance
    times = np.array([sample.time for sample in verdict.clearances])
    if truth is None or not len(times):
        return ()
    fingers = set() if simulator.gripper is None else set(simulator.gripper.finger_links)
    grasps = any(f.code == FindingCode.GRASP for f in verdict.findings)
    true = truth.nearest(times, set(truth.link_names) - fingers,
                         before=fingers_close(episode, simulator) if grasps else np.inf)
    left = (times >= first_touch(episode)) | (times > truth.times[-1])
    return tuple(np.where(left, np.nan, true).tolist())


def fingers_close(episode: Episode, simulator: ShadowSimulator) -> float:
    """Return when the fingers first begin to close in the trajectory [s], inf for never."""
    trajectory = episode.trajectory
    if simulator.gripper is None:
        return np.inf
    joints = [trajectory.joint_names.index(name) for name in simulator.gripper.finger_joints
              if name in trajectory.joint_names]
    closing = (np.diff(trajectory.positions[:, joints], axis=0) < -_CLOSES).any(axis=1)
    return float(trajectory.times[closing.argmax()]) if closing.any() else np.inf
