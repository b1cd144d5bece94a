# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What commands show: results on stdout, progress on stderr, JSON where asked for."""
from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import kinema4d_ros
from kinema4d_ros.serialization import to_plain
from kinema4d_ros.types import Observation, Severity, Status, Verdict

COLORS = {Status.PASS: 'green', Status.FAIL: 'red', Status.UNSURE: 'yellow'}
_MARKS = {Severity.FAIL: '[red]FAIL[/]', Severity.UNSURE: '[yellow]UNSURE[/]',
          Severity.INFO: 'info'}


_MOST_WARNINGS = 3     # the rest are counted: a robot without meshes has one for each link


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise      # the BrokenPipeError, which `main` answers for all commands; rich would exit


def console() -> Console:
    """Return the console of results; wide where nobody looks at a terminal."""
    return _Console(width=None if sys.stdout.isatty() else 120)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """
    Show how far something is, on stderr, in a terminal only.

    :return: ``report(stage, step, total)``; total 0 for what has no measure.
    """
    columns = (SpinnerColumn(), TextColumn('{task.description}'), BarColumn(),
               TextColumn('{task.completed:.0f}/{task.total}', style='dim'), TimeElapsedColumn())
    with Progress(*columns, console=_Console(stderr=True), transient=True,
                  disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(escape(what), total=None)

        def report(stage: str, step: int, total: int) -> None:
            bar.update(task, description=escape(f'{what}: {stage}'), completed=step,
                       total=total or None)

        yield report


def print_warnings(warnings: Sequence[str]) -> None:
    """Print the first of some warnings on stderr, and how many there are besides."""
    for warning in warnings[:_MOST_WARNINGS]:
        print(f'warning: {warning}', file=sys.stderr)
    if len(warnings) > _MOST_WARNINGS:
        print(f'warning: ... and {len(warnings) - _MOST_WARNINGS} more', file=sys.stderr)


def say_first_run() -> None:
    """Say on stderr why it takes long where nothing has been compiled yet."""
    if not compiled_code()[1]:
        print('the first run compiles, which takes about half a minute; later ones start at once',
              file=sys.stderr)


def compiled_code() -> tuple[Path, bool]:
    """Return where Numba keeps what it compiled, and whether there is anything."""
    cache = os.environ.get('NUMBA_CACHE_DIR')
    where = Path(cache) if cache else Path(kinema4d_ros.__file__).parent
    return where, any(where.rglob('*.nbi'))


def write_json(value: Any) -> None:
    """Write JSON to stdout; what is not finite becomes null, which every reader knows."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """Return JSON in which what is not finite is null, which every reader knows."""
    return json.dumps(_finite(to_plain(value)), indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict for people: the decision first, then its evidence."""
    out, color = console(), COLORS[verdict.status]
    out.print(f'[bold {color}]{verdict.status.name}[/]  {escape(verdict.summary)}')
    if verdict.outcome:
        out.print(f'Foreseen: {escape(verdict.outcome)}')
    for label, text in (
            ('nearest to the scene:', _millimetres(verdict.min_clearance, verdict.clearance_sigma)),
            ('safe from the start for', _with(verdict.safe_prefix, '{:.2f} s')),
            ('would pass at', _with(verdict.speed_factor, '{:.0%} of the speed')),
            ('goal is met with', _with(verdict.success, '{:.0%} probability')),
            ('computed in', _with(sum(verdict.latencies.values()) or None, '{:.2f} s'))):
        if text:
            out.print(f'{label} {text}')
    if verdict.findings:
        table = Table(box=None, pad_edge=False)
        for heading in ('', 'finding', 'link', 'at [s]', ''):
            table.add_column(escape(heading), overflow='fold')
        for finding in sorted(verdict.findings, key=lambda item: -item.severity):
            table.add_row(_MARKS[finding.severity], finding.code.name, escape(finding.link),
                          _with(finding.time, '{:.2f}'), escape(finding.message))
        out.print(table)


def print_cameras(observation: Observation) -> None:
    """Print by which of several cameras a verdict is, and which are left out."""
    names = ', '.join(view.name + ('' if view.depth is not None else ' (no depth)')
                      for view in observation.views)
    left_out = ''.join(f'; {name} {why}' for name, why in observation.left_out.items())
    console().print(escape(f'cameras: {names}{left_out}'))


def _millimetres(value: float | None, sigma: float | None) -> str:
    if value == math.inf:
        return 'nothing is within reach'
    text = _with(value and 1000 * value, '{:.0f}')
    return text and text + (f' +- {1000 * sigma:.0f} mm' if sigma is not None else ' mm')


def _with(value: float | None, template: str) -> str:
    return '' if value is None else template.format(value)
