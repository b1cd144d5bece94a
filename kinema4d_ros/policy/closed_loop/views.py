# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for the policy: from where, how large, and drawn when the policy looks at them."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kinema4d_ros.errors import CameraError, ConfigurationError
from kinema4d_ros.policy.wire.pictures import resized_with_pad
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot
from kinema4d_ros.robot.transforms import transform_from_quaternion
from kinema4d_ros.types import CameraView, Observation, PinholeCamera

EXTERIOR, WRIST = 'exterior', 'wrist'
_KEYS = {'link', 'xyz', 'quaternion', 'width', 'height', 'fx', 'fy', 'cx', 'cy'}


@dataclass(frozen=True, eq=False)
class PolicyView:
    """
    A camera that the policy looks through.

    :param name: by which the policy asks for it, such as `exterior` or `wrist`.
    :param link: that carries it; '' for one that stands in the base frame.
    :param T_link_camera: (4, 4) float64, its optical frame in that of the link, or the base.
    :param taken: what it really saw first; None for a camera of which there is no picture.
    """

    name: str
    camera: PinholeCamera
    link: str
    T_link_camera: np.ndarray
    taken: CameraView | None = None

    def pose(self, link_names: Sequence[str], T_base_link: np.ndarray) -> np.ndarray:
        """Return T_base_camera (4, 4) where the links are at (L, 4, 4)."""
        if not self.link:
            return self.T_link_camera
        pose: np.ndarray = T_base_link[link_names.index(self.link)] @ self.T_link_camera
        return pose


def views_of(observation: Observation, robot: Robot, T_base_link: np.ndarray,
             wrist: Path | str | None = None) -> tuple[PolicyView, ...]:
    """
    Return what a policy can look through: a camera that stands, and one on the wrist.

    `exterior` is the first view that stands, `wrist` the first that a link carries; a further view
    that stands is `exterior_2`, and so on.

    :param T_base_link: (L, 4, 4) of the observation.
    :param wrist: a YAML file, or the name of one in config/views, of a camera on a link that the
        observation does not have; None for none.
    :raises ConfigurationError: the file is not as it should be.
    """
    found: list[PolicyView] = []
    names: dict[str, int] = {}
    for view in observation.views:
        kind = WRIST if view.mount_link else EXTERIOR
        names[kind] = names.get(kind, 0) + 1
        T = view.T_base_camera
        if view.mount_link:
            T = np.linalg.inv(T_base_link[robot.link_names.index(view.mount_link)]) @ T
        found.append(PolicyView(kind if names[kind] == 1 else f'{kind}_{names[kind]}',
                                view.camera, view.mount_link, T, view))
    if wrist is not None and WRIST not in names:
        found.append(wrist_view(wrist, robot))
    return tuple(found)


def wrist_path(file: Path | str) -> Path:
    """
    Return the file of a view: the YAML file that is named, or the one of config/views.

    :raises ConfigurationError: there is none.
    """
    path = Path(file)
    if not path.exists():
        folder = share_dir() / 'config' / 'views'
        path = folder / f'{file}.yaml'
        if not path.is_file():
            known = ', '.join(sorted(each.stem for each in folder.glob('*.yaml')))
            raise ConfigurationError(f'there is no view {str(file)!r}; name a YAML file, or one of '
                                     f'{known}')
    return path


def wrist_view(file: Path | str, robot: Robot) -> PolicyView:
    """
    Read where a camera sits on the wrist: link, xyz [m], quaternion (x y z w), and its K [px].

    :param file: YAML, or the name of one in config/views.
    :raises ConfigurationError: naming the file and what is wrong.
    """
    path = wrist_path(file)
    try:
        values = yaml.safe_load(path.read_text(encoding='utf-8'))
        if not isinstance(values, dict) or set(values) != _KEYS:
            raise ConfigurationError(f'the view {path} must have {", ".join(sorted(_KEYS))}, got '
                                     f'{values!r:.200}')
        numbers = {name: np.asarray(values[name], np.float64) for name in _KEYS - {'link'}}
        T = transform_from_quaternion(  # noqa: N806
            numbers['xyz'].tolist(), numbers['quaternion'].tolist())
        camera = PinholeCamera(int(numbers['width']), int(numbers['height']), *(
            float(numbers[name]) for name in ('fx', 'fy', 'cx', 'cy')))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError,
            CameraError) as error:
        raise ConfigurationError(f'the view {path} cannot be read: {error}') from error
    if values['link'] not in robot.link_names:
        raise ConfigurationError(f'the view {path} is on the link {values["link"]!r}; the robot '
                                 f'has: {", ".join(robot.link_names)}')
    return PolicyView(WRIST, camera, values['link'], T)


def padded_depth(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return depth (H, W) float32 as `resized_with_pad` does a picture: nearest, NaN around it."""
    rows, columns = depth.shape
    ratio = max(columns / width, rows / height)
    inner = max(int(rows / ratio), 1), max(int(columns / ratio), 1)
    framed = np.full((height, width), np.nan, np.float32)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    row, column = (((np.arange(new) + 0.5) * old / new).astype(int)
                   for new, old in zip(inner, (rows, columns)))
    framed[top:top + inner[0], left:left + inner[1]] = depth[np.ix_(row, column)]
    return framed


@dataclass(frozen=True, eq=False)
class DrawnView:
    """One picture for the policy, before it is resized."""

    image: np.ndarray          # (H, W, 3) uint8
    depth: np.ndarray | None   # (H, W) float32 [m], NaN unknown
    unseen: float              # share of its pixels that nobody ever saw


class LazyPictures(Mapping[str, np.ndarray]):
    """
    Pictures by the name of the view, each drawn when it is first asked for.

    A policy that only reads joints costs no picture. `shares` has those that were drawn.
    """

    def __init__(self, names: Sequence[str], draw: Callable[[str], DrawnView],
                 size: tuple[int, int] | None, part: str = 'image',
                 drawn: dict[str, DrawnView] | None = None) -> None:
        """
        Draw nothing yet.

        :param size: (height, width) to resize to with pad; None for that of the camera.
        :param part: of what is drawn: `image` or `depth`.
        :param drawn: what is drawn already, which grows; to be shared with others of the same.
        """
        self._names, self._draw, self._size, self._part = tuple(names), draw, size, part
        self._drawn: dict[str, DrawnView] = {} if drawn is None else drawn
        self._made: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a picture."""
        if name not in self._names:
            raise KeyError(f'there is no view {name!r}; there are: {", ".join(self._names)}')
        if name not in self._made:
            if name not in self._drawn:
                self._drawn[name] = self._draw(name)
            array = getattr(self._drawn[name], self._part)
            if self._size is not None:
                resize = resized_with_pad if self._part == 'image' else padded_depth
                array = resize(array, *self._size)
            self._made[name] = array
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all views."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many views there are."""
        return len(self._names)

    @property
    def shares(self) -> Mapping[str, float]:
        """Share of the pixels that nobody ever saw, of the views drawn so far; it grows."""
        return _Shares(self._drawn)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as what was drawn, all of it."""
        return dict, (dict(self),)


class _Shares(Mapping[str, float]):
    def __init__(self, drawn: Mapping[str, DrawnView]) -> None:
        self._drawn = drawn

    def __getitem__(self, name: str) -> float:
        return self._drawn[name].unseen

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
