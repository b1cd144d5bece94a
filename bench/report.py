# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of measured rows: tables on the terminal, JSON, and docs/measured.md."""
from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, UTC
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

FOLDER = Path(__file__).parent
OUT = Path('out/bench')
PAGE = FOLDER.parent / 'docs' / 'measured.md'
#: measurements that take minutes and are made when they are asked for
STUDIES = ('scale', 'memory', 'load', 'viewer', 'chunk_day', 'node_start')
#: tables of the page that a study makes with other settings
VARIANTS = ('load_3_cameras',)
COMPARISONS = 'comparisons'      # what the table of all the others is called on the page
_HEAD = ('Measurement', 'What', 'Ours', 'Usual way', 'Ratio', 'Goal')


def available() -> tuple[str, ...]:
    """Return the names of the measurements: the modules here that define `measure(repeats)`."""
    return tuple(sorted(path.stem for path in FOLDER.glob('*.py')
                        if '\ndef measure(repeats' in path.read_text(encoding='utf-8')))


def show(name: str, rows: list[dict]) -> None:
    """Print the rows of a measurement: what is in the first row gives the columns."""
    table = Table(title=name)
    for key in rows[0]:
        table.add_column(key.replace('_', ' '), justify='left' if key == 'case' else 'right')
    for row in rows:
        table.add_row(*(escape(_number(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def write(folder: Path, name: str, rows: list[dict], repeats: int) -> Path:
    """Write the rows of a measurement as JSON and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{name}.json'
    path.write_text(json.dumps({'name': name, 'machine': machine(), 'repeats': repeats,
                                'rows': rows}, indent=2) + '\n', encoding='utf-8')
    return path


def machine() -> dict:
    """Print on what it ran, and how busy that was."""
    return {'time': datetime.now(UTC).isoformat(timespec='seconds'), 'processor': _processor(),
            'cores': len(os.sched_getaffinity(0)), 'system': platform.platform(),
            'python': platform.python_version(), 'load': round(os.getloadavg()[0], 2)}


def write_page(folder: Path) -> None:
    """Put the tables of what lies in a folder between the page's markers; the rest stays."""
    write_studies(folder, (*STUDIES, *VARIANTS), {COMPARISONS: markdown(folder)})


def write_studies(folder: Path, names: Iterable[str], made: Mapping[str, str] | None = None
                  ) -> None:
    """Put the tables of some studies there, and with them `made`: name -> table."""
    text, made = PAGE.read_text(encoding='utf-8'), dict(made or {})
    for name in names:
        path = folder / f'{name}.json'
        if path.is_file():
            report = json.loads(path.read_text(encoding='utf-8'))
            made[name] = f'{_machine_line(report)}\n\n{_rows(report["rows"])}\n'
    for name, table in made.items():
        begin, end = markers(name)
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f'{PAGE} lacks the lines {begin!r} and {end!r}')
        text = f'{before}{begin}\n{table}{end}{after}'
    PAGE.write_text(text, encoding='utf-8')
    print(f'wrote {", ".join(made)} into {PAGE.name}')


def markers(name: str) -> tuple[str, str]:
    """Return the lines of the page between which a table stands."""
    return f'<!-- made by python -m bench --docs: {name} -->', f'<!-- end of {name} -->'


def _machine_line(report: dict) -> str:
    on = report['machine']
    return (f'{on["time"][:10]}, {on["cores"]} cores of {on["processor"]}, '
            f'load average {on["load"]}.')


def _rows(rows: list[dict]) -> str:
    lines = ['| ' + ' | '.join(key.replace('_', ' ') for key in rows[0]) + ' |',
             '|---' * len(rows[0]) + '|']
    lines += ['| ' + ' | '.join(_short(value) for value in row.values()) + ' |' for row in rows]
    return '\n'.join(lines)


def _short(value) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'NO'
    if value != value:      # NaN: it does not apply
        return ''
    return f'{value:.3g}' if isinstance(value, float) and abs(value) < 1e3 else (
        f'{value:.0f}' if isinstance(value, float) else str(value))


def markdown(folder: Path) -> str:
    """Return the table of all measurements in a folder that compare or time something."""
    reports = [json.loads((folder / f'{name}.json').read_text(encoding='utf-8'))
               for name in available() if (folder / f'{name}.json').is_file()]
    reports = [report for report in reports
               if any('ours_s' in row and 'ratio' in row for row in report['rows'])]
    if not reports:
        raise SystemExit(f'nothing has been measured into {folder}; run `make bench` first')
    lines = ['| ' + ' | '.join(_HEAD) + ' |', '|---' * len(_HEAD) + '|']
    for report in reports:
        for row in report['rows']:
            cells = (f'`{report["name"]}`', row['case'], _time(row.get('ours_s')),
                     _time(row.get('usual_s')), _ratio(row.get('ratio')), _goal(row))
            lines.append('| ' + ' | '.join(cells) + ' |')
    on = {(r['machine']['processor'], r['machine']['cores']) for r in reports}
    named = ' and '.join(f'{cores} cores of {processor}' for processor, cores in sorted(on))
    loads = max(r['machine']['load'] for r in reports)
    days = sorted({r['machine']['time'][:10] for r in reports})
    repeats = min(r['repeats'] for r in reports)
    return (f'On {named}, {" and ".join(days)}; medians of at least {repeats} interleaved repeats, '
            f'results compared in the same run; load average up to {loads}.\n\n'
            + '\n'.join(lines) + '\n')


def _goal(row: dict) -> str:
    goal = row.get('goal')
    return '' if goal is None or goal == '' else f'≤ {goal:g}'


def _ratio(value) -> str:
    return f'{value:.2g}' if isinstance(value, float) else ''


def _time(seconds) -> str:
    if not isinstance(seconds, (int, float)):
        return ''
    for limit, factor, unit in ((1e-3, 1e6, 'µs'), (1.0, 1e3, 'ms')):
        if seconds < limit:
            return f'{seconds * factor:.3g} {unit}'
    return f'{seconds:.3g} s'


def _number(value) -> str:
    if value is None:
        return ''
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def _processor() -> str:
    """Return the name of the processor as Linux reports it."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor() or 'unknown'
    return next((line.partition(':')[2].strip() for line in lines
                 if line.startswith('model name')), platform.machine())
