# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d evaluate`: verdicts on recorded episodes against what happened."""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from kinema4d_ros.cli.exits import Exit

HELP = 'judge recorded episodes and compare with what their execution did'
EPILOG = """\
An episode says how it ended (see data/README.md); a recording of a live robot does not, and is
left out. `make evaluate` writes a report for people besides, with predictions, and goes on where it
was stopped. Exit code 1 where judging an episode failed otherwise, such as by a killed process.

examples:
  kinema4d evaluate data/episodes
  kinema4d evaluate out/evaluation --workers 2 --strict --json > figures.json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('folders', metavar='DIR', type=Path, nargs='+',
                        help='folders of .mcap files, or such files')
    parser.add_argument('--workers', type=int, default=0, metavar='N',
                        help='processes at once (default 0: this one alone)')
    parser.add_argument('--ray', default='', metavar='ADDRESS',
                        help='on a Ray cluster (the extra [cluster]); `local` for one that is '
                             'started here')
    parser.add_argument('--strict', action='store_true',
                        help='exit code 1 when a goal of the evaluation is missed')
    parser.add_argument('--json', action='store_true', help='the figures as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Judge and summarize."""
    from rich.markdown import Markdown
    from rich.markup import escape

    from kinema4d_ros.cli import show
    from kinema4d_ros.errors import EpisodeError
    from kinema4d_ros.evaluation.prechecks import PrecheckRow
    from kinema4d_ros.evaluation.stages import precheck
    from kinema4d_ros.jobs import FailureKind, Job, open_pool, PoolSettings
    from kinema4d_ros.resources import share_dir
    from kinema4d_ros.evaluation.statistics import as_json, markdown, missed_goals, summarize

    paths = sorted({path for given in options.folders for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        raise EpisodeError(f'no .mcap file in {", ".join(map(str, options.folders))}; name a '
                           f'folder of episodes, such as {share_dir() / "data" / "episodes"}')
    found: dict[str, PrecheckRow] = {}
    unread: list[str] = []
    broken = 0      # of these, not because of what the episode is
    out = show.console()
    settings = PoolSettings(min(options.workers, len(paths)), options.ray)
    with show.progress('evaluate') as report, open_pool(precheck, settings) as pool:
        for number, result in enumerate(pool.results(Job(str(path), str(path))
                                                     for path in paths), 1):
            name = Path(result.job.key).name
            report(name, number, len(paths))
            if result.failure is not None:
                unread.append(f'{name}: {result.failure.why}')
                broken += result.failure.kind is not FailureKind.REFUSED
                continue
            row = found[result.job.key] = result.answer
            if not options.json:
                mark = '[yellow]nothing foreseen[/]' if row.predicted is None else \
                    '[green]as foreseen[/]' if row.predicted == row.success else \
                    '[red]not as foreseen[/]'
                out.print(f'[{show.COLORS[row.status]}]{row.status.name:6}[/] {escape(row.name)}: '
                          f'success {row.success}, {mark}; {escape(row.verdict.summary)}')
    rows = [found[str(path)] for path in paths if str(path) in found]
    sections = {'all': summarize(rows)} if rows else {}
    missed = missed_goals(sections['all']) if rows else []
    if options.json:
        print(json.dumps({'figures': as_json(sections), 'missed_goals': missed,
                          'unread': unread}, indent=2))
    else:
        for line in unread:
            out.print(f'not judged: {line}', style='yellow', markup=False)
        if rows:
            out.print(Markdown(markdown('All', sections['all'])))
        for line in missed:
            out.print(f'goal missed: {line}', style='red', markup=False)
    if broken:
        return Exit.FAIL
    if not rows:
        return Exit.USAGE
    return Exit.FAIL if options.strict and missed else Exit.PASS
