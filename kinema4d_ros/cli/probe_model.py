# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d probe-model`: whether a world model shows the actions that it is asked for."""
from __future__ import annotations

import argparse
from pathlib import Path

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli import precheck

HELP = 'measure whether a world model follows the actions that it is asked for'
EPILOG = """\
From the start of each episode the model predicts the true motion, its pieces in another order, none
at all, and the mirrored one, and the frames are asked which of the four they show. A model that
draws the robot exactly scores 1, one that predicts the same whatever it is asked for 0. Tier 2
believes no model that scores less than tier2.least_following, and none that generates its frames
and has not been probed: give shadow_sim the file of scores as tier2.following_scores, and
`kinema4d precheck` as --following.

A score belongs to the weights and the settings that it was measured with. Episodes whose camera
stands still and sees the robot from aside measure best; take several. Exit code 1 where the model
does not follow.

examples:
  kinema4d probe-model kinematic libero_object_0_0_success
  kinema4d probe-model kinema4d mine/*.mcap --set base=DIR --set weights=DIR --out out/probe
  kinema4d precheck mine/1.mcap --tiers 0,1,2 --world-model ghost --following out/scores.json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from kinema4d_ros.world_model.following import LEAST_FOLLOWING

    parser.add_argument('model', metavar='MODEL', help='name of the world model')
    parser.add_argument('episodes', metavar='EPISODE', nargs='+',
                        help='.mcap file, folder of a bag, or name of a bundled episode')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='a setting of the world model; may be repeated')
    parser.add_argument('--frames', type=precheck.frames, default=49, metavar='N',
                        help='of each prediction, 2 or more (default 49)')
    parser.add_argument('--seed', type=int, default=0, help='of the first prediction (default 0)')
    parser.add_argument('--seeds', type=int, default=2, metavar='N',
                        help='predictions of the true motion, for their spread (default 2)')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages of recorded robots are; may be repeated')
    parser.add_argument('--limit', type=float, default=LEAST_FOLLOWING,
                        help="that the lower end of the score's interval must reach (default "
                             '%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/probe'), metavar='FOLDER',
                        help='for scores.json, report.json and a picture of each episode '
                             '(%(default)s)')
    parser.add_argument('--scores', type=Path, metavar='FILE',
                        help='add the score to this file, which may hold those of other models '
                             '(default FOLDER/scores.json)')
    parser.add_argument('--json', action='store_true', help='the report as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Probe, show, and write the score."""
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show
    from kinema4d_ros.episodes import Episode, find_episode
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.evaluation.pictures import write_png
    from kinema4d_ros.evaluation.probe.episode import EpisodeProbe
    from kinema4d_ros.evaluation.probe.report import as_rows, probe_model, probe_sheet
    from kinema4d_ros.world_model import load_world_model
    from kinema4d_ros.world_model.following import FollowingScores

    if options.seeds < 1 or not 0.0 <= options.limit <= 1.0:
        raise ConfigurationError('--seeds must be 1 or more and --limit 0 to 1, got '
                                 f'{options.seeds} and {options.limit:g}')
    out: Path = options.out
    scores_path: Path = options.scores or out / 'scores.json'
    scores = FollowingScores.load(scores_path) if scores_path.exists() else FollowingScores()
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def keep(probe: EpisodeProbe) -> None:
        written.append(out / f'{options.model}_{probe.name}.png')
        write_png(written[-1], probe_sheet(probe, f'{options.model}: outlined, what it was asked'))

    with show.progress('probe-model') as report:
        report('reading', 0, 0)
        episodes = [Episode.open(find_episode(name)) for name in options.episodes]
        report('loading the model', 0, 0)
        model = load_world_model(options.model, **precheck.settings_of(options.set))
        try:
            found = probe_model(model, episodes, frames=options.frames, seeds=options.seeds,
                                seed=options.seed, limit=options.limit, report=report, show=keep,
                                package_paths=options.package_path)
        finally:
            model.close()
    scores.with_score(found.score).save(scores_path)
    text = show.json_text(found)
    (out / 'report.json').write_text(text + '\n', encoding='utf-8')
    if options.json:
        print(text)
    else:
        out_console, table = show.console(), Table(box=None, pad_edge=False, show_header=False)
        for name, value in as_rows(found).items():
            table.add_row(escape(name), escape(value))
        out_console.print(table)
        for path in (*written, out / 'report.json', scores_path):
            print(f'written: {path}')
        out_console.print(found.verdict, markup=False, style='green' if found.follows else 'red')
    return Exit.PASS if found.follows else Exit.FAIL
