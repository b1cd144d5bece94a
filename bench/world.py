# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What several measurements share: the environment of their processes."""
from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / 'config' / 'fastdds.xml'
_PROFILE_NAMES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def ros_environment(domain: int = 0, *, profile: bool = True) -> dict[str, str]:
    """
    Return the environment for processes on a ROS domain of this run, on this machine only.

    :param domain: 0 to 3, which of the domains of this run.
    :param profile: with the Fast DDS profile of this package, as the launch file has it.
    """
    environment = dict(os.environ)
    environment['ROS_DOMAIN_ID'] = str(first_domain() + domain)
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    for name in ('FASTDDS_BUILTIN_TRANSPORTS', *_PROFILE_NAMES):
        environment.pop(name, None)
    if profile:
        environment |= dict.fromkeys(_PROFILE_NAMES, str(PROFILE))
    return environment


def first_domain() -> int:
    """
    Return the first of the four ROS domains that are for this run.

    Their ports lie above those that Linux hands out to programs, where neither robots nor the
    tests are.
    """
    return 215 + os.getpid() % 4 * 4
