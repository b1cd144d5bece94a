# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about an episode as a whole; stored as one JSON document inside of it."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.episodes.outcome import EpisodeOutcome
from kinema4d_ros.errors import EpisodeError

FORMAT = 1
"""Version of the episode format; a reader refuses any other."""


@dataclass(frozen=True)
class ObjectBox:
    """Box around the visible parts of an object, in the object's own frame [m]."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def center(self) -> tuple[float, float, float]:
        """Middle of the box [m]; the body's origin may lie elsewhere."""
        x, y, z = (0.5 * (a + b) for a, b in zip(self.low, self.high))
        return x, y, z


@dataclass(frozen=True)
class EpisodeMetadata:
    """Who did what, where, and how it ended."""

    robot: str                     # name of the robot
    task_text: str                 # the instruction in words
    kind: str                      # what the script set out to do, e.g. 'missed_grasp'
    success: bool | None           # whether the task was solved, judged by the source; None unknown
    camera: str                    # name of the (first) camera in the source
    carried_object: str | None     # what was meant to be moved, None when nothing was
    goal_object: str | None        # where it was meant to go
    goal: Mapping[str, Any]        # rubric, regions as boxes in the base frame [m]
    source: str                    # where the recording comes from
    licence: str                   # of the recording
    trajectory_note: str           # what the trajectory is and is not
    suite: str = ''
    task: int = -1
    init: int = -1
    seed: int = 0
    tracking_error: float = 0.0    # [rad] largest arm joint |realised - reference|
    #: False: where the camera is, or its K, is not known, so the episode gives no observation; it
    #: is there to be calibrated by
    camera_known: bool = True
    objects: Mapping[str, ObjectBox] = field(default_factory=dict)
    #: what happened, as {'time': [s] from the start of the trajectory, 'kind': ..., 'object': ...}
    events: tuple[Mapping[str, Any], ...] = ()
    #: names of the cameras in this file, as their topics begin, in their order; () for one
    cameras: tuple[str, ...] = ()
    #: '' where depth was measured; else what estimated it, and how far off it is
    depth_origin: str = ''
    #: of these, those whose place nobody knows: pictures to look at, which no observation has
    unplaced: tuple[str, ...] = ()
    #: what became of each thing, joint and goal; None where the source does not say
    outcome: EpisodeOutcome | None = None

    def to_json(self) -> str:
        """Return the document, with the version of the format."""
        values = {'format': FORMAT, **dataclasses.asdict(self)}
        if self.outcome is None:      # likewise
            del values['outcome']
        if not self.cameras:      # the file of one camera is what it always was
            del values['cameras']
        if not self.depth_origin:
            del values['depth_origin']
        if not self.unplaced:
            del values['unplaced']
        if self.camera_known:
            del values['camera_known']
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> EpisodeMetadata:
        """
        Read the document back.

        :raises EpisodeError: when it is no JSON, of another version, or lacks a field.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise EpisodeError(f'the metadata is not JSON: {error}') from error
        if not isinstance(values, dict) or values.get('format') != FORMAT:
            version = values.get('format') if isinstance(values, dict) else None
            raise EpisodeError(f'the episode has format {version!r}, this reader knows {FORMAT}; '
                               'record it again or use the version that wrote it')
        known = {f.name: f for f in dataclasses.fields(cls)}
        missing = [name for name, f in known.items() if name not in values
                   and f.default is dataclasses.MISSING
                   and f.default_factory is dataclasses.MISSING]
        if missing:
            raise EpisodeError(f'the metadata lacks {", ".join(missing)}')
        values = {name: value for name, value in values.items() if name in known}
        try:
            values['success'] = _boolean(values['success'])
            values['objects'] = {
                name: ObjectBox(_corner(box['low']), _corner(box['high']))
                for name, box in values.get('objects', {}).items()}
            values['events'] = tuple(dict(event) for event in values.get('events', ()))
            values['goal'] = dict(values['goal'])
            for name in 'cameras', 'unplaced':
                values[name] = tuple(map(str, values.get(name, ())))
            if values.get('outcome') is not None:
                values['outcome'] = EpisodeOutcome.of(values['outcome'])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EpisodeError(f'the metadata has a field of the wrong type: {error}') from error
        return cls(**values)


def _corner(values: Any) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z


def _boolean(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f'success must be true, false or null, got {value!r}')
    return value
