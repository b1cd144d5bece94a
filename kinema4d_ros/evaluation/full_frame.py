# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The metrics that papers on world models report, over the full frame, of a few frames.

The full frame flatters every model that leaves alone what it does not know: most of a picture
stays. `comparison.py` measures where something changed.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.metrics import (cloud_score, F_SCORE_DISTANCES, flip_map, psnr,
                                             region_mean, ssim)
from kinema4d_ros.types import PinholeCamera, PredictedFrame

_AT_ONCE = 0.015      # [s] a predicted and a recorded frame this close are compared
_EVERY = 2            # rows and columns of the clouds: a quarter of the points, for speed


@dataclass(frozen=True)
class FullFrame:
    """Means over the frames compared."""

    psnr: float          # [dB]
    ssim: float
    flip: float          # in place of LPIPS, which needs weights
    chamfer: float       # [m] first powers, mean of both ways
    f_5mm: float
    f_10mm: float
    f_20mm: float
    frames: int


def full_frame(episode: Episode, predicted: Sequence[PredictedFrame], camera: PinholeCamera,
               most: int = 4) -> FullFrame:
    """
    Measure predicted frames against the recorded images and depths of the same moments.

    :param camera: of the predicted frames, in the size of the episode's.
    :param most: frames, spread over the motion; the first is never compared.
    :return: NaN where no image was recorded near the time of any frame.
    """
    assert F_SCORE_DISTANCES == (0.005, 0.010, 0.020)
    calibration, there, rays = episode.calibration, episode.frames.times, camera.rays()
    rows = []
    for frame in _chosen(predicted, there, most):
        recorded = episode.frames[int(np.abs(there - frame.time).argmin())]
        image, depth = calibration.rectify(recorded.image), recorded.depth
        everywhere = np.ones(image.shape[:2], bool)
        cloud = [float('nan')] * 4
        if depth is not None:
            true = rays * calibration.rectify_depth(depth)[..., None]
            every = (slice(None, None, _EVERY),) * 2
            score = cloud_score(frame.pointmap[every], true[every], everywhere[every])
            cloud = [score.chamfer, *score.f_scores]
        rows.append([psnr(frame.image, image, everywhere), ssim(frame.image, image, everywhere),
                     region_mean(flip_map(frame.image, image), everywhere), *cloud])
    means = np.mean(rows, axis=0) if rows else np.full(7, np.nan)
    flat, structure, seen, chamfer, f_5mm, f_10mm, f_20mm = map(float, means)
    return FullFrame(flat, structure, seen, chamfer, f_5mm, f_10mm, f_20mm, len(rows))


def full_frame_markdown(rows: dict[str, list[FullFrame]]) -> str:
    """Return a table of the means over episodes, a row per world model."""
    lines = ['| model | PSNR [dB] | SSIM | FLIP | Chamfer-L1 [m] | F 5 mm | F 10 mm | F 20 mm '
             '| episodes |', '|---|---|---|---|---|---|---|---|---|']
    for model, of in rows.items():
        values = [float(np.nanmean([getattr(row, field.name) for row in of]))
                  for field in fields(FullFrame)[:-1]]
        lines.append(f'| {model} | {values[0]:.2f} | {values[1]:.3f} | {values[2]:.4f} '
                     f'| {values[3]:.4f} | ' + ' | '.join(f'{value:.3f}' for value in values[4:])
                     + f' | {len(of)} |')
    return '\n'.join([*lines, ''])


def _chosen(predicted: Sequence[PredictedFrame], there: np.ndarray,
            most: int) -> list[PredictedFrame]:
    """Return frames at whose time there is a recorded one, spread over the motion."""
    fitting = [frame for frame in predicted
               if frame.index and np.abs(there - frame.time).min() <= _AT_ONCE]
    # The last frame and those at equal steps before it: in the first ones nothing has moved yet.
    picks = np.linspace(0, len(fitting), min(most, len(fitting)) + 1).round().astype(int)[1:] - 1
    return [fitting[pick] for pick in picks]
