# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the files that belong to the package (urdf, config, launch, data) are on disk."""
from __future__ import annotations

from functools import cache
from pathlib import Path

from kinema4d_ros.errors import Kinema4DError

_PACKAGE = Path(__file__).resolve().parent   # a symlink-install leads back to the source tree


@cache
def share_dir() -> Path:
    """
    Return the folder that holds ``urdf/``, ``config/``, ...; what ``package://kinema4d_ros`` means.

    It is the root of a source tree, else ``share/kinema4d_ros`` of the prefix that the package is
    installed in (by colcon, or by pip). Its mark is ``package.xml``.

    :raises Kinema4DError: when the package was copied without these files.
    """
    for folder in (_PACKAGE.parent, *(parent / 'share' / _PACKAGE.name
                                      for parent in _PACKAGE.parents)):
        if (folder / 'package.xml').is_file():
            return folder
    raise Kinema4DError(
        f'the files of kinema4d_ros (urdf, config) are not beside {_PACKAGE} nor in '
        f'share/{_PACKAGE.name} of a folder above it; install it with colcon or pip')
