# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The observed scene as points in the base frame, without the robot."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kinema4d_ros.camera.points import pointmap_from_depth
from kinema4d_ros.errors import CameraError, ObservationError
from kinema4d_ros.scene.mask import grow_robot
from kinema4d_ros.types import CameraView, Observation


def scene_cloud(observation: Observation, robot_mask: np.ndarray | Mapping[str, np.ndarray], *,
                voxel: float = 0.005, margin: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """
    Return points of the scene and their colours, one per voxel that is seen.

    Points that stand alone (between two surfaces, where a depth camera sees neither) are left
    out: fewer than 4 neighbours within three voxels.

    :param robot_mask: (H, W) bool, pixels of the robot; by name of the view where there are
        several, of which those without a mask or without depth are left out.
    :param voxel: [m].
    :param margin: how many pixels around the robot count as robot too; None for 1/160 of the
        height, at least 2.
    :return: (N, 3) float64 [m] base frame, (N, 3) uint8.
    :raises ObservationError: there is no depth image.
    :raises CameraError: a mask does not have the size of the image.
    """
    if not voxel > 0:
        raise CameraError(f'voxel must be a positive size [m], got {voxel}')
    masks = {observation.view.name: robot_mask} if isinstance(robot_mask, np.ndarray) \
        else robot_mask
    views = [view for view in observation.views if view.depth is not None and view.name in masks]
    if not views:
        raise ObservationError('a scene cloud needs a depth image and the observation has none; '
                               'connect the depth topic')
    parts = [_points_of(view, masks[view.name], margin) for view in views]
    points, colors = (np.concatenate(each) for each in zip(*parts))
    if not len(points):
        return np.empty((0, 3)), np.empty((0, 3), np.uint8)
    import open3d  # takes a second to import, and only this needs it
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.colors = open3d.utility.Vector3dVector(colors / 255.0)
    cloud = cloud.voxel_down_sample(voxel)
    cloud, _ = cloud.remove_radius_outlier(nb_points=4, radius=3 * voxel)
    return (np.array(cloud.points).reshape(-1, 3),
            np.round(np.array(cloud.colors).reshape(-1, 3) * 255).astype(np.uint8))


def _points_of(view: CameraView, robot_mask: np.ndarray,
               margin: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (N, 3) [m] base of one view without the robot, and colours (N, 3)."""
    if view.depth is None:
        return np.empty((0, 3)), np.empty((0, 3), np.uint8)
    keep = np.isfinite(view.depth) & ~grow_robot(robot_mask, view.camera, margin)
    points = pointmap_from_depth(view.depth, view.camera)[keep].astype(np.float64)
    T = view.T_base_camera
    return points @ T[:3, :3].T + T[:3, 3], view.image[keep]
