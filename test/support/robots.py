# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Robots for the tests of this folder: the demo arm, snippets, and those of example-robot-data."""
from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO_ARM = ROOT / 'urdf' / 'demo_arm.urdf'


def example_robots() -> dict[str, Path]:
    """Return the URDFs of the example-robot-data wheel by a short unique name."""
    folders = [Path(path) / 'cmeel.prefix/share/example-robot-data/robots' for path in sys.path]
    for folder in folders:
        if folder.is_dir():
            return {f'{path.relative_to(folder).parts[0].removesuffix("_description")}'
                    f'/{path.stem}': path for path in sorted(folder.rglob('*.urdf'))}
    return {}


def one_joint(joint: str = '', kind: str = 'revolute', rest: str = '') -> str:
    """Return a URDF of two links and a joint with the given inner text, and `rest` besides."""
    return (f'<robot name="r"><link name="a"/><link name="b"/>'
            f'<joint name="j" type="{kind}"><parent link="a"/><child link="b"/>{joint}</joint>'
            f'{rest}</robot>')
