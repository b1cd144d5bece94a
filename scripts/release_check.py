# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is open before this package can be released with bloom: `make release-check`.

package.xml is the one place of version and maintainer; this holds it against the changelog, the
rules of catkin_pkg and the keys that rosdep knows. Exit code 1 while something is open.
"""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.package import InvalidPackage, Package, parse_package

ROOT = Path(__file__).resolve().parent.parent
#: every dependency of package.xml that is in Jazzy's and Kilted's distribution.yaml of rosdistro at
#: commit 8468e88c (2026-08-22); rosdep resolves them to a deb
PACKAGES = """
    action_msgs ament_cmake ament_cmake_pytest ament_cmake_python ament_index_python
    builtin_interfaces coal control_msgs cv_bridge diagnostic_msgs geometry_msgs launch launch_ros
    lifecycle_msgs rcl_interfaces rclpy robot_state_publisher rosgraph_msgs
    rosidl_default_generators rosidl_default_runtime rviz2 sensor_msgs sensor_msgs_py std_msgs
    tf2_msgs trajectory_msgs urdfdom_py visualization_msgs xacro""".split()
#: those that are in its rosdep/python.yaml with an apt package on Ubuntu 24.04
KEYS = """
    python3-catkin-pkg-modules python3-collada python3-defusedxml python3-hypothesis
    python3-jinja2 python3-numba python3-numpy python3-opencv python3-pil python3-pykdl
    python3-pytest python3-pytest-timeout python3-rich python3-scipy python3-skimage
    python3-yaml""".split()


def main() -> int:
    """Print what is open."""
    found = list(open_points(ROOT))
    for line in found:
        print(f'open: {line}')
    if not found:
        print('nothing is open; next: catkin_prepare_release, then bloom-release')
    return int(bool(found))


def open_points(root: Path) -> Iterator[str]:
    """Yield what must be done before a release of the package in a folder."""
    try:
        package = parse_package(str(root / 'package.xml'))
        warnings: list[str] = []
        package.validate(warnings=warnings)
    except InvalidPackage as error:
        yield f'package.xml: {error}'
        return
    yield from (f'package.xml: {warning}' for warning in warnings)
    for person in package.maintainers:
        if person.email.endswith(('example.org', 'example.com')):
            yield (f'package.xml names {person.name} <{person.email}> as maintainer, which is an '
                   'example: put in who answers for this package')
    if 'repository' not in {url.type for url in package.urls}:
        yield 'package.xml has no <url type="repository">: put in where the sources are'
    yield from unknown_dependencies(package)
    newest = next(get_changelog_from_path(str(root)).foreach_version(reverse=True))[0]
    if newest != package.version:
        yield f'CHANGELOG.rst ends with {newest}, package.xml is {package.version}'
    changed = subprocess.run(['git', '-C', str(root), 'status', '--porcelain'],
                             capture_output=True, text=True)
    if changed.stdout.strip():
        yield 'git: changes that are not committed'


def unknown_dependencies(package: Package) -> Iterator[str]:
    """Yield the dependencies of which nobody has looked up whether rosdep knows them."""
    names = {dependency.name for dependency in (
        *package.build_depends, *package.buildtool_depends, *package.exec_depends,
        *package.test_depends)}
    for name in sorted(names - {*PACKAGES, *KEYS}):
        yield (f'package.xml depends on {name}, which nobody has looked up yet: rosdep resolve '
               f'{name} --rosdistro jazzy (and kilted), and no result that is pip; then name it in '
               'scripts/release_check.py')


if __name__ == '__main__':
    sys.exit(main())
