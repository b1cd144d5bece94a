# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is held by an end, and hangs down where it is taken to be held level."""
from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.foresight import Fingers, MovingBody
from kinema4d_ros.precheck.tier1.hull_depth import deepest_points
from kinema4d_ros.scene import ScenePoints
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity

_LONG = 0.2            # [m] shorter things are held level by the pads of the fingers
_BY_AN_END = 0.02      # [m] from the line between the fingers to the middle of the thing
_HANGS = 0.5           # [rad] by which a pan that is held by its handle turns about the fingers
_ABOVE = 0.02          # [m] above what it is lifted from and put on; lower is no obstacle
_STRIKES = 0.005       # [m] deep, as well as a hull is known


def swing(moving: MovingBody, radius: float) -> float:
    """
    Return how far the middle of something may go from where it is held level, 0 if it stays, [m].

    :param radius: [m] of the ball around its middle, in which the fingers hold it.
    """
    is_long = np.ptp(moving.body.vertices[:, :2], axis=0).max() >= _LONG
    return 2 * math.sin(_HANGS / 2) * radius if is_long and moving.held is None else 0.0


def check_hanging(points: ScenePoints, robot: RobotRollout, moving: MovingBody,
                  frames: np.ndarray, gone: np.ndarray) -> Finding | None:
    """
    Report where something strikes the scene if it hangs down; None where it does not.

    Two fingers hold a pan by its handle as a hinge does: friction bears its weight, and little of
    the torque about the line between them.

    :param frames: (M,) in which the hand carries it, in order.
    :param gone: (N,) frame from which each point of the scene is no longer there.
    """
    body, planes = moving.body, moving.body.planes
    if planes is None or not len(frames) or not len(points) \
            or np.ptp(body.vertices[:, :2], axis=0).max() < _LONG:
        return None
    first, fingers = int(frames[0]) - 1, Fingers(robot)
    grip, axis = fingers.middle_base(first), fingers.axis_base(first)
    lever = moving.center(first) - grip
    sideways = np.cross(axis, lever)
    length = abs(float(np.cross(axis, [0.0, 0.0, 1.0]) @ lever))     # across the line, level
    if length < _BY_AN_END:
        return None
    sign = -np.sign(sideways[2])      # so that its middle goes down
    R = Rotation.from_rotvec(sign * _HANGS * axis).as_matrix()  # noqa: N806
    hangs = np.eye(4)
    hangs[:3, :3], hangs[:3, 3] = R, grip - R @ grip
    before = moving.T_base_body[first]
    poses = moving.T_base_body[frames] @ np.linalg.inv(before) @ hangs @ before
    middle = body.vertices.mean(0)
    radius = float(np.linalg.norm(body.vertices - middle, axis=1).max())
    ends = [body.moved(body.vertices, pose)[:, 2].min()
            for pose in (before, moving.T_base_body[frames[-1]])]
    depth, index = deepest_points(points, planes, (middle, radius), poses, before, gone, frames,
                                  np.full(len(frames), max(ends) + _ABOVE))
    worst = int(depth.argmin())
    if depth[worst] > -_STRIKES:
        return None
    place, time = points.points_base[index[worst]], float(robot.times[frames[worst]])
    return Finding(
        FindingCode.CONTACT, Severity.UNSURE,
        f'what is carried is held {100 * length:.0f} cm beside its middle: where it hangs down, '
        'it strikes the scene at ({:.2f}, {:.2f}, {:.2f}) m at {:.1f} s'.format(*place, time),
        link=robot.hand.palm_link, other='carried object', point_base=plain_point(place),
        time=time)
