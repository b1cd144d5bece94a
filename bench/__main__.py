# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run measurements: `python -m bench [name ...]`; tables to the terminal, JSON to out/bench/."""
from __future__ import annotations

import argparse
from datetime import datetime, UTC
import importlib
import json
import os
from pathlib import Path
import pkgutil
import platform
import sys

from rich.console import Console
from rich.table import Table

import bench
from bench.timing import REPEATS

# Helpers of the measurements, not measurements.
_NOT_MEASUREMENTS = ('timing', '__main__')


def available() -> tuple[str, ...]:
    """Return the names of the measurements: the modules here that have a `measure`."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(bench.__path__)
                        if module.name not in _NOT_MEASUREMENTS))


def main() -> int:
    """Run what was named, or all; exit status 1 when a goal is missed or results differ."""
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='name',
                        help=f'one of {", ".join(available())}; all of them by default')
    parser.add_argument('--repeats', type=int, default=REPEATS,
                        help='timed rounds, at least 3 (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/bench'))
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(available()))
    if unknown:
        parser.error(f'no measurement {", ".join(unknown)}; there are: {", ".join(available())}')
    if arguments.repeats < 3:
        parser.error(f'--repeats must be at least 3, got {arguments.repeats}')
    arguments.out.mkdir(parents=True, exist_ok=True)
    good = True
    for name in arguments.names or available():
        rows = importlib.import_module(f'bench.{name}').measure(arguments.repeats)
        show(name, rows)
        report = {'name': name, 'machine': machine(), 'repeats': arguments.repeats, 'rows': rows}
        path = arguments.out / f'{name}.json'
        path.write_text(json.dumps(report, indent=2) + '\n')
        good &= all(row['good'] for row in rows)
        print(f'written to {path}')
    return 0 if good else 1


def show(name: str, rows: list[dict]) -> None:
    """Print the rows of a measurement: what is in the first row gives the columns."""
    table = Table(title=name)
    for key in rows[0]:
        table.add_column(key.replace('_', ' '), justify='left' if key == 'case' else 'right')
    for row in rows:
        table.add_row(*(f'{v:.4g}' if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def machine() -> dict:
    """Tell on what, and how busy it was."""
    return {'time': datetime.now(UTC).isoformat(timespec='seconds'),
            'system': platform.platform(), 'python': platform.python_version(),
            'cores': len(os.sched_getaffinity(0)), 'load': os.getloadavg()[0]}


if __name__ == '__main__':
    sys.exit(main())
