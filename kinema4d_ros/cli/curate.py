# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d curate`: recordings as 4D episodes, with numbers on each and a page to browse them."""
from __future__ import annotations

import argparse
import os
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


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('sources', metavar='SOURCE', nargs='+', help='recordings, or folders')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder for the 4D episodes')
    parser.add_argument('--to', choices=('mcap', 'robo4d', 'lerobot'), default='mcap',
                        help='form of the episodes (default mcap, which the others have besides): '
                             'OUT/robo4d in the layout of Robo4D-200k, OUT/lerobot as a LeRobot '
                             '3.0 set with depth')
    cut = parser.add_argument_group('clips and camera')
    cut.add_argument('--frames', type=int, default=49, metavar='N', help='of a clip (default 49)')
    cut.add_argument('--stride', type=int, default=1, metavar='N',
                     help='take one of N frames (default 1)')
    cut.add_argument('--overlap', type=int, default=0, metavar='N',
                     help='frames that a clip shares with the one before (default 0)')
    cut.add_argument('--camera', default='', metavar='NAME', help='camera (default: the first)')
    cut.add_argument('--extrinsics', type=Path, metavar='FILE',
                     help='what kinema4d calibrate found of that camera, for recordings that do '
                          'not say where it is')
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
    where = parser.add_argument_group('where it is done')
    where.add_argument('--workers', type=int, metavar='N',
                       help='processes (default: one for each core; 0: none besides this one)')
    where.add_argument('--ray', default='', metavar='ADDRESS',
                       help='on a Ray cluster: its address, auto for the one that this machine '
                            'belongs to, or local; all nodes see SOURCE and OUT')
    parser.add_argument('--all', action='store_true', help='every recording in the table')
    parser.add_argument('--json', action='store_true', help='the records as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Curate, and show what became of each recording."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.cli.exits import LackingError
    from kinema4d_ros.curation import curate, CurationSettings
    from kinema4d_ros.jobs import ended_by_sigterm, PoolSettings, shown_progress

    settings = CurationSettings(
        options.to, options.frames, options.stride, options.overlap, options.camera,
        str(options.depth_model.expanduser().absolute()) if options.depth_model else '',
        options.depth_backend, options.depth_quantity, options.residual,
        options.relative_residual, robot_share=options.robot_share, robot_seen=options.robot_seen,
        package_paths=tuple(str(path.expanduser().absolute()) for path in options.package_path),
        extrinsics=str(options.extrinsics.expanduser().absolute()) if options.extrinsics else '')
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    # One thread each: recordings are many, and threads that wait for each other cost more.
    pool = PoolSettings(0 if options.workers is None and options.ray else workers, options.ray,
                        threads=1)
    show.say_first_run()
    try:
        with ended_by_sigterm(), shown_progress('curate', 'recordings') as report:
            result = curate(options.sources, options.out, settings, pool, lambda progress, summary:
                            report(progress.done, progress.total,
                                   f'{summary.total - summary.kept} left out'))
    except ModuleNotFoundError as error:
        if error.name != 'pyarrow':
            raise
        raise LackingError('pyarrow is not installed, which LeRobot sets are written with: pip '
                           "install '.[datasets]' in a clone, or -r requirements/datasets.txt"
                           ) from error
    if options.json:
        show.write_json(result.summary.records)
    else:
        _print(result, options.out, None if options.all else MOST_LINES)
    return Exit.PASS if result.summary.kept else Exit.FAIL


def _print(result: CurationResult, out: Path, most: int | None) -> None:
    """Print a table of the recordings, what was left out first where not all are shown."""
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show

    console, summary = show.console(), result.summary
    table = Table(box=None, pad_edge=False)
    for heading in ('', 'recording', 'label', 'clips', 'robot', 'outline off', 'depth', 'off'):
        table.add_column(heading, overflow='fold')
    rows = summary.records
    if most is not None and len(rows) > most:
        rows = sorted(rows, key=lambda record: not record.refused)[:most]
    for record in rows:
        table.add_row('[red]left out[/]' if record.refused else '[green]kept[/]',
                      escape(record.name), *_cells(record))
    console.print(table)
    if summary.total > len(rows):
        console.print(f'... and {summary.total - len(rows)} more: --all')
    for record in rows:
        if record.refused:
            console.print(f'{record.name}: {record.refused}', markup=False, style='yellow')
    console.print(
        f'{summary.kept} of {summary.total} recordings kept, {len(summary.clips)} clips; '
        f'{result.made} made now in {result.seconds:.0f} s, a recording takes '
        f'{summary.cpu_seconds / max(summary.total, 1):.1f} s of a core. Look at {result.index}; '
        f'what was left out is in {out / "quarantine"}', markup=False)


def _cells(record: EpisodeRecord) -> list[str]:
    quality, off = record.quality, record.depth_off
    if quality is None:
        return [record.label, '', '', '', '', '']
    return [record.label, str(len(record.clips)), f'{100 * quality.robot_share:.1f} %',
            '' if quality.picture_shift is None else f'{quality.picture_shift:.1f} px',
            record.depth or 'none', '' if off is None else f'{1000 * off:.0f} mm']
