# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a robot holds: as somebody declares it, and as a motion begins with it."""
from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.types.motion import frozen

#: kind of a shape -> what its dimensions are, in the order of shape_msgs/SolidPrimitive
DIMENSIONS = {'box': ('x', 'y', 'z'), 'sphere': ('radius',), 'cylinder': ('height', 'radius'),
              'cone': ('height', 'radius'), 'mesh': ()}
_LARGEST = 10.0      # [m] that a shape may reach from its link; more is of another unit


class HeldSource(enum.StrEnum):
    """How it is known what the robot holds."""

    RECOGNISED = 'recognised'    # seen between the fingers as the motion begins
    REMEMBERED = 'remembered'    # seen before the fingers closed on it
    DECLARED = 'declared'        # somebody said so


@dataclass(frozen=True)
class AttachedShape:
    """One shape of an attached object, as shape_msgs/SolidPrimitive and Mesh have it."""

    kind: str                                                # a key of `DIMENSIONS`
    dimensions: tuple[float, ...] = ()                       # [m]
    #: x y z [m] and quaternion x y z w, of the shape in the frame of the link
    pose: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    vertices: tuple[tuple[float, float, float], ...] = ()    # [m] of a mesh

    def __post_init__(self) -> None:
        """
        Refuse what is no shape.

        :raises ConfigurationError: naming the value and what is valid.
        """
        if self.kind not in DIMENSIONS:
            raise ConfigurationError(f'an attached shape is one of {", ".join(DIMENSIONS)}, got '
                                     f'{self.kind!r}')
        wanted = DIMENSIONS[self.kind]
        values = np.asarray(self.dimensions, np.float64)
        if values.shape != (len(wanted),) or not np.isfinite(values).all() or (values <= 0).any():
            raise ConfigurationError(
                f'the dimensions of an attached {self.kind} are {", ".join(wanted) or "none"} '
                f'[m], above 0, got {self.dimensions}')
        pose = np.asarray(self.pose, np.float64)
        if pose.shape != (7,) or not np.isfinite(pose).all() \
                or abs(np.linalg.norm(pose[3:]) - 1.0) > 1e-3:
            raise ConfigurationError(f'the pose of an attached shape is x y z [m] and a unit '
                                     f'quaternion x y z w, got {self.pose}')
        corners = np.asarray(self.vertices, np.float64)
        if self.kind == 'mesh' and (corners.ndim != 2 or corners.shape[1:] != (3,)
                                    or len(corners) < 4 or not np.isfinite(corners).all()):
            raise ConfigurationError('an attached mesh needs four vertices x y z [m] or more, all '
                                     f'finite, got {len(self.vertices)}')
        farthest = max(np.abs(each).max(initial=0.0) for each in (values, pose[:3], corners))
        if farthest > _LARGEST:
            raise ConfigurationError(f'an attached {self.kind} that reaches {farthest:g} m cannot '
                                     f'be: at most {_LARGEST:g} m; is it in millimetres?')
        object.__setattr__(self, 'dimensions', tuple(values.tolist()))
        object.__setattr__(self, 'pose', tuple(pose.tolist()))
        object.__setattr__(self, 'vertices', tuple(map(tuple, corners.tolist())))


@dataclass(frozen=True)
class AttachedObject:
    """
    An object that is declared to move with a link, as moveit_msgs/AttachedCollisionObject has it.

    It is taken for the convex hull of its shapes.
    """

    link: str
    shapes: tuple[AttachedShape, ...]
    name: str = ''
    touch_links: tuple[str, ...] = ()     # links that it may touch, besides the link itself

    def __post_init__(self) -> None:
        """
        Refuse an object without link or shape.

        :raises ConfigurationError: saying which is missing.
        """
        object.__setattr__(self, 'shapes', tuple(self.shapes))
        object.__setattr__(self, 'touch_links', tuple(self.touch_links))
        if not self.link or not self.shapes:
            raise ConfigurationError(f'the attached object {self.name!r} needs a link and a shape '
                                     f'or more, got link {self.link!r} and {len(self.shapes)} '
                                     'shapes')


@dataclass(frozen=True, eq=False)
class HeldObject:
    """A rigid object that moves with a link from the first frame of a motion on."""

    link: str
    vertices: np.ndarray                  # (V, 3) float64 [m], frame of the link
    faces: np.ndarray                     # (F, 3) int32
    colors: np.ndarray                    # (V, 3) uint8 RGB
    source: HeldSource
    age: float = 0.0                      # [s] since its shape was seen
    name: str = ''
    touch_links: tuple[str, ...] = ()     # links that it may touch, besides the link itself
    in_fingers: bool = True               # whether it is let go when the fingers open

    def __post_init__(self) -> None:
        """Check the shapes of the arrays and make them read-only."""
        for name, dtype in (('vertices', np.float64), ('faces', np.int32), ('colors', np.uint8)):
            value = frozen(getattr(self, name), dtype, (None, 3), name, ConfigurationError)
            object.__setattr__(self, name, value)
