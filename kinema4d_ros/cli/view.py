# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d view`: the web page, beside a robot or beside a recorded episode."""
from __future__ import annotations

import argparse
import contextlib

from kinema4d_ros.cli.exits import Exit

HELP = 'show what is predicted and judged on a web page'
EPILOG = """\
Without an episode the page shows the robot and the shadow_sim of this ROS domain; with one, both
are started here, in a domain of their own. What follows --ros-args goes to the viewer.

examples:
  kinema4d view
  kinema4d view libero_object_0_0_success
  kinema4d view --port 9000 --ros-args -r __ns:=/left -r camera/image_raw:=/d435/color/image_raw"""

_LEAD_IN = 6.0     # [s] to see what is predicted before it happens


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('episode', metavar='EPISODE', nargs='?',
                        help='play this in a loop, and predict')
    parser.add_argument('--port', type=int, default=8080, help='of the page (default 8080)')
    parser.add_argument('--world-model', default='kinematic', metavar='NAME',
                        help='that predicts, with an episode (default kinematic)')


def run(options: argparse.Namespace) -> Exit:
    """Run the viewer, and what it is to show."""
    from kinema4d_ros.cli import ros
    from kinema4d_ros.cli.exits import LackingError
    from kinema4d_ros.episodes import find_episode

    ros.need_ros()
    try:
        import viser  # noqa: F401 - to fail here and not in the node
    except ImportError as error:
        raise LackingError(f"viser is not installed ({error}); pip install '.[viewer]' in a clone, "
                           'or pip install -r requirements/viewer.txt') from error
    with contextlib.ExitStack() as others:
        if options.episode:
            path = find_episode(options.episode).absolute()
            ros.stay_alone()
            ros.use_large_messages()
            others.enter_context(ros.beside(
                'shadow_sim', f'world_model:={options.world_model}', 'required_tiers:=[0, 1]'))
            others.enter_context(ros.beside('episode_player', f'episode:={path}',
                                            'at_end:=loop', f'lead_in:={_LEAD_IN}',
                                            'wait_for_ready:=[shadow_sim]'))
        code = ros.run_node('viewer', [f'port:={options.port}'], options.ros_arguments)
    return Exit.FAIL if code else Exit.PASS
