# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rollouts of a robot whose pictures are still being drawn."""
from __future__ import annotations

import dataclasses
from typing import Any, cast, TypeVar

import numpy as np

from kinema4d_ros.camera.drawing import Drawing
from kinema4d_ros.types import RobotRollout, ViewRollout
from kinema4d_ros.types.future import PicturedRobot

_PICTURES = ('pointmap', 'link_id', 'image')
_Rollout = TypeVar('_Rollout', RobotRollout, ViewRollout)


class _Drawn(PicturedRobot):
    """Waits for all frames where a picture is asked for, and for one where `seen` is."""

    _drawing: Drawing

    def __getattr__(self, name: str) -> Any:
        """Return all of a kind of picture, once they are drawn."""
        if name not in _PICTURES or '_drawing' not in self.__dict__:
            raise AttributeError(f'{type(self).__name__} has no {name!r}')
        self._drawing.wait()
        return self.__dict__[f'_{name}']

    def seen(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pictures of one frame, see `PicturedRobot.seen`."""
        if '_drawing' not in self.__dict__:      # a copy that waited for all
            return super().seen(index)
        self._drawing.wait(index)
        pointmap, link_id, image = (self.__dict__[f'_{name}'][index] for name in _PICTURES)
        return pointmap, link_id, image

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the finished rollout: threads are no part of it."""
        kind = RobotRollout if isinstance(self, RobotRollout) else ViewRollout
        return kind, tuple(getattr(self, field.name) for field in dataclasses.fields(kind))


class _DrawnRollout(_Drawn, RobotRollout):
    """A rollout whose pictures are still being drawn."""


class _DrawnView(_Drawn, ViewRollout):
    """The same as a further camera sees it."""


def while_drawn(rollout: _Rollout, drawing: Drawing) -> _Rollout:
    """
    Return a rollout that waits for its pictures where somebody asks for them.

    :param rollout: with the memory that is being drawn in.
    """
    kind: type[_Drawn] = _DrawnRollout if isinstance(rollout, RobotRollout) else _DrawnView
    drawn = object.__new__(kind)
    drawn.__dict__.update({f'_{name}' if name in _PICTURES else name: value
                           for name, value in rollout.__dict__.items()}, _drawing=drawing)
    return cast(_Rollout, drawn)


def seen_from(rollout: RobotRollout, **changes: Any) -> RobotRollout:
    """Return a rollout with other values, without waiting for the pictures that it keeps."""
    if not isinstance(rollout, _Drawn):
        return dataclasses.replace(rollout, **changes)
    other = object.__new__(type(rollout))
    other.__dict__.update(rollout.__dict__, **changes)
    return other
