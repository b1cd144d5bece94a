# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a mesh URI of a URDF is on disk, and whether it may be read.

A description comes over a topic from whoever publishes it, so a URI is no permission to read any
file: a mesh must lie in the folder of its package, of the URDF, or in one that the caller named.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from kinema4d_ros.errors import Kinema4DError, MeshError, RobotDescriptionError
from kinema4d_ros.resources import share_dir

_WALK_UP = 8    # folders above the URDF that may hold the package


class MeshFinder:
    """
    Finds the files of mesh URIs.

    ``package://A/rest`` and ``model://A/rest``: folder A of the ament index, then A (or rest
    itself) in `package_paths`, then next to the URDF and in the folders above it, then in the
    folders of models that Gazebo is told of, then beside this package. ``file://``, absolute and
    relative paths: inside the folders of the caller, the URDF, or an installed package.

    What other tools overlook is overlooked here: more slashes than are needed, ``%20``,
    ``file://localhost/``, ``file:/``, backslashes.
    """

    def __init__(self, package_paths: Sequence[str | Path] = (),
                 source_dir: str | Path | None = None) -> None:
        """
        Make a finder that trusts the given folders besides installed packages.

        :raises RobotDescriptionError: a path is empty.
        """
        if isinstance(package_paths, (str, Path)):
            package_paths = (package_paths,)
        if not all(map(str, package_paths)):    # Path('') would be the current folder
            raise RobotDescriptionError(
                f'package_paths {list(map(str, package_paths))} hold an empty path; name folders, '
                "or '.' for the current one")
        self.package_paths = tuple(Path(path).expanduser().absolute() for path in package_paths)
        self.source_dir = None if source_dir is None else Path(source_dir).expanduser().absolute()

    def find(self, uri: str, link: str) -> Path:
        """
        Return the file of `uri`.

        :param link: the link that asks, for the message.
        :raises MeshError: not found (with the places searched) or outside the allowed folders.
        """
        if '\0' in uri:
            raise MeshError(f'link "{link}": the mesh URI {uri!r} holds a null character')
        searched, outside = [], []
        for root, path, installed in self._candidates(uri, link):
            if not path.is_file():
                searched.append(path)
            elif self._trusts(path) or root is not None and _inside(path, root, installed):
                return path
            else:
                outside.append(path)
        if outside:
            raise MeshError(
                f'link "{link}": mesh {uri} is {outside[0]}, outside the folders that meshes may '
                'be read from; pass its folder in package_paths if that is right')
        where = ', '.join(dict.fromkeys(map(str, searched))) or 'nowhere: no folder is known'
        raise MeshError(f'link "{link}": mesh {uri} not found, searched {where}; install the '
                        'package that holds it, or pass its folder in package_paths '
                        '(--package-path on the command line)')

    def _candidates(self, uri: str, link: str) -> Iterator[tuple[Path | None, Path, bool]]:
        """Yield (allowed root, file, is an installed package) in order of preference."""
        scheme, colon, rest = uri.partition(':')
        scheme = scheme.lower()
        if not colon or scheme != 'file' and not rest.startswith('//') or len(scheme) == 1:
            scheme, rest = '', uri
        # As it is written, and then as somebody may have meant it.
        for path in dict.fromkeys((rest, unquote(rest), unquote(rest).replace('\\', '/'))):
            if '\0' in path or '\\' in path and '/' not in path.lstrip('/'):
                continue
            if scheme in ('package', 'model'):
                yield from self._in_package(uri, path.lstrip('/'), link)
            elif scheme == 'file':
                yield from self._by_path(_without_host(path))
            elif not scheme:
                yield from self._by_path(path)
            else:
                raise MeshError(f'link "{link}": mesh {uri} has the unknown scheme "{scheme}"; use '
                                'package://, model://, file:// or a path')

    def _in_package(self, uri: str, name: str, link: str
                    ) -> Iterator[tuple[Path | None, Path, bool]]:
        """Yield (allowed root, file, is an installed package) in order of preference."""
        package, _, rest = name.partition('/')
        rest = rest.lstrip('/')     # else it would be a path from the root of the file system
        if not package or not rest or package in ('.', '..'):
            raise MeshError(f'link "{link}": mesh {uri} must be package://<package>/<path>')
        for share in _installed_shares():
            yield share / package, share / package / rest, True
        for folder in self.package_paths:
            yield folder / package, folder / package / rest, False
            yield folder, folder / rest, False
        folders = [] if self.source_dir is None else \
            [self.source_dir, *self.source_dir.parents][:_WALK_UP]
        for folder in folders:
            if folder != folder.parent:      # never the root of the file system
                yield folder / package, folder / package / rest, False
                yield folder, folder / rest, False
        for folder in _model_folders():
            yield folder / package, folder / package / rest, False
        if package == 'kinema4d_ros':
            for share in _own_share():
                yield share, share / rest, True

    def _by_path(self, path: str) -> Iterator[tuple[Path | None, Path, bool]]:
        if os.path.isabs(path):
            yield None, Path(path), False
            for share in (*_installed_shares(), *_own_share()):
                yield share, Path(path), True
        else:
            for root in (self.source_dir, *self.package_paths):
                if root is not None:
                    yield root, root / path, False

    def _trusts(self, path: Path) -> bool:
        """Return whether `path` is in a folder that the caller named."""
        return any(_inside(path, root, False)
                   for root in (*self.package_paths, self.source_dir) if root is not None)


def _inside(path: Path, root: Path, installed: bool) -> bool:
    """
    Return whether `path` is in `root` once ``..`` and links are followed.

    An installed package is trusted with its own symbolic links: ``colcon build
    --symlink-install`` makes every mesh one that leads to the source tree.
    """
    if installed:
        return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(root))
    return path.resolve().is_relative_to(root.resolve())


def _installed_shares() -> list[Path]:
    """Return the share folders of the sourced ROS workspaces, overlay first."""
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [Path(prefix) / 'share' for prefix in prefixes if prefix]


def _model_folders() -> list[Path]:
    """Return the folders of models that Gazebo is told of; whoever starts us sets them."""
    return [Path(folder) for name in ('GZ_SIM_RESOURCE_PATH', 'IGN_GAZEBO_RESOURCE_PATH',
                                      'GAZEBO_MODEL_PATH')
            for folder in os.environ.get(name, '').split(os.pathsep) if os.path.isabs(folder)]


def _without_host(path: str) -> str:
    """
    Return the path of what follows ``file:``.

    The host is empty or localhost; any other is what somebody wrote for a relative path.
    """
    if not path.startswith('//'):
        return path
    host, slash, rest = path[2:].partition('/')
    if host in ('', 'localhost'):
        return slash + rest.lstrip('/')
    return host + slash + rest


def _own_share() -> list[Path]:
    """Return the folder that ``package://kinema4d_ros`` means, where it is installed."""
    try:
        return [share_dir()]
    except Kinema4DError:
        return []
