# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Robots of data sets: what their columns mean and how their URDF calls things, one file each."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from kinema4d_ros.errors import DatasetError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.serialization import from_plain, PlainError

_COLUMN = re.compile(r'(?P<name>[^\[\]]+)(\[(?P<begin>\d+):(?P<end>\d+)\])?$')
_MOST_TEXT = 1 << 20


@dataclass(frozen=True)
class UrdfHint:
    """Where the URDF is had, which is not shipped here."""

    source: str
    package: str = ''       # of ROS, where one has it
    note: str = ''


@dataclass(frozen=True)
class JointColumns:
    """Where the joints of the arm are."""

    names: tuple[tuple[str, ...], ...]      # of the URDF; the first tuple that it has is taken
    columns: tuple[str, ...] = ()           # 'name' or 'name[0:7]'; the first that is there
    unit: str = 'auto'                      # rad, deg, normalized (-100..100), auto
    home: tuple[float, ...] = ()            # [rad] where inverse kinematics begins


@dataclass(frozen=True)
class GripperColumns:
    """Where the opening of the gripper is, and what it means."""

    columns: tuple[str, ...]
    open: float                                     # the value of the column
    closed: float
    joints: Mapping[str, tuple[float, float]]       # of the URDF: [rad or m] open, closed


@dataclass(frozen=True)
class TipColumns:
    """Where the pose of a link is."""

    link: str
    columns: tuple[str, ...]
    form: str = 'xyz_rpy'                   # see poses.FORMS; [m], [rad]
    #: rotation (9, row by row) between the set's frame and the link's: R_link = R_set @ this
    rotation_after: tuple[float, ...] = ()


@dataclass(frozen=True)
class PresetCamera:
    """A camera of the set; numbers that are not `exact` are where a calibration may begin."""

    width: int                              # [px] that K is for
    height: int
    K: tuple[float, float, float, float]    # fx, fy, cx, cy [px]
    T_base_camera: tuple[float, ...] = ()   # 16, row by row, optical axes
    parent: str = ''                        # link that T is told in, such as the hand; '' the base
    exact: bool = False
    note: str = ''


@dataclass(frozen=True)
class RobotPreset:
    """One robot as data sets have it."""

    name: str
    title: str
    urdf: UrdfHint
    joints: JointColumns
    gripper: GripperColumns | None = None
    tip: TipColumns | None = None
    action: tuple[str, ...] = ()            # columns of actions
    rate: float | None = None               # [Hz] of rows, where the set does not say
    base: str = ''                          # link that tip and cameras are told in; '' the root
    #: cameras, those outside of the robot first; a part of the name that the set has
    camera_order: tuple[str, ...] = ()
    cameras: Mapping[str, PresetCamera] = field(default_factory=dict)
    licence: str = ''

    @classmethod
    def load(cls, name: str | Path) -> RobotPreset:
        """
        Read a preset by its name, or from a YAML file of one's own.

        :raises DatasetError: there is none, or it is not as it is described here.
        """
        path = Path(name).expanduser()
        if not (path.suffix in ('.yaml', '.yml') and path.is_file()):
            known = presets()
            if str(name) not in known:
                raise DatasetError(f'there is no robot preset {str(name)!r}; name a YAML file, or '
                                   f'one of {", ".join(sorted(known))}')
            path = known[str(name)]
        try:
            if path.stat().st_size > _MOST_TEXT:
                raise DatasetError(f'the robot preset {path} is larger than {_MOST_TEXT} bytes')
            preset = from_plain(cls, yaml.safe_load(path.read_text(encoding='utf-8')), path.name)
        except OSError as error:
            raise DatasetError(f'the robot preset {path}: {error.strerror}') from error
        except (yaml.YAMLError, UnicodeDecodeError, PlainError) as error:
            raise DatasetError(f'the robot preset {path} cannot be used: {error}') from error
        preset.check()
        return preset

    def check(self) -> None:
        """
        Check what the types do not say.

        :raises DatasetError: naming the field.
        """
        from kinema4d_ros.datasets.poses import FORMS

        if self.joints.unit not in ('rad', 'deg', 'normalized', 'auto'):
            raise DatasetError(f'preset {self.name}: joints.unit is {self.joints.unit!r}; it is '
                               'rad, deg, normalized or auto')
        widths = {len(names) for names in self.joints.names}
        if len(widths) != 1 or 0 in widths:
            raise DatasetError(f'preset {self.name}: joints.names must be lists of the same length')
        if self.joints.home and len(self.joints.home) not in widths:
            raise DatasetError(f'preset {self.name}: joints.home has {len(self.joints.home)} '
                               'values')
        if self.tip is not None and (self.tip.form not in FORMS
                                     or len(self.tip.rotation_after) not in (0, 9)):
            raise DatasetError(f'preset {self.name}: tip.form is one of {", ".join(FORMS)}, and '
                               'tip.rotation_after has 9 numbers')
        for part, camera in self.cameras.items():
            if len(camera.T_base_camera) not in (0, 16):
                raise DatasetError(f'preset {self.name}: cameras.{part}.T_base_camera has '
                                   f'{len(camera.T_base_camera)} numbers; it is 16, row by row')
        if self.gripper is not None and self.gripper.open == self.gripper.closed:
            raise DatasetError(f'preset {self.name}: gripper.open and gripper.closed are the same')
        if not self.joints.columns and self.tip is None:
            raise DatasetError(f'preset {self.name} names columns of neither joints nor tip')


def preset_of(joint_names: Sequence[str]) -> RobotPreset:
    """Return the preset of recordings whose joints are named as in their URDF, in radians."""
    return RobotPreset('urdf', 'as the URDF has it', UrdfHint('the bag, or --urdf'),
                       JointColumns((tuple(joint_names),), ('joint_states', 'observation.state'),
                                    'rad'))


def presets() -> dict[str, Path]:
    """Return the presets that come with the package, by name."""
    folder = share_dir() / 'config' / 'datasets'
    return {path.stem: path for path in sorted(folder.glob('*.yaml'))}


def pick(columns: Mapping[str, np.ndarray], wanted: Sequence[str]) -> tuple[str, np.ndarray] | None:
    """
    Return the first of some columns that a set has, with its name; None where it has none.

    :param wanted: each 'name' or 'name[begin:end]'. A slice that the column is too narrow for is
        passed over.
    :raises DatasetError: one is not of that form.
    """
    for text in wanted:
        match = _COLUMN.fullmatch(text)
        if match is None:
            raise DatasetError(f'{text!r} names no column; write name or name[0:7]')
        values = columns.get(match['name'])
        if values is None:
            continue
        if match['begin'] is None:
            return text, values
        begin, end = int(match['begin']), int(match['end'])
        if begin < end <= values.shape[1]:
            return text, values[:, begin:end]
    return None
