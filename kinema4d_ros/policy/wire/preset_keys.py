# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The keys of a published policy, for one robot."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.action_format import ActionFormat, GripperColumn
from kinema4d_ros.policy.preset import normalized_range, PolicyPreset
from kinema4d_ros.policy.wire.keys import ObservationKeys, Path, PictureKey, StateKey
from kinema4d_ros.robot.description import JointType
from kinema4d_ros.robot.robot import Robot

_TURNS = {'tip_rotvec': 'rotvec', 'tip_rpy': 'euler_xyz', 'tip_quaternion': 'quaternion'}


def preset_keys(preset: PolicyPreset, robot: Robot, form: ActionFormat, *,
                tip_link: str = '') -> ObservationKeys:
    """
    Return the keys of a preset.

    A slash is part of a key, as in ``observation/image``; below ``images/`` alone it leads into
    another dict, as openpi's ALOHA policies have it.

    :param form: of the same preset and robot.
    :param tip_link: whose place the state tells; '' for the link of the actions.
    :raises ConfigurationError: the state tells something that this robot does not have.
    """
    states = []
    for key in preset.state:
        parts = list(key.parts)
        while parts:
            part = parts.pop(0)
            if part == 'tip_position':
                turn = _TURNS[parts.pop(0)] if parts and parts[0] in _TURNS else 'none'
                states.append(StateKey(_path(key.key), tip_link=_tip(preset, form, tip_link),
                                       tip_turn=turn))
            elif part in _TURNS:
                raise ConfigurationError(f'policy preset {preset.name}: {part} must follow '
                                         'tip_position')
            else:
                states += [StateKey(_path(key.key), (name,), (zero,), (unit,)) for name, zero, unit
                           in _joints(part, preset, robot, form)]
    pictures = tuple(
        PictureKey(_path(picture.key), view, (picture.height, picture.width),
                   picture.channels_first, picture.mirrored, not picture.required)
        for view, picture in preset.pictures.items())
    return ObservationKeys(pictures, tuple(states), _path(preset.instruction),
                           executed=preset.executed)


def _joints(part: str, preset: PolicyPreset, robot: Robot, form: ActionFormat
            ) -> Iterator[tuple[str, float, float]]:
    """Yield the joints that a part tells, each with the position of 0 and that of 1 more."""
    if part == 'gripper':
        for gripper in form.grippers:
            yield _gripper(gripper)
        return
    if part == 'fingers':       # the second of two that face each other counts backwards
        for index, name in enumerate(name for gripper in form.grippers for name in gripper.joints):
            yield name, 0.0, -1.0 if index % 2 else 1.0
        return
    names = form.joints if not form.tip_link else tuple(
        joint.name for joint in robot.path(form.tip_link) if joint.type is not JointType.FIXED)
    unit, zero = [1.0] * len(names), [0.0] * len(names)
    if preset.actions.unit == 'deg':
        unit = [float(np.pi / 180)] * len(names)
    elif preset.actions.unit == 'normalized':
        unit, zero = map(list, normalized_range(robot, names))
    arm = list(zip(names, zero, unit))
    if part == 'joints_and_grippers':       # in the order of the columns of an action
        width = len(names) + len(form.grippers)
        for gripper in sorted(form.grippers, key=lambda one: one.column % width):
            arm.insert(gripper.column % width, _gripper(gripper))
    yield from arm


def _gripper(gripper: GripperColumn) -> tuple[str, float, float]:
    if not gripper.joints:
        raise ConfigurationError('the policy is told how far the gripper is open, and the robot '
                                 'has none of the fingers that its preset knows; name them in a '
                                 'preset of your own')
    name, (opened, closed) = next(iter(gripper.joints.items()))
    unit = (closed - opened) / (gripper.closed - gripper.open)
    return name, opened - unit * gripper.open, unit


def _tip(preset: PolicyPreset, form: ActionFormat, named: str) -> str:
    if not (named or form.tip_link):
        raise ConfigurationError(f'policy preset {preset.name} tells the place of the tip: name '
                                 'its link')
    return named or form.tip_link


def _path(key: str) -> Path:
    first, _, rest = key.partition('/')
    return (first, rest) if first == 'images' and rest else (key,)
