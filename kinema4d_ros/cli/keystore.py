# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d keystore`: keys and signed permissions, so that each node can do what it must only."""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from kinema4d_ros.cli.exits import Exit

HELP = 'make keys and signed permissions for SROS 2 from the policy'
EPILOG = """\
Makes or completes FOLDER: what is there of keys stays, permissions are signed anew, so run it again
after a change of the policy. What it may no longer hold must be named: it refuses enclaves that are
there and not of this run. docs/security.md says how nodes are started with it.

examples:
  kinema4d keystore ~/keystore
  kinema4d keystore ~/keystore --controller /scaled_joint_trajectory_controller --domain 7
  kinema4d keystore ~/keystore --policy my_policy.xml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('folder', metavar='FOLDER', type=Path, help='the keystore')
    parser.add_argument('--policy', type=Path, metavar='FILE', action='append',
                        help='SROS 2 policy, several times for several (config/security/policy.xml '
                             'of this package)')
    parser.add_argument('--with-player', action='store_true',
                        help='also for episode_player, which is then believed to be the robot: '
                             'only where there is none')
    parser.add_argument('--remove-others', action='store_true',
                        help='delete enclaves in FOLDER that are not of this run')
    parser.add_argument('--controller', default='', metavar='NAME',
                        help='behind the gate (joint_trajectory_controller)')
    parser.add_argument('--namespace', default='', metavar='/NAME',
                        help='of all nodes (none)')
    # As text, which is read when it is needed: --help works whatever it is.
    parser.add_argument('--domain', type=_domain, default=os.environ.get('ROS_DOMAIN_ID') or '0',
                        metavar='N', help='ROS domain (ROS_DOMAIN_ID, or 0)')
    parser.add_argument('--days', type=int, default=3650,
                        help='that new certificates hold (%(default)s)')


def _domain(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no ROS domain, which is 0 to 232; without --domain it is that of '
            'ROS_DOMAIN_ID') from None


def run(options: argparse.Namespace) -> Exit:
    """Make the keystore."""
    import shutil

    from kinema4d_ros.cli.exits import LackingError
    from kinema4d_ros.resources import share_dir
    from kinema4d_ros.security import Keystore, SecurityPolicy
    from kinema4d_ros.security.keystore import valid_until

    if shutil.which('openssl') is None:
        raise LackingError('there is no command openssl; apt-get install openssl')
    ours = share_dir() / 'config' / 'security'
    files = [*(options.policy or [ours / 'policy.xml']),
             *([ours / 'player.xml'] if options.with_player else [])]
    policies = [SecurityPolicy.read(path, namespace=options.namespace.rstrip('/'),
                            controller=options.controller) for path in files]
    keystore = Keystore(options.folder, domain=options.domain, days=options.days)
    for folder in keystore.add(*policies, remove_others=options.remove_others):
        path = folder.relative_to(keystore.folder / 'enclaves')
        print(f'/{path} until {valid_until(folder / "cert.pem"):%Y-%m-%d}')
    print(f"""\
in {keystore.folder}, for domain {options.domain}. Start each node with
  export ROS_SECURITY_ENABLE=true ROS_SECURITY_STRATEGY=Enforce
  export ROS_SECURITY_KEYSTORE={keystore.folder}
and --ros-args --enclave NAME. Keep {keystore.folder / 'private'} off the robot.""")
    return Exit.PASS
