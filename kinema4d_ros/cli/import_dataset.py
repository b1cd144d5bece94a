# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d import`: data sets of others as episodes, each number checked before it is believed."""
from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit

if TYPE_CHECKING:
    from kinema4d_ros.datasets import ImportReport, KnownCamera
    from kinema4d_ros.datasets.report import ImportedEpisode

HELP = 'make episodes of a data set: LeRobot, RLDS, DROID, bags'
EPILOG = """\
Read are LeRobot 2.0, 2.1 and 3.0, RLDS (DROID, Bridge V2, fractal), DROID raw, Ctrl-World,
pictures with an info.json, and ROS 2 bags. The layout is found out; what the columns mean is said
by a robot preset (config/datasets/*.yaml, or a file of your own). Every episode is checked: one
that is broken is refused by name, in OUT/import.json, and the rest goes on. After an interruption
the same command goes on where it was.

An episode whose camera is not known gives no verdict: find the camera with kinema4d calibrate,
and import again with --extrinsics.

examples:
  kinema4d import droid_100 out/droid --robot panda_2f85 --urdf panda_2f85.urdf --episodes 0:10
  kinema4d import my_lerobot_set out/mine --robot so101 --urdf so101.urdf --camera front
  kinema4d import bags out/bags --topics image=/cam/color/image_raw joint_states=/joint_states"""
MOST_LINES = 40      # of the table, when nobody asked for all


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('source', metavar='SOURCE', type=Path, help='folder or file of the set')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder for the episodes')
    parser.add_argument('--robot', default='', metavar='PRESET',
                        help='what the columns mean: a preset by name, or a YAML file; bags with '
                             'a robot_description need none')
    parser.add_argument('--urdf', type=Path, metavar='FILE', help='the robot, which no set has')
    parser.add_argument('--package-path', action='append', default=[], type=Path,
                        metavar='FOLDER', help='where mesh packages are; may be repeated')
    parser.add_argument('--episodes', type=episodes, metavar='FROM:TO',
                        help='some of them by number, such as 0:10')
    parser.add_argument('--version', default='', metavar='N.N.N',
                        help='of an RLDS set whose folder has several (default the newest)')
    parser.add_argument('--camera', default='', metavar='NAME',
                        help='name of the first camera, or a part of it (default: by the preset)')
    parser.add_argument('--one-camera', action='store_true',
                        help='leave out the others')
    parser.add_argument('--extrinsics', action='append', default=[], metavar='[NAME=]FILE',
                        help='what kinema4d calibrate found of the first camera, or of another one '
                             'by its name or a part of it; may be repeated')
    parser.add_argument('--topics', nargs='+', default=[], metavar='ROLE=NAME',
                        help='what bags call image, depth, camera_info, joint_states, '
                             'robot_description or tf_static')
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help='rows a second, where the set does not say it')
    parser.add_argument('--units', choices=('rad', 'deg', 'normalized'), default='',
                        help='of the joints, where the numbers do not tell')
    parser.add_argument('--flip-gripper', action='store_true',
                        help='open is what the preset calls closed')
    parser.add_argument('--residual', type=float, default=0.005, metavar='M',
                        help='of inverse kinematics, above which an episode is refused '
                             '(default 0.005)')
    parser.add_argument('--from-tip', action='store_true',
                        help='joints by inverse kinematics of the tip, though the set has some')
    parser.add_argument('--allow', action='append', default=[], metavar='CHECK',
                        help='import in spite of this check; may be repeated')
    parser.add_argument('--to', choices=('mcap', 'lerobot'), default='mcap',
                        help='form of the episodes (default mcap, which lerobot has besides)')
    parser.add_argument('--report', type=int, nargs='?', const=3, default=0, metavar='N',
                        help='judge and predict the first N episodes whose camera is known '
                             '(default 3), beside what really happened: OUT/report/report.html')
    parser.add_argument('--all', action='store_true', help='every episode in the table')
    parser.add_argument('--json', action='store_true', help='the report as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Import, and show what became of each episode."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.cli.exits import LackingError
    from kinema4d_ros.cli.precheck import topics_of
    from kinema4d_ros.datasets import (EpisodeSettings, import_set, ImportSettings,
                                       load_extrinsics, mesh_folders, MotionSettings,
                                       open_source)
    from kinema4d_ros.errors import ConfigurationError

    if options.json and options.report:
        raise ConfigurationError('--report prints for people; leave it out with --json')
    motion = MotionSettings(options.units, options.flip_gripper, (options.residual, 0.05),
                            frozenset(options.allow), options.from_tip)
    given: dict[str, KnownCamera] = {}
    for name, path in map(named_file, options.extrinsics):
        if name in given:
            raise ConfigurationError(f'two --extrinsics are of {name or "the first camera"}; give '
                                     'one each, as NAME=FILE')
        given[name] = load_extrinsics(path)
    settings = ImportSettings(
        options.robot, options.urdf, tuple(options.package_path), options.episodes,
        episode=EpisodeSettings(options.camera, motion, given.pop('', None), given,
                                options.one_camera))
    try:
        source = open_source(options.source, rate=options.rate, usual_rate=_rate(options.robot),
                             topics=topics_of(options.topics), version=options.version)
        with show.progress('import') as report:
            result = import_set(source, options.out, settings, report)
        if options.to == 'lerobot':
            from kinema4d_ros.datasets.lerobot_writer import write_lerobot

            with show.progress('lerobot') as report:
                write_lerobot([options.out / episode.file for episode in result.imported],
                              options.out / 'lerobot', report)
    except ModuleNotFoundError as error:
        if error.name not in ('pyarrow', 'h5py'):
            raise
        raise LackingError(f"{error.name} is not installed, which data sets are read with: pip "
                           "install '.[datasets]' in a clone, or -r "
                           'requirements/datasets.txt') from error
    if options.json:
        show.write_json(result)
    else:
        _print(result, options.out, None if options.all else MOST_LINES, mesh_folders(settings))
    _report(result, options, mesh_folders(settings))
    return Exit.PASS if result.imported else Exit.FAIL


def _report(result: ImportReport, options: argparse.Namespace, meshes: Sequence[Path]) -> None:
    """Write the page of the demo on some of the episodes."""
    from kinema4d_ros.cli import demo

    good = [str(options.out / episode.file) for episode in result.imported
            if episode.camera_known][:options.report]
    if good:
        demo.run(argparse.Namespace(episodes=good, output=options.out / 'report', frames=25,
                                    world_model='kinematic', no_open=True,
                                    package_path=list(meshes)))


def _rate(robot: str) -> float | None:
    """Return the rate of a preset, for sets that do not say theirs."""
    from kinema4d_ros.datasets import RobotPreset

    return RobotPreset.load(robot).rate if robot else None


def _print(result: ImportReport, out: Path, most: int | None, meshes: Sequence[Path]) -> None:
    """Print a table of the episodes, then what the checks said, then what to do next."""
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show

    console = show.console()
    table = Table(box=None, pad_edge=False)
    for heading in ('', 'episode', 'frames', 'camera', 'remarks'):
        table.add_column(heading, overflow='fold')
    # What was refused or is doubted goes first where not all are shown.
    rows = sorted(result.episodes, key=lambda item: (not item.refused, not item.doubts)) \
        if most is not None and len(result.episodes) > most else result.episodes
    for episode in rows[:most]:
        if episode.refused:
            table.add_row('[red]refused[/]', escape(episode.name), '', escape(episode.camera),
                          escape(episode.refused))
            continue
        said = [f'{check.name}: {check.message}' for check in episode.doubts]
        if not episode.camera_known:
            said.append(f'camera not known ({episode.camera_origin})')
        table.add_row('[yellow]imported[/]' if said else '[green]imported[/]',
                      escape(episode.name), str(episode.frames) + (' + depth' if episode.has_depth
                                                                   else ''),
                      escape(cameras_of(episode)), escape('; '.join(said)))
    console.print(table)
    if len(result.episodes) > len(rows[:most]):
        console.print(f'... and {len(result.episodes) - len(rows[:most])} more: --all')
    checks = Table(box=None, pad_edge=False)
    for heading in ('check', 'PASS', 'UNSURE', 'FAIL'):
        checks.add_column(heading)
    for name, counts in result.by_check().items():
        checks.add_row(name, *(str(counts[verdict]) for verdict in ('PASS', 'UNSURE', 'FAIL')))
    console.print(checks)
    for remark in result.remarks:
        console.print(remark, style='yellow', markup=False)
    console.print(f'{len(result.imported)} of {len(result.episodes)} episodes of {result.form} '
                  f'imported to {out}; each check with its number is in {out / "import.json"}',
                  markup=False)
    unknown = [episode for episode in result.imported if not episode.camera_known]
    paths = ''.join(f' --package-path {shlex.quote(str(folder))}' for folder in meshes)
    if unknown:
        focal = ' --focal' if _is_lens_guessed(unknown[0]) else ''
        console.print(f'{len(unknown)} have no known camera, and give no verdict yet: kinema4d '
                      f'calibrate {out / unknown[0].file}{focal}{paths}, then import with '
                      '--extrinsics FILE', markup=False)
    elif paths and result.imported:
        console.print(f'the meshes are not in the episodes: give{paths} to the commands that use '
                      'them', markup=False)


def _is_lens_guessed(episode: ImportedEpisode) -> bool:
    """Return whether K is a guess, or about right only, as of a preset."""
    return bool(re.match(r'K: (a guess|preset \S+ \()', episode.camera_origin))


def cameras_of(episode: ImportedEpisode) -> str:
    """Return the cameras of an episode, in words."""
    placed = [name for name in episode.more_cameras if name not in episode.unplaced]
    words = [f'+ {", ".join(placed)}'] if placed else []
    words += [f'+ {", ".join(episode.unplaced)} (to look at)'] if episode.unplaced else []
    return ' '.join([episode.camera, *words])


def named_file(text: str) -> tuple[str, Path]:
    """Return name and path of NAME=FILE; the name of a FILE alone is ''."""
    name, sign, path = text.partition('=')
    return (name, Path(path)) if sign and not Path(text).is_file() else ('', Path(text))


def episodes(text: str) -> tuple[int, int | None]:
    """Read FROM:TO, either of which may be missing."""
    begin, sign, end = text.partition(':')
    try:
        found = (int(begin or 0), (int(end) if end else None) if sign else int(begin) + 1)
    except ValueError:
        found = (-1, None)
    if found[0] < 0 or found[1] is not None and found[1] <= found[0]:
        raise argparse.ArgumentTypeError(f'{text!r}; give numbers such as 0:10, 10: or 3')
    return found
