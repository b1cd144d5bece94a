# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
For pip: the core that needs no ROS. colcon uses CMakeLists.txt, which adds interfaces and nodes.

PyKDL has no wheel: it comes from the system (apt python3-pykdl).
"""
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
PACKAGE = 'kinema4d_ros'


def requirements(name: str) -> list[str]:
    """Return the requirements of one file, without comments and options."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    stripped = (line.split('#')[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith('-')]


def shared_files() -> list[tuple[str, list[str]]]:
    """Return what goes to share/kinema4d_ros, folder by folder."""
    found = {Path(): [ROOT / 'package.xml']}
    for folder in ('config', 'data', 'launch', 'urdf'):
        for path in sorted((ROOT / folder).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                found.setdefault(path.parent.relative_to(ROOT), []).append(path)
    return [(str(Path('share', PACKAGE, folder)), [str(path.relative_to(ROOT)) for path in paths])
            for folder, paths in found.items()]


manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
setup(
    name=PACKAGE,
    version=manifest.findtext('version'),
    description='Shadow simulator for robot arms: what a trajectory would do, before it is done',
    license='Apache-2.0',
    license_files=['LICENSE'],
    author=manifest.findtext('author'),
    maintainer=manifest.findtext('maintainer'),
    maintainer_email=manifest.find('maintainer').get('email'),
    python_requires='>=3.11',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed'], f'{PACKAGE}.evaluation.report': ['templates/*']},
    data_files=shared_files(),
    install_requires=requirements('base'),
    extras_require={name: requirements(name)
                    for name in ('cluster', 'datasets', 'model', 'physics', 'policy', 'rerun',
                                 'viewer', 'sim')} | {
        'dev': requirements('test')},
    entry_points={'console_scripts': ['kinema4d = kinema4d_ros.cli.main:main']},
    zip_safe=False,
)
