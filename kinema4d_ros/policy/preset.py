# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies as they are published: what they are shown, what their actions mean, how many run."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.policy.action_format import (ActionFormat, GripperColumn, Reference,
                                               VelocityResponse)
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot.robot import Robot
from kinema4d_ros.serialization import from_plain, PlainError

_MOST_TEXT = 1 << 20
_UNITS = ('rad', 'deg', 'normalized')
_FULL = 100.0           # of a calibrated range
#: what a vector of the state may be put together from
PARTS = ('joints', 'gripper', 'fingers', 'joints_and_grippers', 'tip_position', 'tip_rotvec',
         'tip_rpy', 'tip_quaternion')


@dataclass(frozen=True)
class PresetPicture:
    """A picture as the policy wants it, RGB uint8, resized with black bars."""

    key: str                        # of the request; parts of nested ones joined by /
    height: int                     # [px]
    width: int
    channels_first: bool = False    # (3, H, W)
    mirrored: bool = False          # left to right
    required: bool = True


@dataclass(frozen=True)
class PresetState:
    """A vector of the robot's state, put together from `PARTS`."""

    key: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class PresetActions:
    """What the columns mean, for robots whose joints are named like one of these."""

    joints: tuple[tuple[str, ...], ...] = ()    # the first tuple that the robot has is taken
    tip_links: tuple[str, ...] = ()             # the first one that it has
    reference: Reference = Reference.ABSOLUTE
    unit: str = 'rad'                           # of joints: rad, deg, normalized (-100..100)
    in_tip_frame: bool = False
    rpy: bool = False
    clip: tuple[float, float] | None = None
    scale: tuple[float, ...] = ()
    velocity: VelocityResponse | None = None


@dataclass(frozen=True)
class PresetGripper:
    """A gripper's column; of `joints` those that the robot has."""

    column: int
    open: float
    closed: float
    joints: Mapping[str, tuple[float, float]]
    threshold: float | None = None
    limited: bool = False       # it goes as fast as it may, where the policy asks for more


@dataclass(frozen=True)
class PolicyPreset:
    """
    One kind of policy.

    :param rate: [Hz] actions per second.
    :param executed: how many actions of a chunk run before the policy is asked again.
    :param instruction: key of the request that holds the words.
    :param pictures: by view, as `PolicyObservation.images` calls them.
    """

    name: str
    title: str
    source: str
    rate: float
    executed: int
    actions: PresetActions
    grippers: tuple[PresetGripper, ...] = ()
    instruction: str = 'prompt'
    pictures: Mapping[str, PresetPicture] = field(default_factory=dict)
    state: tuple[PresetState, ...] = ()

    @staticmethod
    def path(name: str | Path) -> Path:
        """
        Return the file of a preset.

        :raises ConfigurationError: there is none.
        """
        path = Path(name).expanduser()
        if path.suffix in ('.yaml', '.yml') and path.is_file():
            return path
        known = policy_presets()
        if str(name) not in known:
            raise ConfigurationError(f'there is no policy preset {str(name)!r}; name a YAML '
                                     f'file, or one of {", ".join(sorted(known))}')
        return known[str(name)]

    @classmethod
    def load(cls, name: str | Path) -> PolicyPreset:
        """
        Read a preset by its name, or from a YAML file of one's own.

        :raises ConfigurationError: there is none, or it is not as it is described here.
        """
        path = cls.path(name)
        try:
            if path.stat().st_size > _MOST_TEXT:
                raise ConfigurationError(f'the policy preset {path} is larger than {_MOST_TEXT} '
                                         'bytes')
            preset = from_plain(cls, yaml.safe_load(path.read_text(encoding='utf-8')), path.name)
        except OSError as error:
            raise ConfigurationError(f'the policy preset {path}: {error.strerror}') from error
        except (yaml.YAMLError, UnicodeDecodeError, PlainError) as error:
            raise ConfigurationError(f'the policy preset {path} cannot be used: {error}') \
                from error
        preset.check()
        return preset

    def check(self) -> None:
        """
        Check what the types do not say.

        :raises ConfigurationError: naming the field.
        """
        where = f'policy preset {self.name}'
        if bool(self.actions.joints) == bool(self.actions.tip_links):
            raise ConfigurationError(f'{where}: actions has either joints or tip_links')
        if self.actions.unit not in _UNITS:
            raise ConfigurationError(f'{where}: actions.unit is {self.actions.unit!r}; it is one '
                                     f'of {", ".join(_UNITS)}')
        if self.actions.unit != 'rad' and (self.actions.scale or self.actions.tip_links):
            raise ConfigurationError(f'{where}: actions.unit is of joints, and stands for scale')
        if len({len(names) for names in self.actions.joints}) > 1:
            raise ConfigurationError(f'{where}: actions.joints must be lists of the same length')
        if self.executed < 1:
            raise ConfigurationError(f'{where}: executed must be at least 1, got {self.executed}')
        for key in self.state:
            if strange := sorted(set(key.parts) - set(PARTS)):
                raise ConfigurationError(f'{where}: state {key.key} has the unknown parts '
                                         f'{", ".join(strange)}; valid: {", ".join(PARTS)}')
        for view, picture in self.pictures.items():
            if not (1 <= picture.height <= 4096 and 1 <= picture.width <= 4096):
                raise ConfigurationError(f'{where}: picture {view} is {picture.width} x '
                                         f'{picture.height} pixels')

    def action_format(self, robot: Robot, *, joints: Sequence[str] = (), tip_link: str = ''
                      ) -> ActionFormat:
        """
        Return what the actions mean on one robot.

        :param joints: names of the arm's joints in the order of the columns, where the robot calls
            them otherwise than the preset knows.
        :param tip_link: link that the places are of, likewise.
        :raises ConfigurationError: the robot has none of the names; they are in the message.
        """
        told = self.actions
        names, tip = tuple(joints), tip_link
        if told.joints and not names:
            names = self._first(told.joints, robot)
        elif told.joints and len(names) != len(told.joints[0]):
            raise ConfigurationError(f'the policy preset {self.name} has {len(told.joints[0])} '
                                     f'joints, and {len(names)} are named')
        if told.tip_links and not tip:
            tip = next((link for link in told.tip_links if link in robot.links), '')
            if not tip:
                raise ConfigurationError(
                    f'the robot has none of the links {", ".join(told.tip_links)} that the policy '
                    f'preset {self.name} knows; name its tip link')
        scale: tuple[float, ...] = told.scale
        offset: tuple[float, ...] = ()
        if told.unit == 'deg':
            scale = (float(np.pi / 180),)
        elif told.unit == 'normalized':
            scale, offset = normalized_range(robot, names)
            if told.reference is not Reference.ABSOLUTE or told.velocity is not None:
                offset = ()
        grippers = tuple(self._gripper(gripper, robot) for gripper in self.grippers)
        limited = tuple(name for told_one, gripper in zip(self.grippers, grippers)
                        if told_one.limited for name in gripper.joints)
        return ActionFormat(self.rate, names, told.reference, limited_joints=limited, tip_link=tip,
                            in_tip_frame=told.in_tip_frame, rpy=told.rpy, grippers=grippers,
                            clip=told.clip, scale=scale, offset=offset, velocity=told.velocity)

    def _first(self, alternatives: tuple[tuple[str, ...], ...], robot: Robot) -> tuple[str, ...]:
        for names in alternatives:
            if set(names) <= set(robot.joint_names):
                return names
        raise ConfigurationError(
            f'the robot has none of the joints that the policy preset {self.name} knows ('
            f'{"; ".join(", ".join(names) for names in alternatives)}); it has '
            f'{", ".join(robot.joint_names)}: name them in the order of the columns')

    def _gripper(self, told: PresetGripper, robot: Robot) -> GripperColumn:
        ends = {name: ends for name, ends in told.joints.items() if name in robot.joint_names}
        return GripperColumn(told.column, told.open, told.closed, ends, told.threshold)


def normalized_range(robot: Robot, names: Sequence[str]
                     ) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """
    Return scale and offset that make [rad] of -100..100 of each joint's range.

    The range is that of the URDF, which a calibration of the real arm may differ from.

    :raises ConfigurationError: a joint has no range.
    """
    scale, offset = [], []
    for name in names:
        lower, upper = robot.limits[name].lower, robot.limits[name].upper
        if lower is None or upper is None:
            raise ConfigurationError(f'{name} has no range in the robot description, so nobody '
                                     'knows what -100..100 of it is')
        scale.append((upper - lower) / (2 * _FULL))
        offset.append((upper + lower) / 2)
    return tuple(scale), tuple(offset)


def policy_presets() -> dict[str, Path]:
    """Return the presets that come with the package, by name."""
    folder = share_dir() / 'config' / 'policies'
    return {path.stem: path for path in sorted(folder.glob('*.yaml'))}
