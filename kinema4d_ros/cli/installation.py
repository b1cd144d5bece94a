# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor's checks of what is installed here."""
from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import kinema4d_ros
from kinema4d_ros.cli.show import compiled_code
from kinema4d_ros.diagnosis import Diagnosis, Level

#: module -> what pip calls it, where that differs
NEEDED = {'numpy': '', 'numba': '', 'cv2': 'opencv-python-headless', 'PIL': 'pillow', 'yaml':
           'pyyaml', 'rich': '', 'rosbags': '', 'coal': '', 'scipy': '', 'skimage': 'scikit-image',
           'trimesh': '', 'collada': 'pycollada', 'defusedxml': '', 'urdf_parser_py':
           'urdfdom-py', 'open3d': 'open3d-cpu', 'av': '', 'cattrs': '',
           'jinja2': ''}
PYKDL_CURE = 'apt install python3-pykdl; a virtual environment of it is made by /usr/bin/python3 ' \
    '-m venv --system-site-packages'
_LEAST_SHM = 64 << 20     # [bytes] of shared memory that clouds go through


def check_installation() -> Iterator[Diagnosis]:
    """Check packages, GPU and ROS; import only what is quick."""
    yield Diagnosis('kinema4d_ros', Level.OK, f'{kinema4d_ros.__version__}, Python '
                    f'{platform.python_version()}, {Path(kinema4d_ros.__file__).parent}')
    missing = [module for module in NEEDED if not _is_there(module)]
    # A sourced ROS is built on NumPy 1, which pip must not replace.
    constraints = 'constraints-ros' if os.environ.get('ROS_DISTRO') else 'constraints'
    if missing:
        yield Diagnosis('Python packages', Level.ERROR, f'missing: {", ".join(missing)}',
                        'pip install ' + ' '.join(NEEDED[name] or name for name in missing)
                        + f' -c requirements/{constraints}.txt, or make setup')
    else:
        yield Diagnosis('Python packages', Level.OK, ', '.join(
            f'{name} {_version(NEEDED[name] or name)}' for name in ('numpy', 'numba', 'coal',
                                                                     'rosbags')))
    yield _pykdl()
    yield _compiled()
    yield from _torch()
    yield Diagnosis('viser', Level.OK, _version('viser')) if _is_there('viser') else Diagnosis(
        'viser', Level.INFO, 'not installed; `kinema4d view` needs it',
        "pip install '.[viewer]' in a clone, or -r requirements/viewer.txt")
    yield Diagnosis('malloc', Level.OK, 'keeps the memory of large messages (mallopt)') \
        if hasattr(ctypes.CDLL(None), 'mallopt') else Diagnosis(
            'malloc', Level.WARNING, 'this C library has no mallopt: large messages cost more',
            'use a glibc system')
    yield from _ros()


def why_lacking(module: str) -> str | None:
    """Say what is not installed and how to get it; None for a module that is none of ours."""
    if module == 'PyKDL':
        return f'PyKDL is not installed, which pip does not have: {PYKDL_CURE}'
    if module not in NEEDED:
        return None
    return (f'{module} is not installed: pip install {NEEDED[module] or module}, or all that is '
            'needed by pip install . in a clone')


def _pykdl() -> Diagnosis:
    try:
        module = importlib.import_module('PyKDL')
    except ImportError as error:
        return Diagnosis('PyKDL', Level.ERROR, f'cannot be imported: {error}', PYKDL_CURE)
    return Diagnosis('PyKDL', Level.OK, getattr(module, '__file__', 'there'))


def _compiled() -> Diagnosis:
    """Look for what numba compiled in earlier runs."""
    where, there = compiled_code()
    if there:
        return Diagnosis('compiled code', Level.OK, f'kept in {where}')
    return Diagnosis('compiled code', Level.INFO,
                     'nothing compiled yet: the first prediction takes some seconds longer',
                     'kinema4d compile')


def _torch() -> Iterator[Diagnosis]:
    if not _is_there('torch'):
        yield Diagnosis('torch', Level.INFO,
                        'not installed; only the world model kinema4d needs it',
                        "pip install '.[model]' in a clone, or -r requirements/model.txt")
        driver = shutil.which('nvidia-smi')
        yield Diagnosis('GPU', Level.INFO, 'an NVIDIA driver is there, torch is not' if driver
                        else 'none found; only the world model kinema4d needs one')
        return
    torch = importlib.import_module('torch')
    yield Diagnosis('torch', Level.OK, torch.__version__)
    if not torch.cuda.is_available():
        yield Diagnosis('GPU', Level.INFO,
                        'torch sees none; only the world model kinema4d needs one',
                        'install the driver and a CUDA build of torch'
                        if shutil.which('nvidia-smi') else '')
        return
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        yield Diagnosis('GPU', Level.OK, f'cuda:{number} {torch.cuda.get_device_name(number)}, '
                        f'{free >> 20} of {total >> 20} MB free')


def _ros() -> Iterator[Diagnosis]:
    if not _is_there('rclpy'):
        yield Diagnosis('ROS', Level.INFO, 'not in this environment; the nodes need it',
                        'source /opt/ros/jazzy/setup.bash, or `source install/setup.bash` after '
                        '`make setup`')
        return
    import rclpy

    distro = os.environ.get('ROS_DISTRO', '')
    yield Diagnosis('ROS', Level.OK if distro in ('', 'jazzy', 'kilted') else Level.WARNING,
                    f'{distro or "from Python wheels"}, '
                    f'{Path(rclpy.__file__).parent}',
                    '' if distro in ('', 'jazzy', 'kilted') else
                    'this package is for Jazzy and Kilted')
    if not _is_there('kinema4d_ros.msg'):
        yield Diagnosis('interfaces', Level.ERROR, 'the messages of kinema4d_ros are not built',
                        'colcon build and source install/setup.bash, or make setup')
    rmw = rclpy.get_rmw_implementation_identifier()
    yield Diagnosis('RMW', Level.OK, f'{rmw}, domain {os.environ.get("ROS_DOMAIN_ID", "0")}')
    if 'fastrtps' in rmw:
        yield _profile()


def _profile() -> Diagnosis:
    """Look whether large messages fit into shared memory."""
    cure = f'export FASTRTPS_DEFAULT_PROFILES_FILE={_own_profile()} (the launch file does it)'
    path = next(filter(None, map(os.environ.get, (
        'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'))), '')
    if not path:
        return Diagnosis('shared memory', Level.WARNING, 'no profile for Fast DDS is set: clouds '
                         'do not fit into its shared memory, and arrive late', cure)
    try:
        sizes = re.findall(r'<segment_size>\s*(\d+)', Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        return Diagnosis('shared memory', Level.ERROR,
                         f'the profile {path} cannot be read: {error}', cure)
    if not sizes or int(sizes[0]) < 16 << 20:
        return Diagnosis('shared memory', Level.WARNING,
                         f'the profile {path} has no large segment_size', cure)
    free = shutil.disk_usage('/dev/shm').free if Path('/dev/shm').is_dir() else 0
    if free < _LEAST_SHM:
        return Diagnosis('shared memory', Level.WARNING, f'/dev/shm has {free >> 20} MB free',
                         'give containers --ipc=host or --shm-size=1g')
    return Diagnosis('shared memory', Level.OK, f'{path}, /dev/shm has {free >> 20} MB free')


def _own_profile() -> str:
    from kinema4d_ros.resources import share_dir

    return str(share_dir() / 'config' / 'fastdds.xml')


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return '(no version)'
