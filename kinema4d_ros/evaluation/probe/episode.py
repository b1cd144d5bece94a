# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a world model shows of four motions from the start of one episode."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.probe.actions import action_variants, ACTIONS
from kinema4d_ros.evaluation.probe.removal import Removal
from kinema4d_ros.evaluation.probe.shown import Expected, mask_overlap, residual, votes
from kinema4d_ros.robot import Robot
from kinema4d_ros.scene.mask import grow_robot
from kinema4d_ros.simulator import CameraPoses, ShadowSimulator
from kinema4d_ros.types import (Gripper, JointTrajectory, Observation, PredictedFrame, Report,
                                RobotRollout, silent)
from kinema4d_ros.world_model import WorldModel
from kinema4d_ros.world_model.frozen import Frozen
from kinema4d_ros.world_model.replay import Replay

_COLUMNS = 6          # of the picture sheet
_STRIDE = 4           # of the pixels by which seeds are compared
_GREEN = (40, 200, 60)
_N = len(ACTIONS)


@dataclass(frozen=True, eq=False)
class EpisodeProbe:
    """
    What one episode shows; the first axis is what was asked for, the second what is looked for.

    Votes are those of `shown.votes`: colours, points.
    """

    name: str
    times: np.ndarray                # (T,) [s]
    votes: np.ndarray                # (2, 4, 4, T) float64, NaN where nothing tells them apart
    overlap: np.ndarray              # (4, 4) IoU of what came before the scene with the robot
    residuals: np.ndarray            # (4, 4, T) float64 [m] points to the robot, median
    seeds: np.ndarray                # (S, 2) mean votes of the true motion, by seed
    seed_depths: float               # [m] mean difference between seeds, NaN with one seed
    seed_colors: float               # of 255, likewise
    reaction: tuple[float, float]    # 1 shows the scene that was observed, 0 regardless; or NaN
    recorded: tuple[float, float]    # mean votes of the recorded future, or NaN
    #: row -> one picture (H, W, 3) uint8 for each of `picture_times`
    pictures: Mapping[str, Sequence[np.ndarray]]
    picture_times: tuple[float, ...]

    @property
    def told_apart(self) -> np.ndarray:
        """
        How each frame tells each two motions apart, (2, 6, T).

        The mean of both ways, so that what shows the same future whatever it is asked for is 0.
        """
        both = 0.5 * (self.votes + self.votes.swapaxes(1, 2))
        first, second = np.triu_indices(_N, 1)
        return both[:, first, second]


def probe_episode(model: WorldModel, episode: Episode, *, frames: int = 49, seeds: int = 2,
                  seed: int = 0, report: Report = silent,
                  package_paths: Sequence[str | Path] = ()) -> EpisodeProbe:
    """
    Predict the motions of ACTIONS from the start of an episode, and look what is shown.

    :param seeds: predictions of the true motion, 1 or more.
    :param report: called with the stages of the model.
    :param package_paths: folders to look for mesh packages in.
    :raises TrajectoryError, WorldModelError: it cannot be predicted from.
    """
    recorded = None
    if len(episode.frames) - episode.start_index > 1:
        recorded = Replay(episode=str(episode.path))
    return probe_motion(
        model, Robot.from_urdf(episode.robot_description, package_paths=package_paths),
        episode.observation(),
        episode.trajectory, name=Path(episode.path).stem, frames=frames, seeds=seeds, seed=seed,
        camera_poses=LinkPose(episode.camera_frame).poses, recorded=recorded, report=report)


def probe_motion(model: WorldModel, robot: Robot, observation: Observation,
                 trajectory: JointTrajectory, *, name: str = '', frames: int = 49,
                 seeds: int = 2, seed: int = 0, camera_poses: CameraPoses | None = None,
                 gripper: Gripper | None = None, recorded: WorldModel | None = None,
                 report: Report = silent) -> EpisodeProbe:
    """
    Probe with one observation and one motion; of several cameras the first is looked at.

    :param recorded: plays what really happened in the true motion.
    """
    observation = dataclasses.replace(observation, views=observation.views[:1])
    simulator = ShadowSimulator(robot, None, frames=frames, camera_poses=camera_poses,
                                gripper=gripper)
    motions = action_variants(trajectory, robot, observation, seed)
    rollouts = [simulator.roll_out(observation, motions[action], report) for action in ACTIONS]
    simulator.close()
    probing = _Probing(observation, rollouts)
    removal = Removal.of(observation, rollouts[0])
    times = rollouts[0].times
    reactions: list[list[tuple[float, float]]] = [[], []]
    by_seed = [probing.look(0, model.predict(observation, rollouts[0], seed=seed, report=report),
                            row='true', keep=reactions[0], removal=removal)]
    for number, action in enumerate(ACTIONS[1:], 1):
        probing.look(number, model.predict(observation, rollouts[number], seed=seed,
                                           report=report), row=action)
    kept_votes, overlap, residuals = probing.votes.copy(), probing.overlap, probing.residuals.copy()
    if removal is not None:
        probing.look(None, model.predict(removal.gone, rollouts[0], seed=seed, report=report),
                     row='removed', keep=reactions[1], removal=removal)
    apart: list[tuple[float, float]] = []
    for further in range(1, seeds):
        by_seed.append(probing.look(0, model.predict(observation, rollouts[0], seed=seed + further,
                                                     report=report), compare=apart))
    truth = (np.nan, np.nan) if recorded is None else probing.look(
        0, recorded.predict(observation, rollouts[0], report=report), row='recorded')
    depths, colors = np.mean(apart, axis=0) if apart else (np.nan, np.nan)
    return EpisodeProbe(
        name, times, kept_votes, overlap, residuals, np.array(by_seed), float(depths),
        float(colors), _reaction(reactions), (float(truth[0]), float(truth[1])), probing.pictures,
        tuple(float(times[index]) for index in probing.chosen))


class _Probing:
    """Looks at predictions frame by frame, beside what each motion would look like."""

    def __init__(self, observation: Observation, rollouts: Sequence[RobotRollout]):
        self._observation, self._rollouts = observation, rollouts
        self._frozen, count = Frozen(), len(rollouts[0].times)
        self.votes = np.full((2, _N, _N, count), np.nan)
        self._overlaps = np.full((_N, _N, count), np.nan)
        self.residuals = np.full((_N, _N, count), np.nan)
        self.chosen = np.unique(np.linspace(0, count - 1, _COLUMNS).round().astype(int))
        self.pictures: dict[str, list[np.ndarray]] = {}
        self._first: list[tuple[np.ndarray, np.ndarray]] = []    # of the true motion, seed by seed
        self._scene: np.ndarray | None = None
        start = rollouts[0]
        moves = np.abs(start.T_base_camera - start.T_base_camera[0]).max() > 1e-6
        self._hidden = np.zeros(start.mask[0].shape, bool) if moves \
            else grow_robot(start.mask[0], start.camera)

    @property
    def overlap(self) -> np.ndarray:
        """Mean overlap over the frames, (4, 4)."""
        return mean_of(self._overlaps, -1)

    def look(self, asked: int | None, frames: Iterator[PredictedFrame], *, row: str = '',
             keep: list[tuple[float, float]] | None = None, removal: Removal | None = None,
             compare: list[tuple[float, float]] | None = None) -> np.ndarray:
        """
        Look at the prediction of a motion and return its mean votes against the others, (2,).

        :param asked: number of the motion; None to look at the thing that is removed only.
        :param row: of the picture sheet; '' for none.
        :param keep: takes the votes on `removal` of each frame.
        :param compare: takes how far each frame is from the first prediction: depth, colours.
        """
        expected = zip(*(self._frozen.predict(self._observation, each)
                         for each in self._rollouts))
        found = np.full((2, _N, len(self._rollouts[0].times)), np.nan)
        pictures = self.pictures.setdefault(row, []) if row else []
        for frame, drawn in zip(frames, expected):
            there = [Expected.of(each, robot) for each, robot in zip(drawn, self._rollouts)]
            if removal is not None and keep is not None:
                keep.append(removal.votes(frame, asked is None))
            if asked is not None:
                self._look_at(asked, frame, there, found)
            if frame.index in self.chosen:
                pictures.append(_outlined(frame.image, there[asked or 0].robot))
            small = (frame.pointmap[::_STRIDE, ::_STRIDE, 2].copy(),
                     frame.image[::_STRIDE, ::_STRIDE].astype(np.int16))
            if row == 'true':
                self._first.append(small)
            elif compare is not None:
                first = self._first[frame.index]
                compare.append((float(mean_of(np.abs(small[0] - first[0]))),
                                float(np.abs(small[1] - first[1]).mean())))
        if asked is not None and row != 'recorded':
            self.votes[:, asked] = found
        return mean_of(found.reshape(2, -1), -1)

    def _look_at(self, asked: int, frame: PredictedFrame, there: Sequence[Expected],
                 found: np.ndarray) -> None:
        if self._scene is None:
            self._scene = np.where(there[0].robot, np.nan, there[0].depth)
        moved = np.abs(self._rollouts[asked].T_base_camera[frame.index]
                       - self._rollouts[asked].T_base_camera[0]).max() > 1e-6
        for number, expected in enumerate(there):
            if number != asked:
                found[:, number, frame.index] = votes(frame, there[asked], expected,
                                                       self._hidden)
            if not moved:
                self._overlaps[asked, number, frame.index] = mask_overlap(
                    frame, self._scene, expected)
            self.residuals[asked, number, frame.index] = residual(frame, expected)


def mean_of(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the mean of the finite values, NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    with np.errstate(invalid='ignore', divide='ignore'):
        mean: np.ndarray = np.where(known, values, 0.0).sum(axis=axis) / count
    return mean


def _reaction(votes: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """Return the mean over both scenes: what ignores the scene shows the same in both, 0."""
    if not votes[0] or not votes[1]:
        return float('nan'), float('nan')
    there, gone = (mean_of(np.array(each), 0) for each in votes)
    return float(0.5 * (there[0] + gone[0])), float(0.5 * (there[1] + gone[1]))


def _outlined(image: np.ndarray, robot: np.ndarray) -> np.ndarray:
    """Return the picture with the outline of where the robot was asked to be."""
    out = np.ascontiguousarray(image).copy()
    edges, _ = cv2.findContours(robot.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, edges, -1, _GREEN, 1)
    return out
