# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score a predicted future of an episode against what really happened."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.metrics import changed_region, depth_abs_rel, psnr, ssim
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import WorldEvent
from kinema4d_ros.world_model import load_world_model

_HAS_MOVED = 0.01       # [m] the carry begins when the true centre has moved by this


@dataclass(frozen=True)
class EpisodeScore:
    """
    How a predicted future compares with the recorded one; means over all frames but the first.

    *Changed* are the pixels in which the true frame differs from the first true frame, *world*
    those of them that do not show the robot in the true frame (where a mask is recorded). The
    centre is the middle of the object's box; a model that moves nothing is taken to predict that
    it stays where it truly was at the start. NaN: nothing to compare.
    """

    psnr_changed: float          # [dB]
    ssim_changed: float
    psnr_world: float            # [dB]
    psnr_still: float            # [dB] where nothing changed
    depth_changed: float         # mean relative error where both depths are known
    carry_center_error: float    # [m] mean, from when the true object begins to move
    final_center_error: float    # [m] in the last frame
    true_success: bool | None    # the episode solved its task, as the source judged
    predicted_success: bool | None   # the predicted centre ends where the goal wants it
    name: str = ''               # of the episode
    kind: str = ''               # what the episode set out to show
    world_model: str = ''
    events: tuple[WorldEvent, ...] = ()
    seconds: float = float('nan')    # [s] to predict all frames


def score_frames(episode: Episode, times: Sequence[float], images: Sequence[np.ndarray],
                 pointmaps: Sequence[np.ndarray],
                 centers: Sequence[np.ndarray | None] | None = None,
                 **more: Any) -> EpisodeScore:
    """
    Score frames, from wherever they come.

    :param times: (T,) [s] from the start of the trajectory.
    :param images: T images (H, W, 3) uint8, rectified.
    :param pointmaps: T pointmaps (H, W, 3) float32 [m] camera frame, NaN unknown.
    :param centers: per frame the predicted centre (3,) [m] base frame of what was carried; None
        where the prediction names none.
    :param more: further fields of EpisodeScore.
    """
    calibration, truth = episode.calibration, episode.truth
    at = [int(np.abs(episode.frames.times - moment).argmin()) for moment in times]
    rows: list[tuple[float, ...]] = []
    first: np.ndarray | None = None
    for index, image, points in zip(at, images, pointmaps):
        frame = episode.frames[index]
        true = calibration.rectify(frame.image)
        if first is None:
            first = true
            continue
        changed = changed_region(first, true)
        world = changed & ~truth.robot_masks[index] if index in truth.robot_masks \
            else np.zeros_like(changed)
        depth = np.nan if frame.depth is None else depth_abs_rel(
            points[..., 2], calibration.rectify_depth(frame.depth), changed)
        rows.append((psnr(image, true, changed), ssim(image, true, changed),
                     psnr(image, true, world), psnr(image, true, ~changed), depth))
    means = [float(np.mean(column[np.isfinite(column)])) if np.isfinite(column).any()
             else float('nan') for column in np.array(rows, float).reshape(-1, 5).T]
    carry, final, end = _center_errors(episode, np.asarray(times, float), centers)
    changed_psnr, changed_ssim, world_psnr, still_psnr, changed_depth = means
    return EpisodeScore(changed_psnr, changed_ssim, world_psnr, still_psnr, changed_depth,
                        carry, final, episode.metadata.success,
                        goal_met(episode.metadata.goal, end), **more)


def evaluate_episode(episode: Episode | str | Path, world_model: str, *, frames: int = 49,
                     settings: Mapping[str, Any] | None = None) -> EpisodeScore:
    """
    Predict the future of an episode from its start and score it.

    :param settings: of the world model.
    """
    episode = episode if isinstance(episode, Episode) else Episode.open(episode)
    simulator = ShadowSimulator(Robot.from_urdf(episode.robot_description),
                                load_world_model(world_model, **(settings or {})), frames=frames,
                                camera_poses=LinkPose(episode.camera_frame).poses)
    observation = episode.observation()
    started = time.perf_counter()
    predicted = list(simulator.predict(observation, episode.trajectory))
    seconds = time.perf_counter() - started
    simulator.close()
    return score_frames(
        episode, [frame.time for frame in predicted], [frame.image for frame in predicted],
        [frame.pointmap for frame in predicted],
        [frame.carried_point_base for frame in predicted], name=Path(episode.path).stem,
        kind=episode.metadata.kind, world_model=world_model, seconds=seconds,
        events=tuple(event for frame in predicted for event in frame.events))


def goal_met(goal: Mapping[str, Any], center: np.ndarray | None) -> bool | None:
    """
    Return whether an object whose centre ends at `center` (3,) [m] base meets the goal.

    :return: None when there is no goal, or one that the centre cannot answer.
    """
    rules = [rule for name, rule in goal.items() if name in ('inside', 'above')]
    if center is None or len(rules) != 1:
        return None
    region = rules[0]['region']
    return bool(np.all(np.asarray(region['low']) <= center)
                and np.all(center <= np.asarray(region['high'])))


def table(scores: Sequence[EpisodeScore]) -> str:
    """Return the scores as a Markdown table, one row per episode and model."""
    lines = ['| episode | model | PSNR changed [dB] | SSIM changed | PSNR world [dB] | depth '
             '| centre, carry [cm] | centre, end [cm] | success: true, predicted | [s] |',
             '|---|---|---|---|---|---|---|---|---|---|']
    for s in scores:
        lines.append(
            f'| {s.name} | {s.world_model} | {s.psnr_changed:.1f} | {s.ssim_changed:.3f} '
            f'| {s.psnr_world:.1f} | {s.depth_changed:.3f} | {100 * s.carry_center_error:.1f} '
            f'| {100 * s.final_center_error:.1f} | {_YES[s.true_success]}, '
            f'{_YES[s.predicted_success]} '
            f'| {s.seconds:.1f} |')
    return '\n'.join(lines)


_YES = {True: 'yes', False: 'no', None: '?'}


def _center_errors(episode: Episode, times: np.ndarray,
                   centers: Sequence[np.ndarray | None] | None
                   ) -> tuple[float, float, np.ndarray | None]:
    """Return mean error over the carry, final error [m], and the predicted final centre."""
    name = episode.metadata.carried_object
    if name is None or name not in episode.truth.object_poses:
        return float('nan'), float('nan'), None
    true = episode.truth.object_center(name, episode.metadata.objects[name].center, times)
    centers = [None] * len(times) if centers is None else centers
    predicted = np.array([true[0] if center is None else center for center in centers])
    error = np.linalg.norm(predicted - true, axis=1)
    moved = np.linalg.norm(true - true[0], axis=1) > _HAS_MOVED
    carry = float(error[moved.argmax():].mean()) if moved.any() else float('nan')
    return carry, float(error[-1]), predicted[-1]
