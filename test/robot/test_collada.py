# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Collada files as the packages of real robots have them, which RViz shows."""
import re
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from kinema4d_ros.robot.mesh_file import load_mesh_file

SPHERE = trimesh.creation.icosphere(subdivisions=3, radius=0.1)


def extents(path):
    """Return the size of what is read of a file."""
    vertices, faces, _ = load_mesh_file(path, 'a', 10_000, 1e-3, path.parent / 'cache')
    return np.ptp(vertices[faces].reshape(-1, 3), axis=0)


@pytest.mark.parametrize('spoil', [
    lambda text: '\n  <?xml version="1.0" encoding="utf-8"?>' + text,
    lambda text: text + '\0' * 40 + '</polylist>',
    lambda text: re.sub(r'(<instance_material[^>]*target=")#[^"]*', r'\1#gone', text)],
    ids=['space before it', 'rubbish after it', 'a material that is not there'])
def test_collada_that_other_tools_read(tmp_path, spoil):
    """Doosan's H2017, KUKA's iiwa, the myCobot 280: RViz shows them."""
    path, painted = tmp_path / 'sphere.dae', SPHERE.copy()
    painted.visual = trimesh.visual.TextureVisuals(
        uv=painted.vertices[:, :2], material=trimesh.visual.material.SimpleMaterial())
    painted.export(path)
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    np.testing.assert_allclose(extents(path), 0.2, atol=1e-3)


def test_no_part_of_a_mesh_is_lost_with_its_material(tmp_path):
    """One of two parts has a material whose effect is not there: the ANYmal's foot, say."""
    path, parts = tmp_path / 'two.dae', []
    for x in (-1.0, 1.0):
        part = SPHERE.copy().apply_translation((x, 0, 0))
        part.visual = trimesh.visual.TextureVisuals(
            uv=part.vertices[:, :2], material=trimesh.visual.material.SimpleMaterial(
                diffuse=(255, 0, round(100 + 100 * x), 255)))
        parts.append(part)
    text = trimesh.exchange.dae.export_collada(parts).decode()
    spoilt = re.sub(r'(<instance_effect[^>]*url=")#', r'\1#gone', text, count=1)
    assert spoilt != text
    path.write_text(spoilt)
    np.testing.assert_allclose(extents(path), (2.2, 0.2, 0.2), atol=2e-3)


def test_a_texture_that_is_missing_is_not_told_as_a_traceback(tmp_path):
    """The PR2's normal maps, say: nobody needs them, and the robot is whole without."""
    path = tmp_path / 'sphere.dae'
    SPHERE.export(path)
    text = path.read_text().replace('<library_effects>', (
        '<library_images><image id="i"><init_from>normals.png</init_from></image>'
        '</library_images><library_effects>'), 1).replace('<profile_COMMON>', (
            '<profile_COMMON><newparam sid="s"><surface type="2D"><init_from>i</init_from>'
            '</surface></newparam><newparam sid="t"><sampler2D><source>s</source></sampler2D>'
            '</newparam>'), 1)
    path.write_text(text.replace('<extra>', (
        '<extra><technique profile="FCOLLADA"><bump><texture texture="t" texcoord="U"/></bump>'
        '</technique>'), 1))
    told = subprocess.run(
        [sys.executable, '-c', 'import sys; from pathlib import Path; '
         'from kinema4d_ros.robot.mesh_file import load_mesh_file; '
         'load_mesh_file(Path(sys.argv[1]), "a", 1000, 1e-3, Path(sys.argv[2]))',
         str(path), str(tmp_path / 'cache')], capture_output=True, text=True, check=True)
    assert told.stderr == ''
