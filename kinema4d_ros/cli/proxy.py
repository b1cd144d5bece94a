# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d proxy`: chunks of a policy's server are checked before the robot's client has them."""
from __future__ import annotations

import argparse
import json

from kinema4d_ros.cli.exits import Exit

HELP = "check the chunks of a policy's server before the robot's client has them"
EPILOG = """\
Give the client the address that is printed, instead of the server's. A chunk that does not pass is
replaced by holding still, or by another one where --samples allows it. Needs a running shadow_sim.
What follows --ros-args goes to the node policy_proxy, which has more parameters.

examples:
  kinema4d proxy ws://192.168.1.5:8000 --preset droid
  kinema4d proxy ws://localhost:8000 --preset my_policy.yaml --samples 4 --port 9000
  kinema4d proxy ws://localhost:8000 --preset libero --monitor
  kinema4d proxy ws://localhost:8000 --preset droid --ros-args -p execution:=overlapping"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('server', metavar='SERVER',
                        help="address of the policy's server, such as ws://192.168.1.5:8000")
    parser.add_argument('--preset', required=True, metavar='NAME',
                        help='what the policy is told and answers: aloha, bridge, droid, libero, '
                             'so101, or a YAML file')
    parser.add_argument('--port', type=int, default=8001, help='to listen on (default 8001)')
    parser.add_argument('--samples', type=int, default=1, metavar='K',
                        help='chunks that are asked for where the first does not pass (default 1: '
                             'no others)')
    parser.add_argument('--monitor', action='store_true',
                        help='tell what would be decided, and change nothing')


def run(options: argparse.Namespace) -> Exit:
    """
    Run the node policy_proxy until it is stopped.

    :raises ConfigurationError: there is no such preset, or the address is none.
    """
    from kinema4d_ros.cli import ros
    from kinema4d_ros.policy.preset import PolicyPreset
    from kinema4d_ros.policy.wire import Connection

    PolicyPreset.load(options.preset)
    Connection(options.server)          # which looks at the address, and does not connect yet
    code = ros.run_node('policy_proxy', [
        f'server:={json.dumps(options.server)}', f'preset:={json.dumps(options.preset)}',
        f'port:={options.port}', f'samples:={options.samples}',
        f'mode:={"monitor" if options.monitor else "enforce"}'], options.ros_arguments)
    return Exit.FAIL if code else Exit.PASS
