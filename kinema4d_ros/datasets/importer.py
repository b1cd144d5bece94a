# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Imports a set, episode by episode: what is broken is refused by name, and the rest goes on."""
from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema4d_ros.datasets.episode_file import (EpisodeSettings, write_episode, WrittenEpisode)
from kinema4d_ros.datasets.preset import preset_of, RobotPreset
from kinema4d_ros.datasets.report import (ImportedEpisode, ImportLog, ImportReport, remarks_of,
                                          REPORT)
from kinema4d_ros.datasets.source import DatasetSource, SourceEpisode
from kinema4d_ros.datasets.views import KnownCamera
from kinema4d_ros.errors import DatasetError, Kinema4DError
from kinema4d_ros.robot import Robot

_HALF = '.episode_'      # begins the names of folders that a killed import leaves
#: a mesh beside the URDF, which an episode has without its folder; as of a package it can be found
_RELATIVE = re.compile(r'(<mesh[^>]*filename=["\'])(?:\./)?(?=\w[\w.-]*/(?!/))')


@dataclass(frozen=True)
class ImportSettings:
    """What is imported, and how."""

    robot: str = ''                          # preset, or YAML file; '' for bags with a URDF
    urdf: Path | None = None
    package_paths: tuple[Path, ...] = ()
    episodes: tuple[int, int | None] | None = None      # from, to; None: all
    names: tuple[str, ...] = ()              # of episodes; () all
    episode: EpisodeSettings = field(default_factory=EpisodeSettings)


def import_set(source: DatasetSource, out: Path, settings: ImportSettings,
               report: Callable[[str, int, int], None] = lambda stage, step, total: None
               ) -> ImportReport:
    """
    Import a set into a folder: NAME.mcap for each episode, import.jsonl, and import.json at last.

    Where the folder holds a part of the same import, it goes on there, and tries again what was
    refused; what another import left there is removed. A file is whole or is not there. One episode
    is in memory at a time, compressed.

    :param report: called with what is done, and how much of how much is.
    :raises DatasetError: the robot is not known, or no episode is.
    """
    preset = RobotPreset.load(settings.robot) if settings.robot else None
    text = _urdf_text(settings.urdf, preset)
    chosen = _chosen(source.episode_names(), settings)
    log = ImportLog(out, _asked(source, settings, preset, text))
    for half in out.glob(f'{_HALF}*'):
        shutil.rmtree(half, ignore_errors=True)
    for number, name in enumerate(chosen):
        report(name, number, len(chosen))
        if name not in log.done:
            log.add(_import_one(source, name, out, preset, text, settings))
    report('done', len(chosen), len(chosen))
    episodes = tuple(log.done[name] for name in chosen)
    result = ImportReport(str(getattr(source, 'path', '')), source.form,
                          preset.name if preset else 'urdf', episodes, remarks_of(episodes))
    result.save(out / REPORT)
    return result


def mesh_folders(settings: ImportSettings) -> tuple[Path, ...]:
    """
    Return the folders in which the meshes of imported episodes are found, for --package-path.

    These are those that were given, and that of the URDF where it names meshes beside it.
    """
    urdf = settings.urdf
    beside = urdf is not None and _RELATIVE.search(urdf.read_text(encoding='utf-8'))
    return (*settings.package_paths, *((urdf.parent,) if urdf is not None and beside else ()))


def _import_one(source: DatasetSource, name: str, out: Path, preset: RobotPreset | None, text: str,
                settings: ImportSettings) -> ImportedEpisode:
    file = f'{name}.mcap'
    success = None
    try:
        episode = source.read(name)
        success = episode.success
        urdf, robot = _robot(episode, text, settings)
        done = write_episode(out / file, episode, preset or preset_of(
            [joint for joint in robot.joint_names
             if joint in episode.names.get('joint_states', robot.joint_names)]),
            urdf, robot, settings.episode)
    except Kinema4DError as error:
        done = WrittenEpisode((), refused=str(error))
    except MemoryError:
        raise
    except Exception as error:      # what is damaged makes libraries raise almost anything
        done = WrittenEpisode((), refused=f'{name} cannot be read: {type(error).__name__}: {error}')
    if done.refused:
        (out / file).unlink(missing_ok=True)      # of an earlier import
    return ImportedEpisode(
        name, '' if done.refused else file, done.refused, done.checks, done.camera,
        done.camera_known, done.camera_origin, done.frames, done.has_depth, done.by_ik, success,
        done.more_cameras, done.unplaced)


def _robot(episode: SourceEpisode, text: str, settings: ImportSettings) -> tuple[str, Robot]:
    urdf = text or episode.robot_description
    if not urdf:
        raise DatasetError('the set has no URDF; give --urdf FILE')
    source_dir = settings.urdf.parent if settings.urdf is not None else None
    return urdf, Robot.from_urdf(urdf, package_paths=settings.package_paths, source_dir=source_dir)


def _urdf_text(path: Path | None, preset: RobotPreset | None) -> str:
    """Return the URDF of the user; '' leaves it to the set."""
    if path is None:
        if preset is not None:
            where = preset.urdf.source + (f', package {preset.urdf.package} of ROS'
                                          if preset.urdf.package else '')
            raise DatasetError(f'the URDF of {preset.title} is not shipped here; get it from '
                               f'{where}, and name it with --urdf FILE')
        return ''
    Robot.from_file(path)      # says what is wrong with it, before a set is gone through
    return _RELATIVE.sub(r'\1package://', path.read_text(encoding='utf-8'))


def _chosen(names: Sequence[str], settings: ImportSettings) -> tuple[str, ...]:
    if not names:
        raise DatasetError('the set has no episode')
    if settings.names:
        unknown = [name for name in settings.names if name not in names]
        if unknown:
            raise DatasetError(f'the set has no episode {", ".join(unknown)}; it has '
                               f'{", ".join(names[:5])}{" ..." if len(names) > 5 else ""}')
        return settings.names
    if settings.episodes is None:
        return tuple(names)
    begin, end = settings.episodes
    found = tuple(names[begin:end])
    if not found:
        raise DatasetError(f'the set has {len(names)} episodes, none of them in '
                           f'{begin}:{"" if end is None else end}')
    return found


def _asked(source: DatasetSource, settings: ImportSettings, preset: RobotPreset | None, urdf: str
           ) -> dict[str, Any]:
    """Return what an import depends on, so that another one does not go on where it stopped."""
    told = settings.episode
    return {'source': str(getattr(source, 'path', '')), 'form': source.form,
            'rate': getattr(source, 'rate', None),
            'topics': dict(getattr(source, 'topics', {})),
            'package_paths': [str(path.expanduser().absolute())
                              for path in settings.package_paths],
            'preset': repr(preset), 'urdf': hashlib.sha256(urdf.encode()).hexdigest(),
            'camera': told.camera, 'unit': told.motion.unit, 'flip': told.motion.flip_gripper,
            'residual': list(told.motion.residual), 'allow': sorted(told.motion.allow),
            'from_tip': told.motion.from_tip, 'one_camera': told.one_camera,
            'extrinsics': '' if told.extrinsics is None else _told(told.extrinsics),
            'more_extrinsics': {name: _told(camera) for name, camera
                                in told.more_extrinsics.items()}, 'quality': told.jpeg_quality}


def _told(camera: KnownCamera) -> str:
    return repr((camera.calibration, camera.T_base_camera, camera.parent))
