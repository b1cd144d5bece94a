# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d record`: what shadow_sim hears and says, as a bag."""
from __future__ import annotations

import argparse
from pathlib import Path

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.errors import ConfigurationError

HELP = 'record inputs, predictions and verdicts as a bag (MCAP)'
EPILOG = """\
The bag opens in Foxglove, plays with episode_player and `ros2 bag play`, and its trajectory can be
judged by `kinema4d precheck`. Ctrl-C ends it. What follows --ros-args goes to the node.

examples:
  kinema4d record
  kinema4d record monday --topics robot_description /tf_static joint_states verdict
  kinema4d record --cameras front wrist
  kinema4d record --ros-args -r camera/image_raw:=/d435/color/image_raw
  kinema4d record --repair monday/monday.mcap      # after a kill or a loss of power"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('folder', metavar='FOLDER', nargs='?', default='',
                        help='new folder of the bag (default recording_ and the time)')
    parser.add_argument('--topics', nargs='+', metavar='TOPIC',
                        help='what is recorded (default all that docs/parameters.md lists)')
    parser.add_argument('--cameras', nargs='+', metavar='NAME',
                        help='names of the cameras, as of shadow_sim (default camera)')
    parser.add_argument('--part-size', type=int, default=900, metavar='MB',
                        help='begin a new bag after so much (default 900)')
    parser.add_argument('--repair', type=Path, metavar='FILE',
                        help='make a copy that can be read of a file whose recorder could not end '
                             'it, instead of recording; the file itself stays as it is')
    parser.add_argument('--out', type=Path, metavar='FILE',
                        help='of the copy (default NAME.repaired.mcap beside the file)')


def run(options: argparse.Namespace) -> Exit:
    """Run the recorder, or repair a file."""
    from kinema4d_ros.cli import ros

    if options.repair is not None:
        from kinema4d_ros.episodes.repair import repair

        print(repair(options.repair, options.out).sentence)
        return Exit.PASS
    if options.out is not None:
        raise ConfigurationError('--out is of --repair; a recording is named by its FOLDER')
    parameters = [f'part_size:={options.part_size}']
    if options.folder:
        parameters.append(f'output:={Path(options.folder).absolute()}')
    if options.topics:
        parameters.append(f'topics:=[{", ".join(options.topics)}]')
    if options.cameras:
        parameters.append(f'cameras:=[{", ".join(options.cameras)}]')
    code = ros.run_node('recorder', parameters, options.ros_arguments)
    return Exit.FAIL if code else Exit.PASS
