# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Repair the CMake files of the ROS wheels: they name folders of the machine that built them.

Run with the Python of the environment that holds the wheels. Repeating it changes nothing.
"""
import sys
import sysconfig
from pathlib import Path

import numpy


def main() -> None:
    """Replace the include folders of Python and NumPy by those of this environment."""
    tag = f'cp{sys.version_info.major}{sys.version_info.minor}'
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    built_in = f'/opt/python/{tag}-{tag}'
    repairs = {
        f'{built_in}/include/{version}': sysconfig.get_path('include'),
        f'{built_in}/lib/{version}/site-packages/numpy/_core/include': numpy.get_include()}
    changed = 0
    for path in Path(sys.prefix, 'share').rglob('*.cmake'):
        text = before = path.read_text(encoding='utf-8')
        for wrong, right in repairs.items():
            text = text.replace(wrong, right)
        if text != before:
            path.write_text(text, encoding='utf-8')
            changed += 1
    print(f'repaired {changed} CMake files')


if __name__ == '__main__':
    main()
