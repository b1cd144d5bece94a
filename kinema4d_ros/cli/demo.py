# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d demo`: recorded episodes are judged and predicted, without ROS."""
from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli import precheck
from kinema4d_ros.cli.exits import Exit

if TYPE_CHECKING:
    from kinema4d_ros.evaluation.prechecks import PrecheckRow

HELP = 'judge and predict recorded episodes, and show it on one page; needs no ROS'
EPILOG = """\
Of each episode only the first image and the trajectory are looked at; then what is said of them
is put beside what the recording shows. The page, OUTPUT/report.html, is one file that needs no
network.
`make demo` plays the same episodes as a live robot into the ROS 2 nodes.

Exit code 1 where a verdict was wrong: an outcome that did not come, a danger that passed, or a
clean motion that did not.

examples:
  kinema4d demo
  kinema4d demo --output /tmp/demo --no-open
  kinema4d demo libero_object_3_0_slip libero_spatial_1_0_success --frames 25"""

#: what is played where none is named: a good motion, and one that presses into the table
EPISODES = ('libero_object_0_0_success', 'libero_spatial_0_0_into_table')


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('episodes', metavar='EPISODE', nargs='*',
                        help='.mcap files or names of bundled episodes; by default two: a good '
                             'motion, and one that presses the hand into the table')
    parser.add_argument('--output', type=Path, default=Path('kinema4d_demo'), metavar='FOLDER',
                        help='where the page goes (default %(default)s)')
    parser.add_argument('--world-model', default='kinematic', metavar='NAME',
                        help='which predicts (default %(default)s)')
    parser.add_argument('--frames', type=precheck.frames, default=49, metavar='N',
                        help='predicted frames, 2 or more (default %(default)s)')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages are; may be repeated')
    parser.add_argument('--no-open', action='store_true',
                        help='write the page, and open no browser')


def run(options: argparse.Namespace) -> Exit:
    """Judge, predict, and show."""
    from kinema4d_ros.cli import browser, show
    from kinema4d_ros.episodes import Episode, find_episode
    from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
    from kinema4d_ros.evaluation.report import write_report
    from kinema4d_ros.evaluation.report.depict import depict, EpisodePredictor

    paths = [find_episode(name) for name in options.episodes or EPISODES]
    page = _folder(options.output) / 'report.html'
    judge = EpisodePrechecker(package_paths=options.package_path)
    rows, unlabelled, reports = [], [], []
    models = dict.fromkeys(('frozen', options.world_model))     # first the world that stays
    predictors = [EpisodePredictor(model, options.frames, options.package_path)
                  for model in models]
    show.say_first_run()
    with show.progress('demo') as report:
        total = 3 * len(paths)
        for number, path in enumerate(paths):
            report(f'{path.stem}: judging', 3 * number, total)
            episode, futures = Episode.open(path), {}
            clearances: tuple[float, ...] = ()
            if episode.metadata.success is None:      # a recording, or a set that does not say it
                verdict = judge.verdict(episode)
                unlabelled.append((path.stem, verdict))
            else:
                rows.append(judge(path))
                verdict, clearances = rows[-1].verdict, rows[-1].true_clearances
            report(f'{path.stem}: predicting', 3 * number + 1, total)
            for predictor in predictors:
                robot, futures[predictor.world_model] = predictor(episode)
            report(f'{path.stem}: drawing', 3 * number + 2, total)
            reports.append(depict(episode, verdict, robot, futures, moving=True,
                                  true_clearances=clearances))
        report('writing the page', total, total)
        write_report(page, reports, title='Predicted motions against what really happened',
                     note='Recorded episodes: judged and predicted from the first image and the '
                          'trajectory alone.')
    labelled = [each for each in reports if each.success is not None]
    if rows:
        _print_table(rows, [each.faults for each in labelled])
    for name, verdict in unlabelled:
        show.console().print(f'{name}: nobody says whether the task was solved')
        show.print_verdict(verdict)
    browser.show_page(page, not options.no_open)
    return Exit.FAIL if any(each.faults for each in reports) else Exit.PASS


def _folder(path: Path) -> Path:
    """Return the folder, made where there is none."""
    from kinema4d_ros.errors import ConfigurationError

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f'--output {path} cannot be made a folder: {error.strerror}; name '
                                 'one that you may write to') from error
    return path


def _print_table(rows: Sequence[PrecheckRow], faults: Sequence[Sequence[str]]) -> None:
    """Print the verdicts beside what happened."""
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show

    table = Table(title='Said before the motion, and what came of it', box=None)
    for heading in ('episode', 'verdict', 'why', 'nearest', 'took', 'what happened', ''):
        table.add_column(heading, no_wrap=heading == 'episode')
    for row, wrong in zip(rows, faults):
        verdict = row.verdict
        nearest = verdict.min_clearance
        happened = ['solved' if row.solved else 'not solved',
                    *(['touched table or fixtures'] if row.touched else []),
                    *(['left its trajectory'] if row.labels.strayed else []),
                    *(['pushed something'] if row.disturbed else [])]
        table.add_row(
            escape(row.name), f'[{show.COLORS[row.status]}]{row.status.name}[/]',
            escape(verdict.summary),
            '' if nearest is None or not math.isfinite(nearest) else f'{1000 * nearest:.0f} mm',
            f'{sum(verdict.latencies.values()):.2f} s', ', '.join(happened),
            f'[red]{", ".join(wrong)}[/]' if wrong else '[green]as it was said[/]')
    show.console().print(table)
