# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How `kinema4d` ends; scripts read the exit codes, so they stay as they are."""
from __future__ import annotations

import enum
import sys

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.types import Status


class Exit(enum.IntEnum):
    """Exit codes of every subcommand."""

    PASS = 0            # PASS; done; nothing wrong
    FAIL = 1            # FAIL; a problem was found; not reproduced; a goal missed
    USAGE = 2           # the command line is wrong, or what it names cannot be read
    UNSURE = 3          # UNSURE, which is never to be read as PASS
    LACKING = 4         # something that this needs is not installed: ROS, weights, a package
    INTERRUPTED = 130   # Ctrl-C

    @classmethod
    def of(cls, status: Status) -> Exit:
        """Return the code of a verdict."""
        return {Status.PASS: cls.PASS, Status.FAIL: cls.FAIL}.get(status, cls.UNSURE)


HELP = """\
exit codes:
  0  PASS; done; nothing wrong          3  UNSURE, which is never PASS
  1  FAIL; a problem; not reproduced    4  something needed is not installed
  2  wrong usage, or unreadable input   130  stopped by Ctrl-C"""


class LackingError(Exception):
    """Something that a command needs is not installed; the message says how to get it."""


def exit_of(command: str, error: KeyboardInterrupt | LackingError | Kinema4DError) -> Exit:
    """Say on stderr what ended a command; return its exit code."""
    if isinstance(error, KeyboardInterrupt):
        print('\nkinema4d: stopped', file=sys.stderr)
        return Exit.INTERRUPTED
    print(f'kinema4d {command}: {error}', file=sys.stderr)
    return Exit.LACKING if isinstance(error, LackingError) else Exit.USAGE
