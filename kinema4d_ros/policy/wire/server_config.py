# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a RoboArena server says of itself in its first frame."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_chunks import ActionFormat

_MOST_PIXELS = 4096


class ActionSpace(enum.StrEnum):
    """What the actions of a RoboArena server are."""

    JOINT_POSITION = 'joint_position'
    JOINT_VELOCITY = 'joint_velocity'
    CARTESIAN_POSITION = 'cartesian_position'
    CARTESIAN_VELOCITY = 'cartesian_velocity'


@dataclass(frozen=True)
class PolicyServerConfig:
    """
    The first frame of a RoboArena server (robo-arena/roboarena, `policy_server.py`).

    A client sends what it asks for, and with each request `endpoint`, which is ``infer`` or
    ``reset``. All actions of a chunk are executed before the next request.
    """

    image_resolution: tuple[int, int] | None = (224, 224)     # height, width; None: as they are
    needs_wrist_camera: bool = True
    n_external_cameras: int = 1                               # 0 to 2
    needs_stereo_camera: bool = False
    needs_session_id: bool = False
    action_space: ActionSpace = ActionSpace.JOINT_POSITION

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> PolicyServerConfig | None:
        """
        Return what the first frame of a server says, None where it is not RoboArena's.

        :raises PolicyError: it is, and has a value that is not known: nothing is guessed.
        """
        if 'action_space' not in metadata:
            return None
        values = {field.name: metadata[field.name] for field in dataclasses.fields(cls)
                  if field.name in metadata}
        size = values.get('image_resolution')
        if size is not None:
            if not isinstance(size, (list, tuple)) or len(size) != 2 or any(
                    type(length) is not int or not 0 < length <= _MOST_PIXELS for length in size):
                raise _wrong('image_resolution', size, 'two numbers of pixels or nothing')
            values['image_resolution'] = tuple(size)
        for name in ('needs_wrist_camera', 'needs_stereo_camera', 'needs_session_id'):
            if type(values.get(name, False)) is not bool:
                raise _wrong(name, values[name], 'true or false')
        count = values.get('n_external_cameras', 1)
        if type(count) is not int or not 0 <= count <= 2:
            raise _wrong('n_external_cameras', count, '0, 1 or 2')
        try:
            values['action_space'] = ActionSpace(values['action_space'])
        except ValueError as error:
            raise _wrong('action_space', values['action_space'],
                         ', '.join(ActionSpace)) from error
        return cls(**values)

    def metadata(self) -> dict[str, Any]:
        """Return the first frame."""
        return dataclasses.asdict(self) | {'action_space': str(self.action_space)}

    def why_not(self, form: ActionFormat) -> str | None:
        """Return why chunks of this server cannot be actions of a form; None if they can."""
        if self.action_space.startswith('cartesian') != bool(form.tip_link):
            return (f'the server answers with {self.action_space}, and the action format has '
                    f'{"places of " + form.tip_link if form.tip_link else "joints only"}')
        if self.action_space.endswith('velocity') != (form.velocity is not None):
            return (f'the server answers with {self.action_space}, and the action format has '
                    f'{"positions" if form.velocity is None else "velocities"}')
        return None


def _wrong(name: str, value: object, valid: str) -> PolicyError:
    return PolicyError(f'the policy server says {name} = {str(value)[:60]!r}, valid: {valid}')
