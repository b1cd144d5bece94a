# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the names that a set gives to the values of a column say: joints, fingers, a pose."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.datasets.preset import GripperColumns, pick, RobotPreset
from kinema4d_ros.datasets.source import SourceEpisode
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.types import Status

_AFFIXES = ('.pos', '_pos', '_rad', '_deg', '.position', 'main_', 'follower_')
_SIDES = ('left_', 'right_')
_PLACE = ('x', 'y', 'z')
#: names of a rotation -> form of the pose; what has four is tried before what has three of these
_TURNS = ((('rx', 'ry', 'rz', 'rw'), 'xyz_quat_xyzw'), (('qx', 'qy', 'qz', 'qw'), 'xyz_quat_xyzw'),
          (('roll', 'pitch', 'yaw'), 'xyz_rpy'), (('rx', 'ry', 'rz'), 'xyz_rotvec'),
          (('axis_angle1', 'axis_angle2', 'axis_angle3'), 'xyz_rotvec'))


def plain_name(name: str, affixes: tuple[str, ...] = _AFFIXES) -> str:
    """Return the name of a joint without what sets put around it, in lower case."""
    for affix in affixes:
        name = name.removesuffix(affix).removeprefix(affix)
    return name.lower()


def joint_column(episode: SourceEpisode, preset: RobotPreset, arm: tuple[str, ...]
                 ) -> tuple[str, np.ndarray] | None:
    """Return the joints in the order of `arm`: by the names that the set has, else by place."""
    for column in _columns(preset):
        if column not in episode.columns:
            continue
        for affixes in (_AFFIXES, _AFFIXES + _SIDES):
            told = [plain_name(name, affixes) for name in _names(episode, column)]
            wanted = [plain_name(name, affixes) for name in arm]
            if all(told.count(name) == 1 for name in wanted):
                return column, episode.columns[column][:, [told.index(name) for name in wanted]]
    return pick(episode.columns, [text for text in preset.joints.columns
                                  if not set(_PLACE) <= set(_names_at(text, episode))])


def tip_column(episode: SourceEpisode, preset: RobotPreset) -> tuple[str, np.ndarray, str] | None:
    """
    Return name, values and form of the pose of the tip: where the preset says, else by its names.

    A part of a column whose values have the names of other things, such as joints, is none.
    """
    if preset.tip is None:
        return None
    by_place = [text for text in preset.tip.columns if '[' not in text
                or _PLACE[0] in _names_at(text, episode) or not _has_words(text, episode)]
    if (found := pick(episode.columns, by_place)) is not None:
        return *found, preset.tip.form
    for column in _columns(preset):
        names = [name.lower() for name in _names(episode, column)]
        for turn, form in _TURNS:
            if column in episode.columns and all(names.count(name) == 1
                                                 for name in (*_PLACE, *turn)):
                places = [names.index(name) for name in (*_PLACE, *turn)]
                return column, episode.columns[column][:, places], form
    return None


def gripper_column(episode: SourceEpisode, told: GripperColumns) -> tuple[str, np.ndarray] | None:
    """Return the gripper: what is called so where it is taken by place, else what is there."""
    for text in told.columns:
        column, sign, _ = text.partition('[')
        names = [plain_name(name) for name in _names(episode, column)]
        if sign and column in episode.columns and names.count('gripper') == 1:
            place = names.index('gripper')
            return column, episode.columns[column][:, place:place + 1]
        if (found := pick(episode.columns, [text])) is not None:
            return found
    return None


def named_fingers(episode: SourceEpisode, told: GripperColumns,
                  known: Mapping[str, tuple[float, float]]) -> dict[str, np.ndarray]:
    """
    Return values (N,) of joints of the gripper that a column names as the URDF does.

    Of those columns alone that the gripper is taken from by place; what lies far outside of where
    the joint can be is no position of it.
    """
    found: dict[str, np.ndarray] = {}
    for column in (text.partition('[')[0] for text in told.columns if '[' in text):
        names = [plain_name(name) for name in _names(episode, column)]
        for joint, ends in known.items():
            if names.count(plain_name(joint)) == 1:
                values = episode.columns[column][:, names.index(plain_name(joint))]
                slack = 0.1 * abs(ends[1] - ends[0])
                if min(ends) - slack <= values.min() and values.max() <= max(ends) + slack:
                    found.setdefault(joint, values)
    return found


def arms_check(episode: SourceEpisode, taken: str) -> ImportCheck | None:
    """FAIL where joints are taken by place from a column that has those of two arms."""
    column, sign, places = taken.partition('[')
    names = _names(episode, column)
    if not sign:
        return None
    begin, end = map(int, places.rstrip(']').split(':'))
    told = [plain_name(name, _AFFIXES + _SIDES) for name in names]
    twice = [name for name, plain in zip(names[begin:end], told[begin:end])
             if told.count(plain) > 1]
    if not twice:
        return None
    return ImportCheck(
        'arms', Status.FAIL, len(twice), 0, 'joints',
        f'{column} has two arms ({", ".join(names)}), and {taken} would be {", ".join(twice)}: '
        'write a preset whose columns are those of the arm of the URDF, and give --allow arms')


def _columns(preset: RobotPreset) -> Iterable[str]:
    """Return the columns that a preset names, without their parts, joints first."""
    told: Sequence[str] = (*preset.joints.columns,
                           *(preset.tip.columns if preset.tip else ()),
                           *(preset.gripper.columns if preset.gripper else ()))
    return dict.fromkeys(text.partition('[')[0] for text in told)


def _names(episode: SourceEpisode, column: str) -> tuple[str, ...]:
    """
    Return what the set calls the values of a column; () where it says nothing.

    :raises DatasetError: it has names for more values than there are, so which is which is open.
    """
    names, values = tuple(episode.names.get(column, ())), episode.columns.get(column)
    if values is not None and len(names) > values.shape[1]:
        raise DatasetError(f'{episode.name}: the set has {len(names)} names ({", ".join(names)}) '
                           f'for the {values.shape[1]} values of {column}; correct its info.json')
    return names


def _names_at(text: str, episode: SourceEpisode) -> list[str]:
    """Return what the set calls the values of 'name' or 'name[0:7]', in lower case."""
    column, sign, places = text.partition('[')
    names = [name.lower() for name in _names(episode, column)]
    if not sign:
        return names
    begin, end = map(int, places.rstrip(']').split(':'))
    return names[begin:end]


def _has_words(text: str, episode: SourceEpisode) -> bool:
    """Whether the names are more than numbers, such as motor_0."""
    return any(not name.startswith(('motor', 'state', 'dim')) and not name.isdigit()
               for name in _names_at(text, episode))
