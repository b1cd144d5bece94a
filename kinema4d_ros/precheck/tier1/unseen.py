# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Space that the robot moves through and the camera has not seen."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema4d_ros.precheck.settings import Tier1Settings, Unseen
from kinema4d_ros.robot import DistanceFields, PointCubes
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import Finding, FindingCode, RobotRollout, Severity

_HIDDEN = 0.01        # [m] behind what the camera saw by more than this is unseen
_SURFACE_POINTS = 48  # per link, for the share of it in unseen space
_SAMPLES = 49         # frames that are checked, at most


def check_unseen(scene: Scene, robot: RobotRollout, names: tuple[str, ...],
                 surfaces: Mapping[str, np.ndarray], fields: DistanceFields,
                 settings: Tier1Settings) -> list[Finding]:
    """Report links that enter space the camera has not seen, beyond where the robot stands."""
    index = [robot.link_names.index(name) for name in fields.link_names]
    samples = np.unique(np.linspace(0, len(robot.times) - 1, _SAMPLES).round().astype(int))
    parts: list[slice] = []                                  # of the points, one for each link
    of_links = [np.empty((len(samples), 0, 3))]
    for name in names:
        vertices = surfaces[name]
        vertices = vertices[:: max(1, len(vertices) // _SURFACE_POINTS)]
        T_base_link = robot.T_base_link[samples, robot.link_names.index(name)]
        begin = parts[-1].stop if parts else 0
        parts.append(slice(begin, begin + len(vertices)))
        of_links.append(vertices @ np.swapaxes(T_base_link[:, :3, :3], 1, 2)
                        + T_base_link[:, None, :3, 3])
    points = np.concatenate(of_links, axis=1)                         # (samples, points, 3)
    unseen = scene.unseen(points, _HIDDEN)
    # Space that the robot takes up at first is its own.
    unseen[unseen] = np.isinf(fields.depth_of(
        PointCubes(points[unseen]), robot.T_base_link[0, index], below=_HIDDEN))
    worst, begins, where = [], [], []
    for name, part in zip(names, parts):
        share = unseen[:, part].mean(axis=1)
        bad = share > settings.unseen_share
        if bad.any():
            worst.append(float(share.max()))
            begins.append(float(robot.times[samples[bad.argmax()]]))
            where.append(name)
    if not where:
        return []
    first = int(np.argmin(begins))
    return [Finding(
        FindingCode.UNSEEN_SPACE,
        Severity.UNSURE if settings.unseen is Unseen.UNSURE else Severity.INFO,
        f'moves through space that the camera has not seen, from {begins[first]:.2f} s on: '
        + ', '.join(f"'{name}' {100 * share:.0f} %" for name, share in zip(where, worst)),
        link=where[first], other='scene', time=begins[first], value=max(worst),
        limit=settings.unseen_share)]
