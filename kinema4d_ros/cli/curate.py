# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d curate`: recordings as 4D episodes, with numbers on each and a page to browse them."""
from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit

if TYPE_CHECKING:
    from kinema4d_ros.curation import CurationResult, EpisodeRecord

HELP = 'make 4D episodes of recordings: exact robot, scene in metres, clips, quality'
EPILOG = """\
A SOURCE is an episode (*.mcap), a folder of them as kinema4d import makes it, or a bundled one by
name. Each is judged by its own robot, which is drawn into every frame, and cut into clips:
OUT/episodes/NAME_000.mcap with pictures, depth, and the drawn robot (points, links, colours).
Success and failure are kept. OUT/index.html shows all with their numbers; OUT/quarantine has a file
for each recording that was left out, with the reason; OUT/curation.jsonl a line for each.

Without depth in the recording, --depth-model estimates it: a folder with a depth model of the
library transformers. Its answer becomes metres by scale and shift, fitted on the robot, whose depth
is exact; a recording in which it is farther off than --residual is left out.

Stopped by Ctrl-C, or by anything else, the same command goes on from there: what is done stays
where recording, settings, depth model and version are the same. Exit code 1 where all were left
out.

examples:
  kinema4d curate out/droid 4d --depth-model Depth-Anything-V2-Small-hf --workers 8
  kinema4d curate monday tuesday clips --to robo4d --overlap 8
  kinema4d curate libero_object_0_0_success 4d"""
MOST_LINES = 40      # of the table, when nobody asked for all
_SAID = 10.0         # [s] between two lines about how far it is, where there is no terminal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('sources', metavar='SOURCE', nargs='+', help='recordings, or folders')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder for the 4D episodes')
    parser.add_argument('--to', choices=('mcap', 'robo4d', 'lerobot'), default='mcap',
                        help='form of the episodes (default mcap, which the others have besides): '
                             'OUT/robo4d in the layout of Robo4D-200k, OUT/lerobot as a LeRobot '
                             '3.0 set with depth')
    cut = parser.add_argument_group('clips')
    cut.add_argument('--frames', type=int, default=49, metavar='N', help='of a clip (default 49)')
    cut.add_argument('--stride', type=int, default=1, metavar='N',
                     help='take one of N frames (default 1)')
    cut.add_argument('--overlap', type=int, default=0, metavar='N',
                     help='frames that a clip shares with the one before (default 0)')
    cut.add_argument('--camera', default='', metavar='NAME', help='camera (default: the first)')
    depth = parser.add_argument_group('depth, where none was recorded')
    depth.add_argument('--depth-model', type=Path, metavar='DIR',
                       help='folder of a model that estimates it; nothing is downloaded')
    depth.add_argument('--depth-backend', default='transformers', metavar='NAME',
                       help='what loads the model (default transformers; others by entry points '
                            'of the group kinema4d_ros.depth_backends)')
    depth.add_argument('--depth-quantity', choices=('depth', 'inverse_depth'), default='',
                       help='what the model answers, where its configuration does not say it')
    bad = parser.add_argument_group('what is left out')
    bad.add_argument('--residual', type=float, default=0.05, metavar='M',
                     help='estimated depth is farther off at the robot (default 0.05)')
    bad.add_argument('--relative-residual', type=float, default=0.06, metavar='SHARE',
                     help='the same as a share of the depth (default 0.06)')
    bad.add_argument('--robot-seen', type=float, default=0.2, metavar='SHARE',
                     help='fewer of the frames show the robot (default 0.2)')
    bad.add_argument('--robot-share', type=float, default=0.002, metavar='SHARE',
                     help='of the picture, with which a frame shows the robot (default 0.002)')
    parser.add_argument('--package-path', action='append', default=[], type=Path,
                        metavar='FOLDER', help='where mesh packages are; may be repeated')
    parser.add_argument('--workers', type=int, default=0, metavar='N',
                        help='processes (default: one for each core)')
    parser.add_argument('--all', action='store_true', help='every recording in the table')
    parser.add_argument('--json', action='store_true', help='the records as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Curate, and show what became of each recording."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.cli.exits import LackingError
    from kinema4d_ros.cli.rollout import ended_by_sigterm
    from kinema4d_ros.curation import curate, CurationSettings
    from kinema4d_ros.curation.jobs import run_local
    from kinema4d_ros.errors import ConfigurationError

    if options.workers < 0:
        raise ConfigurationError(f'--workers must be 1 or more, got {options.workers}')
    workers = options.workers or len(os.sched_getaffinity(0))
    settings = CurationSettings(
        options.to, options.frames, options.stride, options.overlap, options.camera,
        str(options.depth_model.expanduser().absolute()) if options.depth_model else '',
        options.depth_backend, options.depth_quantity, options.residual,
        options.relative_residual, options.robot_share, options.robot_seen,
        tuple(str(path.expanduser().absolute()) for path in options.package_path))
    show.say_first_run()
    try:
        with ended_by_sigterm(), progress() as report:
            result = curate(options.sources, options.out, settings,
                            lambda items: run_local(items, workers), report)
    except ModuleNotFoundError as error:
        if error.name != 'pyarrow':
            raise
        raise LackingError('pyarrow is not installed, which LeRobot sets are written with: pip '
                           "install '.[datasets]' in a clone, or -r requirements/datasets.txt"
                           ) from error
    if options.json:
        show.write_json(result.records)
    else:
        _print(result, options.out, None if options.all else MOST_LINES)
    return Exit.PASS if result.kept else Exit.FAIL


def _print(result: CurationResult, out: Path, most: int | None) -> None:
    """Print a table of the recordings, what was left out first where not all are shown."""
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show

    console = show.console()
    table = Table(box=None, pad_edge=False)
    for heading in ('', 'recording', 'label', 'clips', 'robot', 'outline off', 'depth', 'off'):
        table.add_column(heading, overflow='fold')
    rows = sorted(result.records, key=lambda record: not record.refused) \
        if most is not None and len(result.records) > most else list(result.records)
    for record in rows[:most]:
        table.add_row('[red]left out[/]' if record.refused else '[green]kept[/]',
                      escape(record.name), *_cells(record))
    console.print(table)
    if len(result.records) > len(rows[:most]):
        console.print(f'... and {len(result.records) - len(rows[:most])} more: --all')
    for record in [record for record in rows[:most] if record.refused]:
        console.print(f'{record.name}: {record.refused}', markup=False, style='yellow')
    seconds = sum(record.seconds for record in result.records)
    console.print(f'{len(result.kept)} of {len(result.records)} recordings kept, '
                  f'{len(result.clips)} clips, {result.made} made now; '
                  f'{seconds / max(len(result.records), 1):.1f} s of a core for one. Look at '
                  f'{result.index}; those left out are in {out / "quarantine"}', markup=False)


def _cells(record: EpisodeRecord) -> list[str]:
    quality, fit = record.quality, record.fit
    label = {True: 'success', False: 'failure', None: ''}[record.success]
    if quality is None:
        return [label, '', '', '', '', '']
    off = (fit.residual if fit is not None else quality.depth_offset)
    return [label, str(len(record.clips)), f'{100 * quality.robot_share:.1f} %',
            '' if quality.picture_shift is None else f'{quality.picture_shift:.1f} px',
            record.depth or 'none', '' if off is None else f'{1000 * off:.0f} mm']


@contextlib.contextmanager
def progress() -> Iterator[Callable[[EpisodeRecord | None, int, int], None]]:
    """Show how many recordings are done: a bar, or a line now and then."""
    from kinema4d_ros.cli import show

    is_terminal, began = sys.stderr.isatty(), time.monotonic()
    said, first, refused = began, 0, 0
    with show.progress('curate') as bar:

        def report(record: EpisodeRecord | None, done: int, total: int) -> None:
            nonlocal said, first, refused
            if record is None:
                first = done
                if done:
                    print(f'{done} of {total} recordings are done already', file=sys.stderr)
                return
            refused += bool(record.refused)
            bar(f'{record.name}, {refused} left out' if refused else record.name, done, total)
            now = time.monotonic()
            if not is_terminal and (now - said >= _SAID or done in (first + 1, total)):
                said = now
                left = (now - began) / max(done - first, 1) * (total - done)
                print(f'{done} of {total} recordings, {refused} left out, {left:.0f} s left',
                      file=sys.stderr)

        yield report
