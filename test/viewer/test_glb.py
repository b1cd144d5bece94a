# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The binary glTF of a link; trimesh, which reads and writes it as well, is the oracle."""
import io

import numpy as np
import pytest
import trimesh
from trimesh.visual.material import PBRMaterial

from kinema4d_ros.robot import LinkMesh
from kinema4d_ros.viewer.glb import glb

RNG = np.random.default_rng(2)
#: with 1 to 4 bytes until the next multiple of four, and faces that use the last vertex
MESHES = [LinkMesh(RNG.normal(size=(count, 3)).astype(np.float32),
                   np.array([[0, 1, 2], [2, 1, count - 1]], np.int32),
                   RNG.integers(0, 256, (count, 3), np.uint8)) for count in (4, 5, 6, 7)]


def read(data: bytes) -> trimesh.Trimesh:
    """Return the only mesh of a file."""
    (mesh,) = trimesh.load(io.BytesIO(data), file_type='glb', process=False).geometry.values()
    return mesh


@pytest.mark.parametrize('mesh', MESHES, ids=lambda mesh: f'{len(mesh.vertices)} vertices')
def test_what_is_written_is_read_as_what_trimesh_writes(mesh):
    peer = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    peer.visual = trimesh.visual.TextureVisuals(
        material=PBRMaterial(metallicFactor=0.0, roughnessFactor=0.7))
    peer.visual.vertex_attributes['color'] = np.column_stack(
        [mesh.colors, np.full(len(mesh.colors), 255, np.uint8)])
    ours, theirs = read(glb(mesh)), read(peer.export(file_type='glb'))
    np.testing.assert_array_equal(ours.vertices, theirs.vertices)
    np.testing.assert_array_equal(ours.vertices, mesh.vertices)
    np.testing.assert_array_equal(ours.faces, theirs.faces)
    for name in ('metallicFactor', 'roughnessFactor', 'doubleSided'):
        assert (getattr(ours.visual.material, name) or 0.0) == (
            getattr(theirs.visual.material, name) or 0.0)
    np.testing.assert_array_equal(ours.visual.vertex_attributes['color'],
                                  theirs.visual.vertex_attributes['color'])
    np.testing.assert_array_equal(ours.visual.vertex_attributes['color'][:, :3], mesh.colors)


def test_its_chunks_and_its_length_are_as_the_specification_wants_them():
    for mesh in MESHES:
        data = glb(mesh)
        assert len(data) % 4 == 0 and int.from_bytes(data[8:12], 'little') == len(data)
        length = int.from_bytes(data[12:16], 'little')
        assert length % 4 == 0 and data[16:20] == b'JSON' and data[24 + length:28 + length] \
            == b'BIN\0'
