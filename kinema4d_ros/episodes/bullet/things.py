# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things with a drawn mass, friction and centre of mass: boxes, cylinders, LIBERO's meshes."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import defusedxml.ElementTree
import numpy as np
from scipy.spatial import ConvexHull

from kinema4d_ros.errors import EpisodeError, MeshError
from kinema4d_ros.robot import LinkMesh
from kinema4d_ros.robot.mesh_file import default_cache_dir, load_mesh_file

#: name in LIBERO's assets -> (its folder, how it stands: degrees about x)
LIBERO_THINGS = {
    **dict.fromkeys((
        'alphabet_soup', 'bbq_sauce', 'butter', 'chocolate_pudding', 'cream_cheese', 'ketchup',
        'milk', 'orange_juice', 'salad_dressing', 'tomato_sauce'), ('stable_hope_objects', 90.0)),
    **dict.fromkeys(('akita_black_bowl', 'glazed_rim_porcelain_ramekin'),
                    ('stable_scanned_objects', 0.0))}
_HOLLOW = frozenset({'akita_black_bowl', 'glazed_rim_porcelain_ramekin'})
_MASS = (0.05, 1.0)        # [kg] drawn evenly in its logarithm
_FRICTION = (0.2, 0.9)     # against a table and fingers of 1: Bullet multiplies
_OFF_CENTER = 0.15         # of half its size, how far its centre of mass is off its middle
_SIDES = 32                # of a cylinder as it is drawn
_FACES = 2000              # of a mesh as it is drawn
_TOLERANCE = 0.0005        # [m] by which drawing fewer faces may move its surface
_TURN = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])     # y up -> z up


@dataclass(frozen=True, eq=False)
class BoxPiece:
    """A box that a hollow thing consists of, for contacts."""

    half: np.ndarray          # (3,) [m]
    T_thing_box: np.ndarray   # (4, 4)

    @property
    def corners(self) -> np.ndarray:
        """Its corners in the frame of the thing, (8, 3) [m]."""
        signs = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), -1).reshape(-1, 3)
        return signs * self.half @ self.T_thing_box[:3, :3].T + self.T_thing_box[:3, 3]


@dataclass(frozen=True, eq=False)
class CellThing:
    """A rigid thing, standing upright in its own frame, z up."""

    name: str
    vertices: np.ndarray      # (V, 3) float32 [m], as it is drawn
    faces: np.ndarray         # (F, 3) int32
    colors: np.ndarray        # (V, 3) uint8
    mass: float               # [kg]
    friction: float
    center_of_mass: np.ndarray             # (3,) [m]
    pieces: tuple[BoxPiece, ...] = ()      # for contacts; empty for its convex hull

    @property
    def low(self) -> np.ndarray:
        """Lowest corner, (3,) [m] in its frame."""
        return np.asarray(self.vertices.min(axis=0), np.float64)

    @property
    def high(self) -> np.ndarray:
        """Highest corner, (3,) [m] in its frame."""
        return np.asarray(self.vertices.max(axis=0), np.float64)

    @property
    def middle(self) -> np.ndarray:
        """Middle of its box, (3,) [m] in its frame."""
        return 0.5 * (self.low + self.high)

    @property
    def hull(self) -> np.ndarray:
        """Corners of its convex hull, (N, 3) float64 [m]."""
        points = np.asarray(self.vertices, np.float64)
        return points[ConvexHull(points).vertices]

    @property
    def mesh(self) -> LinkMesh:
        """What is drawn of it."""
        return LinkMesh(self.vertices, self.faces, self.colors)


def draw_things(random: np.random.Generator, libero: Path | None) -> list[CellThing]:
    """
    Draw four or five things.

    :param libero: its folder of assets; None for boxes and cylinders alone.
    :raises EpisodeError: it is no such folder.
    """
    things: list[CellThing] = []
    for number in range(int(random.integers(4, 6))):
        word = 'box' if random.random() < 0.5 else 'cylinder'
        if libero is not None and random.random() < 0.6:
            word = str(random.choice(sorted(LIBERO_THINGS)))
        mesh, pieces = _shape(word, random, libero)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        aside = random.uniform(-_OFF_CENTER, _OFF_CENTER, 3) * 0.5 * (high - low)
        mass = float(np.exp(random.uniform(*np.log(_MASS))))
        things.append(CellThing(
            f'{word}_{number + 1}', mesh.vertices, mesh.faces, mesh.colors, mass,
            float(random.uniform(*_FRICTION)), 0.5 * (low + high) + aside, pieces))
    return things


def _shape(word: str, random: np.random.Generator,
           libero: Path | None) -> tuple[LinkMesh, tuple[BoxPiece, ...]]:
    if word == 'box':
        return _box(0.5 * random.uniform([0.03, 0.03, 0.03], [0.12, 0.065, 0.16]), random), ()
    if word == 'cylinder':
        return _cylinder(random.uniform(0.02, 0.033), 0.5 * random.uniform(0.04, 0.17), random), ()
    assert libero is not None
    return _libero(word, random, libero)


def _box(half: np.ndarray, random: np.random.Generator) -> LinkMesh:
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3, indexing='ij'), -1).reshape(-1, 3) * half
    return _painted(corners, random)


def _cylinder(radius: float, half: float, random: np.random.Generator) -> LinkMesh:
    angle = np.linspace(0.0, 2 * np.pi, _SIDES, endpoint=False)
    ring = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _painted(np.concatenate([np.c_[ring, np.full(_SIDES, z)] for z in (-half, half)]),
                    random)


def _painted(corners: np.ndarray, random: np.random.Generator) -> LinkMesh:
    """Return the convex hull of corners with a colour for each, outside counter-clockwise."""
    hull = ConvexHull(corners)
    faces = hull.simplices.copy()
    a, b, c = (corners[faces[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * hull.equations[:, :3]).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return LinkMesh(corners.astype(np.float32), faces.astype(np.int32),
                    _colors(len(corners), random))


def _colors(count: int, random: np.random.Generator) -> np.ndarray:
    """Return colours near one that is drawn, (N, 3) uint8."""
    drawn = random.uniform(60, 230, 3) + random.normal(0, 12, (count, 1))
    return np.clip(drawn, 0, 255).astype(np.uint8)


def _libero(word: str, random: np.random.Generator, libero: Path,
            ) -> tuple[LinkMesh, tuple[BoxPiece, ...]]:
    folder, degrees = libero / LIBERO_THINGS[word][0] / word, LIBERO_THINGS[word][1]
    try:
        root = defusedxml.ElementTree.parse(folder / f'{word}.xml').getroot()
        mesh = next(root.iter('mesh'))
        scale = float(mesh.get('scale').split()[0])
        stem = Path(mesh.get('file')).stem.removesuffix('_vis')
        vertices, faces, _ = load_mesh_file(folder / f'{stem}.obj', word, _FACES,
                                                 _TOLERANCE / scale, default_cache_dir())
    except (OSError, MeshError, AttributeError, StopIteration, ValueError) as error:
        raise EpisodeError(f'{folder} is no thing of LIBERO: {error}') from error
    turn = _TURN if degrees else np.eye(3)
    pieces = tuple(_box_piece(geom, turn) for geom in root.iter('geom')
                   if geom.get('type') == 'box') if word in _HOLLOW else ()
    # Their textures are not drawn; a plain colour keeps one thing apart from another.
    return LinkMesh((scale * vertices @ turn.T).astype(np.float32), faces,
                    _colors(len(vertices), random)), pieces


def _box_piece(geom: defusedxml.ElementTree.Element, turn: np.ndarray) -> BoxPiece:
    """Return a <geom type="box"> of MuJoCo, quaternions w first."""
    half, place, (w, x, y, z) = (np.array(geom.get(key).split(), np.float64)
                                 for key in ('size', 'pos', 'quat'))
    n = np.linalg.norm([w, x, y, z])
    w, x, y, z = w / n, x / n, y / n, z / n
    T = np.eye(4)
    T[:3, :3] = turn @ np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
    T[:3, 3] = turn @ place
    return BoxPiece(half, T)
