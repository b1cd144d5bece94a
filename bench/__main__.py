# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run measurements: `python -m bench [name ...]`; tables to the terminal, JSON to out/bench/."""
from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from bench import report
from bench.timing import REPEATS
from bench.world import ros_environment


def main() -> int:
    """Run what was named, or all; exit status 1 when a goal is missed or results differ."""
    names = report.available()
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='name',
                        help=f'one of {", ".join(names)}; by default all but '
                        f'{", ".join(report.STUDIES)}')
    parser.add_argument('--all', action='store_true', help='those too, in some minutes more')
    parser.add_argument('--repeats', type=int, default=REPEATS,
                        help='timed rounds, at least 3 (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=report.OUT)
    parser.add_argument('--docs', action='store_true',
                        help='write docs/measured.md from --out; measure only what is named')
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names))
    if unknown:
        parser.error(f'no measurement {", ".join(unknown)}; there are: {", ".join(names)}')
    if arguments.repeats < 3:
        parser.error(f'--repeats must be at least 3, got {arguments.repeats}')
    chosen = arguments.names
    if not chosen and not arguments.docs:
        chosen = [name for name in names if arguments.all or name not in report.STUDIES]
    os.environ.update(ros_environment())
    good = True
    for name in chosen:
        started = time.perf_counter()
        rows = importlib.import_module(f'bench.{name}').measure(arguments.repeats)
        report.show(name, rows)
        path = report.write(arguments.out, name, rows, arguments.repeats)
        good &= all(row['good'] for row in rows)
        print(f'written to {path}; took {time.perf_counter() - started:.0f} s', flush=True)
    if arguments.docs:
        report.write_page(arguments.out)
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
