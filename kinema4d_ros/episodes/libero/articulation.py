# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The steps that open and close drawers and doors and turn knobs."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.episodes.libero.aim import AimErrors
from kinema4d_ros.episodes.libero.goal import TaskGoal
from kinema4d_ros.episodes.libero.frames import about_z, tilted
from kinema4d_ros.episodes.libero.plan import CLOSED, FINGERTIP, Kind, OPEN, Step
from kinema4d_ros.errors import EpisodeError

if TYPE_CHECKING:      # what is here needs no simulator but one that is had
    from kinema4d_ros.episodes.libero.scene import LiberoScene

_TILTED = np.radians(60.0)      # at most, of a hand that pushes
_AWAY = 0.08              # [m] from a handle that the hand begins
_BESIDE = 0.06            # [m] beside a handle that a missed grasp is
_ON, _OFF = 1.1, -0.25    # [rad] that a knob is turned to
_FINGER, _PRESS = 0.045, 0.155      # [m] beside the door, [rad] beyond its end
_SLOW = 0.15              # [m/s] with something that moves along


@dataclass(frozen=True)
class Manner:
    """How the hand is held, and goes, where there is a choice."""

    high: bool = True                         # well above what is on the way
    tilt: float = float(np.radians(75.0))     # towards a drawer that is pulled
    sign: float = 1.0                         # of the quarter turn of a hand that pushes a drawer


MANNERS = tuple(Manner(high, float(np.radians(tilt)), sign) for high, tilt, sign in (
    (True, 75.0, 1.0), (True, 60.0, -1.0), (True, 45.0, 1.0), (True, 30.0, -1.0),
    (False, 75.0, -1.0), (False, 60.0, 1.0), (False, 30.0, -1.0)))


def move_steps(scene: LiberoScene, goal: TaskGoal, kind: Kind, errors: AimErrors,
               manner: Manner, share: float = 1.0) -> tuple[list[Step], float]:
    """
    Return the steps that open, close or turn what a goal is about, and its position afterwards.

    :param share: of the way that it is moved.
    :raises EpisodeError: when that is not known how to do with a hand alone.
    """
    if goal.joint is None:
        raise EpisodeError(f'nothing of {goal.thing} moves, or not as one; choose another task')
    slides = scene.joint_unit(goal.joint) == 'm'
    if kind in (Kind.MISSED_PLACE, Kind.SLIP):
        share = 0.4
    if goal.relation in ('turnon', 'turnoff'):
        return _turn(scene, goal, kind, errors, share)
    if slides:
        opens = goal.relation == 'open'
        return (_pull if opens else _push_drawer)(scene, goal.joint, kind, errors, share, manner)
    if goal.relation == 'close':
        return _push_door(scene, goal.joint, kind, errors, share)
    raise EpisodeError(f'the door of {goal.thing} is opened by its handle, which this hand does '
                       'not get around; choose another task')


def _handle(scene: LiberoScene, joint: str, way: np.ndarray) -> np.ndarray:
    """Return the middle (3,) [m] of what sticks out farthest of a drawer along a way (3,)."""
    boxes = [0.5 * (low + high) for low, high in scene.moving_part(joint)]
    sizes = [high - low for low, high in scene.moving_part(joint)]
    bars = [middle for middle, size in zip(boxes, sizes) if size.max() < 0.15]
    return max(bars or boxes, key=lambda middle: float(middle @ way))


def _out(scene: LiberoScene, joint: str) -> np.ndarray:
    """Return the way (3,) on which a drawer opens: its joint goes to lower positions."""
    low, high = scene.joint_range(joint)
    sign = -1.0 if abs(low) > abs(high) else 1.0
    return sign * scene.joint_frame(joint)[1]


def _pull(scene: LiberoScene, joint: str, kind: Kind, errors: AimErrors,
          share: float, manner: Manner) -> tuple[list[Step], float]:
    out = _out(scene, joint)
    handle, position = _handle(scene, joint, out), scene.joint_position(joint)
    low, high = scene.joint_range(joint)
    open_at = low if abs(low) > abs(high) else high
    way = share * (abs(open_at - position) + 0.005) * out
    turn = tilted(out, manner.tilt, _yaw_for(out))
    grip = handle + errors.grasp
    if kind is Kind.MISSED_GRASP:
        grip = grip + [0.0, 0.0, _BESIDE]
    up = np.array([0.0, 0.0, 0.10])
    before = grip + _AWAY * out
    steps = [Step(before + up, OPEN, turn=turn), Step(before, OPEN), Step(grip, OPEN, _SLOW),
             Step(None, CLOSED), Step(grip + way, CLOSED, _SLOW), Step(None, OPEN)]
    if share == 1.0:
        position = open_at
    else:
        position += share * (open_at - position)
    return [*steps, Step(grip + way + _AWAY * out, OPEN),
            Step(grip + way + _AWAY * out + up, OPEN, turn=np.eye(3))], position


def _yaw_for(out: np.ndarray) -> float:
    """Return the yaw [rad] that lets the fingers close up and down once the hand is tilted."""
    angle = np.arctan2(out[1], out[0])
    return float((angle - np.pi / 2 + np.pi / 2) % np.pi - np.pi / 2)


def _push_drawer(scene: LiberoScene, joint: str, kind: Kind, errors: AimErrors,
                 share: float, manner: Manner) -> tuple[list[Step], float]:
    out = _out(scene, joint)
    handle, position = _handle(scene, joint, out), scene.joint_position(joint)
    low, high = scene.joint_range(joint)
    shut_at = high if abs(low) > abs(high) else low
    turn = tilted(out, min(manner.tilt, _TILTED), _yaw_for(out) + manner.sign * np.pi / 2)
    touch = handle + errors.grasp + (FINGERTIP + 0.008) * out
    if kind is Kind.MISSED_GRASP:
        touch = touch + np.cross(out, [0.0, 0.0, 1.0]) * 0.24
    before, up = touch + 0.06 * out, np.array([0.0, 0.0, 0.15])
    end = touch - share * abs(shut_at - position) * out
    steps = [Step(None, CLOSED), Step(before + up, CLOSED, turn=turn), Step(before, CLOSED),
             Step(end, CLOSED, _SLOW), Step(end + 0.08 * out, CLOSED),
             Step(end + 0.08 * out + up, CLOSED, turn=np.eye(3)), Step(None, OPEN)]
    return steps, position + share * (shut_at - position)


def _push_door(scene: LiberoScene, joint: str, kind: Kind, errors: AimErrors,
               share: float) -> tuple[list[Step], float]:
    """Push a door shut along its circle with closed fingers, at its outer face from above."""
    anchor, axis = scene.joint_frame(joint)
    low, high = scene.joint_range(joint)
    shut_at = high if abs(low) > abs(high) else low
    position = scene.joint_position(joint)
    angle = share * (shut_at - position)
    boxes = scene.moving_part(joint)
    door = max(boxes, key=lambda box: float(np.prod(np.maximum(box[1] - box[0], 0.005))))
    middle, top = 0.5 * (door[0] + door[1]), door[1][2]
    arm = np.r_[(middle - anchor)[:2], 0.0]      # from the hinge to the middle of the door
    radius = np.linalg.norm(arm) * 1.5
    along = arm / np.linalg.norm(arm)
    # It shuts by turning about the axis: the hand is on the side that it turns away from.
    behind = -np.sign(angle) * np.cross(axis, along)
    points = []
    for part in np.linspace(0.0, 1.0, 10):
        turned = part * (angle + _PRESS * share * np.sign(angle))
        R = Rotation.from_rotvec(turned * axis).as_matrix()
        place = anchor + R @ (radius * along + _FINGER * behind)
        points.append(np.r_[place[:2], top - 0.012] + errors.grasp)
    if kind is Kind.MISSED_GRASP:
        points = [point + [0.0, 0.0, 0.08] for point in points]
    up = np.array([0.0, 0.0, 0.12])
    begin = points[0] + 0.05 * behind
    end = points[-1] + Rotation.from_rotvec(angle * axis).as_matrix() @ (0.08 * behind)
    return [Step(None, CLOSED), Step(begin + up, CLOSED), Step(begin, CLOSED),
            *(Step(point, CLOSED, 2 * _SLOW) for point in points), Step(end, CLOSED),
            Step(end + up, CLOSED), Step(None, OPEN)], position + angle


def _turn(scene: LiberoScene, goal: TaskGoal, kind: Kind, errors: AimErrors,
          share: float) -> tuple[list[Step], float]:
    """Take a knob by its bar and turn the hand."""
    assert goal.joint is not None
    anchor, axis = scene.joint_frame(goal.joint)
    position = scene.joint_position(goal.joint)
    wanted = _ON if goal.relation == 'turnon' else _OFF
    angle = share * (wanted - position) * np.sign(axis[2])
    top = max(high[2] for _, high in scene.moving_part(goal.joint))
    # The bar lies along x where the knob is off.
    yaw = position * np.sign(axis[2])
    grip = np.r_[anchor[:2], top - 0.004] + errors.grasp
    if kind is Kind.MISSED_GRASP:
        grip = grip + [0.0, 0.0, 0.05]
    up = np.array([0.0, 0.0, 0.12])
    turn, turned = about_z(yaw), about_z(yaw + angle)
    return [Step(grip + up, OPEN, turn=turn), Step(grip, OPEN), Step(None, CLOSED),
            Step(grip, CLOSED, _SLOW, turned), Step(None, OPEN),
            Step(grip + up, OPEN)], position + share * (wanted - position)
