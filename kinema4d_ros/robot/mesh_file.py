# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Mesh files: read once, reduced to a face budget, kept on disk in the reduced form.

The cache is keyed by the content of the file, so a changed mesh is a new entry and an entry is
never stale. Entries are written to a temporary name and renamed, so a reader sees all or nothing.
"""
from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.errors import MeshError

FORMATS = ('.stl', '.dae', '.obj', '.glb', '.ply')
MAX_BYTES = 500_000_000
GREY = (178, 178, 178)
_STL_HEADER, _STL_TRIANGLE = 84, 50     # bytes
_DAE_END = b'</COLLADA>'
_MATERIALS = re.compile(rb'<bind_material>.*?</bind_material>', re.DOTALL)
_VERSION = b'kinema4d_ros mesh 2'      # change it when what is stored, or how, changes


def default_cache_dir() -> Path:
    """Return the folder for reduced meshes, as the XDG base directory specification has it."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    root = Path(base) if os.path.isabs(base) else Path.home() / '.cache'
    return root / 'kinema4d_ros' / 'meshes'


def load_mesh_file(path: Path, link: str, max_faces: int, tolerance: float,
                   cache_dir: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the reduced mesh of a file, in the units of the file (Collada: metres).

    :param max_faces: faces to keep, unless that would move the surface by more than
    :param tolerance: in the units of the file.
    :return: vertices (V, 3) float32, faces (F, 3) int32, colors (V, 3) uint8.
    :raises MeshError: when the file cannot be read, naming link and file.
    """
    if path.suffix.lower() not in FORMATS:
        raise MeshError(f'link "{link}": mesh {path} has the format "{path.suffix}"; '
                        f'{", ".join(FORMATS)} can be read')
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise MeshError(f'link "{link}": mesh {path} has {size} bytes, more than the '
                            f'{MAX_BYTES} accepted')
        data = path.read_bytes()
        resources = {each.name: each.read_bytes() for each in material_files(path)}
    except OSError as error:
        raise MeshError(f'link "{link}": mesh {path} cannot be read: {error.strerror}') from error
    key = hashlib.sha256(b'\0'.join(
        [_VERSION, repr((max_faces, tolerance)).encode(), path.suffix.lower().encode(), data,
         *resources.values()])).hexdigest()
    entry = cache_dir / f'{key}.npz'
    mesh = _read_entry(entry)
    if mesh is None:
        parts = _parse(path, link, data, resources)
        if not any(len(part.faces) for part in parts):
            raise MeshError(f'link "{link}": mesh {path} holds no triangle')
        mesh = _reduce(parts, max_faces, tolerance)
        _write_entry(entry, mesh)
    return mesh


def material_files(path: Path) -> tuple[Path, ...]:
    """
    Return the material files of an OBJ, only from its own folder; nothing else is followed.

    :raises OSError: the OBJ cannot be read.
    """
    if path.suffix.lower() != '.obj':
        return ()
    names = [line.split(None, 1)[1].strip().decode('utf-8', 'replace')
             for line in path.read_bytes().splitlines() if line.startswith(b'mtllib ')]
    return tuple(path.parent / name for name in names
                 if Path(name).name == name and (path.parent / name).is_file())


def _parse(path: Path, link: str, data: bytes, resources: dict[str, bytes]) -> list[Any]:
    """Return the parts of a file as trimesh meshes, each in the frame of the file."""
    import trimesh  # a second of import that a warm cache does not need

    # It tells of textures that are missing with a traceback, where nobody has set up logging.
    if not (log := logging.getLogger('trimesh')).handlers:
        log.addHandler(logging.NullHandler())
    # A resolver over what was read already, so that a mesh cannot name other files.
    resolver = trimesh.resolvers.ZipResolver(
        {name: io.BytesIO(content) for name, content in resources.items()})
    if path.suffix.lower() == '.stl':
        data = _whole_stl(data, f'link "{link}": mesh {path}')
    elif path.suffix.lower() == '.dae':
        data = _whole_dae(data)
    kind = path.suffix.lower().lstrip('.')

    def loaded(content: bytes) -> list[Any]:
        scene = trimesh.load_scene(io.BytesIO(content), file_type=kind, resolver=resolver)
        return [part for part in scene.dump() if isinstance(part, trimesh.Trimesh)]

    try:
        parts = loaded(data)
        if kind == 'dae' and len(bare := _MATERIALS.sub(b'', data)) < len(data):
            # It leaves out, without a word, what has a material or texture that the file lacks.
            colourless = loaded(bare)
            if sum(len(part.faces) for part in colourless) > sum(len(part.faces) for part in parts):
                parts = colourless
    except Exception as error:  # a loader may raise anything on a damaged file
        raise MeshError(f'link "{link}": mesh {path} is damaged: '
                        f'{type(error).__name__}: {error}') from error
    for part in parts:
        if not np.isfinite(part.vertices).all():
            raise MeshError(f'link "{link}": mesh {path} has vertices that are not finite')
        part.apply_scale(_unit(part))
    return parts


def _whole_stl(data: bytes, what: str) -> bytes:
    """
    Return a binary STL without what follows its last triangle, all other data as it is.

    Exporters append text or zeros, and some begin the header of a binary file with "solid".

    :raises MeshError: a binary file that ends before its last triangle.
    """
    if len(data) < _STL_HEADER:
        return data
    triangles = int.from_bytes(data[_STL_HEADER - 4:_STL_HEADER], 'little')
    end = _STL_HEADER + _STL_TRIANGLE * triangles
    if end == len(data):
        return data
    beginning = data[:1024].removeprefix(b'\xef\xbb\xbf').lstrip().lower()
    if beginning.startswith(b'solid') and b'facet' in beginning:
        return data
    if end < len(data):
        return data[:end] if triangles else data
    raise MeshError(f'{what} is cut short: it has {(len(data) - _STL_HEADER) // _STL_TRIANGLE} of '
                    f'its {triangles} triangles; copy it again')


def _whole_dae(data: bytes) -> bytes:
    """
    Return a Collada file without what a parser of XML stops at and other tools overlook.

    That is space before its declaration and rubbish after its end.
    """
    end = data.find(_DAE_END)
    return (data if end < 0 else data[:end + len(_DAE_END)]).lstrip()


def _unit(part: Any) -> float:
    """
    Return the metres of one unit of a Collada file, 1 for all others.

    RViz applies the unit and leaves the up axis of the file alone; so do we.
    """
    text = part.metadata.get('units') or part.metadata.get('unit') or ''
    number, star, _ = str(text).partition('* meters')
    return float(number) if star else 1.0


def _reduce(parts: list[Any], max_faces: int,
            tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce each part (they differ in material) by the same factor and put them together."""
    share = max_faces / sum(len(part.faces) for part in parts)
    vertices, faces, colors, start = [], [], [], 0
    for part in parts:
        v, f, c = _joined(part.vertices, part.faces, _vertex_colors(part))
        if share < 1.0 and len(f):
            v, f, c = _decimated(v, f, c, int(len(f) * share), tolerance)
        vertices.append(v)
        faces.append(f + start)
        colors.append(c)
        start += len(v)
    return (np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.int32),
            np.concatenate(colors).astype(np.uint8))


def _joined(vertices: np.ndarray, faces: np.ndarray,
            colors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Let faces share vertices wherever position and colour agree.

    Normals and texture coordinates cut a file's surface into pieces, and STL has no connections
    at all; the reduction cannot cross such cuts.
    """
    size = max(float(np.ptp(vertices, axis=0).max(initial=0.0)), 1e-9)
    keys = np.concatenate([np.round(vertices / (size * 1e-7)), colors], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[faces]
    a, b, c = faces.T
    return vertices[first], faces[(a != b) & (b != c) & (c != a)], colors[first]


def _decimated(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, target: int,
               tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Reduce a surface to `target` faces, or to as many more as keep it within `tolerance`.

    Open3D holds the borders of open surfaces, which real meshes are full of. fast-simplification
    is quicker on closed ones, but eats into open ones by centimetres, and stops early on CAD
    meshes with their long thin triangles.
    """
    import open3d as o3d

    target = max(target, 32)
    while target < len(faces):
        mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(vertices),
                                         o3d.utility.Vector3iVector(faces.astype(np.int32)))
        mesh.vertex_colors = o3d.utility.Vector3dVector(colors / 255.0)
        mesh = mesh.simplify_quadric_decimation(target, boundary_weight=10.0)
        reduced = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
        if max(_farthest(vertices, *reduced), _farthest(reduced[0], vertices, faces)) <= tolerance:
            return *reduced, np.round(255.0 * np.asarray(mesh.vertex_colors)).astype(np.uint8)
        target *= 2
    return vertices, faces, colors


def _farthest(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    """Return the largest distance of points (N, 3) from a surface."""
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)),
                        o3d.core.Tensor(faces.astype(np.uint32)))
    return float(scene.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy().max())


def _vertex_colors(part: Any) -> np.ndarray:
    """Return (V, 3) uint8: colours of the file where it has some, else grey."""
    visual = part.visual
    if visual is None or not visual.defined:
        return np.tile(np.array(GREY, np.uint8), (len(part.vertices), 1))
    if visual.kind == 'texture':     # textures are not read, the material has a colour too
        return np.tile(np.array(visual.material.main_color[:3], np.uint8),
                       (len(part.vertices), 1))
    return np.asarray(visual.vertex_colors, np.uint8)[:, :3]


def _read_entry(entry: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return a cached mesh, None when there is none or it is damaged."""
    try:
        with np.load(entry, allow_pickle=False) as stored:
            vertices, faces, colors = (stored[key] for key in ('vertices', 'faces', 'colors'))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    n = len(vertices)
    whole = (vertices.shape == (n, 3) == colors.shape and vertices.dtype == np.float32
             and faces.ndim == 2 and faces.shape[1:] == (3,) and faces.dtype == np.int32
             and colors.dtype == np.uint8 and np.isfinite(vertices).all()
             and len(faces) > 0 and faces.min() >= 0 and faces.max() < n)
    return (vertices, faces, colors) if whole else None


def _write_entry(entry: Path, mesh: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Store a mesh; a folder that cannot be written costs time at the next start, no more."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=entry.parent, suffix='.part')
    except OSError:
        return
    try:
        with os.fdopen(handle, 'wb') as stream:
            np.savez(stream, vertices=mesh[0], faces=mesh[1], colors=mesh[2])
        os.replace(temporary, entry)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
