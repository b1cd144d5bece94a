# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All metrics of a predicted future of an episode, by name; what reports show."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.metrics import (changed_region, cloud_score, depth_abs_rel,
                                             depth_delta, F_SCORE_DISTANCES, flip_map, mask_iou,
                                             psnr, region_mean, robot_residual, ssim)
from kinema4d_ros.types import PredictedFrame, RobotRollout


@dataclass(frozen=True)
class Metric:
    """What a number means."""

    label: str
    meaning: str             # one sentence for people
    more_is_better: bool
    unit: str = ''
    scale: float = 1.0       # value x scale is what is shown in `unit`
    digits: int = 2          # behind the point
    group: str = 'Image'


#: in the order of a report; the names are the keys of a Comparison
METRICS: Mapping[str, Metric] = MappingProxyType({
    'psnr_changed': Metric('PSNR, changed', 'Colours where the true image changed.', True, 'dB',
                           digits=1),
    'psnr_still': Metric('PSNR, still', 'Colours where it did not.', True, 'dB', digits=1),
    'psnr_world': Metric('PSNR, world', 'Colours where the true image changed and shows no robot, '
                         'where its mask was recorded.', True, 'dB', digits=1),
    'ssim_changed': Metric('SSIM, changed', 'Structure where the true image changed.', True,
                           digits=3),
    'ssim_still': Metric('SSIM, still', 'Structure where it did not.', True, digits=3),
    'flip_changed': Metric('FLIP, changed', 'Difference that a person sees, where the true image '
                           'changed.', False, digits=3),
    'flip_still': Metric('FLIP, still', 'Difference that a person sees elsewhere.', False,
                         digits=3),
    'abs_rel': Metric('Depth AbsRel', 'Relative error of depth where the image changed.', False,
                      '%', 100.0, 2, 'Depth'),
    'delta': Metric('Depth δ<1.25', 'Share of changed pixels whose depth is right within the '
                    'factor 1.25.', True, '%', 100.0, 1, 'Depth'),
    'chamfer': Metric('Chamfer', 'Mean distance between predicted and true surface, where the '
                      'image changed.', False, 'mm', 1000.0, 1, 'Surface'),
    **{f'f_{1000 * d:.0f}mm': Metric(
        f'F-score {1000 * d:.0f} mm', f'How much of the two surfaces lies within {1000 * d:.0f} '
        'mm of the other, where the image changed.', True, '%', 100.0, 1, 'Surface')
       for d in F_SCORE_DISTANCES},
    'robot_residual': Metric('Robot residual', 'Predicted robot against the computed, exact one.',
                             False, 'mm', 1000.0, 2, 'Robot'),
    'robot_iou': Metric('Robot mask, exact', 'Overlap (IoU) of the predicted robot with the '
                        'computed one; what stands before it lowers it.', True, '%', 100.0, 1,
                        'Robot'),
    'robot_iou_true': Metric('Robot mask, true', 'Overlap (IoU) of the predicted robot with the '
                             'recorded one, where a mask was recorded.', True, '%', 100.0, 1,
                             'Robot'),
})


class Comparison(Mapping[str, float]):
    """A world model's future of one episode: metric -> mean over the frames, NaN if nowhere."""

    def __init__(self, world_model: str, values: Mapping[str, float], frames: int):
        """
        Make the comparison of one model and one episode.

        :param values: of all METRICS.
        :param frames: how many were compared.
        :raises ValueError: when a metric is missing or unknown.
        """
        if values.keys() != METRICS.keys():
            raise ValueError(f'the metrics are {", ".join(METRICS)}; got {", ".join(values)}')
        self.world_model, self.frames = world_model, frames
        self._values = {name: float(values[name]) for name in METRICS}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def compare(episode: Episode, predicted: Sequence[PredictedFrame], robot: RobotRollout,
            world_model: str) -> Comparison:
    """
    Measure predicted frames against what was recorded; the first is the observation itself.

    :param predicted: frames of `robot` (its indices), all or some of them.
    :param robot: the exact robot, in the size of the episode's camera.
    """
    calibration, truth, there = episode.calibration, episode.truth, episode.frames.times
    first = calibration.rectify(episode.frames[episode.start_index].image)
    rows, rays, nan = [], robot.camera.rays(), float('nan')
    for frame in predicted:
        if frame.index == 0:
            continue
        index = int(np.abs(there - frame.time).argmin())
        recorded = episode.frames[index]
        image = calibration.rectify(recorded.image)
        depth = np.full(image.shape[:2], np.nan, np.float32) if recorded.depth is None \
            else calibration.rectify_depth(recorded.depth)
        changed, mask = changed_region(first, image), truth.robot_masks.get(index)
        rows.append(_compare_frame(frame, image, depth, rays, changed) | {
            'psnr_world': nan if mask is None else psnr(frame.image, image, changed & ~mask),
            'robot_residual': robot_residual(
                frame.pointmap, robot.pointmap[frame.index], frame.robot_mask),
            'robot_iou': mask_iou(frame.robot_mask, robot.link_id[frame.index] >= 0),
            'robot_iou_true': nan if mask is None else mask_iou(frame.robot_mask, mask)})
    return Comparison(world_model, average(rows), len(rows))


def frames_with_truth(episode: Episode, times: np.ndarray) -> np.ndarray:
    """
    Return the indices of predicted frames at whose time there is a recorded image, (N,) int.

    :param times: (T,) [s] of the predicted frames.
    """
    step = times[-1] / max(len(times) - 1, 1)
    off = np.abs(episode.frames.times[None] - times[:, None]).min(axis=1)
    return np.nonzero(off <= 0.5 * step + 1e-6)[0]


def frames_to_compare(episode: Episode, times: np.ndarray, most: int = 6) -> list[int]:
    """
    Choose frames, spread over the motion, that are worth the time that all metrics take.

    :param times: (T,) [s] of the predicted frames.
    :return: indices, where possible of frames for which the robot's mask was recorded; the last
        one that can be compared always, the first never.
    """
    there = frames_with_truth(episode, times)
    there = there[there > 0]
    if not len(there):
        return []
    masked = [episode.frames.times[index] for index in episode.truth.robot_masks]
    good = [int(there[np.abs(times[there] - time).argmin()]) for time in masked
            if 0 < time < times[-1]]
    wanted = np.array(sorted({*good} or {*there.tolist()}))
    kept = wanted[np.linspace(0, len(wanted) - 1, min(most - 1, len(wanted))).round().astype(int)]
    return sorted({*kept.tolist(), int(there[-1])})


def average(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the rows that have it; NaN where none has."""
    out = {}
    for name in METRICS:
        known = [row[name] for row in rows if np.isfinite(row[name])]
        out[name] = float(np.mean(known)) if known else float('nan')
    return out


def _compare_frame(frame: PredictedFrame, image: np.ndarray, depth: np.ndarray, rays: np.ndarray,
                   changed: np.ndarray) -> dict[str, float]:
    """Return what a true image (H, W, 3) uint8 and depth (H, W) float32 [m] show of a frame."""
    flip = flip_map(frame.image, image)
    cloud = cloud_score(frame.pointmap, rays * depth[..., None], changed)
    return {
        'psnr_changed': psnr(frame.image, image, changed),
        'psnr_still': psnr(frame.image, image, ~changed),
        'ssim_changed': ssim(frame.image, image, changed),
        'ssim_still': ssim(frame.image, image, ~changed),
        'flip_changed': region_mean(flip, changed), 'flip_still': region_mean(flip, ~changed),
        'abs_rel': depth_abs_rel(frame.pointmap[..., 2], depth, changed),
        'delta': depth_delta(frame.pointmap[..., 2], depth, changed),
        'chamfer': cloud.chamfer,
        **{f'f_{1000 * d:.0f}mm': score for d, score in zip(F_SCORE_DISTANCES, cloud.f_scores)}}
