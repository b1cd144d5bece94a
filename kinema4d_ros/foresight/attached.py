# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Declared objects and observed bodies as what a link holds, and where that is in a picture."""
from __future__ import annotations

import numpy as np

from kinema4d_ros.camera.points import project
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.hull import depth_in, hull_mesh, hull_planes
from kinema4d_ros.scene.mask import grow
from kinema4d_ros.types import (AttachedObject, AttachedShape, CameraView, Gripper, HeldObject,
                                HeldSource, PinholeCamera, RobotRollout)

_GRAY = (150, 150, 150)
_ROUND = 24             # corners of a circle
_MARGIN = 0.01          # [m] what is seen this close to a held object is taken for a part of it
_SUPPORT = 0.004        # [m] what is lower than this below it is not


def declared(attached: AttachedObject, gripper: Gripper | None) -> HeldObject:
    """
    Return a declared object as what its link holds: the convex hull of its shapes.

    :raises ConfigurationError: the shapes together are flat.
    """
    points = np.concatenate([_points_of(shape) for shape in attached.shapes])
    try:
        vertices, faces = hull_mesh(points)
    except ValueError as error:
        raise ConfigurationError(f'the attached object {attached.name!r}: {error}') from error
    of_hand = () if gripper is None else (gripper.palm_link, *gripper.finger_links)
    return HeldObject(
        attached.link, vertices, faces, np.tile(np.array(_GRAY, np.uint8), (len(vertices), 1)),
        HeldSource.DECLARED, name=attached.name, touch_links=attached.touch_links,
        in_fingers=attached.link in of_hand)


def of_body(body: Body, pose: np.ndarray, T_base_link: np.ndarray, link: str,
            source: HeldSource, touch_links: tuple[str, ...], age: float = 0.0) -> HeldObject:
    """
    Return an observed body as what a link holds.

    :param pose: (4, 4) how the body has moved since it was observed.
    :param T_base_link: (4, 4) of the link at that pose.
    """
    T = np.linalg.inv(T_base_link) @ pose
    return HeldObject(link, body.vertices @ T[:3, :3].T + T[:3, 3], body.faces, body.colors,
                      source, age, touch_links=touch_links)


def body_of(held: HeldObject, T_base_link: np.ndarray) -> Body:
    """Return a held object as a body, given where its link (4, 4) is."""
    return Body(held.vertices @ T_base_link[:3, :3].T + T_base_link[:3, 3], held.faces,
                held.colors)


def held_bodies(robot: RobotRollout) -> tuple[Body, ...]:
    """Return what the links of a rollout hold as bodies, where they are at frame 0."""
    return tuple(body_of(each, robot.T_base_link[0, robot.link_names.index(each.link)])
                 for each in robot.held)


def mask_of(bodies: tuple[Body, ...], seen: CameraView) -> np.ndarray:
    """
    Return the pixels of a view that show some bodies or what is within 1 cm of them, (H, W) bool.

    What stands before a body is seen nearer and stays, and so does what it stands on.
    """
    mask = np.zeros((seen.camera.height, seen.camera.width), bool)
    for body in bodies:
        window = window_of(body.vertices, seen.camera, seen.T_base_camera, grow_by=_MARGIN)
        if window is None or seen.depth is None:
            continue
        depth = seen.depth[window]
        if body.planes is None:
            continue
        points = points_in(window, depth, seen.camera, seen.T_base_camera)
        known = np.isfinite(points[..., 2]) & (points[..., 2] > body.bottom - _SUPPORT)
        inside = np.zeros(depth.shape, bool)
        inside[known] = depth_in(points[known], body.planes, np.eye(4)) <= _MARGIN
        mask[window] |= grow(inside, 1)
    return mask


def window_of(points: np.ndarray, camera: PinholeCamera, T_base_camera: np.ndarray,
              grow_by: float = 0.0) -> tuple[slice, slice] | None:
    """
    Return rows and columns of the picture that hold points (N, 3) [m] base; None for none.

    :param grow_by: [m] around them.
    """
    T = np.linalg.inv(T_base_camera)
    local = points @ T[:3, :3].T + T[:3, 3]
    local = local[local[:, 2] > 0.01]
    if not len(local):
        return None
    pixel = project(local, camera)
    rim = grow_by * camera.fx / float(local[:, 2].min()) + 2
    low = np.floor(pixel.min(0) - rim).astype(int)
    high = np.ceil(pixel.max(0) + rim).astype(int) + 1
    columns = slice(max(low[0], 0), min(high[0], camera.width))
    rows = slice(max(low[1], 0), min(high[1], camera.height))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return None
    return rows, columns


def points_in(window: tuple[slice, slice], depth: np.ndarray, camera: PinholeCamera,
              T_base_camera: np.ndarray) -> np.ndarray:
    """Return the points of a window of a picture, (h, w, 3) [m] base, NaN unknown."""
    rows, columns = window
    v, u = np.mgrid[rows, columns]
    local = np.stack([(u - camera.cx) / camera.fx * depth, (v - camera.cy) / camera.fy * depth,
                      depth], -1)
    points: np.ndarray = local @ T_base_camera[:3, :3].T + T_base_camera[:3, 3]
    return points


def without_lifted(depth: np.ndarray, is_old: np.ndarray, origin: np.ndarray,
                   seen: CameraView) -> np.ndarray:
    """
    Return which remembered pixels show an object where it stood before it was lifted, (H, W).

    :param depth: (H, W) [m] as remembered.
    :param is_old: (H, W) bool, pixels that were remembered before it was lifted.
    :param origin: (V, 3) [m] base, points of the object where it stood.
    """
    stale = np.zeros(depth.shape, bool)
    window, planes = window_of(origin, seen.camera, seen.T_base_camera, _MARGIN), \
        hull_planes(origin)
    if window is None or planes is None:
        return stale
    points = points_in(window, depth[window], seen.camera, seen.T_base_camera)
    known = is_old[window] & np.isfinite(points[..., 2]) \
        & (points[..., 2] > origin[:, 2].min() + _SUPPORT)
    inside = np.zeros(known.shape, bool)
    inside[known] = depth_in(points[known], planes, np.eye(4)) <= _MARGIN
    stale[window] = inside
    return stale


def _points_of(shape: AttachedShape) -> np.ndarray:
    """Return points (N, 3) [m] whose hull is the shape, frame of the link."""
    angle = np.arange(_ROUND) * 2 * np.pi / _ROUND
    circle = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(_ROUND)])
    size = np.array(shape.dimensions)
    if shape.kind == 'box':
        corners = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(-1, 3)
        points = corners * size / 2
    elif shape.kind == 'sphere':
        lift = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 13))
        points = size[0] * np.concatenate([
            np.sqrt(1 - z * z) * circle + [0, 0, z] for z in lift])
    elif shape.kind in ('cylinder', 'cone'):
        height, radius = size
        top = radius * circle if shape.kind == 'cylinder' else np.zeros((1, 3))
        points = np.concatenate([radius * circle - [0, 0, height / 2], top + [0, 0, height / 2]])
    else:
        points = np.array(shape.vertices)
    x, y, z, w = np.array(shape.pose[3:]) / np.linalg.norm(shape.pose[3:])
    R = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],  # noqa: N806
                  [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                  [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
    moved: np.ndarray = points @ R.T + np.array(shape.pose[:3])
    return moved
