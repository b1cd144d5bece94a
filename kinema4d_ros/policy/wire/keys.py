# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The keys under which a policy server takes observations and answers actions: data, no code.

A platform (DROID, LIBERO, ALOHA, one's own) is an `ObservationKeys`, written in YAML or in Python;
`Translator` sends and reads by it. A place in a message is the path of keys that leads to it: one
key as a rule, such as ``observation/joint_position``, two where dicts are in each other.
"""
from __future__ import annotations

from dataclasses import dataclass

from kinema4d_ros.errors import ConfigurationError

Path = tuple[str, ...]
#: form of a rotation -> its columns; none: x y z only
TURNS = {'none': 0, 'rotvec': 3, 'euler_xyz': 3, 'quaternion': 4}


@dataclass(frozen=True)
class PictureKey:
    """Where a view's picture goes."""

    path: Path
    view: str                                   # of PolicyObservation.images
    size: tuple[int, int] | None = (224, 224)   # height, width, with pad; None: as it is
    channels_first: bool = False                # (3, H, W), as ALOHA has it
    mirrored: bool = False                      # left to right
    optional: bool = False                      # left out where there is no such view


@dataclass(frozen=True)
class StateKey:
    """
    Where a vector of the robot's state goes; several of one path make one vector, in their order.

    First the place of `tip_link` in the base frame, where one is named (x y z [m] and its turn),
    then `joints`. What is sent of a joint is ``(position - zero) / unit``: unit 0.0174533 for
    degrees, zero 0.04 and unit -0.04 for fingers that are open at 0.04 m and of which the policy
    knows 0 open, 1 closed.
    """

    path: Path
    joints: tuple[str, ...] = ()
    zero: tuple[float, ...] = ()        # [rad or m] of each joint where 0 is sent; () all 0
    unit: tuple[float, ...] = ()        # [rad or m] that 1 stands for; () all 1
    tip_link: str = ''
    tip_turn: str = 'rotvec'            # one of TURNS; euler_xyz by fixed axes, quaternion x y z w

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not self.joints and not self.tip_link:
            raise ConfigurationError(f'the state {"/".join(self.path)} has neither joints nor a '
                                     'tip_link')
        if self.tip_turn not in TURNS:
            raise ConfigurationError(f'tip_turn is {self.tip_turn!r}, valid: {", ".join(TURNS)}')
        for name, values in (('zero', self.zero), ('unit', self.unit)):
            if values and len(values) != len(self.joints):
                raise ConfigurationError(f'the state {"/".join(self.path)}: {name} has '
                                         f'{len(values)} values for {len(self.joints)} joints')
        if 0.0 in self.unit:
            raise ConfigurationError(f'the state {"/".join(self.path)}: a unit is 0')

    @property
    def columns(self) -> int:
        """How many numbers it is."""
        return (3 + TURNS[self.tip_turn] if self.tip_link else 0) + len(self.joints)


@dataclass(frozen=True)
class ObservationKeys:
    """All keys of a platform."""

    pictures: tuple[PictureKey, ...] = ()
    states: tuple[StateKey, ...] = ()
    prompt: Path = ('prompt',)
    session: Path = ()                  # where a name of the session goes; () nowhere
    actions: Path = ('actions',)        # of an answer; its numbers are what the ActionFormat says
    executed: int = 0                   # actions of a chunk before the next request; 0 all

    def __post_init__(self) -> None:
        """Refuse two things in one place."""
        named = [picture.path for picture in self.pictures]
        named += dict.fromkeys(state.path for state in self.states)
        named += [path for path in (self.prompt, self.session) if path]
        if len(set(named)) != len(named):
            raise ConfigurationError('two keys of a policy are the same: '
                                     + ', '.join('/'.join(path) for path in named))
        if self.executed < 0:
            raise ConfigurationError(f'executed is {self.executed}, it must be at least 0')
