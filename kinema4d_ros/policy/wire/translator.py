# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observations and actions to and from the messages of one platform."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy.types import PolicyObservation
from kinema4d_ros.policy.wire.codec import LIMITS
from kinema4d_ros.policy.wire.keys import ObservationKeys, Path, StateKey
from kinema4d_ros.policy.wire.pictures import received, resized_with_pad
from kinema4d_ros.policy.wire.structure import Limits
from kinema4d_ros.robot.kinematics import ForwardKinematics
from kinema4d_ros.robot.robot import Robot

_MISSING = object()


#: key of an answer without actions, by which a policy of ours says that its task is over
FINISHED = 'kinema4d/finished'


class Translator:
    """Makes requests of observations and the reverse, and reads chunks, by `ObservationKeys`."""

    def __init__(self, keys: ObservationKeys, robot: Robot | None = None,
                 limits: Limits = LIMITS) -> None:
        """
        Make one for a robot.

        :param robot: needed where a state has the place of a link.
        :raises ConfigurationError: it is needed and not given, or has no such link.
        """
        self.keys, self._robot, self._limits = keys, robot, limits
        tips = {state.tip_link for state in keys.states if state.tip_link}
        if tips and robot is None:
            raise ConfigurationError(f'the place of {", ".join(sorted(tips))} is sent, for which '
                                     'the robot is needed')
        if robot is not None and (strange := sorted(tips - set(robot.link_names))):
            raise ConfigurationError(f'the robot has no link {", ".join(strange)}; it has: '
                                     f'{", ".join(robot.link_names)}')
        self._kinematics = ForwardKinematics(robot) if robot is not None and tips else None

    def request(self, observation: PolicyObservation, session: str = '',
                size: tuple[int, int] | None = None) -> dict[str, Any]:
        """
        Return what is sent of an observation.

        :param size: height and width of all pictures, where the server says so; None for the
            keys'.
        :raises PolicyError: it lacks a view or a joint.
        """
        message: dict[str, Any] = {}
        for key in self.keys.pictures:
            image = observation.images.get(key.view)
            if image is None:
                if key.optional:
                    continue
                raise PolicyError(f'the policy wants a picture of the view {key.view!r}; the '
                                  f'observation has: {", ".join(observation.images) or "none"}')
            if (wanted := size or key.size) is not None:
                image = resized_with_pad(image, *wanted)
            if key.mirrored:
                image = image[:, ::-1]
            _put(message, key.path, image.transpose(2, 0, 1) if key.channels_first else image)
        for path in dict.fromkeys(state.path for state in self.keys.states):
            _put(message, path, np.concatenate(
                [self._state(state, observation.joint_positions) for state in self.keys.states
                 if state.path == path]).astype(np.float32))
        _put(message, self.keys.prompt, observation.instruction)
        if self.keys.session:
            _put(message, self.keys.session, session)
        return message

    def observation(self, request: Mapping[str, Any]) -> PolicyObservation:
        """
        Return the observation that a request holds.

        Of a state that begins with the place of a link only the joints are taken.

        :raises PolicyError: something is missing, or is not what it should be.
        """
        images = {}
        for key in self.keys.pictures:
            image = _get(request, key.path, optional=key.optional)
            if image is _MISSING:
                continue
            picture = received(image, _name(key.path), key.channels_first)
            images[key.view] = picture[:, ::-1] if key.mirrored else picture
        prompt = _get(request, self.keys.prompt)
        if not isinstance(prompt, str):
            raise PolicyError(f'{_name(self.keys.prompt)} must be a text')
        return PolicyObservation(prompt, images, self.joints(request))

    def joints(self, request: Mapping[str, Any]) -> dict[str, float]:
        """Return the joint positions that a request holds [rad or m]; raises as `observation`."""
        found: dict[str, float] = {}
        for path in dict.fromkeys(state.path for state in self.keys.states):
            states = [state for state in self.keys.states if state.path == path]
            numbers = _numbers(_get(request, path), path).ravel()
            wanted = sum(state.columns for state in states)
            if len(numbers) != wanted:
                raise PolicyError(f'{_name(path)} must have {wanted} numbers, got {len(numbers)}')
            if not np.isfinite(numbers).all():
                raise PolicyError(f'{_name(path)} holds a number that is not finite')
            for state in states:
                mine, numbers = numbers[:state.columns], numbers[state.columns:]
                values = mine[state.columns - len(state.joints):]
                found.update(zip(state.joints, (_or(state.zero, 0.0) + _or(state.unit, 1.0)
                                                * values).tolist()))
        return found

    def _state(self, key: StateKey, positions: Mapping[str, float]) -> np.ndarray:
        missing = [name for name in key.joints if name not in positions]
        if missing:
            raise PolicyError(f'the policy wants the joints {", ".join(missing)}; the observation '
                              f'has: {", ".join(positions) or "none"}')
        values = [positions[name] for name in key.joints]
        wire = (np.array(values, np.float64) - _or(key.zero, 0.0)) / _or(key.unit, 1.0)
        if not key.tip_link:
            return wire
        assert self._robot is not None and self._kinematics is not None
        here = self._robot.configuration(positions, strict=False)
        pose = self._kinematics(here[None])[0, self._robot.link_names.index(key.tip_link)]
        turn = Rotation.from_matrix(pose[:3, :3])
        turned = {'none': lambda: np.empty(0), 'rotvec': turn.as_rotvec, 'quaternion': turn.as_quat,
                  'euler_xyz': lambda: turn.as_euler('xyz')}[key.tip_turn]()
        return np.concatenate([pose[:3, 3], turned, wire])

    def numbers(self, answer: Any) -> np.ndarray:
        """
        Return the chunk of an answer, (N, columns) float64, in the policy's own numbers.

        A RoboArena server may answer with the bare array.

        :raises PolicyError: there is none, or it is no chunk of finite numbers.
        """
        path = self.keys.actions
        value = _get(answer, path) if isinstance(answer, Mapping) else answer
        chunk, limits = _numbers(value, path), self._limits
        if chunk.ndim != 2 or not chunk.size:
            raise PolicyError(f'{_name(path)} must be a chunk (actions, columns), got the shape '
                              f'{chunk.shape}')
        if len(chunk) > limits.most_actions or chunk.shape[1] > limits.most_columns:
            raise PolicyError(f'{_name(path)} has the shape {chunk.shape}; at most '
                              f'({limits.most_actions}, {limits.most_columns}) is taken')
        if not np.isfinite(chunk).all():
            row, column = np.argwhere(~np.isfinite(chunk))[0]
            raise PolicyError(f'{_name(path)}: column {column} of action {row} is '
                              f'{chunk[row, column]}')
        return chunk


def _or(values: Sequence[float], otherwise: float) -> Any:
    return np.array(values, np.float64) if len(values) else otherwise


def _name(path: Path) -> str:
    return f'{"/".join(path)!r}'


def _put(message: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        message = message.setdefault(key, {})
    message[path[-1]] = value


def _get(message: Any, path: Path, *, optional: bool = False) -> Any:
    found = message
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            if optional:
                return _MISSING
            known = [str(key) for key in message] if isinstance(message, Mapping) else []
            raise PolicyError(f'the message has no {_name(path)}; it has: '
                              f'{", ".join(known)[:200] or "nothing"}')
        found = found[key]
    return found


def _numbers(value: Any, path: Path) -> np.ndarray:
    """Return an array of numbers, or lists of them, as float64."""
    try:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in 'biuf':
            raise ValueError
    except ValueError as error:       # lists of different lengths too
        raise PolicyError(f'{_name(path)} must hold numbers, got {type(value).__name__}') from error
    return numbers.astype(np.float64)
