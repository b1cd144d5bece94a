# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One recording made into 4D episodes; whatever is wrong with it is its record, not an error."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kinema4d_ros.curation.clips import ClipWriter, cut, printable
from kinema4d_ros.curation.depth_backend import DepthBackend, load_backend
from kinema4d_ros.curation.depth_fit import RobotDepthFit, fit_depth, RobotSamples, sample_robot
from kinema4d_ros.curation.quality import EpisodeQuality, QualityCounter
from kinema4d_ros.curation.record import EpisodeRecord
from kinema4d_ros.curation.robo4d_form import add_to_layout, remove_from_layout
from kinema4d_ros.curation.drawn_frames import DrawnFrames, SeenFrame
from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.curation.thumbnails import as_jpeg, thumbnail
from kinema4d_ros.datasets import load_extrinsics
from kinema4d_ros.episodes import Episode, EpisodeCamera
from kinema4d_ros.errors import DatasetError, Kinema4DError

EPISODES, THUMBNAILS, LAYOUT = 'episodes', 'thumbnails', 'robo4d'
_LOOKED_AT = 24      # frames, by which a recording is judged and depth is fitted
_COARSE = 4          # pixels, of which one tells whether depth is known


@dataclass(frozen=True)
class CurationItem:
    """One recording to be curated; it can be sent to another process."""

    name: str
    source: str
    out: str
    settings: CurationSettings
    lineage: Mapping[str, str] = field(default_factory=dict)


class UnwritableError(DatasetError):
    """The folder cannot be written to, so nothing more can be made."""


def one_episode(item: CurationItem) -> EpisodeRecord:
    """
    Make the 4D episodes of one recording, and return what became of it.

    What is wrong with a recording is `refused`.

    :raises UnwritableError: the folder cannot be written to.
    :raises MemoryError: there is not enough, which is no fault of the recording; so for a GPU's.
    """
    record = EpisodeRecord(item.name, item.source, dict(item.lineage))
    try:
        return _curated(item, record)
    except UnwritableError:
        raise
    except Kinema4DError as error:
        return dataclasses.replace(record, refused=printable(str(error)))
    except Exception as error:      # what is damaged makes libraries raise almost anything
        if isinstance(error, MemoryError) or type(error).__name__ == 'OutOfMemoryError':
            raise
        return dataclasses.replace(
            record, refused=printable(f'{type(error).__name__}: {error}'))


@dataclass(frozen=True, eq=False)
class _Survey:
    """What some frames of a recording say of all of it."""

    quality: EpisodeQuality
    fit: RobotDepthFit | None
    why_no_fit: str
    thumbnail: np.ndarray


def _curated(item: CurationItem, record: EpisodeRecord) -> EpisodeRecord:
    settings, out = item.settings, Path(item.out)
    episode = Episode.open(item.source)
    metadata = episode.metadata
    record = dataclasses.replace(
        record, success=metadata.success, task=metadata.task_text,
        robot=metadata.robot, kind=metadata.kind, camera=metadata.camera or settings.camera)
    given = load_extrinsics(Path(settings.extrinsics)) if settings.extrinsics else None
    unplaced = episode.unplaced.get(settings.camera) if given is not None else None
    camera = unplaced or (episode.camera(settings.camera) if settings.camera
                          else episode.cameras[0])
    if given is None and not metadata.camera_known and camera is episode.cameras[0]:
        return dataclasses.replace(record, refused=(
            'where the camera is is not known; find it with kinema4d calibrate, and give what it '
            'writes with --extrinsics FILE'))
    if len(camera.frames) < 2:
        return dataclasses.replace(record, refused='it has fewer than two pictures')
    frames = DrawnFrames(episode, camera, settings.package_paths, given)
    measured = any(camera.frames.has_depth(index) for index in range(len(camera.frames)))
    backend = None if measured or not settings.depth_model else load_backend(
        settings.depth_backend, settings.depth_model, settings.depth_quantity)
    survey = _survey(episode, camera, frames, settings, backend)
    picture = f'{THUMBNAILS}/{item.name}.jpg'
    _write(out / picture, as_jpeg(survey.thumbnail))
    record = dataclasses.replace(
        record, quality=survey.quality, fit=survey.fit, thumbnail=picture,
        depth='measured' if measured else 'estimated' if survey.fit else '')
    why = _why_refused(record, survey, settings, measured or backend is not None)
    if why is not None:
        return dataclasses.replace(record, refused=why)
    try:
        return dataclasses.replace(
            record, clips=_write_clips(item, record, episode, frames, backend))
    except UnwritableError:
        raise
    except Kinema4DError as error:      # what was measured stays told
        return dataclasses.replace(record, refused=printable(str(error)))


def _survey(episode: Episode, camera: EpisodeCamera, frames: DrawnFrames,
            settings: CurationSettings, backend: DepthBackend | None) -> _Survey:
    """Look at some frames, spread over all; one is in memory at a time."""
    counter = QualityCounter(frames.pinhole, frames.robot.link_names, settings.robot_share)
    answers: list[RobotSamples] = []
    coarse: list[np.ndarray] = []
    best, shown = -1.0, None
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_LOOKED_AT, len(frames))).astype(int))
    for index in chosen:
        frame = frames[int(index)]
        depth = frame.depth if backend is None else backend(frame.picture)
        if backend is not None and depth is not None:
            coarse.append(depth[::_COARSE, ::_COARSE].copy())
        if counter.add(frame, depth) and backend is not None and depth is not None:
            samples = sample_robot(depth, frame.pointmap)
            answers += [] if samples is None else [samples]
        if float(frame.mask.mean()) > best:
            best, shown = float(frame.mask.mean()), (frame.picture, frame.link_id, depth)
    fit = None if backend is None else fit_depth(answers, backend.quantity)
    assert shown is not None
    picture, link_id, depth = shown
    found = fit if isinstance(fit, RobotDepthFit) else None
    if backend is not None:
        depth = None if found is None or depth is None else found.apply(depth)
    quality = counter.quality(episode, camera)
    if backend is not None:      # what the fit makes of the answers counts
        known = [] if found is None else [np.isfinite(found.apply(answer)) for answer in coarse]
        quality = dataclasses.replace(quality, depth_share=float(np.mean(known)) if known else 0.0)
    return _Survey(quality, found, fit if isinstance(fit, str) else '',
                   thumbnail(picture, link_id, depth))


def _why_refused(record: EpisodeRecord, survey: _Survey, settings: CurationSettings,
                 has_depth: bool) -> str | None:
    """Return why no clip is made of a recording, None where nothing is wrong."""
    quality, fit = survey.quality, survey.fit
    if quality.robot_seen < settings.robot_seen or quality.robot_seen == 0:
        return (f'no robot in view: {100 * quality.robot_seen:.0f} % of the frames show it on '
                f'{100 * settings.robot_share:g} % of the picture or more; check the pose of the '
                'camera, the joints and the meshes')
    if not has_depth:
        return ('no depth was recorded; give a model that estimates it with --depth-model DIR')
    if record.depth == 'measured':
        return None
    if fit is None:
        return f'its depth cannot be estimated: {survey.why_no_fit}'
    if fit.residual > settings.residual or fit.relative > settings.relative_residual:
        return (f'the estimated depth is {1000 * fit.residual:.0f} mm '
                f'({100 * fit.relative:.1f} %) off at the robot; the limit is '
                f'{1000 * settings.residual:.0f} mm and {100 * settings.relative_residual:g} %')
    # Any flat answer is near enough to a robot of little depth, and the scene would be flat, too.
    if not fit.scale_sigma <= settings.scale_sigma:
        return (f'the depth of the robot, {fit.nearest:.2f} to {fit.farthest:.2f} m, does not show '
                'in the answers of the depth model well enough to tell a scale, which may be '
                f'{100 * fit.scale_sigma:.0f} % off')
    return None


def _write_clips(item: CurationItem, record: EpisodeRecord, episode: Episode, frames: DrawnFrames,
                 backend: DepthBackend | None) -> tuple[str, ...]:
    settings, folder = item.settings, Path(item.out) / EPISODES
    fit, origin = record.fit, ''
    if fit is not None:
        origin = (f'estimated by the depth model {Path(settings.depth_model).name} '
                  f'({item.lineage.get("depth_model", "")}), fitted to the robot: '
                  f'{1000 * fit.residual:.0f} mm off there')
    writer = ClipWriter(episode, frames, origin, _depth_source(backend, fit), record)
    names: list[str] = []
    try:
        for number, chosen in enumerate(cut(len(frames), settings)):
            if len(chosen) < 2:
                continue
            name = f'{item.name}_{number:03d}'
            names.append(name)
            path = folder / f'{name}.mcap'
            try:
                writer.write(path, chosen)
                if settings.form == 'robo4d':
                    add_to_layout(path, Path(item.out) / LAYOUT, name, settings)
            except OSError as error:
                raise UnwritableError(f'{path.parent.parent} cannot be written: {error}'
                                       ) from error
    except BaseException:
        remove_clips(Path(item.out), names)
        raise
    if not names:
        raise DatasetError(f'{len(frames)} frames make no clip with a stride of {settings.stride}')
    return tuple(names)


def remove_clips(out: Path, names: Iterable[str]) -> None:
    """Remove clips from a folder, in whatever form they are there."""
    names = tuple(names)
    for name in names:
        (out / EPISODES / f'{name}.mcap').unlink(missing_ok=True)
    remove_from_layout(out / LAYOUT, names)


def _depth_source(backend: DepthBackend | None, fit: RobotDepthFit | None
                  ) -> Callable[[SeenFrame], np.ndarray | None]:
    """Return what gives the depth of a frame: the camera, or the model and its fit."""
    if backend is None or fit is None:
        return lambda frame: frame.depth
    return lambda frame: fit.apply(backend(frame.picture))


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UnwritableError(f'{path.parent.parent} cannot be written: {error}') from error
