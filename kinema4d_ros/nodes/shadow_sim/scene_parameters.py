# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of a scene from elsewhere: which sources there are, and how good each is."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, UNSET

POINTS, VOXELS, OCTOMAP, NVBLOX, PLANNING_SCENE, COLLISION_OBJECTS = KINDS = (
    'points', 'voxels', 'octomap', 'nvblox', 'planning_scene', 'collision_objects')
_GROUP = 'scene.'
_KINDS_NOTE = (
    'points is a PointCloud2 of obstacles, voxels one of the centres of occupied voxels, octomap '
    'octomap_msgs/Octomap, nvblox nvblox_msgs/VoxelBlockLayer, planning_scene and '
    'collision_objects moveit_msgs/PlanningScene and CollisionObject')


def _of_source(name: str, kind: Any, description: str, **more: Any) -> Parameter:
    return Parameter(f'{_GROUP}<source>.{name}', kind, UNSET, description, read_only=True, **more)


OF_SOURCE = (
    _of_source('kind', str, 'What comes on scene/<source>, a further source of the scene beside '
               f'the cameras: {_KINDS_NOTE}. Nothing passes while one is late or unusable, unless '
               'required is false',
               choices=KINDS),
    _of_source('sigma', float, 'Standard deviation of the place of what it shows, along each axis; '
               '0.01 of points and 0.0 of others unless set', unit='m', minimum=0.0, maximum=0.5),
    _of_source('max_age', float, 'What is older counts for nothing; max_input_age unless set, and '
               'no limit for what MoveIt declares', unit='s', minimum=0.0, maximum=86400.0),
    _of_source('frame', str, "Frame that it is in; unset takes the messages' header.frame_id"),
    _of_source('spacing', float, 'Distance of neighbouring points of one surface, of the kind '
               'points; 0.01 unless set', unit='m', minimum=0.0005, maximum=0.2),
    _of_source('resolution', float, 'Edge of a voxel, of the kind voxels, which needs it',
               unit='m', minimum=0.001, maximum=1.0),
    _of_source('free', bool, 'Whether space that is free in it counts as seen, of the kind '
               'octomap; false unless set. Nothing checks where its frame is, nor when it '
               'was measured'),
    _of_source('required', bool, 'Whether nothing passes without this source, or while a part of '
               'it cannot be understood; true unless set. With false it is left out and named, and '
               'motions may pass through what it alone would have shown'))


def sources_of(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what is said of each source, by its name and then by what it is."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key.startswith(_GROUP):
            name, _, what = key.removeprefix(_GROUP).rpartition('.')
            found.setdefault(name, {})[what] = value
    return found


def why_not_sources(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the sources of a set of parameters, with the cure; None if not."""
    for name, told in sources_of(values).items():
        if 'kind' not in told:
            return (f"parameter '{_GROUP}{name}.{next(iter(told))}' is of a source that is not "
                    f'there; set {_GROUP}{name}.kind to one of {", ".join(KINDS)}')
        if not re.fullmatch('[A-Za-z][A-Za-z0-9_]*', name) or name in values['cameras']:
            return (f"parameter '{_GROUP}{name}.kind': the name of a source is part of a topic, "
                    'letters, digits and _, and not that of a camera')
        if told['kind'] == VOXELS and 'resolution' not in told:
            return f"parameter '{_GROUP}{name}.resolution' must be set: the cloud does not tell it"
        if told['kind'] != VOXELS and 'resolution' in told:
            return (f"parameter '{_GROUP}{name}.resolution' is of the kind voxels; {told['kind']} "
                    'tells it itself')
        if told['kind'] != POINTS and 'spacing' in told:
            return f"parameter '{_GROUP}{name}.spacing' is of the kind points"
        if told['kind'] != OCTOMAP and 'free' in told:
            return (f"parameter '{_GROUP}{name}.free' is of the kind octomap; {told['kind']} says "
                    'nothing of free space')
    return None
