# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d doctor`: what is wrong here, and what to do about it."""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.diagnosis import Diagnosis, Level

if TYPE_CHECKING:
    from rich.console import Console

HELP = 'look for problems of the installation, the GPU and the running robot'
EPILOG = """\
Where a robot publishes in this ROS domain, its topics are listened to for a few seconds as
shadow_sim would: who publishes, how often, whether QoS fits, whether the camera is calibrated and
its place known, whether the joints are those of the URDF. Then the robot is rendered where
calibration and joint states say that it is, and looked for in the live depth image, as in every
verdict: how far from there it is seen tells of a wrong calibration, wrong joint zeros, or depth
that is not registered to the image.

Exit code 1 where something will not work; warnings do not count.

examples:
  kinema4d doctor
  kinema4d doctor --graph --json       # a silent graph is an error too
  kinema4d doctor --ros-args -p cameras:=[front,wrist] --params-file camera.yaml
  kinema4d doctor --ros-args -r __ns:=/left -r camera/image_raw:=/d435/color/image_raw"""
_COLORS = {Level.OK: 'green', Level.INFO: 'dim', Level.WARNING: 'yellow', Level.ERROR: 'red'}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--seconds', type=float, default=4.0,
                        help='how long the graph is listened to (default 4)')
    parser.add_argument('--graph', action='store_true',
                        help='a robot must be running: a silent graph is an error')
    parser.add_argument('--json', action='store_true', help='the checks as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Run all checks, and print what they find."""
    import importlib.util

    from kinema4d_ros.cli import ros, show
    from kinema4d_ros.cli.installation import check_installation

    with show.progress('doctor') as report:
        report('installation', 0, 0)
        checks = list(check_installation())
        if importlib.util.find_spec('rclpy') and importlib.util.find_spec('kinema4d_ros.msg'):
            ros.use_large_messages()
            from kinema4d_ros.nodes.doctor.graph import check_graph

            checks += check_graph(options.ros_arguments, options.seconds, options.graph, report)
    if options.json:
        show.write_json({'checks': checks, 'problems': sum(
            check.level == Level.ERROR for check in checks)})
    else:
        _print(show.console(), checks)
    return Exit.FAIL if any(check.level == Level.ERROR for check in checks) else Exit.PASS


def _print(out: Console, checks: list[Diagnosis]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ('', 'what', 'how it is'):
        table.add_column(heading)
    for check in checks:
        cure = f'\n[cyan]-> {escape(check.cure)}[/]' if check.cure else ''
        color = _COLORS[check.level]
        table.add_row(f'[{color}]{check.level}[/]', escape(check.name),
                      escape(check.message) + cure)
    out.print(table)
