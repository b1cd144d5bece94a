# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d ledger`: how often motions went as predicted."""
from __future__ import annotations

import argparse
import datetime
import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit

if TYPE_CHECKING:
    from rich.console import Console

    from kinema4d_ros.ledger import Ledger, LedgerEntry
    from kinema4d_ros.ledger.summary import LedgerSummary, Tally

HELP = 'show how often executed motions went as predicted'
EPILOG = """\
shadow_sim writes the file that its parameter ledger.file names. --from-episodes enters recorded
episodes, which hold what was seen when their trajectory was executed; --from-rollouts enters runs
of policies, as `kinema4d rollout` records them. A file that is no ledger is left as it is.

A run or episode that is entered again takes the place of the one that is there. A value that no
motion has is refused with those that there are; `none` chooses motions without one.

Exit code 2 where nothing could be entered, 1 with --at-least where the lower end of the interval is
below it. Unknown motions are in no share.

examples:
  kinema4d ledger ledger.db
  kinema4d ledger ledger.db --kind pick --since 2026-11-01 --html trust.html
  kinema4d ledger ledger.db --from-episodes data/episodes
  kinema4d ledger ledger.db --json --at-least 0.95"""
_FILTERS = ('robot', 'world_model', 'kind', 'status', 'origin', 'went', 'task')


def day(text: str) -> int:
    """Return the begin of a day (UTC) [ns]."""
    try:
        begin = datetime.datetime.strptime(text, '%Y-%m-%d').replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'a day is YEAR-MONTH-DAY, got {text!r}') from error
    return int(begin.timestamp()) * 1_000_000_000


def share(text: str) -> float:
    """Return a share, 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f'a share is from 0 to 1, such as 0.95, got {text!r}')
    return value


def count(text: str) -> int:
    """Return a whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'a number of motions is 0 or more, got {text!r}')
    return int(text)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('file', metavar='FILE', type=Path, help='of the ledger')
    for name in _FILTERS:
        parser.add_argument(f'--{name.replace("_", "-")}', action='append', metavar='VALUE',
                            help=f'only motions with this {name.replace("_", " ")}; may be '
                                 'repeated')
    parser.add_argument('--since', type=day, metavar='DAY', help='only motions from this day on')
    parser.add_argument('--until', type=day, metavar='DAY', help='only motions before this day')
    parser.add_argument('--last', type=count, default=0, metavar='N',
                        help='list the N newest motions too')
    parser.add_argument('--from-episodes', nargs='+', type=Path, default=[], metavar='DIR',
                        help='first enter episodes, folders of them or .mcap files')
    parser.add_argument('--from-rollouts', nargs='+', type=Path, default=[], metavar='FILE',
                        help='first enter recorded runs of policies (records.jsonl)')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages of recorded robots are; may be repeated')
    parser.add_argument('--html', type=Path, metavar='PAGE', help='write a page as well')
    parser.add_argument('--at-least', type=share, metavar='SHARE',
                        help='exit code 1 where the 95 %% interval of the share that went as '
                             'predicted, of motions that passed, begins below it')
    parser.add_argument('--json', action='store_true', help='the figures as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Enter what is to be entered, and show the ledger."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.errors import LedgerError
    from kinema4d_ros.ledger import Ledger
    from kinema4d_ros.ledger.report import write_ledger_report
    from kinema4d_ros.ledger.summary import LedgerSummary

    skipped = _enter(options) if options.from_episodes or options.from_rollouts else []
    with Ledger(options.file) as ledger:
        chosen = {name: _known(ledger, name, values) for name in _FILTERS
                  if (values := getattr(options, name))}
        entries = list(ledger.entries(chosen, since_ns=options.since, until_ns=options.until))
        dropped = ledger.dropped
    if options.html is not None:
        try:
            options.html.parent.mkdir(parents=True, exist_ok=True)
            summary = write_ledger_report(options.html, entries, dropped=dropped,
                                          title=f'Trust ledger {options.file.name}')
        except OSError as error:
            raise LedgerError(f'the page {options.html} cannot be written: {error.strerror}; name '
                              'another file') from error
    else:
        summary = LedgerSummary.of(entries, dropped)
    newest = entries[-options.last:][::-1] if options.last > 0 else []
    if options.json:
        show.write_json({**summary.as_dict(), 'motions': newest, 'not_entered': skipped})
    else:
        out = show.console()
        for line in skipped:
            out.print(f'not entered: {line}', style='yellow', markup=False)
        _print(out, summary)
        for entry in newest:
            out.print(f'{entry.went:8}{entry.status:7}{entry.kind:12}{entry.rollout_id}: '
                      + ('; '.join(entry.reasons) or 'as predicted'), markup=False)
        if options.html is not None:
            out.print(f'wrote {options.html}', markup=False)
    low = summary.passed.rate.interval[0]
    return Exit.FAIL if options.at_least is not None and low < options.at_least else Exit.PASS


def _known(ledger: Ledger, name: str, values: list[str]) -> list[str]:
    """
    Return the values that motions are chosen by; 'none' is that of motions without one.

    :raises LedgerError: one is neither in the ledger nor one that could be.
    """
    from kinema4d_ros.errors import LedgerError
    from kinema4d_ros.ledger import Origin, Went
    from kinema4d_ros.types import Status

    could_be = {'status': [status.name for status in Status], 'origin': list(map(str, Origin)),
                'went': list(map(str, Went))}
    known = [value or 'none' for value in ledger.values(name)]
    known += [value for value in could_be.get(name, ()) if value not in known]
    for value in values:
        if value not in known:
            raise LedgerError(f'{ledger.path} has no motion whose {name.replace("_", " ")} is '
                              f'{value!r}; valid: {", ".join(known) or "none, it is empty"}')
    return ['' if value == 'none' else value for value in values]


def _enter(options: argparse.Namespace) -> list[str]:
    """
    Enter episodes and runs; return what could not be.

    :raises EpisodeError: there was nothing to enter.
    :raises LedgerError: the file is no ledger, or nothing of what there was could be entered.
    """
    from kinema4d_ros.cli import show
    from kinema4d_ros.errors import EpisodeError, Kinema4DError, LedgerError
    from kinema4d_ros.ledger import Ledger
    from kinema4d_ros.ledger.episodes import EpisodeComparer
    from kinema4d_ros.ledger.file import why_no_ledger
    from kinema4d_ros.ledger.rollouts import rollout_entries, runs_left_out
    from kinema4d_ros.policy.closed_loop.records import read_records

    if missing := [str(path) for path in options.from_episodes if not path.exists()]:
        raise EpisodeError(f'{", ".join(missing)} does not exist; name a folder of episodes or a '
                           '.mcap file')
    paths = sorted({path for given in options.from_episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if options.from_episodes and not paths:
        raise EpisodeError(f'no .mcap file in {", ".join(map(str, options.from_episodes))}; name '
                           'a folder of episodes')
    records = [record for path in options.from_rollouts for record in read_records(path)]
    if (why := why_no_ledger(options.file, may_be_missing=True)) is not None:
        raise LedgerError(f'{options.file} {why}')
    skipped, entered = [], 0
    # made with the first entry, so that a wrong name leaves no empty ledger
    with ExitStack() as stack, show.progress('ledger') as report:
        ledger: Ledger | None = None
        comparer = EpisodeComparer(package_paths=options.package_path)
        stack.callback(comparer.close)

        def enter(*entries: LedgerEntry) -> None:
            nonlocal ledger, entered
            if ledger is None:
                ledger = stack.enter_context(Ledger(options.file, write=True))
            ledger.enter(*entries)
            entered += len(entries)

        for number, path in enumerate(paths):
            report(path.stem, number, len(paths))
            try:
                entry = comparer(path)
            except Kinema4DError as error:
                skipped.append(f'{path.name}: {error}')
            else:
                enter(entry)
        skipped += runs_left_out(records)
        if entries := rollout_entries(records):
            enter(*entries)
    if not entered:
        raise LedgerError('nothing could be entered: ' + (
            '; '.join(skipped) or 'the records hold no run'))
    return skipped


def _print(out: Console, summary: LedgerSummary) -> None:
    from rich.table import Table

    from kinema4d_ros.ledger.summary import GROUPS, PARTS

    out.print(summary.sentence, style='bold', markup=False)
    if summary.passed.motions:
        out.print(summary.drift, markup=False)
    table = Table('', 'motions', 'as predicted', 'otherwise', 'unknown', 'share (95 %)')

    def row(name: str, tally: Tally) -> None:
        table.add_row(name, *map(str, (tally.motions, tally.yes, tally.no, tally.unknown)),
                      str(tally.rate) if tally.yes + tally.no else 'unknown')

    for part, name in PARTS.items():
        if summary.passed.motions:
            row(name, summary.parts[part])
    for field, name in GROUPS.items():
        for value, tally in summary.groups[field].items():
            row(f'{name}: {value}', tally)
    for day in summary.days:
        row(day.date, day.tally)
    if table.row_count:
        out.print(table)
    for mean in summary.means:
        out.print(str(mean), markup=False)
    if summary.dropped:
        out.print(f'{summary.dropped} older entries made room for these', markup=False)
