# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A mesh with colours at its vertices as binary glTF 2.0, which a browser is shown.

trimesh writes the same, but to import it, with what it imports of SciPy and NetworkX, takes a page
that nobody may ever look at 60 MB and a second.
"""
from __future__ import annotations

import json
import struct

import numpy as np

from kinema4d_ros.robot import LinkMesh

_UINT8, _UINT32, _FLOAT32 = 5121, 5125, 5126      # component types, by the specification
_TRIANGLES = 4                                    # mode of a primitive
_PADDING = {b'JSON': b' ', b'BIN\0': b'\0'}       # chunks have a multiple of four bytes


def glb(mesh: LinkMesh) -> bytes:
    """Return the mesh on a matt material; glTF's own default is bare metal."""
    colors = np.column_stack([mesh.colors, np.full(len(mesh.colors), 255, np.uint8)])
    parts: list[bytes] = []
    accessors = []
    for values, kind, component in ((mesh.faces.reshape(-1), 'SCALAR', _UINT32),
                                    (mesh.vertices, 'VEC3', _FLOAT32), (colors, 'VEC4', _UINT8)):
        dtype = {_UINT32: '<u4', _FLOAT32: '<f4', _UINT8: 'u1'}[component]
        accessors.append({'bufferView': len(parts), 'componentType': component, 'type': kind,
                          'count': len(values)})
        parts.append(np.ascontiguousarray(values, dtype).tobytes())
    accessors[1] |= {'min': mesh.vertices.min(0).tolist(), 'max': mesh.vertices.max(0).tolist()}
    accessors[2] |= {'normalized': True}
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    said = {
        'asset': {'version': '2.0'}, 'scene': 0, 'scenes': [{'nodes': [0]}],
        'nodes': [{'mesh': 0}], 'accessors': accessors,
        'meshes': [{'primitives': [{'attributes': {'POSITION': 1, 'COLOR_0': 2}, 'indices': 0,
                                    'mode': _TRIANGLES, 'material': 0}]}],
        'materials': [{'pbrMetallicRoughness': {'metallicFactor': 0.0, 'roughnessFactor': 0.7}}],
        'buffers': [{'byteLength': starts[-1]}],
        'bufferViews': [{'buffer': 0, 'byteOffset': start, 'byteLength': len(part)}
                        for start, part in zip(starts, parts)]}
    body = _chunk(b'JSON', json.dumps(said).encode()) + _chunk(b'BIN\0', b''.join(parts))
    return b'glTF' + struct.pack('<II', 2, 12 + len(body)) + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    data += _PADDING[kind] * (-len(data) % 4)
    return struct.pack('<I', len(data)) + kind + data
