# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What was seen, as parts of a packet: each camera, and what was known of the scene from elsewhere.

The parts of the first camera have no folder, so that packets of one camera are as they always were.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kinema4d_ros.errors import IncidentError
from kinema4d_ros.incident.parts import (array_of, document, encoded, MAX_PIXELS, numbers, packed,
                                         picture_of, plain_json)
from kinema4d_ros.serialization import from_plain, to_plain
from kinema4d_ros.types import (Background, CameraView, JointTrail, Observation, PinholeCamera,
                                PointSource, SceneSource, Solid, SolidSource, VoxelSource)

MAX_VIEWS, MAX_SOURCES = 16, 32
_MOST = 256 << 20      # [bytes] of a part
#: of one camera: name -> largest size unpacked [bytes]
OF_VIEW = dict.fromkeys(('image.png', 'background.png', 'depth.png', *(f'{name}.npy' for name in (
    'depth', 'background_depth', 'background_known', 'background_stamp_ns', 'T_base_camera'))),
    _MOST)
_OF_SOURCE = {'points.npy': _MOST, 'states.npy': _MOST, 'solids.json': 64 << 20}
#: of further cameras and sources
LIMITS = {
    'trail_positions.npy': _MOST, 'trail_stamps_ns.npy': _MOST,
    **{f'views/{number}/{name}': size for number in range(1, MAX_VIEWS)
       for name, size in OF_VIEW.items()},
    **{f'sources/{number}/{name}': size for number in range(MAX_SOURCES)
       for name, size in _OF_SOURCE.items()}}
_KINDS: dict[str, type] = {'points': PointSource, 'voxels': VoxelSource, 'solids': SolidSource}
#: what of a view is in its part of incident.json
_PLAIN_OF_VIEW = ('name', 'stamp_ns', 'calibration_sigma', 'calibration_turn_sigma', 'mount_link')


# --------------------------------------------------------------------------- writing

def head_of(observation: Observation) -> dict[str, Any]:
    """Return what incident.json says of an observation; the rest is in `parts_of`."""
    if len(observation.views) > MAX_VIEWS or len(observation.others) > MAX_SOURCES:
        raise IncidentError(f'a packet holds {MAX_VIEWS} cameras and {MAX_SOURCES} other sources '
                            f'at most, this is of {len(observation.views)} and '
                            f'{len(observation.others)}')
    return {'stamp_ns': observation.stamp_ns, 'camera': to_plain(observation.primary.camera),
            'joint_positions': dict(observation.joint_positions),
            'joint_velocities': dict(observation.joint_velocities),
            'views': [_view_head(view) | ({'camera': to_plain(view.camera)} if number else {})
                      for number, view in enumerate(observation.views)],
            'sources': [_source_head(source) for source in observation.others],
            'left_out': dict(observation.left_out),
            'trail_joints': None if observation.trail is None
            else list(observation.trail.joint_names)}


def _view_head(view: CameraView) -> dict[str, Any]:
    joints = view.joint_positions
    return {**{key: getattr(view, key) for key in _PLAIN_OF_VIEW},
            'joint_positions': None if joints is None else dict(joints)}


def _source_head(source: SceneSource) -> dict[str, Any]:
    head: dict[str, Any] = {
        'kind': next(kind for kind, its in _KINDS.items() if isinstance(source, its)),
        'name': source.name, 'stamp_ns': source.stamp_ns, 'sigma': source.sigma}
    if isinstance(source, SolidSource):
        return head
    joints = source.joint_positions
    head['joint_positions'] = None if joints is None else dict(joints)
    if isinstance(source, PointSource):
        return head | {'spacing': source.spacing}
    return head | {'resolution': source.resolution, 'T_base_grid': source.T_base_grid.tolist()}


def parts_of(observation: Observation) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of pictures and arrays."""
    for number, view in enumerate(observation.views):
        for name, data in _view_parts(view):
            yield f'views/{number}/{name}' if number else name, data
    for number, source in enumerate(observation.others):
        if isinstance(source, PointSource):
            yield f'sources/{number}/points.npy', packed(source.points)
        elif isinstance(source, VoxelSource):
            yield f'sources/{number}/states.npy', packed(source.states)
        else:
            yield f'sources/{number}/solids.json', plain_json(to_plain(source.solids))
    if (trail := observation.trail) is not None:
        yield 'trail_positions.npy', packed(trail.positions)
        yield 'trail_stamps_ns.npy', packed(trail.stamps_ns)


def _view_parts(view: CameraView) -> Iterator[tuple[str, bytes]]:
    yield 'image.png', encoded('.png', view.image[..., ::-1])
    arrays = {'T_base_camera': view.T_base_camera, 'depth': view.depth}
    if view.depth is not None:      # for looking at; the array is what counts
        metres = np.nan_to_num(view.depth, nan=0.0, posinf=0.0, neginf=0.0).clip(0.0, 65.535)
        yield 'depth.png', encoded('.png', np.rint(1000.0 * metres).astype(np.uint16))
    if (scene := view.background) is not None:
        yield 'background.png', encoded('.png', scene.image[..., ::-1])
        arrays |= {'background_depth': scene.depth, 'background_known': scene.known,
                   'background_stamp_ns': scene.stamp_ns}
    for name, array in arrays.items():
        if array is not None:
            yield f'{name}.npy', packed(array)


# --------------------------------------------------------------------------- reading

def observation_of(head: Mapping[str, Any], parts: dict[str, bytes]) -> Observation:
    """
    Return the observation of a packet.

    :param head: what incident.json says.
    :raises KeyError: it lacks something.
    :raises Kinema4DError: what is wrong with it.
    """
    joints = numbers(head['joint_positions'], 'joint_positions')
    stamp_ns = from_plain(int, head['stamp_ns'], 'incident.json: stamp_ns')
    views = head.get('views', [{'stamp_ns': stamp_ns}])      # packets of before knew one camera
    sources, left_out = head.get('sources', []), head.get('left_out', {})
    if not isinstance(views, list) or not isinstance(sources, list) \
            or not isinstance(left_out, dict) or not 0 < len(views) <= MAX_VIEWS \
            or len(sources) > MAX_SOURCES:
        raise IncidentError(f'incident.json must name 1 to {MAX_VIEWS} views, up to {MAX_SOURCES} '
                            'sources, and what is left out')
    return Observation(
        stamp_ns, tuple(_view(each, f'views/{number}/' if number else '', parts,
                              head if number == 0 else each)
                        for number, each in enumerate(views)), joints,
        numbers(head.get('joint_velocities', {}), 'joint_velocities'),     # not of before
        tuple(_source(each, f'sources/{number}/', parts) for number, each in enumerate(sources)),
        {str(name): str(why) for name, why in left_out.items()}, _trail(head, parts))


def _trail(head: Mapping[str, Any], parts: dict[str, bytes]) -> JointTrail | None:
    """Return where the robot had been; None where nobody knew, as in packets of before."""
    if head.get('trail_joints') is None:
        return None
    names = tuple(map(str, _list(head['trail_joints'], 'incident.json: trail_joints')))
    return JointTrail(names, array_of(parts, 'trail_positions', np.float64, (None, len(names))),
                      array_of(parts, 'trail_stamps_ns', np.int64, (None,)))


def _view(head: Any, folder: str, parts: dict[str, bytes], of_camera: Any) -> CameraView:
    """Return a view; `of_camera` says what its camera is."""
    where = f'incident.json: {folder or "views/0/"}'
    head = _mapping(head, where)
    camera = from_plain(PinholeCamera, of_camera['camera'], f'{where}camera')
    size = camera.height, camera.width
    if camera.height * camera.width > MAX_PIXELS:
        raise IncidentError(f'the camera has {camera.width} x {camera.height} pixels')
    own = {name.removeprefix(folder): data for name, data in parts.items()
           if name.startswith(folder) and '/' not in name.removeprefix(folder)}
    for name in ('image.png', 'T_base_camera.npy'):
        if name not in own:
            raise IncidentError(f'it lacks {folder}{name}')
    background = None
    if 'background.png' in own:
        background = Background(
            picture_of(own, 'background.png', size),
            array_of(own, 'background_depth', np.float32, size),
            array_of(own, 'background_known', np.bool_, size),
            array_of(own, 'background_stamp_ns', np.int64, size)      # not in packets of 0.1
            if 'background_stamp_ns.npy' in own else None)
    joints = head.get('joint_positions')

    def sigma(key: str) -> float | None:
        value = head.get(key)
        return None if value is None else from_plain(float, value, f'{where}{key}')

    return CameraView(
        picture_of(own, 'image.png', size),
        array_of(own, 'depth', np.float32, size) if 'depth.npy' in own else None,
        camera, array_of(own, 'T_base_camera', np.float64, (4, 4)),
        from_plain(int, head['stamp_ns'], f'{where}stamp_ns'), str(head.get('name', 'camera')),
        background, None if joints is None else numbers(joints, f'{where}joint_positions'),
        sigma('calibration_sigma'), sigma('calibration_turn_sigma'),
        str(head.get('mount_link', '')))


def _source(head: Any, folder: str, parts: dict[str, bytes]) -> SceneSource:
    where = f'incident.json: {folder}'
    told = _mapping(head, where)
    kind = told['kind']
    stamp = None if told['stamp_ns'] is None else from_plain(
        int, told['stamp_ns'], f'{where}stamp_ns')
    name, sigma = str(told['name']), from_plain(float, told['sigma'], f'{where}sigma')
    if kind == 'solids':
        return SolidSource(name, tuple(map(_solid, _list(document(parts, f'{folder}solids.json'),
                                                         f'{folder}solids.json'))), stamp, sigma)
    joints = told['joint_positions']
    joints = None if joints is None else numbers(joints, f'{where}joint_positions')
    if kind == 'points':
        return PointSource(name, array_of(parts, f'{folder}points', np.float64, (None, 3)), stamp,
                           sigma, from_plain(float, told['spacing'], f'{where}spacing'), joints)
    if kind != 'voxels':
        raise IncidentError(f'{where}kind is {kind!r}; known: {", ".join(_KINDS)}')
    return VoxelSource(
        name, array_of(parts, f'{folder}states', np.uint8, (None, None, None)),
        from_plain(float, told['resolution'], f'{where}resolution'),
        np.array(_list(told['T_base_grid'], f'{where}T_base_grid'), np.float64), stamp, sigma,
        joints)


def _solid(plain: Any) -> Solid:
    told = dict(_mapping(plain, 'solids.json'))
    arrays = {'T_base_solid': (np.float64, (4, 4)), 'vertices': (np.float64, (-1, 3)),
              'faces': (np.int32, (-1, 3))}
    try:
        made = {key: np.array(told[key], dtype).reshape(shape)
                for key, (dtype, shape) in arrays.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise IncidentError(f'solids.json: {error}') from error
    return Solid(str(told['kind']), tuple(_list(told['dimensions'], 'solids.json')),
                 name=str(told['name']), **made)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise IncidentError(f'{where} must be a mapping')
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise IncidentError(f'{where} must be a list')
    return value
