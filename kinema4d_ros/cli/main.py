# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read the command line and do what it says."""
from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from kinema4d_ros import __version__
from kinema4d_ros.cli.exits import Exit, exit_of, HELP, LackingError
from kinema4d_ros.errors import Kinema4DError

#: Debian's packages of what Open3D and others load
LIBRARIES = 'libegl1 libgl1 libgomp1 libusb-1.0-0 libx11-6'
#: subcommand -> module; each has HELP, EPILOG, `arguments(parser)` and `run(options) -> Exit`
COMMANDS = {
    'demo': 'kinema4d_ros.cli.demo',
    'doctor': 'kinema4d_ros.cli.doctor',
    'precheck': 'kinema4d_ros.cli.precheck',
    'evaluate': 'kinema4d_ros.cli.evaluate',
    'calibrate': 'kinema4d_ros.cli.calibrate',
    'fit-tracking': 'kinema4d_ros.cli.fit_tracking',
    'view': 'kinema4d_ros.cli.view',
    'record': 'kinema4d_ros.cli.record',
    'proxy': 'kinema4d_ros.cli.proxy',
    'detect-actions': 'kinema4d_ros.cli.detect_actions',
    'import': 'kinema4d_ros.cli.import_dataset',
    'curate': 'kinema4d_ros.cli.curate',
    'replay-incident': 'kinema4d_ros.cli.replay_incident',
    'engine': 'kinema4d_ros.cli.engine',
    'rollout': 'kinema4d_ros.cli.rollout',
    'ledger': 'kinema4d_ros.cli.ledger',
    'probe-model': 'kinema4d_ros.cli.probe_model',
    'train': 'kinema4d_ros.cli.train',
    'keystore': 'kinema4d_ros.cli.keystore',
    'compile': 'kinema4d_ros.cli.compile',
}


class CommandParser(argparse.ArgumentParser):
    """The parser of one subcommand; its arguments are declared when it is used."""

    declare: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Declare the arguments, then parse."""
        if self.declare is not None:
            declare, self.declare = self.declare, None
            declare(self)
        return super().parse_known_args(args, namespace)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog='kinema4d', formatter_class=argparse.RawDescriptionHelpFormatter, epilog=HELP,
        description='A robot policy\'s trajectory is checked in a predicted 4D world before it '
                    'moves real hardware.\nBegin with `kinema4d demo`, which needs no ROS; '
                    '`kinema4d COMMAND --help` says what a command can do.')
    parser.add_argument('--version', action='version', version=f'kinema4d_ros {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND',
                                     parser_class=CommandParser)
    for name, module_name in COMMANDS.items():
        module = importlib.import_module(module_name)
        command = commands.add_parser(
            name, help=module.HELP, formatter_class=argparse.RawDescriptionHelpFormatter,
            description=module.HELP[0].upper() + module.HELP[1:] + '.',
            epilog=f'{module.EPILOG}\n\n{HELP}')
        command.declare = module.arguments
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _do(words)
        except KeyboardInterrupt as error:      # wherever it was, while arguments are read too
            return int(exit_of('', error))
        finally:
            sys.stdout.flush()      # or a reader that has gone is only noticed after this
    except BrokenPipeError:         # `kinema4d ... | head`
        _close_for_good()
        return 128 + signal.SIGPIPE     # as the shell says of a program that it ended


def _do(words: list[str]) -> int:
    # What follows --ros-args is for the nodes.
    at = words.index('--ros-args') if '--ros-args' in words else len(words)
    parser = make_parser()
    if not words[:at]:
        parser.print_help(sys.stderr)
        return int(Exit.USAGE)
    options = parser.parse_args(words[:at])
    options.ros_arguments = words[at:]
    try:
        return int(options.run(options))
    except ModuleNotFoundError as error:
        from kinema4d_ros.cli.installation import why_lacking

        why = why_lacking((error.name or '').partition('.')[0])
        if why is None:
            raise
        return int(exit_of(options.command, LackingError(why)))
    except (LackingError, Kinema4DError) as error:
        return int(exit_of(options.command, error))
    except (ImportError, OSError) as error:
        if 'cannot open shared object file' not in str(error):
            raise
        return int(exit_of(options.command, LackingError(
            f'a library of the system is not installed ({error}): apt install {LIBRARIES}')))


def _close_for_good() -> None:
    """Write the rest to nowhere, so that nothing fails when Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())


if __name__ == '__main__':      # where the script `kinema4d` is not on the path
    sys.exit(main())
