# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which camera of an episode is taken, and what is known of it: by user, set or preset."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.camera import CameraCalibration
from kinema4d_ros.camera.pose import rigid
from kinema4d_ros.datasets.preset import PresetCamera, RobotPreset
from kinema4d_ros.datasets.source import FrameStream, SourceCamera, SourceEpisode
from kinema4d_ros.errors import CameraError, DatasetError
from kinema4d_ros.types import PinholeCamera

_GUESS = 1.0        # focal length of an unknown camera, in widths of the image


@dataclass(frozen=True, eq=False)
class KnownCamera:
    """A camera as the episode will have it."""

    calibration: CameraCalibration
    T_base_camera: np.ndarray | None      # (4, 4) float64, optical axes; None where nobody knows
    exact: bool                           # K and T are both known, and not guessed
    parent: str                           # link that T is told in, and it is fixed to; '' the base
    origin: str                           # of K and T, for people


def choose_stream(episode: SourceEpisode, preset: RobotPreset, wanted: str
                  ) -> tuple[str, FrameStream, FrameStream | None]:
    """
    Return name and pictures of the camera to take, and its depth where there is some.

    :param wanted: name, or a part of it that fits one camera only; '' takes the first that the
        preset names, else the first.
    :raises DatasetError: there is none, or several fit.
    """
    color = color_streams(episode)
    if not color:
        raise DatasetError(f'{episode.name} has no pictures')
    if wanted:
        key = _called(wanted, episode)
    else:
        order = [key for part in preset.camera_order for key in color if part in key]
        key = (order or list(color))[0]
    return key, color[key], depth_of(key, episode)


def color_streams(episode: SourceEpisode) -> dict[str, FrameStream]:
    """Return the pictures of each camera, in the order of the set."""
    return {key: stream for key, stream in episode.videos.items() if not stream.is_depth}


def depth_of(key: str, episode: SourceEpisode) -> FrameStream | None:
    """Return the depth of a camera; None for none."""
    cameras = color_streams(episode)
    return next((stream for name, stream in episode.videos.items()
                 if stream.is_depth and _camera_of(name, cameras) == key), None)


def _camera_of(depth: str, cameras: Iterable[str]) -> str | None:
    """Return the camera that depth is of; `left_wrist_depth` is not that of `wrist`."""
    plain = depth.replace('_depth', '')
    fits = [key for key in cameras if key == plain] or [
        key for key in cameras if re.match(rf'{re.escape(key)}(?![A-Za-z0-9])', depth)
        or re.search(rf'(?<![A-Za-z0-9]){re.escape(key)}$', plain)]
    return max(fits, key=len, default=None)


def given_cameras(given: Mapping[str, KnownCamera], episode: SourceEpisode
                  ) -> dict[str, KnownCamera]:
    """
    Return what the user knows of cameras, by their whole names.

    :param given: by name, or a part of it that fits one camera only.
    :raises DatasetError: a name fits none or several, or two fit one.
    """
    found: dict[str, KnownCamera] = {}
    for name, camera in given.items():
        key = _called(name, episode)
        if key in found:
            raise DatasetError(f'{episode.name}: two extrinsics are of the camera {key}')
        found[key] = camera
    return found


def _called(name: str, episode: SourceEpisode) -> str:
    """Return the camera that a name, or a part of one, means."""
    color = color_streams(episode)
    fits = [key for key in color if key == name] or [key for key in color if name in key]
    if len(fits) != 1:
        raise DatasetError(f'{episode.name}: {len(fits)} cameras are called {name!r}; it has '
                           f'{", ".join(color)}')
    return fits[0]


def known_camera(key: str, episode: SourceEpisode, preset: RobotPreset, size: tuple[int, int],
                 given: KnownCamera | None) -> KnownCamera:
    """
    Return what is known of a camera: what the user gives goes before the set, it before the preset.

    :param size: (width, height) of its pictures, which K is scaled to.
    :raises DatasetError: K is of no camera, or T is no rotation and translation.
    """
    told = episode.cameras.get(key, SourceCamera())
    hint = next((camera for part, camera in preset.cameras.items() if part in key), None)
    if given is not None:
        calibration = _scaled(given.calibration, size)
        return KnownCamera(calibration, given.T_base_camera, given.exact, given.parent,
                           given.origin)
    origins, exact, parent = [], True, ''
    if told.K is not None:
        calibration = _scaled(_calibration(told.K, told.size or size, told.D,
                                           told.distortion_model), size)
        origins.append(f'K: {told.origin}')
    elif hint is not None:
        fx, fy, cx, cy = hint.K
        calibration = _scaled(_calibration(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
                                           (hint.width, hint.height), (), ''), size)
        exact &= hint.exact
        origins.append(f'K: preset {preset.name}{_about(hint)}')
    else:
        focal = _GUESS * size[0]
        calibration = _calibration(np.array([[focal, 0, (size[0] - 1) / 2],
                                             [0, focal, (size[1] - 1) / 2], [0, 0, 1]]),
                                   size, (), '')
        exact = False
        origins.append('K: a guess')
    T = told.T_base_camera
    if T is not None:
        origins.append(f'T: {told.origin}')
    elif told.pose_fault:
        exact = False
        origins.append(f'T: {told.pose_fault}')
    elif hint is not None and hint.T_base_camera:
        T = np.reshape(np.array(hint.T_base_camera, np.float64), (4, 4))
        exact, parent = exact and hint.exact, hint.parent
        origins.append(f'T: preset {preset.name}{_about(hint)}')
    else:
        exact = False
        origins.append('T: not known')
    try:
        T = None if T is None else rigid(T, f'the pose of the camera {key}')
    except CameraError as error:
        raise DatasetError(str(error)) from error
    return KnownCamera(calibration, T, exact, parent, '; '.join(origins))


def _about(hint: PresetCamera) -> str:
    return '' if hint.exact else f' ({hint.note or "about right"})'


def _calibration(K: np.ndarray, size: tuple[int, int], D: tuple[float, ...], model: str
                 ) -> CameraCalibration:
    try:
        return CameraCalibration(size[0], size[1], model or ('plumb_bob' if D else ''), D,
                                 tuple(np.ravel(K)))
    except CameraError as error:
        raise DatasetError(f'K of the camera: {error}') from error


def _scaled(calibration: CameraCalibration, size: tuple[int, int]) -> CameraCalibration:
    """Return a calibration for pictures of another size; those of a lens are not resized."""
    if (calibration.width, calibration.height) == size:
        return calibration
    K = calibration.K
    camera = PinholeCamera(calibration.width, calibration.height, K[0], K[4], K[2], K[5])
    return _calibration(camera.resized(*size).K, size, calibration.D, calibration.distortion_model)


def load_extrinsics(path: Path) -> KnownCamera:
    """
    Read the file that `kinema4d calibrate` writes.

    :raises CalibrationError: it cannot be read, or is no such file.
    :raises DatasetError: it does not say K.
    """
    found = Extrinsics.load(path)
    if found.camera is None:
        raise DatasetError(f'{path} does not say K of the camera')
    return KnownCamera(_calibration(found.camera.K, (found.camera.width, found.camera.height), (),
                                    ''), found.T_parent_camera, True, found.parent, path.name)
