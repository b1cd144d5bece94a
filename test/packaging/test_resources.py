# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The package's files are found wherever the package lies."""
import importlib.util
import shutil
from pathlib import Path

import pytest

from kinema4d_ros import resources
from kinema4d_ros.errors import Kinema4DError

ROOT = Path(__file__).resolve().parents[2]


def loaded_from(folder: Path):
    """Return the module as a copy in `folder` would see itself."""
    folder.mkdir(parents=True)
    shutil.copy(resources.__file__, folder / 'resources.py')
    spec = importlib.util.spec_from_file_location('resources_copy', folder / 'resources.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_source_tree():
    assert resources.share_dir() == ROOT


@pytest.mark.parametrize('site', ['lib/python3.12/site-packages',
                                  'local/lib/python3.12/dist-packages', 'target'])
def test_installed(tmp_path, site):
    share = tmp_path / 'share' / 'kinema4d_ros'
    share.mkdir(parents=True)
    (share / 'package.xml').touch()
    assert loaded_from(tmp_path / site / 'kinema4d_ros').share_dir() == share


def test_copied_without_its_files(tmp_path):
    module = loaded_from(tmp_path / 'kinema4d_ros')
    with pytest.raises(Kinema4DError, match=r'are not beside .*; install it with colcon or pip'):
        module.share_dir()
