# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a launch file asks before it starts anything.

``python3 -m kinema4d_ros.nodes.launch_arguments [--world-model=NAME] [--episode=EPISODE]`` checks
both, and prints the robot description of the episode, which robot_state_publisher wants as a
parameter.
"""
from __future__ import annotations

import argparse
import sys

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import ConfigurationError, Kinema4DError
from kinema4d_ros.world_model import registry


def main(arguments: list[str]) -> int:
    """Check and print; return the exit code."""
    parser = argparse.ArgumentParser(prog='kinema4d_ros.nodes.launch_arguments')
    parser.add_argument('--world-model', default='', help='name, or module:Class')
    parser.add_argument('--episode', default='', help='path, or name of a bundled one')
    given = parser.parse_args(arguments)
    try:
        check_world_model(given.world_model)
        if given.episode:
            print(Episode.open(given.episode).robot_description)
    except Kinema4DError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def check_world_model(name: str) -> None:
    """
    Refuse a world model that there is not, by its name; '' leaves it open.

    :raises ConfigurationError: naming those that there are.
    """
    if name and ':' not in name and name not in registry.available():
        raise ConfigurationError(
            f'world_model:={name} is none, valid: {", ".join(sorted(registry.available()))}, or '
            'module:Class')


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
