# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Print the robot description of an episode: ``python3 -m kinema4d_ros.nodes.description EPISODE``.

For launch files, whose robot_state_publisher wants the text as a parameter.
"""
from __future__ import annotations

import sys

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import Kinema4DError


def main(arguments: list[str]) -> int:
    """Print; return the exit code."""
    if len(arguments) != 1:
        print('give one episode: a path, or the name of a bundled one', file=sys.stderr)
        return 2
    try:
        print(Episode.open(arguments[0]).robot_description)
    except Kinema4DError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
