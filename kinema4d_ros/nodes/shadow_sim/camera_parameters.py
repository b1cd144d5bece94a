# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of several cameras: which there are, and what is said of one of them alone."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kinema4d_ros.bridge.parameters import Parameter, UNSET
from kinema4d_ros.bridge.qos import CAMERA_RELIABILITY

ONE_CAMERA = 'camera'
TRANSPORTS, DEPTH_TRANSPORTS = ('raw', 'compressed'), ('raw', 'compressedDepth', 'none')
_TAKEN = ('predicted', 'robot', 'scene')     # first names of other topics and parameters
_ONLY_ONE = ('camera_frame', 'extrinsics')     # no two cameras share these
#: parameters of other things that end as those of a camera do
_WITHOUT_CAMERA = frozenset({'tier1.calibration_sigma', 'tier1.calibration_turn_sigma'})


def _of_camera(name: str, kind: Any, description: str, **more: Any) -> Parameter:
    return Parameter(f'<camera>.{name}', kind, UNSET, description, read_only=True, **more)


CAMERAS = Parameter(
    'cameras', list[str], (ONE_CAMERA,),
    'Names of the cameras. The topics of each are in the namespace of its name: NAME/image_raw, '
    'NAME/camera_info, NAME/depth/image_raw; what is said of <camera> holds for one of them, and '
    'what is not is as for a single camera. The first is the one that world models predict which '
    'know one view only', read_only=True)
#: what may be said of one camera; a key of them without its camera is a parameter of its own
OF_CAMERA = (
    _of_camera('image_transport', str, 'image_transport of this camera', choices=TRANSPORTS),
    _of_camera('depth_transport', str, 'depth_transport of this camera; none where it measures no '
               'depth', choices=DEPTH_TRANSPORTS),
    _of_camera('camera_reliability', str, 'camera_reliability of this camera',
               choices=CAMERA_RELIABILITY),
    _of_camera('camera_frame', str, 'camera_frame of this camera'),
    _of_camera('extrinsics', list[float], 'extrinsics of this camera, x y z [m] qx qy qz qw',
               length=7),
    _of_camera('max_input_age', float, 'max_input_age of the images of this camera', unit='s',
               minimum=0.0, maximum=3600.0),
    _of_camera('calibration_sigma', float, 'tier1.calibration_sigma of this camera', unit='m',
               minimum=0.0, maximum=0.5),
    _of_camera('calibration_turn_sigma', float, 'tier1.calibration_turn_sigma of this camera',
               unit='rad', minimum=0.0, maximum=0.5),
    _of_camera('required', bool, 'Whether nothing passes without this camera. One that is not '
               'required is left out and named while it is late, silent, unusable or contradicted, '
               'and what it alone knew is known as long as tier1.memory_age says'))
_KEYS = tuple(row.name.removeprefix('<camera>.') for row in OF_CAMERA)


def of_camera(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """
    Return the parameters as they hold for one camera, under the names for a single one.

    :param values: snapshot of the parameters.
    """
    own = {key: values[f'{name}.{key}'] for key in _KEYS if f'{name}.{key}' in values}
    return {**values, **own}


def extrinsics_of(values: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return the extrinsics of each camera by its name, () where there are none."""
    return {name: of_camera(values, name)['extrinsics'] for name in values['cameras']}


def why_not_cameras(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the cameras of a set of parameters, with the cure; None if not."""
    names = values['cameras']
    if not names or len(set(names)) != len(names):
        return f"parameter 'cameras' is {list(names)}: name each camera once, and one at least"
    for name in names:
        if not re.fullmatch('[A-Za-z][A-Za-z0-9_]*', name):
            return (f"parameter 'cameras' has {name!r}, which is no name of a topic's namespace: "
                    'letters, digits and _, such as wrist; remap the topics of a driver to it')
        groups = {key.partition('.')[0] for key in values
                  if '.' in key and key.partition('.')[2] not in _KEYS}
        if name in groups or name in _TAKEN:
            return (f"parameter 'cameras' has {name!r}, which other parameters or topics have as "
                    'their first name; give the camera another one')
    for key in values:
        camera, dot, rest = key.rpartition('.')
        if dot and rest in _KEYS and camera not in names and key not in _WITHOUT_CAMERA \
                and not key.startswith('scene.'):
            return (f'parameter {key!r} is of a camera {camera!r}, and cameras are '
                    f'{", ".join(names)}: add it to the parameter cameras, or correct the name')
    if len(names) > 1:
        for key in _ONLY_ONE:
            if len(values.get(key, ())):
                return (f'parameter {key!r} is of a single camera, and cameras are '
                        f'{", ".join(names)}: set ' + ' and '.join(
                            f'{name}.{key}' for name in names) + ' instead')
    return None
