# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What several measurements share: the environment of their processes."""
from __future__ import annotations

import fcntl
import functools
import os
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROFILE, SMALL = (ROOT / 'config' / name for name in ('fastdds.xml', 'fastdds_small.xml'))
_PATIENCE = 600.0     # [s] for a domain
_PROFILE_NAMES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def ros_environment(domain: int = 0, *, profile: bool = True,
                    sends_little: bool = False) -> dict[str, str]:
    """
    Return the environment for processes on a ROS domain of this run, on this machine only.

    :param domain: 0 to 3, which of the domains of this run.
    :param profile: with the Fast DDS profile of this package, as the launch file has it.
    :param sends_little: with that for processes that send no images.
    """
    environment = dict(os.environ)
    environment['ROS_DOMAIN_ID'] = str(first_domain() + domain)
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    for name in ('FASTDDS_BUILTIN_TRANSPORTS', *_PROFILE_NAMES):
        environment.pop(name, None)
    if profile:
        environment |= dict.fromkeys(_PROFILE_NAMES, str(SMALL if sends_little else PROFILE))
    return environment


@functools.cache
def first_domain() -> int:
    """
    Return the first of the four ROS domains that are for this run, and keep them to its end.

    Their ports lie above those that Linux hands out to programs, where neither robots nor the
    tests are. Two runs on one domain would hear each other's joints, so the fifth that is started
    on a machine waits.

    :raises TimeoutError: four others have them, and none of these ended within ten minutes.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        for first in range(215, 231, 4):
            path = Path(tempfile.gettempdir()) / f'kinema4d_bench_domain_{first}'
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return first
        time.sleep(1.0)
    raise TimeoutError(f'all ROS domains for measurements are taken for {_PATIENCE:.0f} s: end '
                       'one of the four runs that have them')
