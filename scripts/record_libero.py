#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Record LIBERO episodes: success, missed grasp, missed place, slip, pushed into the table.

A task is anything that puts things somewhere, opens or closes a drawer, closes a door or turns a
knob, or several of these. `inaccurate` is a success with an error of aim drawn at random, so that
its name does not give away how it ends. `--survey` tries tasks without cameras and says of each
whether the script solves it, and why not.

And, drawn at random from the episode's name, things that are pushed, toppled, dragged along,
dropped or carried. Those are named by what was tried and labelled by what came of it.

Each recording is one MCAP file of standard ROS 2 messages with the true future alongside. The
simulator is optional and lives in an environment of its own, which takes PyKDL from the system
(apt python3-pykdl):

  /usr/bin/python3 -m venv --system-site-packages .venv-sim
  .venv-sim/bin/pip install -r requirements/sim.txt
  .venv-sim/bin/python scripts/record_libero.py --suite libero_object --task 0 --out out/episodes
  .venv-sim/bin/python scripts/record_libero.py --suite libero_object,libero_spatial \
      --task 0-9 --init 0-4 --camera-every 40 --out out/evaluation      # 100 episodes
  .venv-sim/bin/python scripts/record_libero.py --suite libero_object --task 0-9 --init 20-24 \
      --kind push,topple,drag,drop,carry --camera-every 4 --depth-every 4 --out out/things
  .venv-sim/bin/python scripts/record_libero.py --suite libero_object --task 0-9 --init 7 \
      --cameras agentview,wrist,side --camera-every 40 --out out/cameras
  .venv-sim/bin/python scripts/record_libero.py --suite libero_10 --task 0-9 --init 3 --survey
  .venv-sim/bin/python scripts/record_libero.py --list config/episodes.yaml --out data/episodes

Files that exist are kept, so that an interrupted batch goes on where it stopped. The same
arguments give the same file.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import logging
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.errors import EpisodeError  # noqa: E402 - after the path

KINDS = ('success', 'missed_grasp', 'missed_place', 'slip', 'into_table', 'inaccurate',
         'push', 'topple', 'drag', 'drop', 'carry')


def numbers(text: str) -> list[int]:
    """Parse '3', '0-9' or '0,2,5-7'."""
    try:
        spans = [part.split('-') for part in text.split(',')]
        return [n for span in spans for n in range(int(span[0]), int(span[-1]) + 1)]
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number, range or list') from None


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--suite', default='libero_object', help='suites, separated by commas')
    parser.add_argument('--task', type=numbers, default=[0], help='tasks, e.g. 3 or 0-9 or 0,4')
    parser.add_argument('--init', type=numbers, default=[0], help='initial states, 0-49')
    parser.add_argument('--kind', default='success', help=f'of: {", ".join(KINDS)}')
    parser.add_argument('--camera', default='agentview',
                        help="the simulator's camera: agentview, robot0_eye_in_hand, ...")
    parser.add_argument('--cameras', help='several instead, the first one first: agentview,wrist,'
                        'side, or as the simulator calls them; the further ones are in the topics '
                        '/wrist/..., /side/... and their images 50 ms earlier each')
    parser.add_argument('--fovy', type=float, help='vertical field of view [deg], to zoom in')
    parser.add_argument('--size', type=int, nargs=2, default=(240, 360), metavar=('H', 'W'))
    parser.add_argument('--camera-every', type=int, default=2, choices=(2, 4, 10, 40),
                        help='of the 20 Hz samples: 2 is 10 Hz (default), 40 is an image every '
                        '2 s, which is all that `evaluate` needs and three times as quick')
    parser.add_argument('--depth-every', type=int, default=2, choices=(2, 4, 10),
                        help='of the 20 Hz samples: 2 is 10 Hz (default), 4 is 5 Hz, 10 is 2 Hz')
    parser.add_argument('--quality', type=int, default=90, help='of the JPEG images, 1-100')
    parser.add_argument('--list', type=Path, help='YAML list of recordings, instead of the above')
    parser.add_argument('--out', type=Path, default=Path('out/episodes'), help='folder')
    parser.add_argument('--overwrite', action='store_true', help='record what exists again')
    parser.add_argument('--survey', action='store_true', help='record nothing, but say of each '
                        'task whether the script solves it, and why not')
    options = parser.parse_args()
    if bad := sorted(set(options.kind.split(',')) - set(KINDS)):
        parser.error(f'unknown kind {", ".join(bad)}; known: {", ".join(KINDS)}')
    return options


def wanted(options: argparse.Namespace) -> list:
    """Return the recordings to make, those of one task together."""
    from kinema4d_ros.episodes.libero.plan import Kind
    from kinema4d_ros.episodes.libero.record import Recording

    camera, *others = (options.cameras or options.camera).split(',')
    common = {'height': options.size[0], 'width': options.size[1], 'camera': camera,
              'others': tuple(others),
              'fovy': options.fovy, 'camera_every': options.camera_every,
              'depth_every': options.depth_every, 'quality': options.quality}
    if options.list is None:
        rows = [dict(zip(('suite', 'task', 'init', 'kind'), row)) for row in itertools.product(
            options.suite.split(','), options.task, options.init, options.kind.split(','))]
    else:
        import yaml
        try:
            rows = yaml.safe_load(options.list.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise EpisodeError(f'{options.list} cannot be read: {error}') from error
    try:
        recordings = [Recording(**{**common, **row, 'kind': Kind(row['kind']), 'others': tuple(
            row.get('others', common['others']))}) for row in rows]
    except (TypeError, KeyError, ValueError) as error:
        raise EpisodeError(f'{options.list}: not a list of recordings: {error}') from error
    return sorted(recordings, key=lambda r: (r.suite, r.task, r.init))


def survey(options: argparse.Namespace) -> int:
    """Say of each task whether the script solves it; return 1 when it does not solve them all."""
    from kinema4d_ros.episodes.libero.scene import LiberoScene
    from kinema4d_ros.episodes.libero.survey import try_task

    unsolved = 0
    for suite, task in itertools.product(options.suite.split(','), options.task):
        scene = LiberoScene(suite, task)
        for init in options.init:
            found = try_task(scene, init)
            unsolved += not found.is_solved
            print(f'{suite} {task} from {init}, {scene.task_text}: {found}', flush=True)
    return 1 if unsolved else 0


def main() -> int:
    """Record; return 1 when any recording failed."""
    options = arguments()
    logging.disable(logging.WARNING)      # robosuite complains about its optional macro file
    if options.survey:
        try:
            return survey(options)
        except EpisodeError as error:
            print(error, file=sys.stderr)
            return 1
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            recordings = wanted(options)
            from kinema4d_ros.episodes.libero.record import record
            from kinema4d_ros.episodes.libero.scene import LiberoScene
    except EpisodeError as error:
        print(error, file=sys.stderr)
        return 1
    urdf = (REPOSITORY / 'urdf' / 'panda' / 'panda.urdf').read_text()
    scene, failures = None, 0
    for index, recording in enumerate(recordings, 1):
        path = options.out / f'{recording.name}.mcap'
        print(f'[{index}/{len(recordings)}] {path}: ', end='', flush=True)
        if path.exists() and not options.overwrite:
            print('exists')
            continue
        begin = time.monotonic()
        try:
            if scene is None or (scene.suite, scene.task) != (recording.suite, recording.task):
                scene = LiberoScene(recording.suite, recording.task)
            metadata = record(scene, recording, path, urdf)
        except EpisodeError as error:
            failures += 1
            print(f'not recorded: {error}')
            continue
        print(f'{metadata.kind}, success={metadata.success}, '
              f'tracking error {metadata.tracking_error:.4f} rad, '
              f'{path.stat().st_size / 1e6:.2f} MB, {time.monotonic() - begin:.1f} s')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
