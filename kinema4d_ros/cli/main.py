# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read the command line and do what it says."""
from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from kinema4d_ros import __version__
from kinema4d_ros.cli.exits import Exit, HELP
from kinema4d_ros.errors import Kinema4DError

#: subcommand -> module; each has HELP, EPILOG, `arguments(parser)` and `run(options) -> Exit`
COMMANDS = {
    'doctor': 'kinema4d_ros.cli.doctor',
    'precheck': 'kinema4d_ros.cli.precheck',
    'evaluate': 'kinema4d_ros.cli.evaluate',
    'view': 'kinema4d_ros.cli.view',
    'record': 'kinema4d_ros.cli.record',
    'replay-incident': 'kinema4d_ros.cli.replay_incident',
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog='kinema4d', formatter_class=argparse.RawDescriptionHelpFormatter, epilog=HELP,
        description='A robot policy\'s trajectory is checked in a predicted 4D world before it '
                    'moves real hardware.\n`kinema4d COMMAND --help` tells what a command can do.')
    parser.add_argument('--version', action='version', version=f'kinema4d_ros {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, module_name in COMMANDS.items():
        module = importlib.import_module(module_name)
        command = commands.add_parser(
            name, help=module.HELP, formatter_class=argparse.RawDescriptionHelpFormatter,
            description=module.HELP[0].upper() + module.HELP[1:] + '.',
            epilog=f'{module.EPILOG}\n\n{HELP}')
        module.arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _do(words)
        finally:
            sys.stdout.flush()      # or a reader that has gone is only noticed after this
    except BrokenPipeError:         # `kinema4d ... | head`
        _close_for_good()
        return 128 + signal.SIGPIPE     # as the shell tells of a program that it ended


def _do(words: list[str]) -> int:
    # What follows --ros-args is for the nodes.
    at = words.index('--ros-args') if '--ros-args' in words else len(words)
    options = make_parser().parse_args(words[:at])
    options.ros_arguments = words[at:]
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print('\nkinema4d: stopped', file=sys.stderr)
        return int(Exit.INTERRUPTED)
    except Lacking as error:
        print(f'kinema4d {options.command}: {error}', file=sys.stderr)
        return int(Exit.LACKING)
    except Kinema4DError as error:
        print(f'kinema4d {options.command}: {error}', file=sys.stderr)
        return int(Exit.USAGE)


def _close_for_good() -> None:
    """Write the rest to nowhere, so that nothing complains when Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())


class Lacking(Exception):  # noqa: N818 - it is no error of the user's
    """Something that a command needs is not installed; the message says how to get it."""
