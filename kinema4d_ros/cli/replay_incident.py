# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d replay-incident`: the verdict of an incident packet, made again."""
from __future__ import annotations

import argparse
from pathlib import Path

from kinema4d_ros.cli.exits import Exit

HELP = 'judge the motion of an incident packet again and compare'
EPILOG = """\
Exit code 0: the verdict came again as it was, whatever it is. 1: it differs.

examples:
  kinema4d replay-incident incidents/20260101_120000_000_FAIL.zip
  kinema4d replay-incident packet.zip --json --package-path ~/ws/src"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('packet', metavar='PACKET', type=Path, help='.zip file')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages are; may be repeated')
    parser.add_argument('--json', action='store_true',
                        help='both verdicts and their differences as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Replay and compare."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.incident import read_packet, replay

    with show.progress('replay') as report:
        report('reading', 0, 0)
        packet = read_packet(options.packet)
        again = replay(packet, package_paths=options.package_path, report=report)
    if options.json:
        show.write_json({'reproduced': again.is_reproduced, 'differences': again.differences,
                         'notes': again.notes, 'recorded': again.recorded,
                         'verdict': again.verdict})
    else:
        out = show.console()
        show.print_verdict(again.verdict)
        for line in again.notes:
            out.print(f'note: {line}', markup=False)
        for line in again.differences:
            out.print(f'differs: {line}', style='red', markup=False)
        if again.is_reproduced:
            out.print('the verdict came again as it was recorded', style='green')
    return Exit.PASS if again.is_reproduced else Exit.FAIL
