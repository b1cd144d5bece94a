# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d detect-actions`: what the actions of a policy or a data set mean."""
from __future__ import annotations

import argparse
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.errors import DatasetError, PolicyError

if TYPE_CHECKING:
    from kinema4d_ros.policy import ChunkRecord
    from kinema4d_ros.robot import Robot

HELP = 'tell from chunks and states what the actions of a policy or a data set mean'
EPILOG = """\
A .npz file has chunks as the policy answered them: `actions` (chunks, actions, columns), `states`
(chunks, joints) [rad or m] in the order of the URDF, and where they are known the states while each
was executed, one action period apart, in `after` (chunks, rows, joints). A data set has an action
in each row; those that are relative to a chunk's begin cannot be told from it.

It ends with 0 where all is known, 3 where something is not, 1 where --policy says otherwise.

examples:
  kinema4d detect-actions chunks.npz --urdf arm.urdf --rate 15
  kinema4d detect-actions my_lerobot_set --urdf so101.urdf --robot so101
  kinema4d detect-actions chunks.npz --urdf panda.urdf --rate 15 --policy droid"""

#: arrays of a file of chunks -> what their dimensions are
_DIMENSIONS = {'actions': ('chunks', 'actions', 'columns'), 'states': ('chunks', 'joints'),
               'after': ('chunks', 'rows', 'joints')}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('file', metavar='FILE', type=Path,
                        help='chunks (.npz), or a data set as `kinema4d import` reads it')
    parser.add_argument('--urdf', required=True, type=Path, help='of the robot')
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help='actions a second; a data set may say it itself')
    parser.add_argument('--robot', metavar='PRESET', help='of a data set: what its columns are, as '
                                                          'for `kinema4d import`')
    parser.add_argument('--action', metavar='COLUMN', help='of a data set, where its preset names '
                                                           'another')
    parser.add_argument('--episodes', type=int, default=4, metavar='N',
                        help='of a data set that are looked at (default 4)')
    parser.add_argument('--tip-link', metavar='LINK', help='that places are of')
    parser.add_argument('--policy', metavar='PRESET',
                        help='a preset of policies that is held against it')


def run(options: argparse.Namespace) -> Exit:
    """Print what was found."""
    from kinema4d_ros.policy import detect_actions, PolicyPreset
    from kinema4d_ros.robot import Robot

    robot = Robot.from_file(options.urdf)
    if options.file.suffix == '.npz':
        records, rate = _chunks(options.file), options.rate
    else:
        records, rate = _rows(options, robot)
    if rate is None:
        raise PolicyError('nothing says how many actions a second there are: give --rate')
    found = detect_actions(robot, records, rate,
                           tip_links=(options.tip_link,) if options.tip_link else ())
    print(f'{len(records)} chunks of {len(records[0].actions)} actions\n{found}')
    if options.policy:
        form = PolicyPreset.load(options.policy).action_format(
            robot, tip_link=options.tip_link or '')
        if (why := found.why_not(form)) is not None:
            print(f'they are not what the policy preset {options.policy} says: {why}')
            return Exit.FAIL
        print(f'nothing contradicts the policy preset {options.policy}')
    return Exit.UNSURE if found.unknown else Exit.PASS


def _chunks(path: Path) -> list[ChunkRecord]:
    from kinema4d_ros.policy import ChunkRecord

    if not path.is_file():
        raise PolicyError(f'there is no file of chunks {path}')
    if not zipfile.is_zipfile(path):
        raise PolicyError(f'{path} is no .npz file, whatever it is called; write one with '
                          'numpy.savez(FILE, actions=..., states=...)')
    try:
        with np.load(path, allow_pickle=False) as told:
            if lacking := {'actions', 'states'} - set(told.files):
                raise PolicyError(f'the chunks {path} have no {", ".join(sorted(lacking))}; they '
                                  f'have {", ".join(told.files) or "nothing"}')
            arrays = {name: _array(told, name, path) for name in _DIMENSIONS if name in told.files}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PolicyError(f'the chunks {path} cannot be read: {error}') from error
    if len({len(array) for array in arrays.values()}) > 1:
        raise PolicyError(f'the chunks {path} have shapes '
                          + ', '.join(f'{name} {array.shape}' for name, array in arrays.items())
                          + ': the first number must be the same, that of chunks')
    after = arrays.get('after', [None] * len(arrays['actions']))
    records = []
    for number, chunk in enumerate(zip(arrays['actions'], arrays['states'], after)):
        try:
            records.append(ChunkRecord(*chunk))
        except PolicyError as error:
            raise PolicyError(f'chunk {number} of {path}: {error}') from error
    return records


def _array(told: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """Return an array of numbers with the dimensions that it is to have."""
    try:
        array = told[name]
    except ValueError as error:      # of objects, or its header is broken
        raise PolicyError(f'{name} of {path} are no numbers that can be read; write them as float '
                          'or integer arrays, all chunks of one length') from error
    if array.dtype.kind not in 'fiu':
        raise PolicyError(f'{name} of {path} are of type {array.dtype}, not numbers')
    if array.ndim != len(_DIMENSIONS[name]):
        raise PolicyError(f'{name} of {path} have shape {array.shape}, not '
                          f'({", ".join(_DIMENSIONS[name])})')
    return array


def _rows(options: argparse.Namespace, robot: Robot) -> tuple[list[ChunkRecord], float]:
    from kinema4d_ros.datasets import open_source, read_motion, RobotPreset
    from kinema4d_ros.datasets.preset import pick, presets
    from kinema4d_ros.policy import records_of

    if options.robot is None:
        raise DatasetError(f'{options.file} is no .npz file, so it is taken for a data set: name '
                           'what its columns are by --robot with a YAML file or one of '
                           f'{", ".join(presets())}')
    preset = RobotPreset.load(options.robot)
    source = open_source(options.file, rate=options.rate, usual_rate=preset.rate)
    records: list[ChunkRecord] = []
    rate = options.rate
    for name in source.episode_names()[:options.episodes]:
        episode = source.read(name)
        wanted = (options.action,) if options.action else preset.action
        column = pick(episode.columns, wanted)
        if column is None:
            raise DatasetError(f'{name} has no column {", ".join(wanted)}; it has '
                               f'{", ".join(episode.columns)}: give --action')
        motion = read_motion(episode, preset, robot)
        if (why := motion.why_refused()) is not None:
            raise DatasetError(f'{name} tells nothing: {why}')
        rate = 1.0 / float(np.median(np.diff(motion.times)))
        length = min(10, max(len(motion.positions) // 2, 2))
        records += records_of(column[1], motion.positions, length=length)
    return records, rate
